package enrich

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/forensic"
)

// located is a message in the mailbox that holds it.
type located struct {
	mailbox   string // as Graph is asked for it: an object id, or a name
	name      string // of the mailbox, as people know it
	mail      Mail
	sent      bool // it lies in Sent Items
	matchedBy forensic.Match
}

var (
	// errAbsent says that no mailbox holds the message, or not yet.
	errAbsent = errors.New("the message is in no mailbox that it may be in")
	// errNowhere says that the record names no mailbox to look into.
	errNowhere = errors.New("the record names no mailbox")
	// errAmbiguous says that a mail was found which may be another one: none is taken.
	errAmbiguous = fmt.Errorf("a mail fits that may be another: %w", errAbsent)
)

// mailbox is one that may hold the copy of a sent mail.
type mailbox struct {
	name    string // user principal name or address
	address string // as Graph is asked for it: the object id, which outlasts names, or else the name
}

// mailboxes returns those that may hold the copy of a sent mail, in the order in which they are asked. What is
// sent from one's own mailbox is kept there. What is sent in the name of another is kept in the mailbox of who
// did it; in the other's only if the company set it so, or if that mailbox had been opened ("Automatically save
// sent items in delegator's mailbox").
func (a *Agent) mailboxes(ctx context.Context, m forensic.Message) ([]mailbox, error) {
	candidates := []string{m.Mailbox, m.Actor}
	if m.Operation == string(audit.SendAs) || m.Operation == string(audit.SendOnBehalf) {
		candidates = []string{m.Actor, m.Mailbox, m.From}
	}
	ids, err := a.ids.of(ctx, m.Connection, candidates)
	if err != nil {
		return nil, errors.Join(errStore, err)
	}
	var list []mailbox
	for _, name := range candidates {
		b := mailbox{name: name, address: cmp.Or(ids[strings.ToLower(name)], name)}
		same := func(other mailbox) bool { return strings.EqualFold(other.address, b.address) }
		if strings.Contains(name, "@") && !slices.ContainsFunc(list, same) {
			list = append(list, b)
		}
	}
	return list, nil
}

// look is one attempt to find a message in the mailboxes that may hold it.
type look struct {
	*Agent
	t       task
	boxes   []mailbox
	closed  []bool // mailboxes that refuse, or cannot be asked now
	refused []*refusing
	failed  error // of a mailbox that cannot be asked now: it hides what it may hold
}

// find looks for the message by its id: in the Sent Items of all mailboxes, then anywhere in them, since it may
// have been moved or deleted, and then among what was deleted for good. At last it looks for a mail that is
// like the record, since mail programs may change the id.
func (a *Agent) find(ctx context.Context, t task) (located, error) {
	boxes, err := a.mailboxes(ctx, t.message)
	if err != nil {
		return located{}, err
	}
	if len(boxes) == 0 {
		return located{}, errNowhere
	}
	l := &look{Agent: a, t: t, boxes: boxes, closed: make([]bool, len(boxes))}
	if err := l.skip(ctx); err != nil {
		return located{}, err
	}
	settled := !t.young || t.final // its copy has had the time to come to Sent Items
	if t.message.InternetMessageID != "" {
		for _, place := range []struct {
			search func(context.Context, connection.Tenant, string, string) ([]Mail, error)
			sent   bool
		}{{a.config.Graph.FindSent, true}, {a.config.Graph.FindAnywhere, false}, {a.config.Graph.FindDeleted, false}} {
			found, ok, err := l.byID(ctx, place.search, func(mail Mail) bool {
				return place.sent || settled && !another(mail, t.message)
			})
			if ok || err != nil {
				found.sent = place.sent
				return found, err
			}
			if !place.sent && !settled {
				break
			}
		}
	}
	if settled && l.failed == nil {
		if found, ok, err := l.byLikeness(ctx); ok || err != nil {
			return found, err
		}
	}
	return located{}, l.failure()
}

// skip closes the mailboxes that are known to refuse us and are not to be asked now.
func (l *look) skip(ctx context.Context) error {
	for i, b := range l.boxes {
		r, err := l.refusals.known(ctx, l.t, b.address, l.config.Deadline)
		if err != nil {
			return errors.Join(errStore, err)
		}
		if r != nil {
			l.closed[i], l.refused = true, append(l.refused, r)
		}
	}
	return nil
}

// in makes a call in a mailbox, and records whether it refuses us. If it is not there under its object id, it
// is asked for by its name.
func (l *look) in(ctx context.Context, i int, call func(ctx context.Context, mailbox string) error) error {
	b := &l.boxes[i]
	ask := func() error {
		return l.ask(ctx, l.t, b.address, func(ctx context.Context) error { return call(ctx, b.address) })
	}
	err := ask()
	if errors.Is(err, ErrNoMailbox) && b.address != b.name {
		b.address = b.name
		err = ask()
	}
	switch {
	case errors.Is(err, ErrNoMailbox), errors.Is(err, ErrDenied):
		r, noted := l.refusals.refused(ctx, l.t, b.address, l.config.Deadline, err)
		if noted != nil {
			return noted
		}
		l.closed[i], l.refused = true, append(l.refused, r)
		return nil
	case err != nil && !errors.Is(err, ErrGone): // with it only the folder is not there
		l.closed[i], l.failed = true, err
		return nil
	}
	return l.refusals.answered(ctx, l.t, b.address)
}

// byID looks for the message by its internet message id in all mailboxes.
func (l *look) byID(
	ctx context.Context,
	search func(context.Context, connection.Tenant, string, string) ([]Mail, error),
	good func(Mail) bool,
) (located, bool, error) {
	for i := range l.boxes {
		if l.closed[i] {
			continue
		}
		var mails []Mail
		err := l.in(ctx, i, func(ctx context.Context, mailbox string) (err error) {
			mails, err = search(ctx, l.t.tenant, mailbox, l.t.message.InternetMessageID)
			return err
		})
		if err != nil {
			return located{}, false, err
		}
		if mail, ok := choose(mails, l.t.message); ok && good(mail) {
			b := l.boxes[i]
			return located{mailbox: b.address, name: b.name, mail: mail, matchedBy: forensic.ByMessageID}, true, nil
		}
	}
	return located{}, false, nil
}

// failure is why the message was not found.
func (l *look) failure() error {
	switch {
	case l.failed != nil:
		return l.failed
	case len(l.refused) == len(l.boxes):
		return fmt.Errorf("look for the message: %w", firstOf(l.refused))
	case len(l.refused) > 0:
		return fmt.Errorf("look for the message: %w, and %w", errAbsent, firstOf(l.refused).asOne())
	}
	return fmt.Errorf("look for the message: %w", errAbsent)
}

// choose takes the most likely of several messages with the same internet message id. A draft is none: the id
// may have been given to it before it was sent.
func choose(mails []Mail, m forensic.Message) (Mail, bool) {
	mails = slices.DeleteFunc(slices.Clone(mails), func(mail Mail) bool { return mail.Draft })
	if len(mails) == 0 {
		return Mail{}, false
	}
	return slices.MinFunc(mails, func(x, y Mail) int {
		return cmp.Or(
			cmp.Compare(strangeness(x, m), strangeness(y, m)),
			cmp.Compare(distance(x.Sent, m.Observed), distance(y.Sent, m.Observed)),
			cmp.Compare(x.ID, y.ID),
		)
	}), true
}

// strangeness is 0 for a mail whose sender is one of those that the audit record names. Another one is no proof
// of another mail: a person's address may differ from their user principal name.
func strangeness(mail Mail, m forensic.Message) int {
	for _, address := range []string{mail.From, mail.Sender} {
		for _, known := range []string{m.From, m.Sender, m.Actor, m.Mailbox} {
			if address != "" && strings.EqualFold(address, known) {
				return 0
			}
		}
	}
	return 1
}

// another reports whether a mail outside of Sent Items has only its id in common with the message, and neither sender
// nor day. Whoever sends mail to a mailbox chooses the ids of what arrives there.
func another(mail Mail, m forensic.Message) bool {
	return strangeness(mail, m) > 0 && !mail.Sent.IsZero() && distance(mail.Sent, m.Observed) > 24*time.Hour
}

func distance(x, y time.Time) time.Duration { return x.Sub(y).Abs() }

// unfound is the reason for a message that was not found, and whether waiting is useless.
func unfound(err error) (reason forensic.Reason, final bool) {
	var r *refusing
	switch {
	case errors.As(err, &r):
		return r.reason, r.known
	case errors.Is(err, errNowhere):
		return forensic.NoMailbox, true
	case errors.Is(err, ErrDenied):
		return forensic.MailboxDenied, false
	case errors.Is(err, ErrNoMailbox):
		return forensic.NoMailbox, false
	case errors.Is(err, errAbsent), errors.Is(err, ErrGone):
		return forensic.NotFound, false
	case errors.Is(err, ErrNotPermitted), errors.Is(err, fault.Refused):
		return forensic.NoPermission, false
	}
	return forensic.OutOfTime, false
}

// attachments lists what is attached to the message that was found.
func (a *Agent) attachments(ctx context.Context, t task, f located) (list []Attached, err error) {
	err = a.ask(ctx, t, f.mailbox, func(ctx context.Context) (err error) {
		list, err = a.config.Graph.Attachments(ctx, t.tenant, f.mailbox, f.mail.ID)
		return err
	})
	return list, err
}

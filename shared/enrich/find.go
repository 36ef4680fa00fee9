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
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/forensic"
)

// located is a message in the mailbox that holds it.
type located struct {
	mailbox string
	mail    Mail
	sent    bool // it lies in Sent Items
}

// errAbsent says that no mailbox holds the message, or not yet.
var errAbsent = errors.New("the message is in no mailbox that it may be in")

// errNowhere says that the record names no mailbox to look into.
var errNowhere = errors.New("the record names no mailbox")

// mailboxes are those that may hold the copy of a sent mail, in the order in which they are asked. What is sent
// from one's own mailbox is kept there. What is sent in the name of another is kept in the mailbox of who did
// it; in the other's only if the company set it so, or if that mailbox had been opened ("Automatically save
// sent items in delegator's mailbox").
func mailboxes(m forensic.Message) []string {
	candidates := []string{m.Mailbox, m.Actor}
	if m.Operation == string(audit.SendAs) || m.Operation == string(audit.SendOnBehalf) {
		candidates = []string{m.Actor, m.Mailbox, m.From}
	}
	var list []string
	for _, address := range candidates {
		known := func(other string) bool { return strings.EqualFold(other, address) }
		if strings.Contains(address, "@") && !slices.ContainsFunc(list, known) {
			list = append(list, address)
		}
	}
	return list
}

// find looks for the message in the Sent Items of all mailboxes, and then anywhere in them: it may have been
// moved or deleted. A mailbox that cannot be asked now hides what it may hold, so find fails then unless
// another holds the message.
func (a *Agent) find(ctx context.Context, t task) (located, error) {
	list := mailboxes(t.message)
	switch {
	case len(list) == 0:
		return located{}, errNowhere
	case t.message.InternetMessageID == "":
		return located{}, fmt.Errorf("look for a message without a message id: %w", errAbsent)
	}
	var failed error
	closed := make(map[string]bool, len(list))
	var refused []*refusing
	for _, mailbox := range list {
		r, err := a.refusals.known(ctx, t, mailbox, a.config.Deadline)
		if err != nil {
			return located{}, err
		}
		if r != nil {
			closed[mailbox], refused = true, append(refused, r)
		}
	}
	for _, sent := range []bool{true, false} {
		search := a.config.Graph.FindAnywhere
		if sent {
			search = a.config.Graph.FindSent
		}
		for _, mailbox := range list {
			if closed[mailbox] {
				continue
			}
			var mails []Mail
			err := a.ask(ctx, t, mailbox, func(ctx context.Context) (err error) {
				mails, err = search(ctx, t.tenant, mailbox, t.message.InternetMessageID)
				return err
			})
			switch {
			case errors.Is(err, ErrNoMailbox), errors.Is(err, ErrDenied):
				r, noted := a.refusals.refused(ctx, t, mailbox, a.config.Deadline, err)
				if noted != nil {
					return located{}, noted
				}
				closed[mailbox], refused = true, append(refused, r)
			case err != nil && !errors.Is(err, ErrGone): // with it only the folder is not there
				failed = err
				closed[mailbox] = true
			default:
				if err := a.refusals.answered(ctx, t, mailbox); err != nil {
					return located{}, err
				}
			}
			mail, ok := choose(mails, t.message)
			if ok && (sent || (!t.young || t.last) && !another(mail, t.message)) {
				return located{mailbox: mailbox, mail: mail, sent: sent}, nil
			}
		}
	}
	switch {
	case failed != nil:
		return located{}, failed
	case len(refused) == len(list):
		return located{}, fmt.Errorf("look for the message: %w", firstOf(refused))
	case len(refused) > 0:
		return located{}, fmt.Errorf("look for the message: %w, and %w", errAbsent, firstOf(refused).asOne())
	}
	return located{}, fmt.Errorf("look for the message: %w", errAbsent)
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

// another tells a mail outside of Sent Items that has nothing in common with the message but its id: neither
// sender nor day. Whoever writes to a mailbox chooses the ids of what arrives there.
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

package enrich

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/forensic"
)

const (
	// refusalsLife is how long this process believes what it read of a mailbox: another may learn more.
	refusalsLife = time.Minute
	// maxRefusals bounds the mailboxes that are remembered; beyond it they are read again.
	maxRefusals = 50_000
)

// refusing is a mailbox that refuses us.
type refusing struct {
	mailbox string
	reason  forensic.Reason
	answer  string
	known   bool // for longer than the deadline: whoever needs it does not wait for it
	probed  bool // it was asked just now
	alone   bool // no other mailbox may hold the message
	cause   error
}

func (r *refusing) Error() string { return "the mailbox refuses us: " + r.answer }

func (r *refusing) Unwrap() error { return r.cause }

// asOne is the refusal of one of several mailboxes: the message may be in another.
func (r *refusing) asOne() error {
	if r.reason == forensic.MailboxDenied {
		return ErrDenied
	}
	return r.cause
}

// firstOf returns the refusal that says most: a denied mailbox may hold the message, a missing one does not. It
// counts as known only if all are.
func firstOf(all []*refusing) *refusing {
	first := *all[0]
	first.alone = len(all) == 1
	for _, r := range all[1:] {
		known := first.known && r.known
		if first.reason != forensic.MailboxDenied && r.reason == forensic.MailboxDenied {
			first = *r
			first.alone = false
		}
		first.known = known
	}
	return &first
}

// refusals knows which mailboxes refuse us. What is known is stored; this is a process's view of it. It is safe for
// concurrent use.
type refusals struct {
	messages Messages
	now      func() time.Time

	mu  sync.Mutex
	all map[refusalKey]believed
}

type refusalKey struct {
	connection connection.ID
	mailbox    string
}

type believed struct {
	forensic.Refusal
	until time.Time
}

func (r *refusals) open(m Messages, now func() time.Time) {
	r.messages, r.now, r.all = m, now, make(map[refusalKey]believed)
}

// known returns the refusal of a mailbox that is known to refuse us and is not to be asked now; else nil.
// Whoever gets nil from a mailbox that is known is the one who asks it: the others wait for the answer.
func (r *refusals) known(ctx context.Context, t task, mailbox string, deadline time.Duration) (*refusing, error) {
	key := refusalKey{t.message.Connection, forensic.Normal(mailbox)}
	now := r.now()
	r.mu.Lock()
	one, ok := r.all[key]
	r.mu.Unlock()
	if !ok || !now.Before(one.until) {
		read, err := r.messages.Refusal(ctx, key.connection, mailbox)
		if err != nil {
			return nil, err
		}
		one = r.keep(key, read)
	}
	if one.Since.IsZero() || now.Sub(one.Since) < deadline {
		return nil, nil
	}
	if !now.Before(one.Probe) || t.asked && now.Sub(one.Last) > refusalsLife {
		one.Probe = now.Add(refusalsLife)
		one.Last = now
		r.keep(key, one.Refusal)
		return nil, nil
	}
	return &refusing{mailbox: mailbox, reason: one.Reason, answer: one.Answer, known: true}, nil
}

func (r *refusals) keep(key refusalKey, what forensic.Refusal) believed {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.all) >= maxRefusals {
		clear(r.all)
	}
	one := believed{what, r.now().Add(refusalsLife)}
	r.all[key] = one
	return one
}

// refused records that a mailbox refused us just now.
func (r *refusals) refused(
	ctx context.Context, t task, mailbox string, deadline time.Duration, err error,
) (*refusing, error) {
	key := refusalKey{t.message.Connection, forensic.Normal(mailbox)}
	reason := forensic.NoMailbox
	if errors.Is(err, ErrDenied) {
		reason = forensic.MailboxDenied
	}
	said := answer(err)
	stored, failed := r.messages.Refused(ctx, key.connection, mailbox, reason, said)
	if failed != nil {
		return nil, failed
	}
	r.keep(key, stored)
	known := r.now().Sub(stored.Since) >= deadline
	return &refusing{mailbox: mailbox, reason: reason, answer: said, known: known, probed: true, cause: err}, nil
}

// answered records that a mailbox answers, if it refused us before.
func (r *refusals) answered(ctx context.Context, t task, mailbox string) error {
	key := refusalKey{t.message.Connection, forensic.Normal(mailbox)}
	r.mu.Lock()
	one := r.all[key]
	r.mu.Unlock()
	if one.Since.IsZero() {
		return nil
	}
	if err := r.messages.Answered(ctx, key.connection, mailbox); err != nil {
		return err
	}
	r.keep(key, forensic.Refusal{})
	return nil
}

// answer is what Microsoft answered, as an operator may look it up: a status and a code, and never a word of
// the mail.
func answer(err error) string {
	var r *refusing
	var f *fault.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &r) && r.answer != "":
		return r.answer
	case errors.As(err, &f) && f.Status > 0:
		text := "HTTP " + strconv.Itoa(f.Status)
		if f.Code != "" {
			text += " " + f.Code
		}
		return text
	case errors.As(err, &f) && f.Code != "":
		return f.Code
	case errors.Is(err, errAmbiguous):
		return "no such message, but one that is like it and may be another"
	case errors.Is(err, errAbsent):
		return "no such message"
	case errors.Is(err, errNowhere):
		return "no mailbox was asked: the record names none"
	case errors.Is(err, errResting):
		return "not asked: Microsoft wants the mailbox left alone for a while"
	}
	return "no answer"
}

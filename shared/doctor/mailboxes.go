package doctor

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/enrich"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/people"
)

const (
	maxAsked = 3000            // mailbox and directory calls of one examination
	maxVain  = 20              // sends in a row that could not be looked for, before the search ends
	around   = 2 * time.Minute // between the time of a record and that of its mail
)

// search looks for a sample of sends in their mailboxes.
type search struct {
	*examination
	asked  int
	vain   int                        // sends in a row for which Graph did not answer
	ids    map[string]people.ObjectID // by name; "" is nobody that the directory knows
	failed error                      // the last one that says nothing about one mailbox
	counts map[string]int
	sought int // in a mailbox that could be read
	byID   int
	alike  int // found only by time and subject: their message id is another one

	boxed, byName, closed int // sends whose mailbox was asked for, could be read only by name, or not at all
	silent                int // sends for which Microsoft did not answer
	listed, differ        int // copies with the attachments that are recorded, and with others
	plain, blank          int // copies without attachments, as recorded, and with some where none is recorded
	deleted               error
	triedDeleted          bool
}

// mailboxes looks for up to perClient sends of each client where their copies should be. It reads the copies'
// properties and the names of their attachments, and no content.
func (e *examination) mailboxes(ctx context.Context, all *sends) {
	s := &search{examination: e, ids: map[string]people.ObjectID{}, counts: map[string]int{}}
	for _, client := range slices.Sorted(maps.Keys(all.clients)) {
		for _, r := range all.clients[client] {
			if s.asked < maxAsked && s.vain < maxVain && ctx.Err() == nil {
				s.one(ctx, client, r)
			}
		}
	}
	s.report()
}

// one looks for one send.
func (s *search) one(ctx context.Context, client string, r audit.Record) {
	name := cmp.Or(r.MailboxOwnerUPN, r.UserID)
	if r.Operation != audit.Send && strings.Contains(r.UserID, "@") {
		name = r.UserID // who sends in the name of another keeps the copy
	}
	if !strings.Contains(name, "@") {
		s.counts["client "+client+": no mailbox named"]++
		return
	}
	id, err := s.person(ctx, name)
	if err != nil {
		s.failed = err
	}
	s.boxed++
	box := cmp.Or(string(id), name)
	mail, place, err := s.find(ctx, box, r)
	if errors.Is(err, enrich.ErrNoMailbox) && box != name {
		if mail, place, err = s.find(ctx, name, r); err == nil {
			s.byName++
		}
		box = name
	} else if err == nil && id == "" {
		s.byName++
	}
	if err != nil {
		s.failed = err
		if transient(err) { // it says nothing about the mailbox
			s.silent++
			s.vain++
			s.counts["client "+client+": Microsoft did not answer"]++
			return
		}
		s.closed++
		s.counts["client "+client+": mailbox not readable"]++
		return
	}
	s.sought++
	s.vain = 0
	s.counts["client "+client+": "+place]++
	if mail != nil {
		s.compare(ctx, box, *mail, r)
	}
}

// transient says whether an error may pass without anybody's doing.
func transient(err error) bool {
	refused := errors.Is(err, enrich.ErrNoMailbox) || errors.Is(err, enrich.ErrDenied) ||
		errors.Is(err, enrich.ErrNotPermitted) || errors.Is(err, fault.Refused)
	return !refused
}

// person returns the object id that the directory has for a name, and "" for nobody.
func (s *search) person(ctx context.Context, name string) (people.ObjectID, error) {
	key := people.Fold(name)
	if id, known := s.ids[key]; known {
		return id, nil
	}
	s.asked++
	p, err := s.User(ctx, s.tenant, name)
	if err != nil && !errors.Is(err, people.ErrUnknown) {
		return "", err
	}
	s.ids[key] = p.ID
	return p.ID, nil
}

// find returns the copy of a send, if there is one, and where it was found.
func (s *search) find(ctx context.Context, box string, r audit.Record) (*enrich.Mail, string, error) {
	const byID = "by message id, in "
	if !s.triedDeleted {
		s.asked++
		_, s.deleted = s.FindDeleted(ctx, s.tenant, box, cmp.Or(r.Item.InternetMessageID, "<none>"))
		s.triedDeleted = !errors.Is(s.deleted, enrich.ErrNoMailbox)
	}
	if r.Item.InternetMessageID != "" {
		for _, place := range []struct {
			name string
			look func(context.Context, connection.Tenant, string, string) ([]enrich.Mail, error)
		}{
			{"Sent Items", s.FindSent}, {"another folder", s.FindAnywhere}, {"Recoverable Items", s.FindDeleted},
		} {
			s.asked++
			mails, err := place.look(ctx, s.tenant, box, r.Item.InternetMessageID)
			if err != nil && !errors.Is(err, enrich.ErrGone) {
				return nil, "", err
			}
			mails = slices.DeleteFunc(mails, func(m enrich.Mail) bool { return m.Draft })
			if len(mails) > 0 {
				s.byID++
				return &mails[0], byID + place.name, nil
			}
		}
	}
	for _, folder := range []enrich.Folder{enrich.SentItems, enrich.DeletedForGood} {
		s.asked++
		at := r.CreationTime
		mails, whole, err := s.FindAround(ctx, s.tenant, box, folder, at.Add(-around), at.Add(around))
		if err != nil && !errors.Is(err, enrich.ErrGone) {
			return nil, "", err
		}
		mails = slices.DeleteFunc(mails, func(m enrich.Mail) bool {
			return m.Draft || strings.TrimSpace(m.Subject) != strings.TrimSpace(r.Item.Subject)
		})
		if whole && len(mails) == 1 {
			s.alike++
			return &mails[0], "only by time and subject", nil
		}
	}
	return nil, "not found", nil
}

// compare compares the attachments of a copy with those in the record.
func (s *search) compare(ctx context.Context, box string, mail enrich.Mail, r audit.Record) {
	recorded, _ := audit.ParseAttachments(r.Item.Attachments)
	if len(recorded) == 0 {
		if mail.HasAttachments {
			s.blank++
		} else {
			s.plain++
		}
		return
	}
	s.asked++
	attached, err := s.Attachments(ctx, s.tenant, box, mail.ID)
	if err != nil {
		s.failed = err
		return
	}
	var is, said []string
	for _, a := range attached {
		is = append(is, strings.TrimSpace(a.Name))
	}
	for _, a := range recorded {
		said = append(said, strings.TrimSpace(a.Name))
	}
	slices.Sort(is)
	slices.Sort(said)
	if slices.Equal(is, said) {
		s.listed++
	} else {
		s.differ++
	}
}

// report says what the search found.
func (s *search) report() {
	const (
		users    = "the directory knows who sends"
		boxes    = "mailboxes can be read by object id"
		all      = "every mailbox and person can be asked for"
		ids      = "the copy of a send has the record's message id"
		attached = "the copy of a send has the attachments that the record names"
		named    = "a record without attachments is of a mail without attachments"
		deleted  = "Recoverable Items can be read"
	)
	unknown := 0
	for _, id := range s.ids {
		if id == "" {
			unknown++
		}
	}
	verdict := func(fails bool, seen int) Verdict {
		switch {
		case fails:
			return Fails
		case seen == 0:
			return NotSeen
		}
		return Holds
	}
	s.found(users, verdict(unknown > 0, len(s.ids)), "It does not know %d of %d senders.", unknown, len(s.ids))
	s.found(boxes, verdict(s.byName+s.closed > 0, s.sought),
		"Of %d sends, %d are from mailboxes that can be read only by name, and %d from mailboxes that cannot be read. "+
			"For %d Microsoft did not answer.",
		s.boxed, s.byName, s.closed, s.silent)
	switch {
	case s.failed != nil:
		s.examination.failed(all, s.failed)
	case s.boxed > 0:
		s.found(all, Holds, "All %d sends of the sample could be looked for.", s.boxed)
	}
	s.found(ids, verdict(s.alike > 0, s.byID),
		"%d of %d were found by it. Of the other %d, %d were found by time and subject.",
		s.byID, s.sought, s.sought-s.byID, s.alike)
	s.count(s.counts)
	s.found(attached, verdict(s.differ > 0, s.listed), "%d copies have them, and %d have others.", s.listed, s.differ)
	s.found(named, verdict(s.blank > 0, s.plain),
		"%d copies have none, and %d have attachments that the record does not name.", s.plain, s.blank)
	switch {
	case !s.triedDeleted:
		s.found(deleted, NotSeen, "No mailbox could be asked.")
	case errors.Is(s.deleted, enrich.ErrGone):
		s.found(deleted, Fails, "The mailbox that was asked has no such folder.")
	case s.deleted != nil:
		s.examination.failed(deleted, s.deleted)
	default:
		s.found(deleted, Holds, "The mailbox that was asked answered.")
	}
	if s.asked >= maxAsked || s.vain >= maxVain {
		s.found("the whole sample can be looked for", NotSeen, "The search ended after %d calls.", s.asked)
	}
}

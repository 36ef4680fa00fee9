package forensic

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/queue"
	"github.com/mailtrail/mailtrail/shared/table"
)

// Desk is where the messages lie that wait to be enriched: it hands them out, and puts what was found to them. It is safe for concurrent
// use, also by many processes.
type Desk struct {
	Events table.Table
	Queue  queue.Sender // where the waiting messages were sent to
	Now    func() time.Time
	Log    *slog.Logger
	// Patience is how long a message waits before Sweep sends it again: longer than whoever enriches tries.
	Patience time.Duration
}

// settleTries is how often a message is settled anew that somebody else changed meanwhile.
const settleTries = 4

// Load returns the message, and whether there is nothing more to be done for it: it was settled before, or is not there any more, having
// expired or been purged. What an earlier Settle of it left undone is done then.
func (d *Desk) Load(ctx context.Context, c connection.ID, r RecordID) (m Message, settled bool, err error) {
	m, item, err := d.read(ctx, c, r)
	switch {
	case errors.Is(err, table.ErrAbsent):
		return Message{Connection: c, Record: r}, true, nil
	case err != nil:
		return Message{}, false, err
	case m.Waiting:
		return m, false, nil
	}
	return m, true, d.finish(ctx, m, item.Expires)
}

// Settle puts what was found to a message that was loaded, and lets it wait no longer. Only the first finding counts: settling again,
// also by somebody else with another finding, and settling what is not there any more, is harmless.
//
// The order of writes: the further postings and further items, then the message, then the end of its waiting. A crash before the message
// leaves postings that no message confirms, which searches pass over; a crash after it leaves its mark, which the next Load or Sweep
// of the message deletes. Until then the watermark waits.
func (d *Desk) Settle(ctx context.Context, m Message, f Finding) error {
	for range settleTries {
		err := d.settle(ctx, m.Connection, m.Record, f)
		if !errors.Is(err, table.ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("settle message %s of connection %s: too many writers: %w", m.Record, m.Connection, fault.Retry)
}

func (d *Desk) settle(ctx context.Context, c connection.ID, r RecordID, f Finding) error {
	was, item, err := d.read(ctx, c, r)
	switch {
	case errors.Is(err, table.ErrAbsent):
		return nil
	case err != nil:
		return err
	case !was.Waiting:
		return d.finish(ctx, was, item.Expires)
	}
	m := was.with(f)
	replacement, parts := encode(m, fmt.Sprintf("%016x", f.At.UnixNano()), item.Expires)
	replacement.Revision = item.Revision

	further := append(furtherPostings(was, m, item.Expires), parts...)
	if len(further) > 0 {
		if err := d.Events.Load(ctx, further...); err != nil {
			return fmt.Errorf("store %d postings of what was found of message %s: %w", len(further), r, err)
		}
	}
	err = d.Events.Commit(ctx, table.Op{Verb: table.Replace, Item: replacement})
	if errors.Is(err, table.ErrConflict) {
		if back := d.takeBack(ctx, was, further); back != nil { // not a conflict: the next attempt would find nothing, and say nothing
			return back
		}
		return err
	}
	if err != nil {
		return fmt.Errorf("store what was found of message %s: %w", r, err)
	}
	return d.unmark(ctx, m)
}

// read loads a message with its item.
func (d *Desk) read(ctx context.Context, c connection.ID, r RecordID) (Message, table.Item, error) {
	item, err := d.Events.Get(ctx, MessageKey(c, r))
	if err != nil {
		return Message{}, item, fmt.Errorf("load message %s of connection %s: %w", r, c, err)
	}
	m, more, err := decode(c, item)
	if err == nil && more.parts > 0 {
		m, err = loadParts(ctx, d.Events, m, more)
	}
	return m, item, err
}

// finish does what may have been left undone of a message that is settled: its mark is deleted. The posting of its day is written again,
// for whoever lost a race to settle it may have written another count of files.
func (d *Desk) finish(ctx context.Context, m Message, expires time.Time) error {
	if err := d.Events.Load(ctx, dayPosting(m, expires)); err != nil {
		return fmt.Errorf("count the files of message %s: %w", m.Record, err)
	}
	return d.unmark(ctx, m)
}

// takeBack deletes what was written for a message that was purged meanwhile. Of one that is there, it does no harm. It tries some times, for
// nothing leads to those postings afterwards: what cannot be deleted stays until it expires.
func (d *Desk) takeBack(ctx context.Context, m Message, written []table.Item) error {
	if _, err := d.Events.Get(ctx, MessageKey(m.Connection, m.Record)); !errors.Is(err, table.ErrAbsent) {
		return err
	}
	var failed error
	for range settleTries {
		failed = nil
		for some := range slices.Chunk(written, table.MaxCommit) {
			failed = errors.Join(failed, deleteAll(ctx, d.Events, some))
		}
		if failed == nil {
			return nil
		}
	}
	return fmt.Errorf("take back postings of message %s: %w", m.Record, failed)
}

func (d *Desk) unmark(ctx context.Context, m Message) error {
	if err := d.Events.Commit(ctx, table.Op{Verb: table.Delete, Item: table.Item{Key: waitingKey(m)}}); err != nil {
		return fmt.Errorf("let message %s wait no longer: %w", m.Record, err)
	}
	return nil
}

// deleteAll deletes up to table.MaxCommit items.
func deleteAll(ctx context.Context, events table.Table, items []table.Item) error {
	ops := make([]table.Op, len(items))
	for i, item := range items {
		ops[i] = table.Op{Verb: table.Delete, Item: table.Item{Key: item.Key}}
	}
	return events.Commit(ctx, ops...)
}

// furtherPostings are what m, enriched, is found by and was not before.
func furtherPostings(was, m Message, expires time.Time) []table.Item {
	before := make(map[table.Key]bool)
	for _, p := range appendPostings(nil, was, expires) {
		before[p.Key] = true
	}
	further := slices.DeleteFunc(appendPostings(nil, m, expires), func(p table.Item) bool { return before[p.Key] })
	if len(m.Files) > len(was.Files) {
		further = append(further, dayPosting(m, expires))
	}
	return further
}

// with is the message as the finding leaves it. Texts are cut as those of records are, and there are at most MaxFiles files.
func (m Message) with(f Finding) Message {
	m.Waiting = false
	m.Found = Found{At: f.At.UTC().Truncate(time.Millisecond), Reason: cutWord(f.Reason)}
	if f.Reason != "" {
		return m
	}
	m.Found.Mailbox, m.Found.From, m.Found.Sender = clean(f.Mailbox), cut(f.From, maxName), cut(f.Sender, maxName)
	m.Found.Subject = clean(f.Subject)
	if y := f.Sent.UTC().Year(); y >= 1 && y <= 9999 {
		m.Found.Sent = f.Sent.UTC().Truncate(time.Millisecond)
	}
	for _, r := range f.Recipients {
		r.Address, r.Name, r.Role = cut(strings.TrimSpace(r.Address), maxName), clean(r.Name), cutWord(r.Role)
		if r.Address != "" {
			m.Found.Recipients = append(m.Found.Recipients, r)
		}
	}
	m.Files = m.filesWith(f.Files)
	return m
}

// filesWith are the message's files, each with its attachment, and after them the attachments that the record does not name. A file that
// the finding says nothing of is not in the message.
func (m Message) filesWith(found []Attachment) []File {
	files := make([]File, len(m.Files), len(m.Files)+len(found))
	for i, f := range m.Files {
		f.Found = Attachment{Record: i, Missing: NotInMessage, Name: f.Name, Kind: FileKind, StoredSize: -1, Size: -1, NoHash: NotInMessage}
		files[i] = f
	}
	told := make([]bool, len(files))
	for _, a := range found {
		a = a.cut()
		switch {
		case a.Record >= 0 && a.Record < len(told) && !told[a.Record]:
			told[a.Record] = true
			if a.Name == "" {
				a.Name = files[a.Record].Name
			}
			files[a.Record].Found = a
		case len(files) < MaxFiles:
			a.Record, a.Missing = -1, NotInRecord
			files = append(files, File{Name: a.Name, StoredSize: -1, Found: a})
		}
	}
	return files
}

func (a Attachment) cut() Attachment {
	if a.Kind == "" {
		a.Kind = FileKind
	}
	a.ID, a.Name, a.ContentType, a.ByBytes = clean(a.ID), cut(a.Name, maxName), cut(a.ContentType, maxName), cut(a.ByBytes, maxName)
	a.MD5, a.SHA256, a.QuickXor, a.URL = strings.ToLower(cut(a.MD5, maxName)), strings.ToLower(cut(a.SHA256, maxName)), cut(a.QuickXor, maxName), clean(a.URL)
	a.Kind, a.Missing, a.NoHash = cutWord(a.Kind), cutWord(a.Missing), cutWord(a.NoHash)
	a.StoredSize, a.Size = max(a.StoredSize, -1), max(a.Size, -1)
	return a
}

// cutWord is cut for a word of a kind of its own.
func cutWord[T ~string](word T) T { return T(cut(string(word), maxName)) }

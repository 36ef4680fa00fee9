package forensic

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/queue"
	"github.com/mailtrail/mailtrail/shared/table"
)

// Desk is where messages lie that wait to be enriched: it hands them out, and adds what was found to them. It is safe
// for concurrent use, also by several processes.
type Desk struct {
	Events table.Table
	Queue  queue.Sender // where the waiting messages were sent to
	Now    func() time.Time
	Log    *slog.Logger
	// Patience is how long a message waits before Sweep queues it again: longer than the enriching agent tries.
	Patience time.Duration
	// LookFor is for how long after a message was stored what is missing of it is looked for; 0 is DefaultLookFor.
	LookFor time.Duration
	// Requests are those of operators to look again at once; nil: there are none.
	Requests *Requests
}

// settleTries is how many times settling a message is tried while somebody else changes it.
const settleTries = 4

// Load returns the message, and whether nothing remains to be done for it: it was settled before, or is no longer
// there because it expired or was purged. Load then also finishes what an earlier Settle left undone.
func (d *Desk) Load(ctx context.Context, c connection.ID, r RecordID) (m Message, settled bool, err error) {
	m, item, _, err := d.read(ctx, c, r)
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

// Settle adds what was found to a message that was loaded, and lets it wait no longer. Of several findings for a
// message that waits only the first counts; settling what is not there any more is harmless. A finding of a later look
// (Again) counts if something was missing until then, and takes nothing away.
//
// The order of writes: the further postings, the further items and the mark of the next look, then the message, then
// the end of its waiting. A crash before the message leaves postings that no message confirms, which searches ignore.
// A crash after it leaves its old mark, which the next Load or Sweep of the message deletes. Until then the watermark
// waits.
func (d *Desk) Settle(ctx context.Context, m Message, f Finding) error {
	var probe time.Time
	if f.Refused != "" {
		r, err := d.Refusal(ctx, m.Connection, f.Refused)
		if err != nil {
			return err
		}
		probe = r.next(f)
	}
	err := d.change(ctx, m, func(was Message) (Message, bool) {
		switch {
		case was.Waiting:
			return d.scheduled(was.with(f), f, probe), true
		case f.Again && was.Open():
			return d.scheduled(was.improved(f), f, probe), true
		}
		return was, false
	})
	switch {
	case err != nil:
		return err
	case f.Refused != "":
		return d.await(ctx, m.Connection, f.Refused, probe)
	case f.Reason != "":
		return nil
	case f.MatchedBy == ByLikeness:
		// The record whose mail it is may have come while this was written.
		if rival, err := d.Rival(ctx, m, f.MessageID); err != nil || !rival {
			return err
		}
		return d.revoke(ctx, m.Connection, m.Record)
	}
	return d.disown(ctx, m, m.InternetMessageID)
}

// Tried records that a message that waits was looked for and not found, or not whole. It goes on waiting.
func (d *Desk) Tried(ctx context.Context, m Message, f Finding) error {
	return d.change(ctx, m, func(was Message) (Message, bool) {
		if !was.Waiting {
			return was, false
		}
		next := was.looked(f)
		next.Copy.Reason = cutWord(f.Reason)
		return next, true
	})
}

// change replaces a message by what f makes of it, unless f says that nothing is to be done.
func (d *Desk) change(ctx context.Context, m Message, f func(Message) (Message, bool)) error {
	for range settleTries {
		err := d.replace(ctx, m.Connection, m.Record, f)
		if !errors.Is(err, table.ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("change message %s of connection %s: too many writers: %w", m.Record, m.Connection, fault.Retry)
}

func (d *Desk) replace(ctx context.Context, c connection.ID, r RecordID, f func(Message) (Message, bool)) error {
	was, item, more, err := d.read(ctx, c, r)
	if errors.Is(err, table.ErrAbsent) {
		return nil
	}
	if err != nil {
		return err
	}
	m, changed := f(was)
	if !changed {
		if was.Waiting {
			return nil
		}
		return d.finish(ctx, was, item.Expires)
	}
	// The lists of a message change only with the time of its copy; until then its further items stay as they are.
	generation, same := more.generation, m.Copy.At.Equal(was.Copy.At)
	if !same {
		generation = fmt.Sprintf("%016x", m.Copy.At.UnixNano())
	}
	replacement, parts := encode(&m, generation, item.Expires)
	replacement.Revision = item.Revision

	var further []table.Item
	if !same {
		further = append(furtherPostings(was, m, item.Expires), parts...)
	}
	further = append(further, lookMarks(m, item.Expires)...)
	if !was.Waiting { // it may be packed: searches read it by itself until it is packed again
		further = append(further, changeItem(m, item.Revision, item.Expires))
	}
	if len(further) > 0 {
		if err := d.Events.Load(ctx, further...); err != nil {
			return fmt.Errorf("store %d items of what was found of message %s: %w", len(further), r, err)
		}
	}
	err = d.Events.Commit(ctx, table.Op{Verb: table.Replace, Item: replacement})
	if errors.Is(err, table.ErrConflict) {
		// If the postings cannot be removed, this must not look like a conflict: the next attempt would find nothing to do.
		if back := d.takeBack(ctx, was, further); back != nil {
			return back
		}
		return err
	}
	if err != nil {
		return fmt.Errorf("store what was found of message %s: %w", r, err)
	}
	if m.Waiting {
		return nil
	}
	if was.Waiting {
		return d.unmark(ctx, m)
	}
	return d.unlook(ctx, was, m)
}

// read loads a message with its item, and the names of its further items.
func (d *Desk) read(ctx context.Context, c connection.ID, r RecordID) (Message, table.Item, rest, error) {
	item, err := d.Events.Get(ctx, MessageKey(c, r))
	if err != nil {
		return Message{}, item, rest{}, fmt.Errorf("load message %s of connection %s: %w", r, c, err)
	}
	m, more, err := decode(c, item)
	if err == nil && more.parts > 0 {
		m, err = loadParts(ctx, d.Events, m, more)
	}
	return m, item, more, err
}

// finish does what may have been left undone for a settled message: it deletes the mark. It writes the posting of the
// message's day again, because whoever lost a race to settle the message may have written another count of files.
func (d *Desk) finish(ctx context.Context, m Message, expires time.Time) error {
	if err := d.Events.Load(ctx, dayPosting(m, expires)); err != nil {
		return fmt.Errorf("count the files of message %s: %w", m.Record, err)
	}
	return d.unmark(ctx, m)
}

// takeBack deletes what was written for a message that was purged meanwhile. It does nothing to a message that is
// there. It tries several times, because nothing leads to those postings afterwards: what cannot be deleted stays
// until it expires.
func (d *Desk) takeBack(ctx context.Context, m Message, written []table.Item) error {
	if _, err := d.Events.Get(ctx, MessageKey(m.Connection, m.Record)); !errors.Is(err, table.ErrAbsent) {
		return err
	}
	keys := make([]table.Key, len(written))
	for i, item := range written {
		keys[i] = item.Key
	}
	var failed error
	for range settleTries {
		if failed = table.Remove(ctx, d.Events, keys); failed == nil {
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

// furtherPostings returns what the enriched message m is found by and was not found by before.
func furtherPostings(was, m Message, expires time.Time) []table.Item {
	before := make(map[table.Key]bool)
	for _, p := range appendPostings(nil, was, expires) {
		before[p.Key] = true
	}
	further := slices.DeleteFunc(appendPostings(nil, m, expires), func(p table.Item) bool { return before[p.Key] })
	if len(m.Files) != len(was.Files) {
		further = append(further, dayPosting(m, expires))
	}
	return further
}

const (
	// oldWaiting is the age of a blob's content from which its messages are a backlog, which waits in a group of its
	// own, as its blob did.
	oldWaiting = 30 * time.Minute
	// sweepAtOnce bounds how many marks one Sweep examines.
	sweepAtOnce = 1000
	sweepSort   = "sweep"
	// marksEnd sorts after all marks, which begin with hexadecimal digits, and before sweepSort.
	marksEnd = "g"

	attrMarked = "stored" // of a mark: when its message was stored
	attrNext   = "next"   // of the sweep: where it continues
	attrBegan  = "began"  // of the sweep: when its round began
)

// waitingKey is the key of the message's mark.
func waitingKey(m Message) table.Key {
	return table.Key{Partition: WaitingPartition(m.Connection), Sort: m.EventID(0).ArrivalSort()}
}

// waitingMark is the item that says that a message waits to be enriched. It is stored before the message, so that
// none waits unseen.
func waitingMark(m Message, expires time.Time) table.Item {
	return table.Item{
		Key:     waitingKey(m),
		Attrs:   table.Attrs{attrRecord: string(m.Record), attrMarked: table.Stamp(m.Stored)},
		Expires: expires,
	}
}

// sendWaiting queues messages to be enriched. Sending one again is harmless.
func sendWaiting(
	ctx context.Context, q queue.Sender, c connection.ID, group string, records []RecordID, how Waiting,
) error {
	if len(records) == 0 {
		return nil
	}
	messages := make([]queue.Message, len(records))
	for i, r := range records {
		how.Connection, how.Record = c, r
		body, err := json.Marshal(how)
		if err != nil {
			return fmt.Errorf("encode message %s for the queue: %w", r, err)
		}
		messages[i] = queue.Message{Body: body, Group: group}
	}
	if err := q.Send(ctx, messages...); err != nil {
		return fmt.Errorf("queue %d messages of connection %s: %w", len(messages), c, err)
	}
	return nil
}

// backlogGroup is the group of a backlog, so that new work does not wait behind it.
func backlogGroup(c connection.ID) string { return string(c) + "/backlog" }

// Watermarks says how far the events of a connection are settled: their blobs are read, and their messages are
// enriched or given up.
type Watermarks struct {
	Ledger interface {
		// Watermark is the arrival up to which no blob of the connection is still open.
		Watermark(ctx context.Context, c connection.ID) (time.Time, error)
	}
	Events table.Table
}

// Watermark is the arrival up to and including which no event of the connection is still to come or to change.
//
// The ledger is read first. A blob's messages are marked before it is settled: if the ledger says that it is settled,
// its marks were there by then, and a mark that is missing afterwards was deleted because its message is settled. In
// the other order a blob could be stored and settled between the two reads, and its marks be missed.
func (w *Watermarks) Watermark(ctx context.Context, c connection.ID) (time.Time, error) {
	watermark, err := w.Ledger.Watermark(ctx, c)
	if err != nil {
		return time.Time{}, err
	}
	for item, err := range w.Events.Query(ctx, table.Query{Partition: WaitingPartition(c), To: marksEnd, Limit: 1}) {
		if err != nil {
			return time.Time{}, fmt.Errorf("find the oldest waiting message of connection %s: %w", c, err)
		}
		oldest, err := waitingSince(item)
		if err != nil {
			return time.Time{}, err
		}
		if !watermark.Before(oldest) {
			watermark = oldest.Add(-time.Millisecond)
		}
	}
	return watermark, nil
}

// Waiting counts the messages of a connection that wait to be enriched, up to most.
func (d *Desk) Waiting(ctx context.Context, c connection.ID, most int) (n int, err error) {
	q := table.Query{Partition: WaitingPartition(c), To: marksEnd, Limit: most, Eventual: true}
	for _, err := range d.Events.Query(ctx, q) {
		if err != nil {
			return 0, fmt.Errorf("count the waiting messages of connection %s: %w", c, err)
		}
		n++
	}
	return n, nil
}

// waitingSince is the arrival of a mark's message.
func waitingSince(mark table.Item) (time.Time, error) {
	hex, _, _ := strings.Cut(mark.Sort, "-")
	ms, err := strconv.ParseInt(hex, 16, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("mark %q of a waiting message has no arrival", mark.Sort)
	}
	return time.UnixMilli(ms).UTC(), nil
}

// Sweep queues again what has waited for longer than Patience, because its queue message was lost, is among the dead
// letters, or was parked while the connection was deauthorized. It deletes marks whose messages do not wait. It goes
// through the marks in rounds, each at least Patience after the one before, and examines at most 1,000 of them, so
// that a long backlog is not queued over and over. It returns how many messages it queued. Sweeps of one connection
// may overlap: then some messages are queued twice.
func (d *Desk) Sweep(ctx context.Context, c connection.ID) (sent int, err error) {
	requested, err := d.sweepRequests(ctx, c)
	if err != nil {
		return requested, err
	}
	due, err := d.sweepLooks(ctx, c)
	if err != nil {
		return requested + due, err
	}
	sent, err = d.sweepWaiting(ctx, c)
	return requested + due + sent, err
}

// sweepWaiting sends again the messages that have waited for too long.
func (d *Desk) sweepWaiting(ctx context.Context, c connection.ID) (sent int, err error) {
	now := d.Now()
	from, began, err := d.round(ctx, c)
	if err != nil || from == "" && now.Sub(began) < d.Patience {
		return sent, err
	}
	due, next, err := d.due(ctx, c, from, now)
	if err != nil {
		return sent, err
	}
	if from == "" {
		if len(due) == 0 {
			return sent, nil
		}
		began = now
	}
	for some := range slices.Chunk(due, table.MaxCommit) {
		n, err := d.sweep(ctx, c, some)
		if err != nil {
			return sent, fmt.Errorf("sweep the waiting messages of connection %s: %w", c, err)
		}
		sent += n
	}
	err = d.Events.Load(ctx, table.Item{
		Key:   table.Key{Partition: WaitingPartition(c), Sort: sweepSort},
		Attrs: table.Attrs{attrNext: next, attrBegan: table.Stamp(began)},
	})
	if err != nil {
		return sent, fmt.Errorf("remember how far connection %s is swept: %w", c, err)
	}
	return sent, nil
}

// round returns where the current round continues, "" if there is none, and when it began.
func (d *Desk) round(ctx context.Context, c connection.ID) (from string, began time.Time, err error) {
	item, err := d.Events.Get(ctx, table.Key{Partition: WaitingPartition(c), Sort: sweepSort})
	if errors.Is(err, table.ErrAbsent) {
		return "", time.Time{}, nil
	}
	if err != nil {
		return "", time.Time{}, fmt.Errorf("read how far connection %s is swept: %w", c, err)
	}
	began, err = table.ParseTime(item.Attrs[attrBegan])
	if err != nil {
		return "", time.Time{}, fmt.Errorf("read how far connection %s is swept: %w", c, err)
	}
	return text(item.Attrs, attrNext, ""), began, nil
}

// due returns the marks from a sort key on that have been there for too long, and where to continue; "" means that
// there are no more.
func (d *Desk) due(
	ctx context.Context, c connection.ID, from string, now time.Time,
) (due []table.Item, next string, err error) {
	q := table.Query{Partition: WaitingPartition(c), From: from, To: marksEnd, Limit: sweepAtOnce, Eventual: true}
	n := 0
	for mark, err := range d.Events.Query(ctx, q) {
		if err != nil {
			return nil, "", fmt.Errorf("list the waiting messages of connection %s: %w", c, err)
		}
		n++
		next = mark.Sort + "\x00"
		at, err := table.ParseTime(mark.Attrs[attrMarked])
		if err == nil && now.Sub(at) >= d.Patience {
			due = append(due, mark)
		}
	}
	if n < sweepAtOnce {
		next = ""
	}
	return due, next, nil
}

// sweep queues the marked messages that wait, and deletes the other marks: their messages are settled, were never
// stored, or belong to the arrival of another blob that repeated their record.
func (d *Desk) sweep(ctx context.Context, c connection.ID, marks []table.Item) (sent int, err error) {
	records := make([]RecordID, len(marks))
	for i, mark := range marks {
		records[i] = RecordID(text(mark.Attrs, attrRecord, ""))
	}
	messages, err := Load(ctx, d.Events, c, records)
	if err != nil {
		return 0, err
	}
	waits := make(map[string]bool, len(messages))
	for i := range messages {
		if messages[i].Waiting {
			waits[waitingKey(messages[i]).Sort] = true
		}
	}
	var idle []table.Key
	records = records[:0]
	for _, mark := range marks {
		if waits[mark.Sort] {
			records = append(records, RecordID(text(mark.Attrs, attrRecord, "")))
		} else {
			idle = append(idle, mark.Key)
		}
	}
	if err := table.Remove(ctx, d.Events, idle); err != nil {
		return 0, err
	}
	if len(records) > 0 {
		d.Log.WarnContext(ctx, "messages have waited too long to be enriched, and are queued again",
			"connection", c, "messages", len(records))
	}
	return len(records), sendWaiting(ctx, d.Queue, c, backlogGroup(c), records, Waiting{})
}

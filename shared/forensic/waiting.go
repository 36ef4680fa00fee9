package forensic

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/queue"
	"github.com/mailtrail/mailtrail/shared/table"
)

const (
	// oldWaiting is how old a blob's content is when its messages are a backlog, which waits in a group of its own, as its blob did.
	oldWaiting = 30 * time.Minute
	// sweepAtOnce bounds how many marks one Sweep looks at.
	sweepAtOnce = 1000
	sweepSort   = "sweep"
	// marksEnd is after all marks, which begin with hexadecimal digits, and before sweepSort.
	marksEnd = "g"

	attrMarked = "stored" // of a mark: when its message was stored
	attrNext   = "next"   // of the sweep: where it goes on
	attrBegan  = "began"  // of the sweep: when its round began
)

// waitingKey is where the message's mark is.
func waitingKey(m Message) table.Key {
	return table.Key{Partition: WaitingPartition(m.Connection), Sort: m.EventID(0).ArrivalSort()}
}

// waitingMark says that a message waits to be enriched. It is there before the message, so that none waits unseen.
func waitingMark(m Message, expires time.Time) table.Item {
	return table.Item{
		Key:     waitingKey(m),
		Attrs:   table.Attrs{attrRecord: string(m.Record), attrMarked: stamp(m.Stored)},
		Expires: expires,
	}
}

// sendWaiting queues messages to be enriched. Sending one again is harmless.
func sendWaiting(ctx context.Context, q queue.Sender, c connection.ID, group string, records []RecordID) error {
	if len(records) == 0 {
		return nil
	}
	messages := make([]queue.Message, len(records))
	for i, r := range records {
		body, err := json.Marshal(Waiting{Connection: c, Record: r})
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

// backlogGroup is the group of what is being caught up with, so that what is new does not wait behind it.
func backlogGroup(c connection.ID) string { return string(c) + "/backlog" }

// Watermarks tells how far the events of a connection are settled: their blobs are read, and their messages enriched or given up.
type Watermarks struct {
	Ledger interface {
		// Watermark is the arrival up to which no blob of the connection is open any more.
		Watermark(ctx context.Context, c connection.ID) (time.Time, error)
	}
	Events table.Table
}

// Watermark is the arrival up to and including which no event of the connection is still to come or to change.
//
// The ledger is read first. A blob's messages are marked before it is settled: so what the ledger calls settled had its marks by then, and
// a mark that is not seen after was deleted because its message is settled. The other way around, a blob could be stored and settled
// between the two reads, and its marks be missed.
func (w *Watermarks) Watermark(ctx context.Context, c connection.ID) (time.Time, error) {
	mark, err := w.Ledger.Watermark(ctx, c)
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
		if !mark.Before(oldest) {
			mark = oldest.Add(-time.Millisecond)
		}
	}
	return mark, nil
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

// Sweep sends again what has waited for longer than Patience, since its queue message was lost, or is among the dead letters, or was
// parked while the connection was deauthorized; and deletes marks of what does not wait. It goes through the marks in rounds, of
// which each begins at least Patience after the one before, and looks at 1,000 of them at most, so that a long backlog is not queued
// over and over. It returns how many messages it sent. Sweeps of one connection may overlap: then some are sent twice.
func (d *Desk) Sweep(ctx context.Context, c connection.ID) (sent int, err error) {
	now := d.Now()
	from, began, err := d.round(ctx, c)
	if err != nil || from == "" && now.Sub(began) < d.Patience {
		return 0, err
	}
	due, next, err := d.due(ctx, c, from, now)
	if err != nil {
		return 0, err
	}
	if from == "" {
		if len(due) == 0 {
			return 0, nil
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
		Attrs: table.Attrs{attrNext: next, attrBegan: stamp(began)},
	})
	if err != nil {
		return sent, fmt.Errorf("remember how far connection %s is swept: %w", c, err)
	}
	return sent, nil
}

// round is where the round that is under way goes on, "" when none is, and when it began.
func (d *Desk) round(ctx context.Context, c connection.ID) (from string, began time.Time, err error) {
	item, err := d.Events.Get(ctx, table.Key{Partition: WaitingPartition(c), Sort: sweepSort})
	if errors.Is(err, table.ErrAbsent) {
		return "", time.Time{}, nil
	}
	if err != nil {
		return "", time.Time{}, fmt.Errorf("read how far connection %s is swept: %w", c, err)
	}
	began, err = time.Parse(timeLayout, text(item.Attrs, attrBegan, ""))
	if err != nil {
		return "", time.Time{}, fmt.Errorf("read how far connection %s is swept: %w", c, err)
	}
	return text(item.Attrs, attrNext, ""), began, nil
}

// due are the marks from a sort key on that have been there for too long, and where to go on; "" is that there are no more.
func (d *Desk) due(ctx context.Context, c connection.ID, from string, now time.Time) (due []table.Item, next string, err error) {
	q := table.Query{Partition: WaitingPartition(c), From: from, To: marksEnd, Limit: sweepAtOnce, Eventual: true}
	n := 0
	for mark, err := range d.Events.Query(ctx, q) {
		if err != nil {
			return nil, "", fmt.Errorf("list the waiting messages of connection %s: %w", c, err)
		}
		n++
		next = mark.Sort + "\x00"
		at, err := time.Parse(timeLayout, text(mark.Attrs, attrMarked, ""))
		if err == nil && now.Sub(at) >= d.Patience {
			due = append(due, mark)
		}
	}
	if n < sweepAtOnce {
		next = ""
	}
	return due, next, nil
}

// sweep sends those of the marked messages that wait, and deletes the marks of the others: they are settled, or were never stored, or
// belong to the arrival of another blob that repeated their record.
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
	var idle []table.Item
	records = records[:0]
	for _, mark := range marks {
		if waits[mark.Sort] {
			records = append(records, RecordID(text(mark.Attrs, attrRecord, "")))
		} else {
			idle = append(idle, mark)
		}
	}
	if len(idle) > 0 {
		if err := deleteAll(ctx, d.Events, idle); err != nil {
			return 0, err
		}
	}
	if len(records) > 0 {
		d.Log.WarnContext(ctx, "messages have waited too long to be enriched, and are queued again", "connection", c, "messages", len(records))
	}
	return len(records), sendWaiting(ctx, d.Queue, c, backlogGroup(c), records)
}

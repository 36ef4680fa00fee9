package forensic

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/table"
)

const (
	// DefaultLookFor is the usual value of Desk.LookFor.
	DefaultLookFor = 14 * 24 * time.Hour
	// firstAgain is the distance of the first look after a message was settled; each next one is as far as the message
	// is old.
	firstAgain = time.Hour
	// probeEvery is how often a mailbox is asked that refuses us.
	probeEvery = time.Hour
	// looksAtOnce bounds how many marks one sweep follows. Those that are left are followed by the next.
	looksAtOnce = 500
	// underWay is how long a look may lie on the queue before it is sent again.
	underWay = 6 * time.Hour

	attrWanted = "wanted" // of a mark: it counts unless the message has been looked for since then
)

func looksPartition(c connection.ID) string { return string(c) + "|looks" }

// lookMark says that a message is to be looked for at a time, unless it has been looked for since wanted.
func lookMark(c connection.ID, r RecordID, due, wanted, expires time.Time) table.Item {
	return table.Item{
		Key:     lookKey(c, r, due),
		Attrs:   table.Attrs{attrRecord: string(r), attrWanted: table.Stamp(wanted)},
		Expires: expires,
	}
}

func lookKey(c connection.ID, r RecordID, due time.Time) table.Key {
	return table.Key{Partition: looksPartition(c), Sort: fmt.Sprintf("%012x-%s", due.UnixMilli(), r.Hash())}
}

// lookMarks are the marks that a settled message needs: of its next look, and of the mailbox that it waits for.
func lookMarks(m Message, expires time.Time) (marks []table.Item) {
	if m.Waiting {
		return nil
	}
	if !m.Copy.Next.IsZero() {
		marks = append(marks, lookMark(m.Connection, m.Record, m.Copy.Next, m.Copy.Next, expires))
	}
	if m.Copy.Refused != "" {
		marks = append(marks, table.Item{
			Key: refusedKey(m.Connection, m.Copy.Refused, m.Record), Attrs: table.Attrs{attrRecord: string(m.Record)},
			Expires: expires,
		})
	}
	return marks
}

// scheduled returns a settled message with the time of its next look. There is none for a message that is whole, and
// none after LookFor. A message that waits for a mailbox to answer is looked for at the time probe, if there is one.
func (d *Desk) scheduled(m Message, f Finding, probe time.Time) Message {
	m.Copy.Next, m.Copy.Refused = time.Time{}, ""
	if !m.Open() || f.Never {
		return m
	}
	if f.Refused != "" {
		m.Copy.Refused = Normal(f.Refused)
		m.Copy.Next = probe
		return m
	}
	since := m.Stored
	if since.IsZero() {
		since = m.Arrival
	}
	now := f.At.UTC().Truncate(time.Millisecond)
	last := since.Add(cmp.Or(d.LookFor, DefaultLookFor))
	if !now.Before(last) {
		return m
	}
	next := now.Add(max(firstAgain, now.Sub(since), f.After))
	if next.After(last) {
		next = last
	}
	m.Copy.Next = next
	return m
}

// unlook deletes the marks of a message that the look which is done now had, and the next one does not.
func (d *Desk) unlook(ctx context.Context, was, m Message) error {
	var idle []table.Key
	if !was.Copy.Next.IsZero() && !was.Copy.Next.Equal(m.Copy.Next) {
		idle = append(idle, lookKey(m.Connection, m.Record, was.Copy.Next))
	}
	if was.Copy.Refused != "" && was.Copy.Refused != m.Copy.Refused {
		idle = append(idle, refusedKey(m.Connection, was.Copy.Refused, m.Record))
	}
	if err := table.Remove(ctx, d.Events, idle); err != nil {
		return fmt.Errorf("remove the marks of message %s: %w", m.Record, err)
	}
	return nil
}

// againGroup is the group of the queue for looks at messages that are settled: they delay none that wait.
func againGroup(c connection.ID) string { return string(c) + "/again" }

// sweepLooks sends the messages whose next look is due. A mark is moved on before its message is sent, so that a look
// that is lost comes back; it is deleted once the message was looked for.
func (d *Desk) sweepLooks(ctx context.Context, c connection.ID) (sent int, err error) {
	now := d.Now()
	q := table.Query{
		Partition: looksPartition(c), To: fmt.Sprintf("%012x", now.UnixMilli()+1), Limit: looksAtOnce, Eventual: true,
	}
	var marks []table.Item
	var records []RecordID
	for mark, err := range d.Events.Query(ctx, q) {
		if err != nil {
			return 0, fmt.Errorf("list the looks that are due of connection %s: %w", c, err)
		}
		marks = append(marks, mark)
		records = append(records, RecordID(text(mark.Attrs, attrRecord, "")))
	}
	if len(marks) == 0 {
		return 0, nil
	}
	messages, err := Load(ctx, d.Events, c, records)
	if err != nil {
		return 0, err
	}
	open := make(map[RecordID]*Message, len(messages))
	for i := range messages {
		if messages[i].Open() {
			open[messages[i].Record] = &messages[i]
		}
	}
	records = records[:0]
	var moved []table.Item
	done := make([]table.Key, len(marks))
	for i, mark := range marks {
		done[i] = mark.Key
		r := RecordID(text(mark.Attrs, attrRecord, ""))
		wanted := table.TimeOf(mark.Attrs[attrWanted])
		if m := open[r]; m != nil && m.Copy.Looked.Before(wanted) {
			records = append(records, r)
			moved = append(moved, lookMark(c, r, now.Add(underWay), wanted, mark.Expires))
			delete(open, r)
		}
	}
	if err := d.Events.Load(ctx, moved...); err != nil {
		return 0, fmt.Errorf("move the looks of connection %s: %w", c, err)
	}
	if err := sendWaiting(ctx, d.Queue, c, againGroup(c), records, Waiting{Again: true}); err != nil {
		return 0, err
	}
	if err := table.Remove(ctx, d.Events, done); err != nil {
		return 0, fmt.Errorf("remove the looks that were sent of connection %s: %w", c, err)
	}
	return len(records), nil
}

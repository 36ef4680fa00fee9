package forensic

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/mailtrail/mailtrail/shared/people"
	"github.com/mailtrail/mailtrail/shared/table"
)

func (w *buffer) clear() {
	clear(w.messages)
	clear(w.items)
	clear(w.ids)
	w.messages, w.items = w.messages[:0], w.items[:0]
}

// judge removes from the batch, and counts, the messages in which nobody is monitored.
func (r *reading) judge(ctx context.Context) error {
	if r.in.Gate == nil || len(r.messages) == 0 {
		return nil
	}
	sends := make([]people.Send, len(r.messages))
	for i, m := range r.messages {
		sends[i] = people.Send{At: m.Observed, Actor: m.Actor, Mailbox: m.Mailbox, From: m.From}
	}
	judged, err := r.in.Gate.Judge(ctx, r.blob.Connection, r.blob.Tenant, sends)
	if err != nil {
		return err
	}
	kept := r.messages[:0]
	for i, m := range r.messages {
		m.Coverage = string(judged[i].Coverage)
		switch judged[i].Verdict {
		case people.Kept:
			kept = append(kept, m)
			continue
		case people.Unknown:
			r.tally.Unknown++
		}
		r.tally.Unmonitored++
	}
	clear(r.messages[len(kept):])
	r.messages = kept
	return nil
}

// flush stores the messages of the batch that are kept. It writes first what they are found by, the marks of those
// that wait to be enriched, and the items that continue them; then the messages; and then it queues those that wait.
//
// A crash before the messages leaves postings without a message, which searches ignore until they expire. A crash
// among the messages leaves some of them, each complete. Reading the blob again completes both. A message that is
// already there stays as it is, with its arrival; the message does not confirm the posting with the later arrival
// that was written for it.
func (r *reading) flush(ctx context.Context) error {
	if err := r.judge(ctx); err != nil {
		return err
	}
	if len(r.messages) == 0 {
		r.clear()
		r.bytes = 0
		return nil
	}
	if err := r.in.follows(ctx, r.blob); err != nil {
		return err
	}
	r.stored = true
	now := r.in.Now().UTC().Truncate(time.Millisecond)
	expires := r.in.expiry(now)
	days := r.in.calendar.due(r.days(), now)
	for _, k := range days {
		r.items = append(r.items, table.Item{Key: k, Expires: r.in.expiry(now.Add(2 * enterEvery))})
	}
	messages := make([]table.Item, len(r.messages))
	for i := range r.messages {
		m := &r.messages[i]
		m.Stored, m.Waiting = now, r.in.Queue != nil
		var parts []table.Item
		messages[i], parts = encode(m, "", expires)
		r.items = append(appendPostings(r.items, *m, expires), parts...)
		if m.Waiting {
			r.items = append(r.items, waitingMark(*m, expires))
		}
	}

	if err := r.in.Events.Load(ctx, r.items...); err != nil {
		return fmt.Errorf("store the postings of %d messages: %w", len(messages), err)
	}
	r.in.calendar.done(days, now)
	created, err := r.in.Events.Create(ctx, messages...)
	if err != nil {
		return fmt.Errorf("store %d messages: %w", len(messages), err)
	}
	there, err := r.there(ctx, created)
	if err != nil {
		return err
	}
	r.count(created, there)
	if err := r.hand(ctx, created, there, expires); err != nil {
		return err
	}
	r.clear()
	r.bytes = 0
	return nil
}

// there returns the messages of the batch that were stored before, if somebody needs to look at them.
func (r *reading) there(ctx context.Context, created []bool) (map[RecordID]*Message, error) {
	if r.counted == nil && r.in.Queue == nil {
		return nil, nil
	}
	var records []RecordID
	for i, isNew := range created {
		if !isNew {
			records = append(records, r.messages[i].Record)
		}
	}
	if len(records) == 0 {
		return nil, nil
	}
	stored, err := Load(ctx, r.in.Events, r.blob.Connection, records)
	if err != nil {
		return nil, fmt.Errorf("look at %d messages that were there: %w", len(records), err)
	}
	there := make(map[RecordID]*Message, len(stored))
	for i := range stored {
		there[stored[i].Record] = &stored[i]
	}
	return there, nil
}

// count adds the batch to the tally. A message that is already there is Repeated, unless an earlier attempt at this
// same blob stored it: then it is counted here, because the tally of that attempt was never settled.
func (r *reading) count(created []bool, there map[RecordID]*Message) {
	for i, isNew := range created {
		m := &r.messages[i]
		old := there[m.Record]
		earlier := r.counted != nil && old != nil && old.Blob == r.blob.ID && !r.counted[m.Record]
		if !isNew && !earlier {
			r.tally.Repeated++
			continue
		}
		r.tally.Messages++
		r.tally.Events += int64(len(m.Files))
		if r.counted != nil {
			r.counted[m.Record] = true
		}
	}
}

// hand queues the messages of the batch that wait to be enriched, including those that an earlier attempt at this
// blob stored. For the others, which were already there, it takes back what was written as if they were new: the
// mark, and the count of their files.
func (r *reading) hand(ctx context.Context, created []bool, there map[RecordID]*Message, expires time.Time) error {
	if r.in.Queue == nil {
		return nil
	}
	var waiting []RecordID
	var idle []table.Key
	var days []table.Item
	for i, isNew := range created {
		m := &r.messages[i]
		old := there[m.Record]
		switch {
		case isNew:
			waiting = append(waiting, m.Record)
		case old == nil || !old.Waiting || !old.Arrival.Equal(m.Arrival):
			idle = append(idle, waitingKey(*m))
		case old.Blob == r.blob.ID:
			waiting = append(waiting, m.Record)
		}
		if old != nil && len(old.Files) > len(m.Files) {
			days = append(days, dayPosting(*old, expires))
		}
	}
	if len(days) > 0 {
		if err := r.in.Events.Load(ctx, days...); err != nil {
			return fmt.Errorf("count the files of %d messages that were there: %w", len(days), err)
		}
	}
	if err := table.Remove(ctx, r.in.Events, idle); err != nil {
		return fmt.Errorf("take back the marks of %d messages that were there: %w", len(idle), err)
	}
	group := string(r.blob.Connection)
	if r.in.Now().Sub(r.blob.Created) > oldWaiting {
		group = backlogGroup(r.blob.Connection)
	}
	return sendWaiting(ctx, r.in.Queue, r.blob.Connection, group, waiting, Waiting{})
}

// days returns the entries of the batch's days in the list of days, each once.
func (r *reading) days() []table.Key {
	partition := DaysPartition(r.blob.Connection)
	keys := []table.Key{{Partition: partition, Sort: DaysArrival + r.blob.Arrival.UTC().Format(dayLayout)}}
	for _, m := range r.messages {
		key := table.Key{Partition: partition, Sort: DaysObserved + m.Observed.Format(dayLayout)}
		if !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	return keys
}

func (in *Ingester) expiry(from time.Time) time.Time {
	if in.Retention == 0 {
		return time.Time{}
	}
	return from.Add(in.Retention)
}

const (
	// enterEvery is how often a process enters a day in the list of days again, so that the entry outlives every posting
	// of the day.
	enterEvery = 24 * time.Hour
	// maxDays bounds a calendar. Beyond it everything is forgotten, which costs writing it again.
	maxDays = 1 << 16
)

// calendar remembers which days this process has entered in the lists of days that have postings. Its zero value is
// ready, and it is safe for concurrent use.
type calendar struct {
	mu      sync.Mutex
	entered map[table.Key]time.Time
}

// due returns those of the days that were not entered within enterEvery.
func (c *calendar) due(days []table.Key, now time.Time) []table.Key {
	c.mu.Lock()
	defer c.mu.Unlock()
	var due []table.Key
	for _, k := range days {
		if at, ok := c.entered[k]; !ok || now.Sub(at) >= enterEvery {
			due = append(due, k)
		}
	}
	return due
}

// done records that the days have been entered.
func (c *calendar) done(days []table.Key, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entered == nil || len(c.entered) > maxDays {
		c.entered = make(map[table.Key]time.Time)
	}
	for _, k := range days {
		c.entered[k] = now
	}
}

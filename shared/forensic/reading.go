package forensic

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/table"
)

const (
	// maxBatch is how many messages are stored at once, and maxBatchBytes how large their records may be together; a
	// single record may be larger.
	maxBatch      = 1000
	maxBatchBytes = 2 << 20
	// maxUnreadable is how many unreadable elements of a blob are kept with their reasons; all are counted.
	maxUnreadable = 100
	// maxReason is how many bytes of a reason are kept; it may quote the record.
	maxReason = 1024
	// maxRaw is how many bytes of an unreadable record are kept.
	maxRaw = 4096
)

// reading is one blob on its way into the table.
type reading struct {
	*bench
	in         *Ingester
	blob       audit.Blob
	tally      audit.Tally
	unreadable []audit.Unreadable
	bytes      int // of the records in the batch
	// counted are the messages of this blob that are in the tally; nil at the first attempt, when those that are new say it all. It
	// grows with the blob's sends, by some hundred bytes each.
	counted map[RecordID]bool
}

func (in *Ingester) reading(b audit.Blob, content io.Reader) *reading {
	w, ok := in.benches.Get().(*bench)
	if !ok {
		w = &bench{ids: make(map[RecordID]bool, maxBatch)}
	}
	w.reader.Reset(content)
	r := &reading{bench: w, in: in, blob: b}
	if b.Attempts > 1 {
		r.counted = map[RecordID]bool{}
	}
	return r
}

// release keeps a bench for the next reading, without what it refers to.
func (in *Ingester) release(w *bench) {
	w.reader.Reset(nil)
	w.clear()
	in.benches.Put(w)
}

func (w *bench) clear() {
	clear(w.messages)
	clear(w.items)
	clear(w.ids)
	w.messages, w.items = w.messages[:0], w.items[:0]
}

// store reads the blob to its end, batch by batch. malformed says what ended the array before its end, up to which all
// is stored; err what makes reading the blob again necessary.
func (r *reading) store(ctx context.Context) (malformed, err error) {
	for {
		raw, ended := r.reader.Next()
		if ended != nil {
			if malformed, err = r.end(ended); err != nil {
				return nil, err
			}
			return malformed, r.flush(ctx)
		}
		r.take(raw)
		if len(r.messages) < maxBatch && r.bytes < maxBatchBytes {
			continue
		}
		if err := r.flush(ctx); err != nil {
			return nil, err
		}
	}
}

// end judges why the reader ended, and counts what it passed over.
func (r *reading) end(cause error) (malformed, err error) {
	switch {
	case errors.Is(cause, fault.Retry): // the transfer was cut off
		return nil, cause
	case errors.Is(cause, fault.Poison), errors.Is(cause, io.ErrUnexpectedEOF): // what was transferred whole is no whole array
		malformed = cause
	case cause != io.EOF:
		return nil, cause
	}
	counts := r.reader.Counts()
	r.tally.Records = counts.Records
	r.tally.Unreadable += counts.Unreadable
	r.keep(r.reader.Unreadable()...)
	return malformed, nil
}

func (r *reading) keep(unreadable ...audit.Unreadable) {
	room := maxUnreadable - len(r.unreadable)
	r.unreadable = append(r.unreadable, unreadable[:min(room, len(unreadable))]...)
}

// take puts a record's message into the batch. The record is only read, and its bytes are not kept.
func (r *reading) take(raw []byte) {
	m, verdict, err := r.derive(raw)
	if err != nil {
		r.tally.Unreadable++
		r.keep(audit.Unreadable{
			Offset: r.reader.Offset(), Size: int64(len(raw)), Reason: cut(err.Error(), maxReason),
			Raw: string(raw[:min(len(raw), maxRaw)]),
		})
		return
	}
	if verdict == NoSend {
		return
	}
	r.tally.Sends++
	switch {
	case verdict == Noise:
		r.tally.Noise++
	case verdict == Failed:
		r.tally.Failed++
	case r.ids[m.Record]:
		r.tally.Repeated++
	default:
		r.ids[m.Record] = true
		r.messages = append(r.messages, m)
		r.bytes += len(raw)
	}
}

func (r *reading) derive(raw []byte) (Message, Verdict, error) {
	record, err := audit.Decode(raw)
	if err != nil {
		return Message{}, NoSend, err
	}
	return Derive(record, r.blob)
}

// flush stores the batch: first what the messages are found by and the items that continue them, then the messages.
//
// A crash before the messages leaves postings without a message, which searches pass over until they expire; a crash
// among the messages leaves some of them, each whole. Reading the blob again completes both. A message that is there
// already stays as it is, with its arrival; the posting of the later arrival that was written for it is one that the
// message does not confirm.
func (r *reading) flush(ctx context.Context) error {
	if len(r.messages) == 0 {
		return nil
	}
	now := r.in.Now().UTC().Truncate(time.Millisecond)
	expires := r.in.expiry(now)
	marks := r.in.marks.due(r.days(), now)
	for _, k := range marks {
		r.items = append(r.items, table.Item{Key: k, Expires: r.in.expiry(now.Add(2 * markEvery))})
	}
	messages := make([]table.Item, len(r.messages))
	for i := range r.messages {
		m := &r.messages[i]
		m.Stored = now
		var parts []table.Item
		messages[i], parts = encode(*m, expires)
		r.items = append(appendPostings(r.items, *m, expires), parts...)
	}

	if err := r.in.Events.Load(ctx, r.items...); err != nil {
		return fmt.Errorf("store the postings of %d messages: %w", len(messages), err)
	}
	r.in.marks.done(marks, now)
	created, err := r.in.Events.Create(ctx, messages...)
	if err != nil {
		return fmt.Errorf("store %d messages: %w", len(messages), err)
	}
	if err := r.count(ctx, created); err != nil {
		return err
	}
	r.clear()
	r.bytes = 0
	return nil
}

// count adds the batch to the tally. A message that was there already is Repeated, unless an earlier attempt at this very blob
// stored it: then it is counted here, for that attempt's tally was never settled.
func (r *reading) count(ctx context.Context, created []bool) error {
	var there []RecordID
	for i, isNew := range created {
		if isNew {
			r.tally.Messages++
			r.tally.Events += int64(len(r.messages[i].Files))
			if r.counted != nil {
				r.counted[r.messages[i].Record] = true
			}
		} else {
			there = append(there, r.messages[i].Record)
		}
	}
	r.tally.Repeated += int64(len(there))
	if r.counted == nil || len(there) == 0 {
		return nil
	}
	stored, err := Load(ctx, r.in.Events, r.blob.Connection, there)
	if err != nil {
		return fmt.Errorf("look at %d messages that were there: %w", len(there), err)
	}
	for _, m := range stored {
		if m.Blob == r.blob.ID && !r.counted[m.Record] {
			r.counted[m.Record] = true
			r.tally.Repeated--
			r.tally.Messages++
			r.tally.Events += int64(len(m.Files))
		}
	}
	return nil
}

// days are where the batch's days are marked, each once.
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

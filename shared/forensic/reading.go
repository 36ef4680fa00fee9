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
)

// reading is one blob on its way into the table.
type reading struct {
	*bench
	in         *Ingester
	blob       audit.Blob
	tally      audit.Tally
	unreadable []audit.Unreadable
	bytes      int // of the records in the batch
}

func (in *Ingester) reading(b audit.Blob, content io.Reader) *reading {
	w, ok := in.benches.Get().(*bench)
	if !ok {
		w = &bench{ids: make(map[RecordID]bool, maxBatch)}
	}
	w.reader.Reset(content)
	return &reading{bench: w, in: in, blob: b}
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
	case errors.Is(cause, io.ErrUnexpectedEOF):
		return nil, fmt.Errorf("%w: %w", cause, fault.Retry)
	case errors.Is(cause, fault.Poison):
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
		r.keep(audit.Unreadable{Offset: r.reader.Offset(), Size: int64(len(raw)), Reason: cut(err.Error(), maxReason)})
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
	for i, isNew := range created {
		if isNew {
			r.tally.Messages++
			r.tally.Events += int64(len(r.messages[i].Files))
		} else {
			r.tally.Repeated++
		}
	}
	r.clear()
	r.bytes = 0
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

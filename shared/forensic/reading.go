package forensic

import (
	"context"
	"errors"
	"io"

	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/fault"
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
	bytes      int  // of the records in the batch
	stored     bool // something of the blob may be stored
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
		r.tally.See(m.Observed)
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

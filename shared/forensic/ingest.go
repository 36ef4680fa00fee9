package forensic

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/people"
	"github.com/mailtrail/mailtrail/shared/queue"
	"github.com/mailtrail/mailtrail/shared/table"
)

// Feed opens content blobs. It is safe for concurrent use.
type Feed interface {
	// Open answers once the tenant's feed said 200; the content streams while it is read, and the caller closes it.
	// fault.Poison tells that the blob is not to be had any more, and all other errors that it may be later.
	Open(ctx context.Context, t connection.Tenant, uri string) (io.ReadCloser, error)
}

// Ledger remembers what became of each blob. It is safe for concurrent use, and what it was told is durable when it returns.
type Ledger interface {
	// Ended tells whether b was settled or lost before, so that it need not be fetched again.
	Ended(ctx context.Context, b audit.Blob) (bool, error)
	// Begin says that b is going to be stored from, and returns it with the arrival that counts and how often it was
	// begun. audit.ErrEnded means that it was settled or lost before.
	Begin(ctx context.Context, b audit.Blob) (audit.Blob, error)
	// Return takes back that b was begun, unless it had been begun before: nothing of it was stored.
	Return(ctx context.Context, b audit.Blob) error
	// Settle says that all of b is stored. Only the first end of a blob counts, here as in Lose.
	Settle(ctx context.Context, b audit.Blob, t audit.Tally) error
	// Lose says that b cannot be had, or not whole, and why. What was stored of it stays.
	Lose(ctx context.Context, b audit.Blob, reason string, t audit.Tally) error
	// Keep remembers what could not be read of b. Keeping the same again is harmless.
	Keep(ctx context.Context, b audit.Blob, unreadable []audit.Unreadable) error
}

// Connections knows which connections are followed. It is safe for concurrent use.
type Connections interface {
	// Follows says whether the connection is followed now; one that does not exist is not.
	Follows(ctx context.Context, c connection.ID) (bool, error)
}

// errParked means that the connection is not followed any more: nothing may be stored of it.
var errParked = errors.New("the connection is not followed")

// Gate tells whose mail is kept. It is safe for concurrent use.
type Gate interface {
	// Judge gives a verdict for each send, in their order. Any error means that no verdict can be given now: the blob comes back later,
	// so that nothing is dropped because Microsoft's directory does not answer.
	Judge(ctx context.Context, c connection.ID, t connection.Tenant, sends []people.Send) ([]people.Verdict, error)
}

// maxAttempts is how often a blob is fetched that is not an array of records to its end, before it is given up: the
// fault may be in one transfer.
const maxAttempts = 3

// Ingester stores the messages that audit blobs tell of. It is safe for concurrent use once its fields are set; each
// Ingest holds one batch and one reader's buffer in memory, however large its blob is.
type Ingester struct {
	Feed        Feed
	Connections Connections // nil follows all
	Ledger      Ledger
	Events      table.Table
	Now         func() time.Time
	Retention   time.Duration // how long an event is kept from when it was stored; 0 is for ever
	Log         *slog.Logger
	Gate        Gate // nil keeps everybody's mail
	// Queue is where messages are sent whose recipients and hashes are to be found. nil: there is no mailbox to look into, and messages
	// are settled as the record has them.
	Queue queue.Sender

	calendar calendar
	buffers  sync.Pool // of *buffer
}

// buffer is the memory of one reading, which the next one uses again.
type buffer struct {
	reader   audit.Reader
	messages []Message
	items    []table.Item
	ids      map[RecordID]bool
}

// Ingest reads one blob to its end: it stores the messages of it that are new, and settles it in the ledger. body is a
// blob of the queue (audit.Blob as JSON). nil means that the body is done with: the blob is settled or lost, or parked.
//
// A blob of a connection that is not followed, for it was deauthorized, is parked: nothing more of it is stored, it stays open in the
// ledger, and the poller queues it again when the connection is resumed. That is asked before the blob is fetched, and again before
// each batch is stored, so that a purge has nothing to fear but the batch that is on its way.
//
// Everything that Ingest does can be done again, so that after any error, and after a crash at any point, the queue
// brings the body back and the end is the same, the tally included.
//
// fault.Poison: the body is no blob, and coming back with it is useless. Any other error, fault.Retry or fault.Refused
// among them, is for coming back later.
func (in *Ingester) Ingest(ctx context.Context, body []byte) error {
	b, err := parseBlob(body)
	if err != nil {
		return err
	}
	if ended, err := in.Ledger.Ended(ctx, b); err != nil || ended {
		return err
	}
	err = in.follows(ctx, b)
	if err == nil {
		err = in.read(ctx, b)
	}
	if errors.Is(err, errParked) {
		in.Log.InfoContext(ctx, "blob is parked: its connection is not followed", "connection", b.Connection, "blob", b.ID)
		return nil
	}
	return err
}

// follows is nil when the blob's connection is followed, and errParked when it is not.
func (in *Ingester) follows(ctx context.Context, b audit.Blob) error {
	if in.Connections == nil {
		return nil
	}
	followed, err := in.Connections.Follows(ctx, b.Connection)
	if err != nil {
		return fmt.Errorf("look whether connection %s is followed: %w", b.Connection, err)
	}
	if !followed {
		return errParked
	}
	return nil
}

// read fetches a blob and stores what is in it.
func (in *Ingester) read(ctx context.Context, b audit.Blob) error {
	content, err := in.Feed.Open(ctx, b.Tenant, b.URI)
	if errors.Is(err, fault.Poison) {
		return in.lose(ctx, b, err, audit.Tally{})
	}
	if err != nil {
		return fmt.Errorf("open blob %s of connection %s: %w", b.ID, b.Connection, err)
	}
	defer content.Close()

	b, err = in.Ledger.Begin(ctx, b)
	if errors.Is(err, audit.ErrEnded) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("begin blob %s: %w", b.ID, err)
	}
	return in.ingest(ctx, b, content)
}

// ingest stores what is in content, keeps what is unreadable, and ends the blob, in this order: a crash leaves the blob
// open, and reading it again finds the messages stored.
func (in *Ingester) ingest(ctx context.Context, b audit.Blob, content io.Reader) error {
	r := in.reading(b, content)
	defer in.release(r.buffer)

	malformed, err := r.store(ctx)
	if err != nil && !r.stored && !errors.Is(err, errParked) {
		err = errors.Join(err, in.Ledger.Return(ctx, b))
	}
	if err != nil {
		return fmt.Errorf("ingest blob %s of connection %s: %w", b.ID, b.Connection, err)
	}
	if malformed != nil && b.Attempts < maxAttempts {
		return fmt.Errorf("ingest blob %s of connection %s, attempt %d of %d: %v: %w", b.ID, b.Connection, b.Attempts, maxAttempts, malformed, fault.Retry)
	}
	if len(r.unreadable) > 0 {
		if err := in.Ledger.Keep(ctx, b, r.unreadable); err != nil {
			return fmt.Errorf("ingest blob %s of connection %s: %w", b.ID, b.Connection, err)
		}
	}
	if malformed != nil {
		return in.lose(ctx, b, malformed, r.tally)
	}
	if err := in.Ledger.Settle(ctx, b, r.tally); err != nil {
		return fmt.Errorf("settle blob %s of connection %s: %w", b.ID, b.Connection, err)
	}
	return nil
}

func (in *Ingester) lose(ctx context.Context, b audit.Blob, cause error, t audit.Tally) error {
	if err := in.Ledger.Lose(ctx, b, cut(cause.Error(), maxReason), t); err != nil {
		return fmt.Errorf("lose blob %s of connection %s: %w", b.ID, b.Connection, err)
	}
	in.Log.WarnContext(ctx, "blob is lost", "connection", b.Connection, "blob", b.ID, "reason", cause)
	return nil
}

func parseBlob(body []byte) (audit.Blob, error) {
	var b audit.Blob
	if err := json.Unmarshal(body, &b); err != nil {
		return audit.Blob{}, fmt.Errorf("read blob from the queue: %w: %w", err, fault.Poison)
	}
	if b.Connection == "" || b.Tenant.ID == "" || b.ID == "" || b.URI == "" || b.Arrival.IsZero() {
		return audit.Blob{}, fmt.Errorf("blob %q of connection %q from the queue misses a field: %w", b.ID, b.Connection, fault.Poison)
	}
	return b, nil
}

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
	*buffer
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
	w, ok := in.buffers.Get().(*buffer)
	if !ok {
		w = &buffer{ids: make(map[RecordID]bool, maxBatch)}
	}
	w.reader.Reset(content)
	r := &reading{buffer: w, in: in, blob: b}
	if b.Attempts > 1 {
		r.counted = map[RecordID]bool{}
	}
	return r
}

// release keeps a buffer for the next reading, without what it refers to.
func (in *Ingester) release(w *buffer) {
	w.reader.Reset(nil)
	w.clear()
	in.buffers.Put(w)
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
	m, class, err := r.derive(raw)
	if err != nil {
		r.tally.Unreadable++
		r.keep(audit.Unreadable{
			Offset: r.reader.Offset(), Size: int64(len(raw)), Reason: cut(err.Error(), maxReason),
			Raw: string(raw[:min(len(raw), maxRaw)]),
		})
		return
	}
	if class == NoSend {
		return
	}
	r.tally.Sends++
	switch {
	case class == Noise:
		r.tally.Noise++
	case class == Failed:
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

func (r *reading) derive(raw []byte) (Message, Class, error) {
	record, err := audit.Decode(raw)
	if err != nil {
		return Message{}, NoSend, err
	}
	return Derive(record, r.blob)
}

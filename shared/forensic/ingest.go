package forensic

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
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
	// Open returns when the tenant's feed has answered 200. The content streams while it is read, and the caller
	// closes it. fault.Poison means that Microsoft says that there is no such blob, and fault.Refused with the code
	// connection.OtherCloud that it is asked in the wrong cloud: both may pass.
	Open(ctx context.Context, t connection.Tenant, uri string) (io.ReadCloser, error)
}

// Ledger remembers what became of each blob. It is safe for concurrent use, and what it records is durable when the
// call returns.
type Ledger interface {
	// Ended reports whether b was settled or lost before, so that it need not be fetched again.
	Ended(ctx context.Context, b audit.Blob) (bool, error)
	// Begin records that messages of b are about to be stored, and returns b with the arrival that counts and the
	// number of times that it was begun. audit.ErrEnded means that it was settled or lost before.
	Begin(ctx context.Context, b audit.Blob) (audit.Blob, error)
	// Return takes back the Begin of b, unless it was begun before: nothing of it was stored.
	Return(ctx context.Context, b audit.Blob) error
	// Settle records that everything in b is stored. Only the first end of a blob counts, here as in Lose.
	Settle(ctx context.Context, b audit.Blob, t audit.Tally) error
	// Lose records that b is unavailable or incomplete, and why. What was stored of it stays.
	Lose(ctx context.Context, b audit.Blob, reason string, t audit.Tally) error
	// Refuse records that Microsoft refused to hand b out, and how many times it has done so. b stays open, to be
	// queued again, until it expires; audit.ErrEnded means that it is lost now, or ended before.
	Refuse(ctx context.Context, b audit.Blob, why string) (times int64, err error)
	// Keep stores what could not be read of b. Keeping the same again is harmless.
	Keep(ctx context.Context, b audit.Blob, unreadable []audit.Unreadable) error
}

// Connections knows which connections are followed. It is safe for concurrent use.
type Connections interface {
	// Follows says whether the connection is followed now; one that does not exist is not.
	Follows(ctx context.Context, c connection.ID) (bool, error)
	// ReportBlob records on the connection that Microsoft handed a blob out (nil), or refused another one.
	ReportBlob(ctx context.Context, c connection.ID, outcome error) error
}

// errParked means that the connection is not followed any more: nothing may be stored of it.
var errParked = errors.New("the connection is not followed")

// Gate decides whose mail is kept. It is safe for concurrent use.
type Gate interface {
	// Judge returns a verdict for each send, in their order. On any error the blob comes back later, so that nothing
	// is dropped because Microsoft's directory does not answer.
	Judge(ctx context.Context, c connection.ID, t connection.Tenant, sends []people.Send) ([]people.Judgement, error)
}

// maxAttempts is how many times a blob that is not a complete array of records is fetched before it is given up: the
// fault may lie in one transfer.
const maxAttempts = 3

// Ingester stores the messages that audit blobs report. It is safe for concurrent use once its fields are set. Each
// Ingest holds one batch and one reader's buffer in memory, however large its blob is.
type Ingester struct {
	Feed        Feed
	Connections Connections // nil follows all
	Ledger      Ledger
	Events      table.Table
	Now         func() time.Time
	Retention   time.Duration // how long an event is kept after it is stored; 0 means for ever
	Log         *slog.Logger
	Gate        Gate // nil keeps everybody's mail
	// Queue takes messages whose recipients and hashes are to be found. If it is nil there is no mailbox to search,
	// and messages are complete with what the record says.
	Queue queue.Sender
	// Senders receives who sent mail, with or without attachments. nil means that no one needs it.
	Senders Senders
	// CheckOneIn is that one in so many sends without attachments is looked for in its mailbox, to see whether the audit
	// log leaves attachments out. 0 checks none, and so does a nil Queue.
	CheckOneIn int

	calendar calendar
	buffers  sync.Pool // of *buffer
}

// buffer is the memory of one reading, which the next reading reuses.
type buffer struct {
	reader   audit.Reader
	messages []Message
	items    []table.Item
	ids      map[RecordID]bool
}

// Ingest reads one blob to its end: it stores the new messages in it, and settles it in the ledger. body is a blob of
// the queue (audit.Blob as JSON). nil means that the body is finished: the blob is settled, lost, or parked.
//
// A blob is parked if its connection is not followed because it was deauthorized: nothing more of it is stored, it
// stays open in the ledger, and the poller queues it again when the connection is resumed. Ingest checks this before
// it fetches the blob, and again before it stores each batch, so that at most one batch is under way when a purge
// begins.
//
// Everything that Ingest does can be done again: after any error, and after a crash at any point, the queue brings
// the body back and the end is the same, including the tally.
//
// fault.Poison: the body is not a blob, and trying again is useless. After any other error, including fault.Retry and
// fault.Refused, try again later.
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

// follows returns nil if the blob's connection is followed, and errParked if it is not.
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

// read fetches a blob and stores its messages.
func (in *Ingester) read(ctx context.Context, b audit.Blob) error {
	content, err := in.Feed.Open(ctx, b.Tenant, b.URI)
	if errors.Is(err, fault.Poison) || strings.HasPrefix(fault.Code(err), connection.OtherCloud) {
		return in.refused(ctx, b, err)
	}
	if err != nil {
		return fmt.Errorf("open blob %s of connection %s: %w", b.ID, b.Connection, err)
	}
	defer content.Close()
	if in.Connections != nil {
		if err := in.Connections.ReportBlob(ctx, b.Connection, nil); err != nil {
			return fmt.Errorf("report that a blob of connection %s was handed out: %w", b.Connection, err)
		}
	}

	b, err = in.Ledger.Begin(ctx, b)
	if errors.Is(err, audit.ErrEnded) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("begin blob %s: %w", b.ID, err)
	}
	return in.ingest(ctx, b, content)
}

// ingest stores the messages of content, keeps what is unreadable, and ends the blob, in this order. A crash leaves
// the blob open, and reading it again finds the messages stored.
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
		return fmt.Errorf("ingest blob %s of connection %s, attempt %d of %d: %v: %w",
			b.ID, b.Connection, b.Attempts, maxAttempts, malformed, fault.Retry)
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

// refused records that Microsoft refused to hand the blob out. The queue brings it back a few times; after that the
// poller queues it once an hour, until it expires. A crash after Refuse leaves one refusal out of the connection's
// count.
func (in *Ingester) refused(ctx context.Context, b audit.Blob, cause error) error {
	times, err := in.Ledger.Refuse(ctx, b, cut(cause.Error(), maxReason))
	if errors.Is(err, audit.ErrEnded) && times > 0 {
		in.Log.WarnContext(ctx, "blob is lost", "connection", b.Connection, "blob", b.ID, "reason", cause)
	}
	if errors.Is(err, audit.ErrEnded) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("record a refusal of connection %s: %w", b.Connection, err)
	}
	in.Log.InfoContext(ctx, "blob is refused, and will be asked for again",
		"connection", b.Connection, "blob", b.ID, "times", times, "code", fault.Code(cause), "reason", cause)
	if times == 1 && in.Connections != nil {
		if err := in.Connections.ReportBlob(ctx, b.Connection, cause); err != nil {
			return fmt.Errorf("report a refused blob of connection %s: %w", b.Connection, err)
		}
	}
	if times < maxAttempts {
		return fmt.Errorf("open blob %s of connection %s, refused %d times: %v: %w",
			b.ID, b.Connection, times, cause, fault.Retry)
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
		return audit.Blob{}, fmt.Errorf("blob %q of connection %q from the queue lacks a field: %w",
			b.ID, b.Connection, fault.Poison)
	}
	return b, nil
}

const (
	// maxBatch is how many messages are stored at once, and maxBatchBytes how large their records may be in total; a
	// single record may be larger.
	maxBatch      = 1000
	maxBatchBytes = 2 << 20
	// maxUnreadable is how many unreadable elements of a blob are kept with their reasons. All are counted.
	maxUnreadable = 100
	// maxReason is how many bytes of a reason are kept. It may quote the record.
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
	plains     plains
	// counted holds the messages of this blob that are in the tally. It is nil in the first attempt, when counting
	// the new ones is enough. It grows with the blob's sends, by some hundred bytes each.
	counted map[RecordID]bool
}

func (in *Ingester) reading(b audit.Blob, content io.Reader) *reading {
	w, ok := in.buffers.Get().(*buffer)
	if !ok {
		w = &buffer{ids: make(map[RecordID]bool, maxBatch)}
	}
	w.reader.Reset(content)
	r := &reading{buffer: w, in: in, blob: b}
	w.reader.Plain = r.plain
	if b.Attempts > 1 {
		r.counted = map[RecordID]bool{}
	}
	return r
}

// release keeps a buffer for the next reading, without what it refers to.
func (in *Ingester) release(w *buffer) {
	w.reader.Reset(nil)
	w.reader.Plain = nil
	w.clear()
	in.buffers.Put(w)
}

// store reads the blob to its end, batch by batch. malformed says what ended the array too early; everything before
// that point is stored. err says why the blob must be read again.
func (r *reading) store(ctx context.Context) (malformed, err error) {
	for {
		raw, ended := r.reader.Next()
		if ended != nil {
			if malformed, err = r.end(ended); err != nil {
				return nil, err
			}
			if err := r.flush(ctx); err != nil {
				return malformed, err
			}
			return malformed, r.heard(ctx)
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

// end judges why the reader ended, and counts what it skipped.
func (r *reading) end(cause error) (malformed, err error) {
	switch {
	case errors.Is(cause, fault.Retry): // the transfer was cut off
		return nil, cause
	case errors.Is(cause, fault.Poison), errors.Is(cause, io.ErrUnexpectedEOF): // the transfer is whole, the array not
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

// take adds a record's message to the batch. It does not change the record, and keeps none of its bytes.
func (r *reading) take(raw []byte) {
	record, m, class, err := r.derive(raw)
	if err != nil {
		r.tally.Unreadable++
		r.keep(audit.Unreadable{
			Offset: r.reader.Offset(), Size: int64(len(raw)), Reason: cut(err.Error(), maxReason),
			Raw: string(raw[:min(len(raw), maxRaw)]),
		})
		return
	}
	switch {
	case class == NoSend && record.Sends():
		r.plain(raw)
		return
	case class == NoSend:
		return
	}
	r.tally.Sends++
	if r.in.Senders != nil {
		r.hear([]byte(record.UserID), record.CreationTime)
		r.hear([]byte(record.MailboxOwnerUPN), record.CreationTime)
	}
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

func (r *reading) derive(raw []byte) (audit.Record, Message, Class, error) {
	record, err := audit.Decode(raw)
	if err != nil {
		return audit.Record{}, Message{}, NoSend, err
	}
	m, class, err := Derive(record, r.blob)
	return record, m, class, err
}

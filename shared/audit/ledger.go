package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/table"
)

// State is what has become of a blob.
type State string

const (
	WasListed State = "listed"  // queued, and nothing of it is stored
	Begun     State = "begun"   // being read: some of its messages may be stored
	Settled   State = "settled" // read to its end
	Lost      State = "lost"    // unavailable or incomplete; the entry says why
)

const (
	// remembered is how long the ledger keeps an entry: much longer than Microsoft lists a blob (7 days), so that no
	// blob is ever taken for new again.
	remembered = 60 * 24 * time.Hour
	// tries bounds how many times a change is tried while others change the same items.
	tries = 24
	// batch is how many blobs are remembered at once: two items each, the sums and the lease, within table.MaxCommit.
	batch = 49
)

// Ledger remembers every blob that was ever listed and what became of it, so that "what did we miss?" has an answer:
// listed = settled + open + lost, per connection, at any time. It is safe for concurrent use, also by several
// processes.
type Ledger struct {
	Table table.Table // Blobs
	Now   func() time.Time
}

// Entry is what the ledger knows about one blob.
type Entry struct {
	Blob
	State  State
	Reason string // why it was lost
	Queued time.Time
	Ended  time.Time
	Tally  Tally
	// Refusals is how many times Microsoft refused to hand the blob out, and Refusal what it answered last.
	Refusals int64
	Refusal  string

	revision int64
}

// Find returns the ledger's entry of a blob, or table.ErrAbsent.
func (l *Ledger) Find(ctx context.Context, c connection.ID, id ContentID) (Entry, error) {
	item, err := l.Table.Get(ctx, blobKey(c, id))
	if err != nil {
		return Entry{}, fmt.Errorf("look up blob %s of connection %s: %w", id, c, err)
	}
	return readEntry(c, item), nil
}

// Ended reports whether a blob was settled or lost before.
func (l *Ledger) Ended(ctx context.Context, b Blob) (bool, error) {
	e, err := l.Find(ctx, b.Connection, b.ID)
	if errors.Is(err, table.ErrAbsent) {
		return false, nil
	}
	return e.State == Settled || e.State == Lost, err
}

// Begin records that messages of a blob are about to be stored, and returns the blob with the arrival that counts.
// ErrEnded means that it was settled or lost before. From here until the blob ends, the connection's watermark stays
// below its arrival.
//
// A blob that the ledger does not know was queued by a poll that has not remembered it yet, or that crashed before it
// could. Until that poll completes, no search has been served beyond its arrival, and the blob is entered here. After
// that, clients may already have read past its arrival: Begin returns fault.Retry, and the next poll lists the blob
// anew.
func (l *Ledger) Begin(ctx context.Context, b Blob) (Blob, error) {
	for range tries {
		begun, err := l.begin(ctx, b)
		if !errors.Is(err, table.ErrConflict) {
			return begun, err
		}
	}
	return Blob{}, fmt.Errorf("begin blob %s of connection %s: too many writers: %w", b.ID, b.Connection, fault.Retry)
}

func (l *Ledger) begin(ctx context.Context, b Blob) (Blob, error) {
	e, err := l.Find(ctx, b.Connection, b.ID)
	if errors.Is(err, table.ErrAbsent) {
		return l.beginUnknown(ctx, b)
	}
	if err != nil {
		return Blob{}, err
	}
	if e.State == Settled || e.State == Lost {
		return Blob{}, ErrEnded
	}
	e.State = Begun
	e.Attempts++
	if err := l.Table.Commit(ctx, table.Op{Verb: table.Replace, Item: e.item()}); err != nil {
		return Blob{}, fmt.Errorf("begin blob %s: %w", b.ID, err)
	}
	return e.Blob, nil
}

func (l *Ledger) beginUnknown(ctx context.Context, b Blob) (Blob, error) {
	cursor, err := l.cursor(ctx, b.Connection)
	if err != nil {
		return Blob{}, err
	}
	if !cursor.Completed.Before(b.Arrival) {
		return Blob{}, fmt.Errorf("blob %s of connection %s was queued by a poll that did not remember it: %w",
			b.ID, b.Connection, fault.Retry)
	}
	sums, err := l.shard(ctx, b.Connection, b.ID.shard())
	if err != nil {
		return Blob{}, err
	}
	sums.Listed++
	b.Attempts = 1
	e := Entry{Blob: b, State: Begun, Queued: l.Now()}
	err = l.Table.Commit(ctx,
		table.Op{Verb: table.Check, Item: table.Item{Key: cursorKey(b.Connection), Revision: cursor.lease.Revision}},
		table.Op{Verb: table.Create, Item: e.item()},
		table.Op{Verb: table.Put, Item: e.openItem()},
		sums.write(b.Connection, b.ID.shard()),
	)
	if err != nil {
		return Blob{}, fmt.Errorf("begin blob %s: %w", b.ID, err)
	}
	return b, nil
}

// Return takes back the first Begin of a blob: nothing of it was stored, so it need not hold the watermark. If the
// blob was begun again meanwhile, Return does nothing.
func (l *Ledger) Return(ctx context.Context, b Blob) error {
	e, err := l.Find(ctx, b.Connection, b.ID)
	if errors.Is(err, table.ErrAbsent) {
		return nil
	}
	if err != nil || e.State != Begun || e.Attempts != 1 || b.Attempts != 1 {
		return err
	}
	e.State, e.Attempts = WasListed, 0
	err = l.Table.Commit(ctx, table.Op{Verb: table.Replace, Item: e.item()})
	if err != nil && !errors.Is(err, table.ErrConflict) {
		return fmt.Errorf("return blob %s: %w", b.ID, err)
	}
	return nil
}

// keptAtMicrosoft is how long Microsoft keeps a blob whose listing does not say.
const keptAtMicrosoft = 7 * 24 * time.Hour

// expired says whether Microsoft no longer has the blob.
func (b Blob) expired(now time.Time) bool {
	expires := b.Expires
	if expires.IsZero() {
		expires = b.Created.Add(keptAtMicrosoft)
	}
	return !now.Before(expires)
}

// Refuse records that Microsoft refused to hand a blob out, and why, and returns how many times it has done so. Good
// blobs are refused too, for hours, so the blob stays open and the poller queues it again, until it expires: then it is
// lost, and Refuse returns ErrEnded, as for a blob that ended before.
func (l *Ledger) Refuse(ctx context.Context, b Blob, why string) (times int64, err error) {
	for range tries {
		e, err := l.Find(ctx, b.Connection, b.ID)
		switch {
		case errors.Is(err, table.ErrAbsent):
			return 0, fmt.Errorf("blob is not in the ledger yet: %w", fault.Retry)
		case err != nil:
			return 0, err
		case e.State == Settled || e.State == Lost:
			return 0, ErrEnded
		}
		e.Refusals++
		e.Refusal = why
		err = l.Table.Commit(ctx, table.Op{Verb: table.Replace, Item: e.item()})
		switch {
		case errors.Is(err, table.ErrConflict):
			continue
		case err != nil:
			return 0, fmt.Errorf("record a refusal of blob %s: %w", b.ID, err)
		case e.expired(l.Now()):
			return e.Refusals, errors.Join(ErrEnded, l.Lose(ctx, b, e.lostBy(), e.Tally))
		}
		return e.Refusals, nil
	}
	return 0, fmt.Errorf("record a refusal of blob %s: too many writers: %w", b.ID, fault.Retry)
}

// lostBy is why a blob that has expired is lost.
func (e Entry) lostBy() string {
	if e.Refusals == 0 {
		return "it expired before it could be read"
	}
	return fmt.Sprintf("Microsoft refused it until it expired, %d times; the last answer: %s", e.Refusals, e.Refusal)
}

// Settle records that a blob was read to its end and that everything in it is stored. It is idempotent: only the
// first end counts.
func (l *Ledger) Settle(ctx context.Context, b Blob, t Tally) error {
	return l.end(ctx, b, Settled, "", t)
}

// Lose records that a blob is unavailable or incomplete, and why. What was stored of it stays. It is idempotent.
func (l *Ledger) Lose(ctx context.Context, b Blob, reason string, t Tally) error {
	return l.end(ctx, b, Lost, reason, t)
}

func (l *Ledger) end(ctx context.Context, b Blob, state State, reason string, t Tally) error {
	for range tries {
		err := l.tryEnd(ctx, b, state, reason, t)
		if !errors.Is(err, table.ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("end blob %s of connection %s: too many writers: %w", b.ID, b.Connection, fault.Retry)
}

// tryEnd moves the blob from the open ones to its end and counts it, all in one commit: a crash leaves it either open
// and uncounted, or ended and counted.
func (l *Ledger) tryEnd(ctx context.Context, b Blob, state State, reason string, t Tally) error {
	e, err := l.Find(ctx, b.Connection, b.ID)
	if errors.Is(err, table.ErrAbsent) {
		return fmt.Errorf("blob is not in the ledger yet: %w", fault.Retry)
	}
	if err != nil {
		return err
	}
	if e.State == Settled || e.State == Lost {
		return nil
	}
	sums, err := l.shard(ctx, b.Connection, b.ID.shard())
	if err != nil {
		return err
	}
	open := openKey(b.Connection, e.Arrival, b.ID)
	e.State, e.Reason, e.Tally, e.Ended = state, reason, t, l.Now()
	sums.end(state, t)
	ops := []table.Op{
		{Verb: table.Replace, Item: e.item()},
		{Verb: table.Delete, Item: table.Item{Key: open}},
		sums.write(b.Connection, b.ID.shard()),
	}
	if state == Lost {
		ops = append(ops, table.Op{Verb: table.Put, Item: e.lostItem()})
	}
	if err := l.Table.Commit(ctx, ops...); err != nil {
		return fmt.Errorf("end blob %s: %w", b.ID, err)
	}
	return nil
}

// Keep stores the elements of a blob that could not be read, each with its reason. Keeping the same elements again is
// harmless.
func (l *Ledger) Keep(ctx context.Context, b Blob, unreadable []Unreadable) error {
	items := make([]table.Item, len(unreadable))
	for i, u := range unreadable {
		items[i] = table.Item{
			Key:     unreadableKey(b, u.Offset),
			Attrs:   unreadableAttrs(b, u),
			Expires: l.Now().Add(remembered),
		}
	}
	if err := l.Table.Load(ctx, items...); err != nil {
		return fmt.Errorf("keep unreadable elements of blob %s: %w", b.ID, err)
	}
	return nil
}

// Watermark is the arrival up to which nothing of a connection is still open: whoever reads events in the order of
// their ids up to it never misses one that comes later.
//
// The cursor is read first: a poll that completes between the two reads can only make the answer too low.
func (l *Ledger) Watermark(ctx context.Context, c connection.ID) (time.Time, error) {
	cursor, err := l.cursor(ctx, c)
	if err != nil {
		return time.Time{}, err
	}
	watermark := cursor.Completed
	for item, err := range l.Table.Query(ctx, table.Query{Partition: string(c) + "|open", Limit: 1}) {
		if err != nil {
			return time.Time{}, fmt.Errorf("find oldest open blob of connection %s: %w", c, err)
		}
		if oldest := readOpen(c, item).Arrival; !watermark.Before(oldest) {
			watermark = oldest.Add(-time.Millisecond)
		}
	}
	return watermark, nil
}

// Purge deletes what the ledger holds for a connection, at most budget items. It reports how many it deleted and
// whether nothing is left. It may be called again after any error. The caller makes sure that no poll and no reading
// of the connection is under way.
func (l *Ledger) Purge(ctx context.Context, c connection.ID, budget int) (deleted int, done bool, err error) {
	for _, kind := range []string{"blob", "open", "lost", "unreadable", "sums", "checks", "poll"} {
		n, done, err := table.Empty(ctx, l.Table, table.Query{Partition: string(c) + "|" + kind}, budget-deleted)
		if deleted += n; err != nil || !done {
			return deleted, false, err
		}
	}
	return deleted, true, nil
}

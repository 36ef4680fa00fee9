package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/table"
)

const (
	// maxAhead is how far in the future the times of a cursor can legitimately be: polls wait and hold leases for no
	// longer than this, and clocks differ by less.
	maxAhead = maxWait + time.Hour
	// releases is how many times giving back a lease is tried.
	releases = 3
)

// errBusy means that another poll is following the connection at this moment.
var errBusy = errors.New("another poll holds the connection")

// Cursor records how far the listing of a connection has come, in the form in which the connections API shows it.
// Times are in UTC, and left out if they do not apply yet. The cursor is also the lease that lets one poll at a time
// follow the connection.
type Cursor struct {
	Since     time.Time `json:"since,omitzero"`     // where the first listing began: nothing older is listed
	Through   time.Time `json:"through,omitzero"`   // all blobs that became available earlier were remembered
	Completed time.Time `json:"completed,omitzero"` // arrival of the last poll that remembered everything it queued
	Arrival   time.Time `json:"arrival,omitzero"`   // arrival of the poll that holds, or last held, the lease
	Swept     time.Time `json:"swept,omitzero"`     // when the last day was last listed again as a whole
	LastTry   time.Time `json:"lastTry,omitzero"`   // when the last listing ended, whatever its result
	LastGood  time.Time `json:"lastGood,omitzero"`  // when the last successful listing ended
	LastBlob  time.Time `json:"lastBlob,omitzero"`  // when the newest blob became available
	Asked     time.Time `json:"asked,omitzero"`     // when the subscription was last asked for
	Stopped   time.Time `json:"stopped,omitzero"`   // when the subscription was stopped: the connection is deauthorized
	NotBefore time.Time `json:"notBefore,omitzero"` // we do not call Microsoft before this time
	Failures  int64     `json:"failures"`           // failed listings in a row
	// GapFrom and GapTo bound the latest period that was not listed completely, because nobody listed it before it
	// was too far back, or because the connection was deauthorized. Both are zero if there is none.
	GapFrom time.Time `json:"gapFrom,omitzero"`
	GapTo   time.Time `json:"gapTo,omitzero"`

	left     window // what the last poll did not finish
	page     string // Page.Next at which it failed; "" if nothing was left
	holder   string
	until    time.Time
	revision int64
}

// Progress returns how far the listing of a connection has come. It is zero before the first poll.
func (l *Ledger) Progress(ctx context.Context, c connection.ID) (Cursor, error) {
	return l.cursor(ctx, c)
}

func (l *Ledger) cursor(ctx context.Context, c connection.ID) (Cursor, error) {
	item, err := l.Table.Get(ctx, cursorKey(c))
	if errors.Is(err, table.ErrAbsent) {
		return Cursor{}, nil
	}
	if err != nil {
		return Cursor{}, fmt.Errorf("read cursor of connection %s: %w", c, err)
	}
	a := item.Attrs
	return Cursor{
		Since:     table.TimeOf(a["since"]),
		Through:   table.TimeOf(a["through"]),
		Completed: table.TimeOf(a["completed"]),
		Arrival:   table.TimeOf(a["arrival"]),
		Swept:     table.TimeOf(a["swept"]),
		LastTry:   table.TimeOf(a["lasttry"]),
		LastGood:  table.TimeOf(a["lastgood"]),
		LastBlob:  table.TimeOf(a["lastblob"]),
		Asked:     table.TimeOf(a["asked"]),
		Stopped:   table.TimeOf(a["stopped"]),
		NotBefore: table.TimeOf(a["notbefore"]),
		Failures:  attrNumber(a["failures"]),
		GapFrom:   table.TimeOf(a["gapfrom"]),
		GapTo:     table.TimeOf(a["gapto"]),
		left:      window{table.TimeOf(a["leftfrom"]), table.TimeOf(a["leftto"])},
		page:      attrText(a["page"]),
		holder:    attrText(a["holder"]),
		until:     table.TimeOf(a["until"]),
		revision:  item.Revision,
	}, nil
}

// store writes a cursor at the revision at which it was read. table.ErrConflict means that another poll took the
// lease.
func (l *Ledger) store(ctx context.Context, c connection.ID, cur Cursor) error {
	op := table.Op{Verb: table.Replace, Item: table.Item{
		Key:      cursorKey(c),
		Revision: cur.revision,
		Attrs: table.Attrs{
			"since":     table.Stamp(cur.Since),
			"through":   table.Stamp(cur.Through),
			"completed": table.Stamp(cur.Completed),
			"arrival":   table.Stamp(cur.Arrival),
			"swept":     table.Stamp(cur.Swept),
			"lasttry":   table.Stamp(cur.LastTry),
			"lastgood":  table.Stamp(cur.LastGood),
			"lastblob":  table.Stamp(cur.LastBlob),
			"asked":     table.Stamp(cur.Asked),
			"stopped":   table.Stamp(cur.Stopped),
			"notbefore": table.Stamp(cur.NotBefore),
			"failures":  cur.Failures,
			"gapfrom":   table.Stamp(cur.GapFrom),
			"gapto":     table.Stamp(cur.GapTo),
			"leftfrom":  table.Stamp(cur.left.From),
			"leftto":    table.Stamp(cur.left.To),
			"page":      cur.page,
			"holder":    cur.holder,
			"until":     table.Stamp(cur.until),
		},
	}}
	if cur.revision == 0 {
		op.Verb = table.Create
	}
	if err := l.Table.Commit(ctx, op); err != nil {
		return fmt.Errorf("save cursor of connection %s: %w", c, err)
	}
	return nil
}

// save stores the cursor of the poll that holds the lease, and reads it again for its new revision. On error it
// returns the cursor as it was given, so that the lease can still be given back.
func (l *Ledger) save(ctx context.Context, c connection.ID, cur Cursor) (Cursor, error) {
	if err := l.store(ctx, c, cur); err != nil {
		return cur, err
	}
	saved, err := l.cursor(ctx, c)
	if err != nil {
		return cur, err
	}
	if saved.holder != cur.holder {
		return cur, fmt.Errorf("save cursor of connection %s: %w", c, table.ErrConflict)
	}
	return saved, nil
}

// acquire takes the lease of a connection for a poll and gives it an arrival later than any before, or returns
// errBusy. A poll that dies leaves the lease to expire.
func (l *Ledger) acquire(ctx context.Context, c connection.ID, holder string, now, until time.Time) (Cursor, error) {
	cur, err := l.cursor(ctx, c)
	if err != nil {
		return Cursor{}, err
	}
	cur.rewind(now)
	if cur.holder != "" && cur.until.After(now) {
		return Cursor{}, errBusy
	}
	arrival := now.UTC().Truncate(time.Millisecond)
	if !arrival.After(cur.Arrival) {
		arrival = cur.Arrival.Add(time.Millisecond)
	}
	cur.Arrival, cur.holder, cur.until = arrival, holder, until
	cur, err = l.save(ctx, c, cur)
	if errors.Is(err, table.ErrConflict) {
		return Cursor{}, errBusy
	}
	return cur, err
}

// rewind forgets what was written by a clock that ran ahead and was then corrected. Otherwise nothing would be listed
// until the time that the clock had shown. Nobody knows what was listed meanwhile, so everything that can be listed
// is listed again, and the ledger knows what of it is new. Arrivals are not taken back, because event ids must not
// begin again.
func (c *Cursor) rewind(now time.Time) {
	limit := now.Add(maxAhead)
	for _, at := range []*time.Time{&c.until, &c.NotBefore, &c.Asked, &c.Swept} {
		if at.After(limit) {
			*at = time.Time{}
		}
	}
	if c.Through.After(now.Add(overlap)) { // the next window would be empty
		c.Through = now.Add(-lookBack)
	}
}

// release gives the lease back. complete means that everything that this poll queued is remembered. A failed write is
// tried again while the lease still belongs to this poll; reading the lease also shows whether a write that was
// reported as failed was done.
func (l *Ledger) release(ctx context.Context, c connection.ID, cur Cursor, complete bool) error {
	holder := cur.holder
	if complete {
		cur.Completed = cur.Arrival
	}
	cur.holder, cur.until = "", time.Time{}
	var failed error
	for range releases {
		if failed = l.store(ctx, c, cur); failed == nil {
			return nil
		}
		held, err := l.cursor(ctx, c)
		if err != nil {
			return errors.Join(failed, err)
		}
		if held.holder == "" && held.Arrival.Equal(cur.Arrival) {
			return nil
		}
		if held.holder != holder {
			return failed
		}
		cur.revision = held.revision
	}
	return failed
}

// Free takes the lease of a connection from whoever holds it. It is for a process that knows that no other process
// polls, so that a lease can only be left over from one that died. What the dead poll had queued and not remembered
// is listed again.
func (l *Ledger) Free(ctx context.Context, c connection.ID) error {
	cur, err := l.cursor(ctx, c)
	if err != nil || cur.holder == "" {
		return err
	}
	return l.release(ctx, c, cur, false)
}

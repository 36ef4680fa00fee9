package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/table"
)

// errBusy means that another poll follows the connection right now.
var errBusy = errors.New("another poll holds the connection")

// Cursor is how far the listing of a connection has come. It is also the lease that lets one poll at a time follow it.
type Cursor struct {
	Through   time.Time // every blob that became available before was queued and remembered
	Completed time.Time // arrival of the last poll that remembered all that it queued
	Arrival   time.Time // arrival of the poll that holds, or held, the lease
	Swept     time.Time // when the last day was last listed again as a whole
	LastTry   time.Time // when the last poll ended, whatever came of it
	LastGood  time.Time // when the last listing succeeded
	LastBlob  time.Time // when the newest blob became available
	Asked     time.Time // when the subscription was last asked for
	NotBefore time.Time // Microsoft asked us to wait until then
	Failures  int64     // listings that failed in a row
	// GapFrom and GapTo bound the newest time that nobody listed before it was too far back to be listed; both zero when there is none.
	GapFrom, GapTo time.Time

	holder   string
	until    time.Time
	revision int64
}

// Progress returns how far the listing of a connection has come; all zero before the first poll.
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
		Through:   unstamp(a["through"]),
		Completed: unstamp(a["completed"]),
		Arrival:   unstamp(a["arrival"]),
		Swept:     unstamp(a["swept"]),
		LastTry:   unstamp(a["lasttry"]),
		LastGood:  unstamp(a["lastgood"]),
		LastBlob:  unstamp(a["lastblob"]),
		Asked:     unstamp(a["asked"]),
		NotBefore: unstamp(a["notbefore"]),
		Failures:  attrNumber(a["failures"]),
		GapFrom:   unstamp(a["gapfrom"]),
		GapTo:     unstamp(a["gapto"]),
		holder:    attrText(a["holder"]),
		until:     unstamp(a["until"]),
		revision:  item.Revision,
	}, nil
}

// store writes a cursor at the revision it was read. table.ErrConflict tells that another poll took the lease.
func (l *Ledger) store(ctx context.Context, c connection.ID, cur Cursor) error {
	op := table.Op{Verb: table.Replace, Item: table.Item{
		Key:      cursorKey(c),
		Revision: cur.revision,
		Attrs: table.Attrs{
			"through":   stamp(cur.Through),
			"completed": stamp(cur.Completed),
			"arrival":   stamp(cur.Arrival),
			"swept":     stamp(cur.Swept),
			"lasttry":   stamp(cur.LastTry),
			"lastgood":  stamp(cur.LastGood),
			"lastblob":  stamp(cur.LastBlob),
			"asked":     stamp(cur.Asked),
			"notbefore": stamp(cur.NotBefore),
			"failures":  cur.Failures,
			"gapfrom":   stamp(cur.GapFrom),
			"gapto":     stamp(cur.GapTo),
			"holder":    cur.holder,
			"until":     stamp(cur.until),
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

// save stores the cursor of the poll that holds the lease, and reads it again for its new revision.
func (l *Ledger) save(ctx context.Context, c connection.ID, cur Cursor) (Cursor, error) {
	if err := l.store(ctx, c, cur); err != nil {
		return Cursor{}, err
	}
	saved, err := l.cursor(ctx, c)
	if err != nil {
		return Cursor{}, err
	}
	if saved.holder != cur.holder {
		return Cursor{}, fmt.Errorf("save cursor of connection %s: %w", c, table.ErrConflict)
	}
	return saved, nil
}

// acquire takes the lease of a connection for a poll and gives it an arrival later than any before, or returns errBusy.
// A poll that dies leaves the lease to run out.
func (l *Ledger) acquire(ctx context.Context, c connection.ID, holder string, now, until time.Time) (Cursor, error) {
	cur, err := l.cursor(ctx, c)
	if err != nil {
		return Cursor{}, err
	}
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

// release gives the lease back. complete says that everything that this poll queued is remembered.
func (l *Ledger) release(ctx context.Context, c connection.ID, cur Cursor, complete bool) error {
	if complete {
		cur.Completed = cur.Arrival
	}
	cur.holder, cur.until = "", time.Time{}
	return l.store(ctx, c, cur)
}

// Free takes the lease of a connection from whoever holds it. It is for a process that knows that no other polls, and that a lease is
// therefore the remains of one that died. What the dead poll had queued and not remembered is listed again.
func (l *Ledger) Free(ctx context.Context, c connection.ID) error {
	cur, err := l.cursor(ctx, c)
	if err != nil || cur.holder == "" {
		return err
	}
	return l.release(ctx, c, cur, false)
}

package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/table"
)

// maxAhead is how far in the future the times of a cursor can legitimately be: polls wait for no longer than this, and
// clocks differ by less.
const maxAhead = maxWait + time.Hour

// Cursor records how far the listing of a connection has come, in the form in which the connections API shows it.
// Times are in UTC, and left out if they do not apply yet. The cursor also holds the lease that lets one poll at a
// time follow the connection.
type Cursor struct {
	Since     time.Time `json:"since,omitzero"`     // where the first listing began: nothing older is listed
	Through   time.Time `json:"through,omitzero"`   // all blobs that became available earlier were remembered
	Completed time.Time `json:"completed,omitzero"` // arrival of the last poll that remembered everything it queued
	Arrival   time.Time `json:"arrival,omitzero"`   // arrival of the poll that holds, or last held, the lease
	Swept     time.Time `json:"swept,omitzero"`     // when the last day was last listed again as a whole
	LastTry   time.Time `json:"lastTry,omitzero"`   // when the last listing ended, whatever its result
	LastGood  time.Time `json:"lastGood,omitzero"`  // when the last successful listing ended
	LastBlob  time.Time `json:"lastBlob,omitzero"`  // when the newest blob became available
	Starts    int64     `json:"starts"`             // of the subscription, since the last successful listing
	Stopped   time.Time `json:"stopped,omitzero"`   // when the subscription was stopped: the connection is deauthorized
	NotBefore time.Time `json:"notBefore,omitzero"` // we do not call Microsoft before this time
	Failures  int64     `json:"failures"`           // failed listings in a row
	// Relisted is when the last round began in which everything that Microsoft still lists is listed again.
	Relisted time.Time `json:"relisted,omitzero"`
	// Gaps are the periods that were not listed completely, the oldest first.
	Gaps []Gap `json:"gaps,omitempty"`
	// ClockBehind is by how many seconds more than we allow for our clock seems to be behind Microsoft's.
	ClockBehind int64 `json:"clockBehindSeconds,omitzero"`

	again     window // the day that the round is to list next; zero: the round is over
	againPage string // Page.Next at which listing it failed
	left      window // what the last poll did not finish
	page      string // Page.Next at which it failed; "" if nothing was left
	lease     table.Lease
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
	return cursorOf(item), nil
}

func cursorOf(item table.Item) Cursor {
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
		Starts:    attrNumber(a["starts"]),
		Stopped:   table.TimeOf(a["stopped"]),
		NotBefore: table.TimeOf(a["notbefore"]),
		Failures:  attrNumber(a["failures"]),
		Relisted:  table.TimeOf(a["relisted"]),
		Gaps:      gapsOf(a),
		again:     window{table.TimeOf(a["againfrom"]), table.TimeOf(a["againto"])},
		againPage: attrText(a["againpage"]),

		ClockBehind: attrNumber(a["clockbehind"]),

		left:  window{table.TimeOf(a["leftfrom"]), table.TimeOf(a["leftto"])},
		page:  attrText(a["page"]),
		lease: table.LeaseOf(item),
	}
}

// attrs are the cursor's attributes but for its lease.
func (c Cursor) attrs() table.Attrs {
	return table.Attrs{
		"since":     table.Stamp(c.Since),
		"through":   table.Stamp(c.Through),
		"completed": table.Stamp(c.Completed),
		"arrival":   table.Stamp(c.Arrival),
		"swept":     table.Stamp(c.Swept),
		"lasttry":   table.Stamp(c.LastTry),
		"lastgood":  table.Stamp(c.LastGood),
		"lastblob":  table.Stamp(c.LastBlob),
		"starts":    c.Starts,
		"stopped":   table.Stamp(c.Stopped),
		"notbefore": table.Stamp(c.NotBefore),
		"failures":  c.Failures,
		"relisted":  table.Stamp(c.Relisted),
		"gaps":      gapTexts(c.Gaps),
		"againfrom": table.Stamp(c.again.From),
		"againto":   table.Stamp(c.again.To),
		"againpage": c.againPage,

		"clockbehind": c.ClockBehind,

		"leftfrom": table.Stamp(c.left.From),
		"leftto":   table.Stamp(c.left.To),
		"page":     c.page,
	}
}

// save stores the cursor of the poll that holds the lease. On error it returns the cursor as it was given, so that the
// lease can still be given back.
func (l *Ledger) save(ctx context.Context, c connection.ID, cur Cursor) (Cursor, error) {
	item, err := cur.lease.Save(ctx, l.Table, cursorKey(c), cur.attrs())
	if err != nil {
		return cur, fmt.Errorf("save cursor of connection %s: %w", c, err)
	}
	return cursorOf(item), nil
}

// acquire takes the lease of a connection for a poll and gives it an arrival later than any before, or returns
// table.ErrHeld.
func (l *Ledger) acquire(
	ctx context.Context, c connection.ID, holder string, now time.Time, length time.Duration,
) (Cursor, error) {
	cur, err := l.cursor(ctx, c)
	if err != nil {
		return Cursor{}, err
	}
	cur.rewind(now)
	arrival := now.UTC().Truncate(time.Millisecond)
	if !arrival.After(cur.Arrival) {
		arrival = cur.Arrival.Add(time.Millisecond)
	}
	cur.Arrival = arrival
	item, err := cur.lease.Acquire(ctx, l.Table, cursorKey(c), cur.attrs(), holder, now, length)
	if err != nil {
		return Cursor{}, fmt.Errorf("take connection %s for a poll: %w", c, err)
	}
	return cursorOf(item), nil
}

// rewind forgets what was written by a clock that ran ahead and was then corrected. Otherwise nothing would be listed
// until the time that the clock had shown. Nobody knows what was listed meanwhile, so a round begins in which all
// that can be listed is listed again, and the ledger knows what of it is new. Arrivals are not taken back, because
// event ids must not begin again.
func (c *Cursor) rewind(now time.Time) {
	limit := now.Add(maxAhead)
	for _, at := range []*time.Time{&c.NotBefore, &c.Swept, &c.Relisted} {
		if at.After(limit) {
			*at = time.Time{}
		}
	}
	if c.Through.After(now.Add(overlap)) { // the next window would be empty
		c.Through, c.Relisted, c.again = now, time.Time{}, window{}
	}
}

// release gives the lease back. complete means that everything that this poll queued is remembered.
func (l *Ledger) release(ctx context.Context, c connection.ID, cur Cursor, complete bool) error {
	if complete {
		cur.Completed = cur.Arrival
	}
	if err := cur.lease.Release(ctx, l.Table, cursorKey(c), cur.attrs()); err != nil {
		return fmt.Errorf("give back connection %s after a poll: %w", c, err)
	}
	return nil
}

// Free takes the lease of a connection from whoever holds it. It is for a process that knows that no other process
// polls, so that a lease can only be left over from one that died. What the dead poll had queued and not remembered
// is listed again.
func (l *Ledger) Free(ctx context.Context, c connection.ID) error {
	if err := table.FreeLease(ctx, l.Table, cursorKey(c)); err != nil {
		return fmt.Errorf("free the cursor of connection %s: %w", c, err)
	}
	return nil
}

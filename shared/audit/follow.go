package audit

import (
	"context"
	"errors"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/pace"
	"github.com/mailtrail/mailtrail/shared/table"
)

const (
	leaseSlack = 30 * time.Second // how much longer than a poll's patience its lease lasts
	maxBackoff = 10 * time.Minute
	maxWait    = time.Hour // of what Microsoft asks us to wait
)

// follower is one poll of one connection.
type follower struct {
	*Poller
	c        connection.Connection
	cur      Cursor
	seen     map[ContentID]bool // queued or known in this poll: pages may repeat blobs
	pages    int                // listed to their end
	loose    bool               // something was queued and is not remembered
	waiting  bool               // nothing was asked of Microsoft: it wants us to wait
	queued   int
	requeued int
}

// follow lists what is new since the cursor, and ends by releasing the lease, whatever happened.
func (p *Poller) follow(ctx context.Context, c connection.Connection, holder string) (*follower, error) {
	f := &follower{Poller: p, c: c, seen: map[ContentID]bool{}}
	now := p.Now()
	cur, err := p.Ledger.acquire(ctx, c.ID, holder, now, now.Add(p.Patience+leaseSlack))
	if err != nil {
		return f, err
	}
	f.cur = cur

	err = f.requeue(ctx)
	if f.waiting = err == nil && f.cur.NotBefore.After(now); err == nil && !f.waiting {
		err = f.list(ctx, now)
		f.note(err, p.Now()) // a wait begins when it is asked for
	}
	// What this poll was given must not end the release: it is short, and saves the next poll the wait for the lease to run out.
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaseSlack/2)
	defer cancel()
	return f, errors.Join(err, p.Ledger.release(end, c.ID, f.cur, !f.loose))
}

// note puts what came of the listing in the cursor.
func (f *follower) note(err error, now time.Time) {
	f.cur.LastTry = now
	if err == nil {
		f.cur.LastGood, f.cur.Failures, f.cur.NotBefore = now, 0, time.Time{}
		return
	}
	if f.cur.Failures++; f.pages > 0 {
		f.cur.Failures = 1 // it got further: what comes next is not more of the same
	}
	if wait := fault.Wait(err); wait > 0 {
		f.cur.NotBefore = now.Add(min(wait, maxWait))
	} else if f.cur.Failures > 3 {
		// The first failures are tried again at the next tick, for most pass at once; then ever more seldom.
		backoff := pace.Backoff{First: 2 * time.Second, Longest: maxBackoff}
		f.cur.NotBefore = now.Add(backoff.After(int(f.cur.Failures)))
	}
}

// requeue sees to the blobs that have been open too long: those that expired are lost, those that nothing was read of
// arrive anew, so that they hold no other tenant's watermark back, and those that the queue has had for long are queued again. After a
// connection was resumed that is done with all that was parked.
func (f *follower) requeue(ctx context.Context) error {
	now := f.Now()
	then := now.Add(-f.Hold)
	if f.c.Resumed.After(then) {
		then = f.c.Resumed
	}
	for {
		stale, err := f.Ledger.stale(ctx, f.c.ID, then)
		if err != nil {
			return err
		}
		parked := 0
		for _, e := range stale {
			if e.Queued.Before(f.c.Resumed) {
				parked++
			}
			if !e.Expires.IsZero() && !now.Before(e.Expires) {
				err = f.Ledger.Lose(ctx, e.Blob, "it expired before it could be read", e.Tally)
			} else {
				err = f.renew(ctx, e, now)
			}
			if err != nil && !errors.Is(err, table.ErrConflict) {
				return err
			}
		}
		if parked == 0 || len(stale) < staleAtOnce {
			return nil
		}
	}
}

func (f *follower) renew(ctx context.Context, e Entry, now time.Time) error {
	moved := e
	if e.State == WasListed {
		moved.Arrival = f.cur.Arrival
	}
	again := now.Sub(e.Queued) >= f.Requeue || e.Queued.Before(f.c.Resumed)
	if again {
		if err := f.send(ctx, []Blob{moved.Blob}); err != nil {
			return err
		}
		if moved.Queued = now; now.Before(f.c.Resumed) { // by another clock
			moved.Queued = f.c.Resumed
		}
		f.requeued++
	}
	if !again && moved.Arrival.Equal(e.Arrival) {
		return nil
	}
	return f.Ledger.move(ctx, e, moved, f.cur)
}

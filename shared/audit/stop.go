package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
)

// stopOne stops the subscription of a deauthorized connection. What fails is tried again at the next tick, until it is done or refused.
func (p *Poller) stopOne(ctx context.Context, c connection.Connection, holder string) Outcome {
	ctx, cancel := context.WithTimeout(ctx, p.Patience)
	defer cancel()
	stopped, err := p.stop(ctx, c, holder)
	if err != nil && !errors.Is(err, errBusy) {
		level := slog.LevelInfo
		if errors.Is(err, fault.Ours) {
			level = slog.LevelWarn
		}
		p.Log.Log(ctx, level, "a subscription could not be stopped", "connection", c.ID, "tenant", c.Tenant.ID, "code", fault.Code(err), "err", err)
	}
	if !stopped {
		return Outcome{}
	}
	return Outcome{Stopped: 1}
}

// stop works under the connection's lease, so that no poll that is under way starts the subscription again. Order: Microsoft, then the cursor,
// then the connection. A crash in between makes the next tick stop what is stopped, which is harmless. A connection that is resumed
// meanwhile finds in the cursor that it has to subscribe at once.
func (p *Poller) stop(ctx context.Context, c connection.Connection, holder string) (stopped bool, err error) {
	now := p.Now()
	cur, err := p.Ledger.acquire(ctx, c.ID, holder, now, now.Add(p.Patience+leaseSlack))
	if err != nil {
		return false, err
	}
	stopped, err = p.unsubscribe(ctx, c, &cur, now)
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaseSlack/2)
	defer cancel()
	if failed := p.Ledger.release(end, c.ID, cur, false); failed != nil {
		return false, errors.Join(err, failed)
	}
	if !stopped {
		return false, err
	}
	return true, errors.Join(err, p.Connections.Stopped(end, c.ID))
}

func (p *Poller) unsubscribe(ctx context.Context, c connection.Connection, cur *Cursor, now time.Time) (stopped bool, err error) {
	is, err := p.Connections.Get(ctx, c.ID)
	if err != nil || is.Stopping.IsZero() || cur.NotBefore.After(now) {
		return false, err
	}
	err = p.Feed.Unsubscribe(ctx, c.Tenant, Exchange)
	if err != nil && !errors.Is(err, fault.Refused) {
		f := follower{cur: *cur}
		f.note(err, p.Now())
		*cur = f.cur
		return false, fmt.Errorf("stop the subscription of connection %s: %w", c.ID, err)
	}
	// Who is refused has nothing left to stop: the application was deleted in the tenant, or the tenant is gone.
	cur.Asked, cur.NotBefore, cur.Failures = time.Time{}, time.Time{}, 0
	if cur.Stopped.IsZero() {
		cur.Stopped = now
	}
	return true, err
}

// reopen is the first listing after a connection was resumed: it notes that Microsoft keeps nothing of the time between.
func (f *follower) reopen(now time.Time) {
	if f.cur.Stopped.IsZero() {
		return
	}
	f.cur.GapFrom, f.cur.GapTo, f.cur.Stopped = f.cur.Stopped, now, time.Time{}
	if oldest := now.Add(-lookBack); !f.cur.Through.IsZero() && f.cur.Through.Before(oldest) {
		f.cur.Through = oldest
	}
	f.Log.Info("a connection was not followed for a while: it had been deauthorized", "connection", f.c.ID, "from", f.cur.GapFrom, "to", now)
}

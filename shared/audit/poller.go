package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/queue"
	"github.com/mailtrail/mailtrail/shared/table"
)

// Connections is what the poller needs to know about connections.
type Connections interface {
	// Followed returns the connections whose audit log is to be followed.
	Followed(ctx context.Context) ([]connection.Connection, error)
	// Report records the result of polling a connection: nil, or an error that wraps a sentinel of package fault. It
	// is called at every poll, and changes the connection's status if the result does.
	Report(ctx context.Context, c connection.ID, outcome error) error
	// Stopping returns the deauthorized connections whose subscription is still to be stopped.
	Stopping(ctx context.Context) ([]connection.Connection, error)
	// Get returns a connection as it is now.
	Get(ctx context.Context, c connection.ID) (connection.Connection, error)
	// ClaimStart asks for the right to start a connection's subscription once; wait is how long nobody has it, or 0. The
	// attempt is durable when it returns, so that no other start follows within 15 minutes.
	ClaimStart(ctx context.Context, c connection.ID) (wait time.Duration, err error)
	// PostponeStart stores how long Microsoft asked us to wait before the next start.
	PostponeStart(ctx context.Context, c connection.ID, wait time.Duration) error
	// Stopped records that a connection's subscription is stopped, or that there is none.
	Stopped(ctx context.Context, c connection.ID) error
}

// Poller lists, at each tick, what is new in every tenant's audit log, and queues it.
//
// The order for each blob: it is sent to the queue, then remembered in the ledger, and the cursor moves only when all
// pages of a window are remembered. A crash in between makes the next poll list and queue the same blobs again:
// duplicates, which reading resolves, and never a gap.
type Poller struct {
	Connections Connections
	Feed        Feed
	Ledger      *Ledger
	Queue       queue.Sender
	Now         func() time.Time
	Holder      func() string // a new name for each poll, under which it holds leases
	Log         *slog.Logger

	// First is how far back the first poll of a connection lists. 0 means that it begins when the tenant connects, as
	// in the product that we follow.
	First time.Duration
	// Patience is how long polling one tenant may take. What it has not listed by then is listed at the next tick. 0
	// means a minute.
	Patience time.Duration
	// Hold is how long a blob of which nothing was read yet holds the watermark back; after that it arrives anew. 0
	// means 10 minutes.
	Hold time.Duration
	// Requeue is how long a blob is open before it is queued again: well after the queue's own retries. 0 means an
	// hour.
	Requeue time.Duration
	// Slots bounds how many tenants are polled at once, over all polls of this process. Its capacity is the constant
	// Slots, unless there is a reason for another.
	Slots chan struct{}
}

// Slots is how many tenants one process polls at once. Most of a poll is spent waiting for Microsoft.
const Slots = 256

// filled returns the poller with its defaults in place of zeros.
func (p Poller) filled() *Poller {
	p.Patience = cmp.Or(p.Patience, time.Minute)
	p.Hold = cmp.Or(p.Hold, 10*time.Minute)
	p.Requeue = cmp.Or(p.Requeue, time.Hour)
	return &p
}

// Outcome counts what one poll did.
type Outcome struct {
	Connections int // that were due
	Busy        int // that another poll holds
	Failed      int // but for those whose permissions are still spreading
	Queued      int // new blobs
	Requeued    int // open too long, queued again
	Stopped     int // subscriptions of deauthorized connections that were stopped
}

// Poll follows every connection once, and stops the subscriptions of those that were deauthorized, as many at a time
// as there are slots. It returns when all are done or ctx ends. A failure of one tenant is reported to its connection
// and delays no other; the returned error concerns the list of connections only. Polls may overlap: each connection
// is followed by one of them.
func (p *Poller) Poll(ctx context.Context, tick time.Time) (Outcome, error) {
	connections, err := p.Connections.Followed(ctx)
	if err != nil {
		return Outcome{}, fmt.Errorf("poll at %s: list connections: %w", tick.UTC().Format(time.RFC3339), err)
	}

	stopping, err := p.Connections.Stopping(ctx)
	if err != nil {
		return Outcome{}, fmt.Errorf("poll at %s: list connections to stop: %w", tick.UTC().Format(time.RFC3339), err)
	}

	var all Outcome
	holder, p := p.Holder(), p.filled()
	visit := func(c connection.Connection) Outcome {
		if c.Followed() {
			return p.one(ctx, c, holder)
		}
		return p.stopOne(ctx, c, holder)
	}
	err = connection.Round(ctx, slices.Concat(connections, stopping), p.Slots, visit, all.add)
	return all, err
}

// Attrs are the outcome's attributes of a line in the log.
func (o Outcome) Attrs() []any {
	return []any{
		"connections", o.Connections, "busy", o.Busy, "failed", o.Failed,
		"queued", o.Queued, "requeued", o.Requeued, "stopped", o.Stopped,
	}
}

func (o *Outcome) add(one Outcome) {
	o.Connections += one.Connections
	o.Busy += one.Busy
	o.Failed += one.Failed
	o.Queued += one.Queued
	o.Requeued += one.Requeued
	o.Stopped += one.Stopped
}

// one polls a connection, logs a failure once, and reports it to the connection.
func (p *Poller) one(ctx context.Context, c connection.Connection, holder string) Outcome {
	f, err := p.patiently(ctx, c, holder)
	outcome := Outcome{Connections: 1, Queued: f.queued, Requeued: f.requeued}
	if errors.Is(err, table.ErrHeld) {
		outcome.Busy = 1
		return outcome
	}
	if errors.Is(ctx.Err(), context.Canceled) { // we are ending, and so did the poll
		return outcome
	}
	if err != nil {
		outcome.Failed = 1
		level, text := slog.LevelInfo, "polling a tenant failed" // most failures pass by the next tick
		switch {
		case errors.Is(err, fault.Ours): // no tenant can mend it: the operator's alarm is made of this line
			level, text = slog.LevelError, "polling failed by our own fault"
		case errors.Is(err, fault.Refused) && c.Status == connection.Initializing: // permissions take up to an hour to spread
			outcome.Failed, text = 0, "a tenant does not let us in yet"
		case errors.Is(err, fault.Refused):
			level = slog.LevelWarn
		}
		p.Log.Log(ctx, level, text, "connection", c.ID, "tenant", c.Tenant.ID, "code", fault.Code(err), "err", err)
	}
	if f.waiting || ctx.Err() != nil { // nothing was learned of the tenant, or we are ending
		return outcome
	}
	if err := p.Connections.Report(ctx, c.ID, err); err != nil {
		p.Log.Error("a connection's status could not be written", "connection", c.ID, "err", err)
	}
	return outcome
}

// patiently is follow with a time limit.
func (p *Poller) patiently(ctx context.Context, c connection.Connection, holder string) (*follower, error) {
	ctx, cancel := context.WithTimeout(ctx, p.Patience)
	defer cancel()
	return p.follow(ctx, c, holder)
}

// stopOne stops the subscription of a deauthorized connection. If that fails it is tried again at the next tick,
// until it is done or refused.
func (p *Poller) stopOne(ctx context.Context, c connection.Connection, holder string) Outcome {
	ctx, cancel := context.WithTimeout(ctx, p.Patience)
	defer cancel()
	stopped, err := p.stop(ctx, c, holder)
	if err != nil && !errors.Is(err, table.ErrHeld) {
		level := slog.LevelInfo
		if errors.Is(err, fault.Ours) {
			level = slog.LevelWarn
		}
		p.Log.Log(ctx, level, "a subscription could not be stopped",
			"connection", c.ID, "tenant", c.Tenant.ID, "code", fault.Code(err), "err", err)
	}
	if !stopped {
		return Outcome{}
	}
	return Outcome{Stopped: 1}
}

// stop works under the connection's lease, so that no poll under way starts the subscription again. The order is
// Microsoft, then the cursor, then the connection. A crash in between makes the next tick stop the subscription again,
// which is harmless. If the connection is resumed meanwhile, the next listing finds that there is no subscription.
func (p *Poller) stop(ctx context.Context, c connection.Connection, holder string) (stopped bool, err error) {
	now := p.Now()
	cur, err := p.Ledger.acquire(ctx, c.ID, holder, now, p.Patience)
	if err != nil {
		return false, err
	}
	stopped, err = p.unsubscribe(ctx, c, &cur, now)
	if failed := p.Ledger.release(ctx, c.ID, cur, false); failed != nil {
		return false, errors.Join(err, failed)
	}
	if !stopped {
		return false, err
	}
	return true, errors.Join(err, p.Connections.Stopped(ctx, c.ID))
}

func (p *Poller) unsubscribe(
	ctx context.Context, c connection.Connection, cur *Cursor, now time.Time,
) (stopped bool, err error) {
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
	// If we are refused, nothing is left to stop: the application was deleted in the tenant, or the tenant is gone.
	cur.Starts, cur.NotBefore, cur.Failures = 0, time.Time{}, 0
	if cur.Stopped.IsZero() {
		cur.Stopped = now
	}
	return true, err
}

// reopen belongs to the first listing after a connection was resumed. It records that Microsoft keeps nothing of the
// time in between.
func (f *follower) reopen(now time.Time) {
	if f.cur.Stopped.IsZero() {
		return
	}
	from := f.cur.Stopped
	f.cur.addGap(from, now)
	f.cur.Stopped = time.Time{}
	if oldest := f.oldest(now); !f.cur.Through.IsZero() && f.cur.Through.Before(oldest) {
		f.cur.Through = oldest
	}
	f.Log.Info("a connection was not followed for a while: it had been deauthorized",
		"connection", f.c.ID, "from", from, "to", now)
}

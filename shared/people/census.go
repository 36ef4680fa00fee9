package people

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/table"
)

const (
	sweepEvery   = 7 * 24 * time.Hour // everybody is read anew, since delta may miss a change
	changesEvery = 24 * time.Hour     // changes are asked for, and groups expanded
	maxWait      = time.Hour          // of what Microsoft asks us to wait
	maxBackoff   = time.Hour
	// deniedBackoff is how long we wait after a tenant refused its directory. An administrator mends that, and
	// waits for us to notice.
	deniedBackoff = 5 * time.Minute
	maxAsks       = 3 // for one page, when Microsoft's servers fail without asking for a wait
	// overdue is how long a census may take before the operator is warned.
	overdue = 72 * time.Hour
)

// Connections are those that have let us in.
type Connections interface {
	// Followed returns the connections whose tenants are followed.
	Followed(ctx context.Context) ([]connection.Connection, error)
	// ReportDirectory reports the outcome of reading a tenant's directory: nil, or an error that wraps fault.Refused.
	ReportDirectory(ctx context.Context, c connection.ID, outcome error) error
}

// Census reads the directories of all tenants: everybody at first and then weekly, what changed daily, and the
// groups of a scope.
//
// A pass goes page by page. It stores a page's people, and then the link to the next page: after a crash the
// next run reads one page again. Before it reads everybody it takes a link for later changes, so that the next
// pass learns what changed meanwhile. Memory holds one page, however large the tenant is.
type Census struct {
	Connections Connections
	Directory   Directory
	Roster      *Roster
	Now         func() time.Time
	Holder      func() string // a new name for each run, to hold leases under
	Log         *slog.Logger

	// Patience is how long one run may take; the next run goes on at the same pages. 0 is 4 minutes, which with what the
	// end of a run needs is less than a function may take.
	Patience time.Duration
	// AtOnce bounds how many tenants one run reads at the same time. 0 is 8.
	AtOnce int
}

// Outcome counts what a run did.
type Outcome struct {
	Connections int // that were due
	Busy        int // that another run holds
	Failed      int
	Finished    int // whose pass came to its end
	People      int // that the directory listed
}

// Run takes the census of every connection where it is due, and returns when all are done, patience has run
// out, or ctx ends. One tenant's failure is kept in its State and delays no other; the error is about the list
// of connections only.
func (c *Census) Run(ctx context.Context) (Outcome, error) {
	connections, err := c.Connections.Followed(ctx)
	if err != nil {
		return Outcome{}, fmt.Errorf("take the census: list connections: %w", err)
	}
	// Tenants that take long must not always come first.
	rand.Shuffle(len(connections), func(i, j int) { connections[i], connections[j] = connections[j], connections[i] })
	patient, cancel := context.WithTimeout(ctx, c.patience())
	defer cancel()
	var all Outcome
	holder, slots := c.Holder(), make(chan struct{}, max(1, orElse(c.AtOnce, 8)))
	visit := func(conn connection.Connection) Outcome { return c.one(patient, conn, holder) }
	if err = connection.Round(patient, connections, slots, visit, all.add); ctx.Err() == nil {
		err = nil // the next run goes on
	}
	return all, err
}

// Attrs are the outcome's attributes of a line in the log.
func (o Outcome) Attrs() []any {
	return []any{
		"connections", o.Connections, "busy", o.Busy, "failed", o.Failed, "finished", o.Finished, "people", o.People,
	}
}

func (o *Outcome) add(one Outcome) {
	o.Connections += one.Connections
	o.Busy += one.Busy
	o.Failed += one.Failed
	o.Finished += one.Finished
	o.People += one.People
}

// one takes the census of a connection when it is due, and logs a failure once.
func (c *Census) one(ctx context.Context, conn connection.Connection, holder string) Outcome {
	p, err := c.begin(ctx, conn, holder)
	if errors.Is(err, table.ErrHeld) {
		return Outcome{Busy: 1}
	}
	if p == nil && err == nil {
		return Outcome{}
	}
	outcome := Outcome{Connections: 1}
	if err == nil {
		err = p.run(ctx)
		outcome.People = p.told
		if err == nil {
			outcome.Finished = 1
		}
		err = errors.Join(err, p.end(ctx, err), p.report(ctx, err))
	}
	if err == nil || errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
		return outcome // the next run goes on
	}
	outcome.Failed = 1
	level := slog.LevelInfo
	if errors.Is(err, fault.Ours) || errors.Is(err, fault.Refused) && c.Now().After(conn.Consented.Add(spreading)) {
		level = slog.LevelWarn
	}
	c.Log.Log(ctx, level, "the census of a tenant failed", "connection", conn.ID, "tenant", conn.Tenant.ID, "code",
		fault.Code(err), "err", err)
	if p != nil && c.Now().Sub(p.state.since()) > overdue {
		c.Log.Error("the census of a tenant has not come to its end for three days", "connection", conn.ID, "tenant",
			conn.Tenant.ID)
	}
	return outcome
}

func (c *Census) patience() time.Duration { return orElse(c.Patience, 4*time.Minute) }

func orElse[T comparable](v, usual T) T {
	if v == *new(T) {
		return usual
	}
	return v
}

// begin takes the lease of a connection when a pass is due or under way; nil without an error means that nothing is.
func (c *Census) begin(ctx context.Context, conn connection.Connection, holder string) (*pass, error) {
	now := moment(c.Now())
	state, err := c.Roster.State(ctx, conn.ID)
	if err != nil {
		return nil, err
	}
	scope, err := c.Roster.Scope(ctx, conn.ID)
	if err != nil {
		return nil, err
	}
	if state.NotBefore.After(now) && state.NotBefore.Before(now.Add(2*maxWait)) {
		return nil, nil
	}
	if state.Phase == "" {
		if state.Phase = state.due(scope, conn.Denied != "", now); state.Phase == "" {
			return nil, nil
		}
		state.Begun, state.Link, state.People = now, "", 0
		if state.size *= 2; state.size >= usualSize { // what was too large once may not be any more
			state.size = 0
		}
	}
	item, err := state.lease.Acquire(ctx, c.Roster.Table, censusKey(conn.ID), state.attrs(), holder, now, c.patience())
	if err != nil {
		return nil, fmt.Errorf("take the census of connection %s: %w", conn.ID, err)
	}
	return &pass{Census: c, conn: conn, state: stateOf(item)}, nil
}

// due is the pass that is to begin now, if any. denied says that the connection reports its directory as
// refused: then it is tried again, as it is after a look-up of a single person was refused.
func (s State) due(scope Scope, denied bool, now time.Time) Phase {
	switch {
	case now.Sub(s.Swept) >= sweepEvery || s.Delta == "":
		return Sweeping
	case now.Sub(s.Finished) >= changesEvery, denied, s.doubted.After(s.Begun):
		return Changing
	case scope.Kind == Groups && scope.members == "" && len(scope.Groups) > 0:
		return Expanding
	}
	return ""
}

// Free releases the lease of a connection's census, whoever holds it. It is for a process that knows that no
// other runs.
func (c *Census) Free(ctx context.Context, id connection.ID) error {
	if err := table.FreeLease(ctx, c.Roster.Table, censusKey(id)); err != nil {
		return fmt.Errorf("free the census of connection %s: %w", id, err)
	}
	return nil
}

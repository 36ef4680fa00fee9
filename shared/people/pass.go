package people

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/pace"
	"github.com/mailtrail/mailtrail/shared/table"
)

// pass is one run of the census of a connection, under its lease.
type pass struct {
	*Census
	conn  connection.Connection
	state State
	told  int
}

// run does the phases of the pass, from where it was left to its end.
func (p *pass) run(ctx context.Context) error {
	for p.state.Phase != "" {
		var err error
		switch p.state.Phase {
		case Sweeping:
			err = p.sweep(ctx)
		case Leaving:
			err = p.leavers(ctx)
		case Changing:
			err = p.changes(ctx)
		default:
			err = p.groups(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// turn ends a phase and begins the next one; "" ends the pass.
func (p *pass) turn(ctx context.Context, next Phase) error {
	p.state.Phase, p.state.Link = next, ""
	if next == "" {
		p.state.Finished = moment(p.Now())
	}
	return p.save(ctx)
}

// save stores how far the pass has come, and reads it again for its new revision.
func (p *pass) save(ctx context.Context) error {
	if err := p.Roster.saveState(ctx, p.conn.ID, p.state); err != nil {
		return err
	}
	saved, err := p.Roster.State(ctx, p.conn.ID)
	if err != nil {
		return err
	}
	if saved.holder != p.state.holder {
		return fmt.Errorf("save the census of connection %s: %w", p.conn.ID, table.ErrConflict)
	}
	p.state = saved
	return nil
}

// end gives the lease back, with what came of the run. What the run was given of time must not end it.
func (p *pass) end(ctx context.Context, outcome error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaseSlack/2)
	defer cancel()
	now := moment(p.Now())
	p.state.holder, p.state.until = "", time.Time{}
	switch {
	case outcome == nil:
		p.state.Failures, p.state.NotBefore = 0, time.Time{}
	case errors.Is(outcome, context.DeadlineExceeded), errors.Is(outcome, context.Canceled): // the next run goes on at once
	default:
		p.state.Failures++
		p.state.Problem = p.problem(outcome, now)
		wait := fault.Wait(outcome)
		if wait == 0 {
			wait = pace.Backoff{First: 2 * time.Second, Longest: maxBackoff}.After(int(p.state.Failures))
			if errors.Is(outcome, fault.Refused) {
				wait = min(wait, deniedBackoff)
			}
		}
		p.state.NotBefore = now.Add(min(wait, maxWait))
	}
	err := p.Roster.saveState(ctx, p.conn.ID, p.state)
	if errors.Is(err, table.ErrConflict) { // the lease ran out and is another's; or it was saved, and said not to be
		return nil
	}
	return err
}

// tell reports to the connection whether the directory was refused, when that is news. What is not reported is by a later pass: one is due
// for as long as the connection says that the directory is refused.
func (p *pass) tell(ctx context.Context, outcome error) error {
	refused := errors.Is(outcome, fault.Refused) && !errors.Is(outcome, fault.Ours)
	if !refused && (outcome != nil || p.conn.Denied == "") {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaseSlack/2)
	defer cancel()
	return p.Connections.ReportDirectory(ctx, p.conn.ID, outcome)
}

// spreading is how long after a consent missing permissions are no problem of the tenant's.
const spreading = time.Hour

// problem is what a failure means to an administrator.
func (p *pass) problem(err error, now time.Time) string {
	switch {
	case errors.Is(err, fault.Ours):
		return "The census waits until the operator of this service has mended its credential. Nothing needs to be done in the tenant."
	case !errors.Is(err, fault.Refused):
		return "Microsoft did not answer, or asked to wait. The census goes on by itself."
	case connection.CauseOf(fault.Code(err)).Spreads && now.Before(p.conn.Consented.Add(spreading)):
		return "The permissions were granted a short while ago and are still spreading through Microsoft's directory. This can take up to an hour; nothing needs to be done."
	}
	return connection.CauseOf(fault.Code(err)).Reason(p.conn.DisplayName)
}

// page asks for a page, at once again when Microsoft's servers fail without asking for a wait.
func page[T any](ctx context.Context, link string, ask func(ctx context.Context, link string) (T, error)) (T, error) {
	for attempt := 1; ; attempt++ {
		got, err := ask(ctx, link)
		var failure *fault.Error
		if attempt == maxAsks || ctx.Err() != nil || !errors.As(err, &failure) || failure.Status < 500 || failure.After > 0 {
			if err != nil && ctx.Err() != nil {
				err = ctx.Err()
			}
			return got, err
		}
	}
}

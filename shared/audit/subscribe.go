package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
)

const (
	// enough is how many starts a subscription gets before its connection reports that they do not help: one, and one
	// after a stop.
	enough = 2
	// settled is the wait for the next start at which the last one has had time to take effect.
	settled = 10 * time.Minute
	// disabled is Microsoft's code for a subscription that somebody has disabled.
	disabled = "AF20023"
)

// Subscriber starts the subscriptions of tenants. Microsoft throttles a second start within 15 minutes, and may count
// refused ones as well, so a start is made only after a listing has said that there is no subscription, and only after
// the attempt was stored (Connections.ClaimStart).
type Subscriber struct {
	Feed        Feed
	Connections interface {
		ClaimStart(ctx context.Context, c connection.ID) (wait time.Duration, err error)
		PostponeStart(ctx context.Context, c connection.ID, wait time.Duration) error
	}
	Now func() time.Time
}

// Ensure starts the connection's subscription if there is none. A start that is not allowed yet is an error that wraps
// ErrNotSubscribed.
func (s Subscriber) Ensure(ctx context.Context, c connection.Connection) error {
	now := s.Now()
	_, err := s.Feed.List(ctx, c.Tenant, Exchange, now.Add(-time.Minute), now, "")
	if !errors.Is(err, ErrNotSubscribed) {
		return err
	}
	wait, failed := s.start(ctx, c, false)
	if failed == nil && wait > 0 {
		return err
	}
	return failed
}

// start makes one start, after a stop if asked for, unless one is not allowed for another wait.
func (s Subscriber) start(ctx context.Context, c connection.Connection, stop bool) (wait time.Duration, err error) {
	what := "start the subscription of connection " + string(c.ID)
	if wait, err = s.Connections.ClaimStart(ctx, c.ID); err != nil || wait > 0 {
		return wait, err
	}
	if stop {
		if err := s.Feed.Unsubscribe(ctx, c.Tenant, Exchange); err != nil {
			return 0, fmt.Errorf("%s: stop it before: %w", what, err)
		}
	}
	err = s.Feed.Subscribe(ctx, c.Tenant, Exchange)
	if err == nil {
		return 0, nil
	}
	if throttled := fault.Wait(err); throttled > 0 {
		if failed := s.Connections.PostponeStart(ctx, c.ID, throttled); failed != nil {
			return 0, errors.Join(err, failed)
		}
		// The wait concerns starts only: the listing goes on, for somebody else may have made the start.
		var f *fault.Error
		errors.As(err, &f)
		err = &fault.Error{Kind: f.Kind, Code: f.Code, Status: f.Status, Err: err}
	}
	return 0, fmt.Errorf("%s: %w", what, err)
}

// subscribe starts the subscription after a listing ended with cause, an ErrNotSubscribed. If starts do not help, it
// returns a refusal that the connection shows.
func (f *follower) subscribe(ctx context.Context, cause error) error {
	subscriber := Subscriber{Feed: f.Feed, Connections: f.Connections, Now: f.Now}
	again := f.cur.Starts > 0 && fault.Code(cause) == disabled
	wait, err := subscriber.start(ctx, f.c, again)
	switch {
	case err != nil:
		return err
	case wait == 0:
		f.cur.Starts++
		return nil
	case f.cur.Starts >= enough && wait <= settled:
		return &fault.Error{Kind: fault.Refused, Code: connection.SubscriptionStuck, Err: cause}
	}
	return cause
}

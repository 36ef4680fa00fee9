// Package pace is how work waits, and how much of it runs at once: a sleep that ends with its context, waits that
// double, and a bounded loop.
package pace

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Sleep waits for d, or until ctx ends; then it returns the error of ctx.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Backoff is a wait that doubles with every failure in a row.
type Backoff struct {
	First   time.Duration // after the first failure
	Longest time.Duration
}

// After returns how long to wait after that many failures in a row; with none, First.
func (b Backoff) After(failures int) time.Duration {
	wait := min(b.First, b.Longest)
	for ; failures > 1 && wait < b.Longest; failures-- {
		wait = min(2*wait, b.Longest)
	}
	return wait
}

// Each calls do with 0 to n-1, at most limit of them at once, and returns when all calls have ended. The first error
// ends the context of the others and is returned; what has not begun by then is not begun.
func Each(ctx context.Context, n, limit int, do func(ctx context.Context, i int) error) error {
	if n == 1 {
		return do(ctx, 0)
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var (
		begun   atomic.Int64
		workers sync.WaitGroup
	)
	for range min(n, limit) {
		workers.Go(func() {
			for i := int(begun.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(begun.Add(1)) - 1 {
				if err := do(ctx, i); err != nil {
					stop(err)
				}
			}
		})
	}
	workers.Wait()
	return context.Cause(ctx)
}

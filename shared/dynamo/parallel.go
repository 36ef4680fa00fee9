package dynamo

import (
	"context"
	"sync"
	"sync/atomic"
)

// each does n pieces of work, up to limit of them at once, and returns when all have ended. The first error stops those that have
// not ended, and is returned.
func each(ctx context.Context, n, limit int, do func(ctx context.Context, i int) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(n, limit) {
		workers.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n || ctx.Err() != nil {
					return
				}
				if err := do(ctx, i); err != nil {
					stop(err)
					return
				}
			}
		})
	}
	workers.Wait()
	return context.Cause(ctx)
}

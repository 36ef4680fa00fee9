package search

import (
	"context"
	"sync"
	"sync/atomic"
)

// width is how many things a search does at once: reads of different partitions do not wait for each other.
const width = 8

// each calls do with 0 to n-1, width of them at once, and returns when all calls have ended. An error ends the context of
// the others, and what has not begun is not begun; the first error is returned.
func each(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	if n == 1 {
		return do(ctx, 0)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		begun   atomic.Int64
		workers sync.WaitGroup
	)
	for range min(n, width) {
		workers.Go(func() {
			for i := int(begun.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(begun.Add(1)) - 1 {
				if err := do(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	workers.Wait()
	return context.Cause(ctx)
}

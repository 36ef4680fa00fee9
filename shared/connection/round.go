package connection

import (
	"context"
	"sync"
)

// Round visits each connection once, as many at a time as slots has room for. sum receives the result of each visit,
// one at a time. Rounds may share slots. Round returns when all visits have ended. If ctx ends first, the connections
// that are left are not visited, and the error is that of ctx.
func Round[O any](
	ctx context.Context, all []Connection, slots chan struct{}, visit func(Connection) O, sum func(O),
) error {
	var (
		visits sync.WaitGroup
		mu     sync.Mutex
	)
	defer visits.Wait()
	for _, c := range all {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		if ctx.Err() != nil { // it ended while all slots were taken
			<-slots
			return ctx.Err()
		}
		visits.Go(func() {
			defer func() { <-slots }()
			one := visit(c)
			mu.Lock()
			defer mu.Unlock()
			sum(one)
		})
	}
	return nil
}

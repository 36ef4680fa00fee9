package connection_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/mailtrail/mailtrail/shared/connection"
)

// TestARoundVisitsEachOnceAndNeverTooManyAtATime, with another round beside it that shares the slots.
func TestARoundVisitsEachOnceAndNeverTooManyAtATime(t *testing.T) {
	const slots, connections = 3, 50
	all := make([]connection.Connection, connections)
	for i := range all {
		all[i].ID = connection.ID(rune('a' + i))
	}
	shared := make(chan struct{}, slots)
	var now, most atomic.Int64
	visit := func(c connection.Connection) connection.ID {
		for n := now.Add(1); ; {
			if old := most.Load(); n <= old || most.CompareAndSwap(old, n) {
				break
			}
		}
		now.Add(-1)
		return c.ID
	}
	other := make(chan error, 1)
	go func() { other <- connection.Round(t.Context(), all, shared, visit, func(connection.ID) {}) }()
	visited := map[connection.ID]int{}
	err := connection.Round(t.Context(), all, shared, visit, func(id connection.ID) { visited[id]++ })
	if err := errors.Join(err, <-other); err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		if visited[c.ID] != 1 {
			t.Errorf("%q was visited %d times", c.ID, visited[c.ID])
		}
	}
	if most.Load() > slots {
		t.Errorf("%d visits at a time", most.Load())
	}
}

// TestARoundWhoseContextEndsWaitsForWhatHasBegun, and begins nothing more.
func TestARoundWhoseContextEndsWaitsForWhatHasBegun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	visits, ended := 0, 0
	err := connection.Round(
		ctx,
		make([]connection.Connection, 9),
		make(chan struct{}, 1),
		func(connection.Connection) int {
			visits++
			cancel()
			<-ctx.Done()
			return 1
		},
		func(n int) { ended += n },
	)
	if !errors.Is(err, context.Canceled) || visits != 1 || ended != 1 {
		t.Errorf("%v after %d visits, of which %d ended", err, visits, ended)
	}
}

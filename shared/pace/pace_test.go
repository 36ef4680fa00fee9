package pace_test

import (
	"context"
	"errors"
	"math"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailtrail/mailtrail/shared/pace"
)

func TestASleepEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if err := pace.Sleep(t.Context(), time.Hour); err != nil || time.Since(began) != time.Hour {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began = time.Now()
		if err := pace.Sleep(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Minute {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}

func TestWaitsDoubleUpToTheLongest(t *testing.T) {
	b := pace.Backoff{First: time.Second, Longest: time.Minute}
	for failures, want := range map[int]time.Duration{
		-1: time.Second, 0: time.Second, 1: time.Second, 2: 2 * time.Second, 6: 32 * time.Second, 7: time.Minute,
		math.MaxInt: time.Minute,
	} {
		if got := b.After(failures); got != want {
			t.Errorf("after %d failures: %s, want %s", failures, got, want)
		}
	}
	if got := (pace.Backoff{First: time.Hour, Longest: time.Minute}).After(1); got != time.Minute {
		t.Errorf("a first wait above the longest is %s", got)
	}
}

func TestEachIsDoneOnceAndTheFirstErrorEndsTheOthers(t *testing.T) {
	const limit = 8
	for _, n := range []int{0, 1, limit, 5 * limit} {
		done := make([]atomic.Int64, n)
		var now, most atomic.Int64
		err := pace.Each(t.Context(), n, limit, func(_ context.Context, i int) error {
			most.Store(max(most.Load(), now.Add(1)))
			done[i].Add(1)
			now.Add(-1)
			return nil
		})
		if err != nil || most.Load() > limit {
			t.Errorf("%v, %d at once", err, most.Load())
		}
		for i := range done {
			if done[i].Load() != 1 {
				t.Errorf("%d of %d was done %d times", i, n, done[i].Load())
			}
		}
		if n < 2 {
			continue
		}
		cause := errors.New("broken")
		err = pace.Each(t.Context(), n, limit, func(ctx context.Context, i int) error {
			if i == 1 {
				return cause
			}
			<-ctx.Done()
			return ctx.Err()
		})
		if err != cause {
			t.Errorf("%v, want %v", err, cause)
		}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := pace.Each(gone, 5, limit, func(context.Context, int) error { return nil }); !errors.Is(err,
		context.Canceled) {
		t.Errorf("%v after the caller is gone", err)
	}
}

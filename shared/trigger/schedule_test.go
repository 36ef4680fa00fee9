package trigger_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/trigger"
)

func TestTicksTellTheirTimeAndTheirShard(t *testing.T) {
	for name, want := range map[string]trigger.Shard{
		"schedule-tick":       {Index: 0, Of: 1},
		"schedule-tick-shard": {Index: 3, Of: 4},
	} {
		log, _ := logger()
		invoked := invocation(t, time.Minute)
		end, _ := invoked.Deadline()
		called := 0
		s := &trigger.Schedule{Log: log, Tick: func(c ctx, at time.Time, s trigger.Shard) error {
			called++
			if !at.Equal(time.Date(2025, 10, 16, 10, 6, 0, 0, time.UTC)) || s != want {
				t.Errorf("%s: tick of %s for %+v, want %+v", name, at, s, want)
			}
			if own, ok := c.Deadline(); !ok || !own.Before(end) {
				t.Errorf("%s: the tick may take until %s, the function until %s", name, own, end)
			}
			return nil
		}}
		if _, err := s.Invoke(invoked, event(t, name)); err != nil || called != 1 {
			t.Errorf("%s: called %d times, %v", name, called, err)
		}
	}
}

func TestATickThatFailsFailsTheInvocation(t *testing.T) {
	broken := errors.New("no table")
	log, said := logger()
	s := &trigger.Schedule{Log: log, Tick: func(ctx, time.Time, trigger.Shard) error { return broken }}
	if _, err := s.Invoke(t.Context(), event(t, "schedule-tick")); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	if !strings.Contains(said.String(), "no table") {
		t.Errorf("the log says %s", said)
	}
}

func TestMalformedTicksAreRefused(t *testing.T) {
	for _, in := range []string{
		`{"time":"2025-10-16T10:06:00Z","shard":0}`,
		`{"time":"2025-10-16T10:06:00Z","shards":1}`,
		`{"shard":0,"shards":1}`,
		`{"time":"<aws.scheduler.scheduled-time>","shard":0,"shards":1}`,
		`{"time":"2025-10-16T10:06:00Z","shard":-1,"shards":1}`,
		`{"time":"2025-10-16T10:06:00Z","shard":1,"shards":1}`,
		`{"time":"2025-10-16T10:06:00Z","shard":0,"shards":0}`,
		`{"time":"2025-10-16T10:06:00Z","shard":0,"shards":1001}`,
		`{"time":"2025-10-16T10:06:00Z","shard":0,"shards":1,"tenant":"x"}`,
		`{"time":"2025-10-16T10:06:00Z","shard":0,"shards":1} {}`,
		`null`, ``, `[]`,
	} {
		log, _ := logger()
		s := &trigger.Schedule{Log: log, Tick: func(ctx, time.Time,
			trigger.Shard) error {
			t.Errorf("%s: ticked", in)
			return nil
		}}
		if _, err := s.Invoke(t.Context(), []byte(in)); !errors.Is(err, trigger.ErrUnknown) {
			t.Errorf("%s: %v", in, err)
		}
	}
}

func TestEachKeyIsOfExactlyOneShardAndShardsAreAlike(t *testing.T) {
	for of := 1; of <= 7; of++ {
		counts := make([]int, of)
		for i := range 7000 {
			key, holders := fmt.Sprintf("%016x", i*2654435761), 0
			for index := range of {
				if (trigger.Shard{Index: index, Of: of}).Holds(key) {
					holders++
					counts[index]++
				}
			}
			if holders != 1 {
				t.Fatalf("%s is of %d shards of %d", key, holders, of)
			}
		}
		for index, n := range counts {
			if fair := 7000 / of; n < fair*8/10 || n > fair*12/10 {
				t.Errorf("shard %d of %d holds %d of 7000", index, of, n)
			}
		}
	}
}

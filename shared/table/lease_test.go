package table_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/embedded"
	"github.com/mailtrail/mailtrail/shared/table"
	"github.com/mailtrail/mailtrail/shared/table/tabletest"
)

var (
	leased = table.Key{Partition: "work", Sort: "state"}
	noon   = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
)

func leaseTable(t *testing.T) *tabletest.Faulty {
	t.Helper()
	store, err := embedded.Open(t.TempDir(), embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return &tabletest.Faulty{Table: store.Table("work")}
}

// acquire takes the lease as whoever wants to work does: it reads the item, and adds one to what it holds.
func acquire(t *testing.T, in table.Table, holder string, now time.Time, length time.Duration) (table.Item, error) {
	t.Helper()
	item, err := in.Get(t.Context(), leased)
	if err != nil && !errors.Is(err, table.ErrAbsent) {
		t.Fatal(err)
	}
	n, _ := item.Attrs["n"].(int64)
	return table.LeaseOf(item).Acquire(t.Context(), in, leased, table.Attrs{"n": n + 1}, holder, now, length)
}

func TestOneHoldsALeaseAtATime(t *testing.T) {
	in := leaseTable(t)
	for _, step := range []struct {
		holder string
		after  time.Duration // since noon
		length time.Duration
		want   error
	}{
		{"a", 0, time.Minute, nil},
		{"b", time.Minute, time.Minute, table.ErrHeld}, // there is time left to give it back
		{"b", 89 * time.Second, time.Minute, table.ErrHeld},
		{"b", 90 * time.Second, time.Minute, nil},       // a has died
		{"c", -time.Minute, time.Minute, table.ErrHeld}, // by another clock, a little behind
		{"c", -3 * time.Hour, time.Minute, nil},         // b's clock ran ahead
		{"d", -3 * time.Hour, time.Minute, table.ErrHeld},
		{"d", 0, time.Minute, nil}, // c has died
	} {
		item, err := acquire(t, in, step.holder, noon.Add(step.after), step.length)
		if !errors.Is(err, step.want) || err == nil && table.LeaseOf(item).Holder != step.holder {
			t.Errorf("%s at %s: %v, %v", step.holder, step.after, item, err)
		}
	}
}

// TestWhoeverLostALeaseSavesNothing: it expired, and another has it.
func TestWhoeverLostALeaseSavesNothing(t *testing.T) {
	in := leaseTable(t)
	first, err := acquire(t, in, "a", noon, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if first, err = table.LeaseOf(first).Save(t.Context(), in, leased, table.Attrs{"n": int64(5)}); err != nil {
		t.Fatal(err)
	}
	if _, err := acquire(t, in, "b", noon.Add(time.Hour), time.Minute); err != nil {
		t.Fatal(err)
	}
	lost := table.LeaseOf(first)
	if _, err := lost.Save(t.Context(), in, leased, table.Attrs{"n": int64(9)}); !errors.Is(err, table.ErrConflict) {
		t.Errorf("saving: %v", err)
	}
	if err := lost.Release(t.Context(), in, leased, table.Attrs{"n": int64(9)}); !errors.Is(err, table.ErrConflict) {
		t.Errorf("releasing: %v", err)
	}
	if item, err := in.Get(t.Context(), leased); err != nil || item.Attrs["n"] != int64(6) ||
		table.LeaseOf(item).Holder != "b" {
		t.Errorf("%v, %v", item, err)
	}
}

// TestALeaseIsGivenBackWhateverFails: a write that was not done, and one that was done and reported as failed; and with
// a context that has ended.
func TestALeaseIsGivenBackWhateverFails(t *testing.T) {
	broken := errors.New("broken")
	first := func(op string, n int) error {
		if op == "commit" && n == 2 {
			return broken
		}
		return nil
	}
	always := func(op string, n int) error {
		if op == "commit" && n > 1 {
			return broken
		}
		return nil
	}
	for _, c := range []struct {
		name          string
		before, after func(string, int) error
		want          error
	}{
		{"not done", first, nil, nil},
		{"done", nil, first, nil},
		{"never done", always, nil, broken},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := leaseTable(t)
			in.Before, in.After = c.before, c.after
			item, err := acquire(t, in, "a", noon, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			gone, cancel := context.WithCancel(t.Context())
			cancel()
			if err := table.LeaseOf(item).Release(gone, in, leased, table.Attrs{"n": int64(7)}); !errors.Is(err, c.want) {
				t.Fatal(err)
			}
			if c.want != nil {
				return
			}
			if item, err = acquire(t, in, "b", noon, time.Minute); err != nil || item.Attrs["n"] != int64(8) {
				t.Errorf("%v, %v", item, err)
			}
		})
	}
}

func TestAFreedLeaseLeavesTheRestOfItsItem(t *testing.T) {
	in := leaseTable(t)
	if err := table.FreeLease(t.Context(), in, leased); err != nil {
		t.Errorf("of an item that is not there: %v", err)
	}
	for i := range 2 { // the second time nobody holds it
		if i == 0 {
			if _, err := acquire(t, in, "a", noon, time.Minute); err != nil {
				t.Fatal(err)
			}
		}
		if err := table.FreeLease(t.Context(), in, leased); err != nil {
			t.Fatal(err)
		}
		item, err := in.Get(t.Context(), leased)
		if err != nil || fmt.Sprint(item.Attrs) != "map[holder: n:1 until:]" {
			t.Errorf("%v, %v", item, err)
		}
	}
}

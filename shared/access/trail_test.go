package access_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/access"
)

func (g *gate) entries(from, to time.Time) []access.Entry {
	g.t.Helper()
	var out []access.Entry
	for e, err := range g.trail.List(g.t.Context(), from, to) {
		if err != nil {
			g.t.Fatal(err)
		}
		out = append(out, e)
	}
	return out
}

func TestTrailKeepsAll(t *testing.T) {
	g := newGate(t)
	midnight := time.Date(2026, 3, 3, 0, 0, 0, 0, time.UTC)
	var want []access.Entry
	for i, at := range []time.Time{midnight.Add(-time.Hour), midnight.Add(-1), midnight, midnight, midnight.Add(50 * time.Hour)} {
		e := access.Entry{At: at, Who: "key-1", What: "search", Detail: fmt.Sprintf(`{"number":%d}`, i), Count: int64(i), Purpose: "case 7"}
		if err := g.trail.Record(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		want = append(want, e)
	}
	got := g.entries(midnight.Add(-time.Hour), midnight.Add(51*time.Hour))
	byDetail := func(a, b access.Entry) int { return int(a.Count - b.Count) }
	if !slices.IsSortedFunc(got, func(a, b access.Entry) int { return a.At.Compare(b.At) }) {
		t.Errorf("not in order: %v", got)
	}
	slices.SortFunc(got, byDetail) // two of the same moment come in any order
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, bound := range []struct {
		from, to time.Time
		n        int
	}{
		{midnight, midnight.Add(time.Hour), 2},        // from is included
		{midnight.Add(-time.Hour), midnight, 2},       // to is not
		{midnight, midnight, 0},                       // nothing
		{midnight.Add(time.Hour), midnight, 0},        // the wrong way round
		{midnight.Add(1), midnight.Add(time.Hour), 0}, // a nanosecond later
	} {
		if got := g.entries(bound.from, bound.to); len(got) != bound.n {
			t.Errorf("[%s, %s) has %d entries, want %d", bound.from, bound.to, len(got), bound.n)
		}
	}
}

func TestTrailTakesTheTimeItself(t *testing.T) {
	g := newGate(t)
	if err := g.trail.Record(t.Context(), access.Entry{Who: "key-1", What: "connection.add"}); err != nil {
		t.Fatal(err)
	}
	if got := g.entries(g.clock.now(), g.clock.now().Add(1)); len(got) != 1 || !got[0].At.Equal(g.clock.now()) {
		t.Errorf("%v", got)
	}
}

func TestTrailRefuses(t *testing.T) {
	g := newGate(t)
	for _, e := range []access.Entry{{What: "search"}, {Who: "key-1"}, {Who: "key-1", What: "search", Detail: "{"}} {
		if err := g.trail.Record(t.Context(), e); err == nil {
			t.Errorf("recorded %+v", e)
		}
	}
	for _, err := range g.trail.List(t.Context(), g.clock.now(), g.clock.now().AddDate(1, 1, 0)) {
		if err == nil {
			t.Error("listed more than a year")
		}
	}
}

func TestTrailTellsWhenItFails(t *testing.T) {
	g := newGate(t)
	fail := func(string, int) error { return errDisk }
	e := access.Entry{Who: "key-1", What: "search"}
	g.table.Before = fail
	if err := g.trail.Record(t.Context(), e); !errors.Is(err, errDisk) {
		t.Errorf("not done: %v", err)
	}
	g.table.Before, g.table.After = nil, fail
	if err := g.trail.Record(t.Context(), e); !errors.Is(err, errDisk) {
		t.Errorf("done, but told that it failed: %v", err)
	}
	g.table.After = nil
	if got := g.entries(g.clock.now(), g.clock.now().Add(1)); len(got) != 1 {
		t.Errorf("%d entries", len(got))
	}
	g.table.Before = fail
	for _, err := range g.trail.List(t.Context(), g.clock.now(), g.clock.now().Add(1)) {
		if !errors.Is(err, errDisk) {
			t.Errorf("list: %v", err)
		}
	}
}

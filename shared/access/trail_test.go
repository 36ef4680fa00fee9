package access_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
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
	for i, at := range []time.Time{midnight.Add(-time.Hour), midnight.Add(-1), midnight, midnight,
		midnight.Add(50 * time.Hour)} {
		e := access.Entry{At: at, Who: "key-1", What: "search", Detail: fmt.Sprintf(`{"number":%d}`, i), Count: int64(i),
			Purpose: "case 7"}
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
	if !reflect.DeepEqual(got, want) {
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

func TestTrailIsPagedWithoutALossOrARepetition(t *testing.T) {
	g := newGate(t)
	midnight := time.Date(2026, 3, 3, 0, 0, 0, 0, time.UTC)
	const many = 25
	for i := range many { // over two days, some of one moment
		e := access.Entry{At: midnight.Add(time.Duration(i/3-4) * time.Hour), Who: "key-1", What: "search", Count: int64(i)}
		if err := g.trail.Record(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	from, to := midnight.Add(-24*time.Hour), midnight.Add(24*time.Hour)
	for _, size := range []int{1, 7, many, many + 1} {
		seen, pages := map[int64]int{}, 0
		for next, done := "", false; !done; pages++ {
			entries, after, err := g.trail.Page(t.Context(), from, to, nil, next, size)
			if err != nil || len(entries) > size {
				t.Fatal(len(entries), err)
			}
			for _, e := range entries {
				seen[e.Count]++
			}
			next, done = after, after == ""
		}
		if len(seen) != many || pages != (many+size-1)/size {
			t.Errorf("pages of %d: %d entries on %d pages", size, len(seen), pages)
		}
		for i, n := range seen {
			if n != 1 {
				t.Errorf("pages of %d: entry %d came %d times", size, i, n)
			}
		}
	}
	for _, position := range []string{"nonsense", "2026-03-03T00:00:00.000000000Z", "2020-03-03T00:00:00.000000000Z|x"} {
		if _, _, err := g.trail.Page(t.Context(), from, to, nil, position, 5); err == nil {
			t.Errorf("%q is the position of a page", position)
		}
	}
}

func TestLookingAtTheTrailStandsInTheTrail(t *testing.T) {
	g := newGate(t)
	routes := (&access.TrailAPI{Trail: g.trail, Log: slog.New(slog.DiscardHandler)}).Routes()
	look := func(query string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", "/v1/trail?"+query, nil)
		w := httptest.NewRecorder()
		routes[0].Handler.ServeHTTP(w, r.WithContext(access.With(t.Context(),
			access.Caller{ID: "key-7", Roles: []access.Role{access.Admin}})))
		return w
	}
	if w := look(""); w.Code != http.StatusOK ||
		strings.TrimSpace(w.Body.String()) != `{"entries":[],"nextPgToken":null}` {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	g.clock.advance(time.Second)
	w := look("from=2026-03-01T00:00:00Z&to=2026-03-05T00:00:00%2B01:00&pgSize=1")
	if !strings.Contains(w.Body.String(), `"who":"key-7","what":"trail.read"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for query, field := range map[string]string{
		"from=yesterday": "from", "to=2026": "to", "who=me": "who",
		"pgSize=0": "pgSize", "pgSize=1001": "pgSize", "pgSize=x": "pgSize", "pgSize=1&pgSize=2": "pgSize",
		"pgToken=%25": "pgToken", "pgToken=bm9uc2Vuc2U": "pgToken",
		"from=2020-01-01T00:00:00Z": "from", "to=0001-01-01T00:00:00Z": "from",
	} {
		if w := look(query); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), `"field":"`+field+`"`) {
			t.Errorf("%s: %d %s", query, w.Code, w.Body)
		}
	}
	g.table.Before = func(op string, _ int) error {
		if op == "create" {
			return errDisk
		}
		return nil
	}
	if w := look(""); w.Code != http.StatusServiceUnavailable || strings.Contains(w.Body.String(), "entries") {
		t.Errorf("without an entry there is an answer: %d %s", w.Code, w.Body)
	}
}

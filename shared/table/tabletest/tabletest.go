// Package tabletest holds the adapters of table.Table to their contract, and makes tables fail for the tests of other
// rooms.
package tabletest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/table"
)

// Options say what an engine needs to be tested; the zero value suits one that runs on real time.
type Options struct {
	// Advance moves the tables' clock beyond a second; nil means that they use time.Now, and that the
	// suite waits for expiry in real time.
	Advance func(time.Duration)
	// Now is that clock; nil is time.Now.
	Now func() time.Time
}

// Run tests the tables that open gives: each call returns an empty one, which is the test's own.
func Run(t *testing.T, o Options, open func(t *testing.T) table.Table) {
	if o.Now == nil {
		o.Now = time.Now
	}
	tests := []struct {
		name string
		run  func(t *testing.T, tab table.Table)
	}{
		{"keys", testKeys},
		{"order", testOrder},
		{"bounds", testBounds},
		{"prefix", testPrefix},
		{"pages", testPages},
		{"values", testValues},
		{"item limits", testItemLimits},
		{"commit limits", testCommitLimits},
		{"invalid values", testInvalidValues},
		{"conditions", testConditions},
		{"pairs of conditions", testPairs},
		{"revisions", testRevisions},
		{"create", testCreate},
		{"create race", testCreateRace},
		{"counters", testCounters},
		{"transfers", testTransfers},
		{"load", testLoad},
		{"get many", testGetMany},
		{"expiry", func(t *testing.T, tab table.Table) { testExpiry(t, tab, o) }},
		{"cancelled", testCancelled},
		{"aliasing", testAliasing},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

func key(partition, sort string) table.Key { return table.Key{Partition: partition, Sort: sort} }

// item is an item with a text of its own.
func item(partition, sort, text string) table.Item {
	return table.Item{Key: key(partition, sort), Attrs: table.Attrs{"text": text}}
}

func op(verb table.Verb, it table.Item) table.Op { return table.Op{Verb: verb, Item: it} }

func load(t *testing.T, tab table.Table, items ...table.Item) {
	t.Helper()
	if err := tab.Load(t.Context(), items...); err != nil {
		t.Fatalf("load %d items: %v", len(items), err)
	}
}

func create(t *testing.T, tab table.Table, items ...table.Item) {
	t.Helper()
	created, err := tab.Create(t.Context(), items...)
	if err != nil || len(created) != len(items) || slices.Contains(created, false) {
		t.Fatalf("create %d free items: got %v, %v", len(items), created, err)
	}
}

func get(t *testing.T, tab table.Table, k table.Key) table.Item {
	t.Helper()
	it, err := tab.Get(t.Context(), k)
	if err != nil {
		t.Fatalf("get %q: %v", k, err)
	}
	if it.Key != k {
		t.Fatalf("get %q: got the item under %q", k, it.Key)
	}
	return it
}

func text(it table.Item) string {
	s, _ := it.Attrs["text"].(string)
	return s
}

// wantText fails unless the item under k has that text.
func wantText(t *testing.T, tab table.Table, k table.Key, want string) {
	t.Helper()
	if got := text(get(t, tab, k)); got != want {
		t.Errorf("item %q has text %q, want %q", k, got, want)
	}
}

func wantAbsent(t *testing.T, tab table.Table, k table.Key) {
	t.Helper()
	if it, err := tab.Get(t.Context(), k); !errors.Is(err, table.ErrAbsent) {
		t.Errorf("get %q: got %v, %v, want ErrAbsent", k, it, err)
	}
}

func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got error %v, want %v", what, err, want)
	}
}

// query returns the items that q finds.
func query(t *testing.T, tab table.Table, q table.Query) []table.Item {
	t.Helper()
	var items []table.Item
	for it, err := range tab.Query(t.Context(), q) {
		if err != nil {
			t.Fatalf("query %+v: %v", q, err)
		}
		items = append(items, it)
	}
	return items
}

func sorts(items []table.Item) []string {
	out := make([]string, len(items))
	for i, it := range items {
		out[i] = it.Sort
	}
	return out
}

func wantSorts(t *testing.T, tab table.Table, q table.Query, want ...string) {
	t.Helper()
	if got := sorts(query(t, tab, q)); !slices.Equal(got, want) && len(got)+len(want) > 0 {
		t.Errorf("query %+v: got %s, want %s", q, short(got), short(want))
	}
}

func short(list []string) string {
	if len(list) > 20 {
		return fmt.Sprintf("%d strings from %.40q to %.40q", len(list), list[0], list[len(list)-1])
	}
	return fmt.Sprintf("%.40q", list)
}

// eventually calls done until it returns true, for engines whose clock is the real one.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within a minute", what)
		case <-tick.C:
		}
	}
}

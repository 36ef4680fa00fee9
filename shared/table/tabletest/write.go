package tabletest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/table"
)

func testLoad(t *testing.T, tab table.Table) {
	load(t, tab)
	var items []table.Item
	for i := range 1234 {
		items = append(items, item(fmt.Sprint("p", i%3), fmt.Sprintf("%05d", i), "old"))
	}
	for range 2 {
		load(t, tab, items...)
		for i := range 3 {
			if got := len(query(t, tab, table.Query{Partition: fmt.Sprint("p", i)})); got < 411 || got > 412 {
				t.Errorf("partition %d has %d items after loading 1234", i, got)
			}
		}
	}
	for i := range items {
		items[i].Attrs = table.Attrs{"text": "new"}
		items[i].Revision = 7 // does not count
	}
	load(t, tab, items...)
	if it := get(t, tab, items[1000].Key); text(it) != "new" || it.Revision != 0 {
		t.Errorf("item loaded again: got %v", it)
	}
	load(t, tab, item("q", "twice", "first"), item("q", "other", ""), item("q", "twice", "last"))
	wantText(t, tab, key("q", "twice"), "last")
}

func testCreate(t *testing.T, tab table.Table) {
	if created, err := tab.Create(t.Context()); err != nil || len(created) != 0 {
		t.Errorf("create nothing: got %v, %v", created, err)
	}
	var items []table.Item
	for i := range 250 {
		items = append(items, item("p", fmt.Sprintf("%03d", i), "first"))
	}
	create(t, tab, items[:50]...)
	for i := range items {
		items[i].Attrs = table.Attrs{"text": "second"}
	}
	created, err := tab.Create(t.Context(), items...)
	if err != nil || len(created) != len(items) {
		t.Fatalf("create %d items of which 50 are there: %d results, %v", len(items), len(created), err)
	}
	for i, it := range items {
		want := "second"
		if i < 50 {
			want = "first"
		}
		if created[i] != (i >= 50) {
			t.Errorf("create item %d: got %v", i, created[i])
		}
		wantText(t, tab, it.Key, want)
	}
	if created, err = tab.Create(t.Context(), items...); err != nil || slices.Contains(created, true) {
		t.Errorf("create all again: got %v, %v", created, err)
	}

	// Of one key twice the first wins; one that was deleted or loaded is free or taken like any.
	load(t, tab, item("q", "loaded", "loaded"))
	created, err = tab.Create(t.Context(), item("q", "k", "first"), item("q", "loaded", "created"),
		item("q", "k", "second"))
	if err != nil || !slices.Equal(created, []bool{true, false, false}) {
		t.Errorf("create one key twice: got %v, %v", created, err)
	}
	wantText(t, tab, key("q", "k"), "first")
	wantText(t, tab, key("q", "loaded"), "loaded")
	if err := tab.Commit(t.Context(), op(table.Delete, item("q", "k", ""))); err != nil {
		t.Fatal(err)
	}
	create(t, tab, item("q", "k", "third"))
}

func testRevisions(t *testing.T, tab table.Table) {
	k := key("p", "s")
	seen := map[int64]bool{}
	note := func(what string) int64 {
		t.Helper()
		r := get(t, tab, k).Revision
		if r <= 0 || seen[r] {
			t.Errorf("%s: revision %d, which is not new", what, r)
		}
		seen[r] = true
		return r
	}
	for range 10 {
		create(t, tab, item(k.Partition, k.Sort, ""))
		r := note("create")
		for range 3 {
			next := item(k.Partition, k.Sort, "")
			next.Revision = r
			if err := tab.Commit(t.Context(), op(table.Replace, next)); err != nil {
				t.Fatal(err)
			}
			wantErr(t, "replace with what was replaced", tab.Commit(t.Context(), op(table.Replace, next)), table.ErrConflict)
			r = note("replace")
		}
		if err := tab.Commit(t.Context(), op(table.Delete, table.Item{Key: k, Revision: r})); err != nil {
			t.Fatal(err)
		}
		wantErr(t, "replace what was deleted", tab.Commit(t.Context(), op(table.Replace, table.Item{Key: k, Revision: r})),
			table.ErrConflict)
	}
	created := item("p", "committed", "")
	created.Revision = 99 // does not count
	if err := tab.Commit(t.Context(), op(table.Create, created)); err != nil {
		t.Fatal(err)
	}
	if it := query(t, tab, table.Query{Partition: "p"})[0]; it.Revision <= 0 || it.Revision == 99 {
		t.Errorf("create in a commit: revision %d", it.Revision)
	}
}

// testExpiry lets items expire: they are gone for every read and every condition.
func testExpiry(t *testing.T, tab table.Table, o Options) {
	soon := o.Now().Add(2 * time.Second)
	for _, s := range []string{"a", "b", "c", "d", "e", "f"} {
		it := item("p", s, "before")
		it.Expires = soon
		create(t, tab, it)
	}
	later := item("p", "later", "stays")
	later.Expires = soon.Add(24 * time.Hour)
	past := item("p", "past", "never there")
	past.Expires = o.Now().Add(-time.Hour)
	load(t, tab, later, past, item("p", "never", "stays"))
	wantAbsent(t, tab, past.Key)
	revision := get(t, tab, key("p", "a")).Revision
	if got := get(t, tab, later.Key).Expires; got.Unix() != later.Expires.Unix() {
		t.Errorf("item expires at %s, want %s", got, later.Expires)
	}

	if o.Advance != nil {
		o.Advance(3 * time.Second)
	}
	eventually(t, "items expire", func() bool {
		_, err := tab.Get(t.Context(), key("p", "f"))
		return errors.Is(err, table.ErrAbsent)
	})
	wantSorts(t, tab, table.Query{Partition: "p"}, "later", "never")
	wantSorts(t, tab, table.Query{Partition: "p", Backward: true}, "never", "later")
	wantSorts(t, tab, table.Query{Partition: "p", Limit: 1}, "later")
	if items, err := tab.GetMany(t.Context(), []table.Key{key("p", "a"), later.Key}); err != nil || len(items) != 1 {
		t.Errorf("get an expired item with another: got %v, %v", items, err)
	}
	at := func(verb table.Verb, sort string, revision int64) error {
		return tab.Commit(t.Context(), op(verb, table.Item{Key: key("p", sort), Revision: revision}))
	}
	wantErr(t, "replace an expired item", at(table.Replace, "a", revision), table.ErrConflict)
	wantErr(t, "check an expired item's revision", at(table.Check, "a", revision), table.ErrConflict)
	wantErr(t, "delete an expired item at its revision", at(table.Delete, "a", revision), table.ErrConflict)
	wantErr(t, "check that an expired item is not there", at(table.Check, "a", 0), nil)
	wantErr(t, "delete an expired item", at(table.Delete, "b", 0), nil)
	wantErr(t, "create over an expired item", at(table.Create, "c", 0), nil)
	create(t, tab, item("p", "d", "new"))
	load(t, tab, item("p", "e", "new"))
	wantSorts(t, tab, table.Query{Partition: "p"}, "c", "d", "e", "later", "never")
	wantText(t, tab, key("p", "d"), "new")
}

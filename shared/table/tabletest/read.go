package tabletest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/mailtrail/mailtrail/shared/table"
)

// awkward are names that a careless encoding confuses: prefixes of each other, separators, zeros, and characters whose
// order in UTF-16 is not that in UTF-8.
func awkward() []string {
	return []string{
		"\x00", "\x00\x00", "\x00\x01", "\x01", " ", "!", "#", "/", "a", "a\x00", "a\x00\x00", "a\x00\x01", "a\x00b", "a\x01",
		"a b", "a!b", "a#b", "a/b", "a|b", "ab", "ab\x00", "b", "z", "|", "~", "\x7f", "ä", "ß", "ﬀ", "\uffff", "𝄞", "😀",
		"\U0010ffff",
		"\U0010ffff\U0010ffff",
	}
}

// testKeys stores an item under every pair of awkward names, and finds each again, and nothing else, in its partition.
func testKeys(t *testing.T, tab table.Table) {
	names := awkward()
	var items []table.Item
	for _, p := range names {
		for _, s := range names {
			items = append(items, item(p, s, p+"\n"+s))
		}
	}
	load(t, tab, items...)
	for _, it := range items {
		wantText(t, tab, it.Key, text(it))
	}
	want := slices.Sorted(slices.Values(names))
	for _, p := range names {
		wantSorts(t, tab, table.Query{Partition: p}, want...)
	}
	wantAbsent(t, tab, key("a", "absent"))
	wantAbsent(t, tab, key("absent", "a"))
	for _, k := range []table.Key{{}, {Partition: "p"}, {Sort: "s"}, key("p\xff", "s"), key("p", "s\xff")} {
		_, err := tab.Get(t.Context(), k)
		wantErr(t, fmt.Sprintf("get %q", k), err, table.ErrInvalid)
	}
}

func testOrder(t *testing.T, tab table.Table) {
	want := slices.Sorted(slices.Values(awkward()))
	for i := range want { // loaded in another order
		load(t, tab, item("p", want[(7*i+3)%len(want)], ""), item("o", "below", ""), item("p2", "above", ""))
	}
	wantSorts(t, tab, table.Query{Partition: "p"}, want...)
	eventually(t, "an eventual query finds all", func() bool {
		return slices.Equal(sorts(query(t, tab, table.Query{Partition: "p", Eventual: true})), want)
	})
	slices.Reverse(want)
	wantSorts(t, tab, table.Query{Partition: "p", Backward: true}, want...)
	wantSorts(t, tab, table.Query{Partition: "none"})
	wantSorts(t, tab, table.Query{Partition: "none", Backward: true})
}

func testBounds(t *testing.T, tab table.Table) {
	for _, s := range []string{"a", "b", "c", "d", "e"} {
		load(t, tab, item("p", s, ""))
	}
	tests := []struct {
		q    table.Query
		want string
	}{
		{table.Query{}, "abcde"},
		{table.Query{From: "b"}, "bcde"},
		{table.Query{From: "b\x00"}, "cde"},
		{table.Query{To: "d"}, "abc"},
		{table.Query{To: "d\x00"}, "abcd"},
		{table.Query{From: "b", To: "d"}, "bc"},
		{table.Query{From: "bb", To: "dd"}, "cd"},
		{table.Query{From: "b", To: "c"}, "b"},
		{table.Query{From: "b", To: "b"}, ""},
		{table.Query{From: "d", To: "b"}, ""},
		{table.Query{From: "f"}, ""},
		{table.Query{To: "a"}, ""},
		{table.Query{Limit: 2}, "ab"},
		{table.Query{Limit: 5}, "abcde"},
		{table.Query{Limit: 6}, "abcde"},
		{table.Query{From: "b", To: "e", Limit: 2}, "bc"},
		{table.Query{From: "b", To: "e", Limit: 2, Backward: true}, "dc"},
		{table.Query{From: "b", To: "e", Backward: true}, "dcb"},
		{table.Query{From: "d", To: "b", Backward: true}, ""},
		{table.Query{Limit: 1, Backward: true}, "e"},
	}
	for _, test := range tests {
		test.q.Partition = "p"
		if got := strings.Join(sorts(query(t, tab, test.q)), ""); got != test.want {
			t.Errorf("query %+v: got %q, want %q", test.q, got, test.want)
		}
	}
	for _, q := range []table.Query{
		{},
		{Partition: "p", Limit: -1},
		{Partition: "p\xff"},
		{Partition: "p", From: "\xff"},
		{Partition: "p", To: "\xff"},
		{Partition: strings.Repeat("p", table.MaxPartition+1)},
		{Partition: "p", From: strings.Repeat("s", table.MaxSort+1)},
		{Partition: "p", To: strings.Repeat("s", table.MaxSort+1)},
	} {
		calls := 0
		for _, err := range tab.Query(t.Context(), q) {
			calls++
			wantErr(t, fmt.Sprintf("query %.80v", q), err, table.ErrInvalid)
		}
		if calls != 1 {
			t.Errorf("query %.80v: yielded %d times, want one error", q, calls)
		}
	}
}

func testPrefix(t *testing.T, tab table.Table) {
	names := awkward()
	for _, s := range names {
		load(t, tab, item("p", s, ""))
	}
	slices.Sort(names)
	for _, prefix := range append(names, "", "none") {
		var want []string
		for _, s := range names {
			if strings.HasPrefix(s, prefix) {
				want = append(want, s)
			}
		}
		wantSorts(t, tab, table.Query{Partition: "p"}.Prefix(prefix), want...)
	}
}

// testPages reads a partition that takes several pages of any engine, in both directions, and stops in the middle.
func testPages(t *testing.T, tab table.Table) {
	const n, bytes = 300, 10_000 // 3 MB
	var items []table.Item
	var want []string
	for i := range n {
		items = append(items, item("p", fmt.Sprintf("%04d", i), strings.Repeat("x", bytes)))
		want = append(want, items[i].Sort)
	}
	load(t, tab, items...)
	load(t, tab, item("p\x00", "other", ""), item("q", "other", ""))
	wantSorts(t, tab, table.Query{Partition: "p"}, want...)
	wantSorts(t, tab, table.Query{Partition: "p", Limit: 250}, want[:250]...)
	wantSorts(t, tab, table.Query{Partition: "p", From: "0010", To: "0290"}, want[10:290]...)

	seen := 0
	for it, err := range tab.Query(t.Context(), table.Query{Partition: "p"}) {
		if err != nil || it.Sort != want[seen] {
			t.Fatalf("item %d of a query: got %q, %v", seen, it.Sort, err)
		}
		if seen++; seen == 150 {
			break
		}
	}
	// A consumer may write while it reads, and delete what it has seen.
	for it, err := range tab.Query(t.Context(), table.Query{Partition: "p"}) {
		if err != nil {
			t.Fatal(err)
		}
		if err := tab.Commit(t.Context(), op(table.Delete, table.Item{Key: it.Key})); err != nil {
			t.Fatal(err)
		}
	}
	wantSorts(t, tab, table.Query{Partition: "p"})
	wantSorts(t, tab, table.Query{Partition: "p\x00"}, "other")

	slices.Reverse(want)
	load(t, tab, items...)
	wantSorts(t, tab, table.Query{Partition: "p", Backward: true}, want...)
	wantSorts(t, tab, table.Query{Partition: "p", Backward: true, Limit: 250}, want[:250]...)
}

func testGetMany(t *testing.T, tab table.Table) {
	var keys []table.Key
	for i := range 500 {
		keys = append(keys, key(fmt.Sprint("p", i%7), fmt.Sprint("s", i)))
		if i%5 != 0 {
			load(t, tab, item(keys[i].Partition, keys[i].Sort, fmt.Sprint(i)))
		}
	}
	keys = append(keys, keys[:20]...)
	items, err := tab.GetMany(t.Context(), keys)
	if err != nil {
		t.Fatal(err)
	}
	got := map[table.Key]string{}
	for _, it := range items {
		got[it.Key] = text(it)
	}
	if len(items) != 400 || len(got) != 400 {
		t.Errorf("got %d items of %d keys, want 400 of each", len(items), len(got))
	}
	for i, k := range keys[:500] {
		if i%5 != 0 && got[k] != fmt.Sprint(i) {
			t.Errorf("item %q: got text %q, want %d", k, got[k], i)
		}
	}
	if items, err := tab.GetMany(t.Context(), nil); err != nil || len(items) != 0 {
		t.Errorf("get no keys: got %v, %v", items, err)
	}
	_, err = tab.GetMany(t.Context(), []table.Key{keys[1], {}})
	wantErr(t, "get many with an empty key", err, table.ErrInvalid)

	// More than the 16 MB that DynamoDB answers at once.
	keys = keys[:0]
	for i := range 50 {
		big := item("big", fmt.Sprint(i), strings.Repeat("x", 390_000))
		load(t, tab, big)
		keys = append(keys, big.Key)
	}
	if items, err := tab.GetMany(t.Context(), keys); err != nil || len(items) != len(keys) {
		t.Errorf("get %d big items: got %d, %v", len(keys), len(items), err)
	}
}

func testCancelled(t *testing.T, tab table.Table) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	it := item("p", "s", "x")
	calls := map[string]func() error{
		"get":      func() error { _, err := tab.Get(ctx, it.Key); return err },
		"get many": func() error { _, err := tab.GetMany(ctx, []table.Key{it.Key}); return err },
		"commit":   func() error { return tab.Commit(ctx, op(table.Put, it)) },
		"load":     func() error { return tab.Load(ctx, it) },
		"create":   func() error { _, err := tab.Create(ctx, it); return err },
		"query": func() error {
			for _, err := range tab.Query(ctx, table.Query{Partition: "p"}) {
				return err
			}
			return nil
		},
	}
	for name, call := range calls {
		wantErr(t, name+" with a cancelled context", call(), context.Canceled)
	}
	wantAbsent(t, tab, it.Key)

	// Cancelled between pages.
	var items []table.Item
	for i := range 300 {
		items = append(items, item("p", fmt.Sprintf("%04d", i), strings.Repeat("x", 20_000)))
	}
	load(t, tab, items...)
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	var last error
	for _, last = range tab.Query(ctx, table.Query{Partition: "p"}) {
		cancel()
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("query cancelled while it runs: ended with %v", last)
	}
}

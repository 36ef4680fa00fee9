package tabletest

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/table"
)

// testValues stores every kind of value, and reads the same back.
func testValues(t *testing.T, tab table.Table) {
	values := table.Attrs{
		"empty string": "",
		"text":         "Grüße, 世界 😀 \x00 \" \\ \u2028",
		"bytes":        []byte{0, 0xff, 'a', 0xc3},
		"no bytes":     []byte{},
		"zero":         int64(0),
		"one":          int64(1),
		"minus one":    int64(-1),
		"million":      int64(1_000_000),
		"greatest":     int64(math.MaxInt64),
		"least":        int64(math.MinInt64),
		"yes":          true,
		"no":           false,
		"one string":   []string{""},
		"strings":      []string{"b", "a", "a", "", "ß"},
		"empty map":    table.Attrs{},
		"map": table.Attrs{"a": "b", "n": int64(-5), "list": []string{"x"}, "in": table.Attrs{"deep": true},
			"pk": "free"},
		"maps":           []table.Attrs{{"a": int64(1)}, {}, {"b": []table.Attrs{{"c": "d"}}}},
		"ünïcode näme 😀": "x",
		"a.b[0]#:":       "no path",
	}
	want := table.Item{Key: key("p", "s"), Attrs: values, Expires: time.Unix(4_000_000_000, 0).UTC()}
	load(t, tab, want)
	check := func(got table.Item) {
		t.Helper()
		for name, value := range values {
			if !reflect.DeepEqual(got.Attrs[name], value) {
				t.Errorf("value %q: got %#v, want %#v", name, got.Attrs[name], value)
			}
		}
		if len(got.Attrs) != len(values) || got.Key != want.Key || got.Revision != 0 || got.Expires != want.Expires {
			t.Errorf("got %#v, want %#v", got, want)
		}
	}
	check(get(t, tab, want.Key))
	check(query(t, tab, table.Query{Partition: "p"})[0])
	many, err := tab.GetMany(t.Context(), []table.Key{want.Key})
	if err != nil || len(many) != 1 {
		t.Fatalf("get many: %v, %v", many, err)
	}
	check(many[0])

	// What is not stored: nothing at all, and empty lists.
	bare := table.Item{Key: key("p", "bare")}
	lists := table.Item{Key: key("p", "lists"), Attrs: table.Attrs{
		"s": []string{}, "m": []table.Attrs{}, "in": table.Attrs{"s": []string(nil), "m": []table.Attrs(nil)},
	}}
	load(t, tab, bare, lists)
	if got := get(t, tab, bare.Key); len(got.Attrs) != 0 || !got.Expires.IsZero() {
		t.Errorf("an item without attributes: got %#v", got)
	}
	if got := get(t, tab, lists.Key).Attrs; !reflect.DeepEqual(got, table.Attrs{"in": table.Attrs{}}) {
		t.Errorf("empty lists: got %#v", got)
	}
}

func testInvalidValues(t *testing.T, tab table.Table) {
	deep := table.Attrs{}
	for range table.MaxDepth + 1 {
		deep = table.Attrs{"in": deep}
	}
	tests := map[string]table.Item{
		"nil":               {Attrs: table.Attrs{"a": nil}},
		"int":               {Attrs: table.Attrs{"a": 1}},
		"float":             {Attrs: table.Attrs{"a": 1.5}},
		"map":               {Attrs: table.Attrs{"a": map[string]any{}}},
		"nested int":        {Attrs: table.Attrs{"a": []table.Attrs{{"b": 1}}}},
		"string not UTF-8":  {Attrs: table.Attrs{"a": "\xff"}},
		"strings not UTF-8": {Attrs: table.Attrs{"a": []string{"\xff"}}},
		"name not UTF-8":    {Attrs: table.Attrs{"\xff": "a"}},
		"empty name":        {Attrs: table.Attrs{"": "a"}},
		"nested empty name": {Attrs: table.Attrs{"a": table.Attrs{"": "a"}}},
		"long name":         {Attrs: table.Attrs{strings.Repeat("n", table.MaxName+1): "a"}},
		"too deep":          {Attrs: deep},
		"before the clock":  {Expires: time.Unix(0, 0)},
	}
	for _, name := range []string{"pk", "sk", "rev", "ttl"} {
		tests["attribute "+name] = table.Item{Attrs: table.Attrs{name: "x"}}
	}
	good := item("p", "good", "x")
	for name, bad := range tests {
		bad.Key = key("p", "bad")
		wantErr(t, "load "+name, tab.Load(t.Context(), good, bad), table.ErrInvalid)
		_, err := tab.Create(t.Context(), good, bad)
		wantErr(t, "create "+name, err, table.ErrInvalid)
		wantErr(t, "commit "+name, tab.Commit(t.Context(), op(table.Put, good), op(table.Put, bad)), table.ErrInvalid)
	}
	wantSorts(t, tab, table.Query{Partition: "p"}) // an invalid item lets the others down too
}

// sized is an item under k of exactly size bytes.
func sized(k table.Key, size int) table.Item {
	it := table.Item{Key: k, Attrs: table.Attrs{"fill": ""}}
	it.Attrs["fill"] = strings.Repeat("x", size-table.Size(it))
	return it
}

func testItemLimits(t *testing.T, tab table.Table) {
	longest := key(strings.Repeat("p", table.MaxPartition), strings.Repeat("s", table.MaxSort))
	for _, it := range []table.Item{
		sized(longest, 4000),
		sized(key("p", "biggest"), table.MaxItem),
		{Key: key("p", "name"), Attrs: table.Attrs{strings.Repeat("n", table.MaxName): "x"}},
	} {
		load(t, tab, it)
		if got := table.Size(get(t, tab, it.Key)); got != table.Size(it) {
			t.Errorf("item %.20q has %d bytes, want %d", it.Key, got, table.Size(it))
		}
	}
	for _, it := range []table.Item{
		item(longest.Partition+"p", "s", ""),
		item("p", longest.Sort+"s", ""),
		sized(key("p", "too big"), table.MaxItem+1),
		item("", "s", ""),
		item("p", "", ""),
		item("p\xff", "s", ""),
		item("p", "\xff", ""),
	} {
		what := fmt.Sprintf("item %.20q of %d bytes", it.Key, table.Size(it))
		wantErr(t, "load "+what, tab.Load(t.Context(), it), table.ErrInvalid)
		_, err := tab.Create(t.Context(), it)
		wantErr(t, "create "+what, err, table.ErrInvalid)
		wantErr(t, "put "+what, tab.Commit(t.Context(), op(table.Put, it)), table.ErrInvalid)
	}
	wantAbsent(t, tab, key("p", "too big"))
}

func testCommitLimits(t *testing.T, tab table.Table) {
	puts := func(n, size int) []table.Op {
		var ops []table.Op
		for i := range n {
			ops = append(ops, op(table.Put, sized(key("p", fmt.Sprintf("%03d", i)), size)))
		}
		return ops
	}
	wantErr(t, "commit nothing", tab.Commit(t.Context()), table.ErrInvalid)
	wantErr(t, "commit too many", tab.Commit(t.Context(), puts(table.MaxCommit+1, 100)...), table.ErrInvalid)
	wantErr(t, "commit too much", tab.Commit(t.Context(), puts(17, table.MaxTogether/16)...), table.ErrInvalid)
	wantErr(t, "commit no verb", tab.Commit(t.Context(), table.Op{Item: item("p", "s", "")}), table.ErrInvalid)
	wantErr(t, "replace at no revision", tab.Commit(t.Context(), op(table.Replace, item("p", "s", ""))), table.ErrInvalid)
	negative := table.Item{Key: key("p", "s"), Revision: -1}
	for _, verb := range []table.Verb{table.Replace, table.Delete, table.Check} {
		wantErr(t, fmt.Sprintf("verb %d at revision -1", verb), tab.Commit(t.Context(), op(verb, negative)), table.ErrInvalid)
	}
	wantSorts(t, tab, table.Query{Partition: "p"})
	if err := tab.Commit(t.Context(), puts(table.MaxCommit, 100)...); err != nil {
		t.Errorf("commit of %d operations: %v", table.MaxCommit, err)
	}
	if got := len(query(t, tab, table.Query{Partition: "p"})); got != table.MaxCommit {
		t.Errorf("commit of %d operations wrote %d", table.MaxCommit, got)
	}
	if err := tab.Commit(t.Context(), puts(16, 250_000)...); err != nil {
		t.Errorf("commit of 4 million bytes: %v", err)
	}
}

// testAliasing changes what was given to a table and what it gave back, and finds the table unmoved.
func testAliasing(t *testing.T, tab table.Table) {
	list := []string{"a"}
	it := table.Item{Key: key("p", "s"), Attrs: table.Attrs{"list": list, "in": table.Attrs{"x": "y"}}}
	load(t, tab, it)
	list[0] = "changed"
	it.Attrs["in"].(table.Attrs)["x"] = "changed"
	got := get(t, tab, it.Key)
	got.Attrs["more"] = true
	got.Attrs["list"].([]string)[0] = "changed"
	got.Attrs["in"].(table.Attrs)["x"] = "changed"
	want := table.Attrs{"list": []string{"a"}, "in": table.Attrs{"x": "y"}}
	if got := get(t, tab, it.Key).Attrs; !reflect.DeepEqual(got, want) {
		t.Errorf("got %#v, want %#v", got, want)
	}
}

package dynamo_test

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/dynamo"
	"github.com/mailtrail/mailtrail/shared/table"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestWire keeps what goes over the wire for each operation in testdata/wire.golden, to be read beside AWS's reference.
func TestWire(t *testing.T) {
	full := table.Item{
		Key:     table.Key{Partition: "p", Sort: "full"},
		Expires: now.Add(time.Hour),
		Attrs: table.Attrs{
			"text": "Grüße", "count": int64(-5), "flag": true, "list": []string{"a", "b"}, "empty": []string{},
			"map": table.Attrs{"in": "x"}, "maps": []table.Attrs{{"n": int64(1)}, {}},
		},
	}
	op := func(verb table.Verb, it table.Item) table.Op { return table.Op{Verb: verb, Item: it} }
	on(t, []answer{ok(`{"Item":{"pk":{"S":"p"},"sk":{"S":"s"}}}`)}, func(t *testing.T, tab *dynamo.Table, w *wire) {
		steps := []func() error{
			func() error { _, err := tab.Get(t.Context(), full.Key); return err },
			func() error { _, err := tab.GetMany(t.Context(), []table.Key{full.Key, full.Key}); return err },
			query(t, tab, table.Query{Partition: "p"}),
			query(t, tab, table.Query{Partition: "p", From: "a", To: "c", Backward: true, Limit: 3, Eventual: true}),
			query(t, tab, table.Query{Partition: "p", From: "a"}),
			query(t, tab, table.Query{Partition: "p", To: "c"}),
			query(t, tab, table.Query{Partition: "p", From: "c", To: "c"}), // no call
			func() error { return tab.Load(t.Context(), item("s"), item("t"), full, item("s")) },
			func() error { return tab.Commit(t.Context(), op(table.Put, full)) },
			func() error { return tab.Commit(t.Context(), op(table.Create, item("s"))) },
			func() error { return tab.Commit(t.Context(), op(table.Replace, at(item("s"), 7))) },
			func() error { return tab.Commit(t.Context(), op(table.Delete, item("s"))) },
			func() error { return tab.Commit(t.Context(), op(table.Delete, at(item("s"), 7))) },
			func() error {
				return tab.Commit(t.Context(), op(table.Put, item("a")), op(table.Create, item("b")),
					op(table.Replace, at(item("c"), 7)),
					op(table.Delete, item("d")), op(table.Check, item("e")), op(table.Check, at(item("f"), 7)))
			},
		}
		for i, step := range steps {
			if err := step(); err != nil {
				t.Fatalf("step %d: %v", i, err)
			}
		}
		var got strings.Builder
		for _, c := range w.calls {
			got.WriteString(c.op + " ")
			e := json.NewEncoder(&got)
			e.SetEscapeHTML(false)
			e.SetIndent("", "  ")
			if err := e.Encode(c.body); err != nil {
				t.Fatal(err)
			}
		}
		golden(t, "testdata/wire.golden", got.String())
	})
}

func query(t *testing.T, tab *dynamo.Table, q table.Query) func() error {
	return func() error {
		for _, err := range tab.Query(t.Context(), q) {
			if err != nil {
				return err
			}
		}
		return nil
	}
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; look at the difference that -update makes. Got:\n%s", path, got)
	}
}

// TestQueryGoesOn keeps paging through expired items, leaves out the end of the range, and stops at the limit.
func TestQueryGoesOn(t *testing.T) {
	page := func(more string, sorts ...string) answer {
		var items []string
		for _, s := range sorts {
			sort, ttl, expires := strings.Cut(s, "@")
			it := `{"pk":{"S":"p"},"sk":{"S":"` + sort + `"}`
			if expires {
				it += `,"ttl":{"N":"` + ttl + `"}`
			}
			items = append(items, it+"}")
		}
		last := ""
		if more != "" {
			last = `,"LastEvaluatedKey":{"pk":{"S":"p"},"sk":{"S":"` + more + `"}}`
		}
		return ok(`{"ConsumedCapacity":{"CapacityUnits":0.5},"Items":[` + strings.Join(items, ",") + `]` + last + `}`)
	}
	// Now is 1772366400: what expires then is gone.
	answers := []answer{page("b", "a@1772366400", "b@1"), page("c"), page("e", "d", "e@1772366401"), page("", "f", "z")}
	for _, test := range []struct {
		limit, calls int
		want         string
	}{{0, 4, "def"}, {1, 3, "d"}, {2, 3, "de"}, {3, 4, "def"}, {4, 4, "def"}} {
		on(t, answers, func(t *testing.T, tab *dynamo.Table, w *wire) {
			got := ""
			for it, err := range tab.Query(t.Context(), table.Query{Partition: "p", From: "a", To: "z", Limit: test.limit}) {
				if err != nil {
					t.Fatal(err)
				}
				got += it.Sort
			}
			if got != test.want || len(w.calls) != test.calls {
				t.Errorf("limit %d: got %q in %d calls, want %q in %d", test.limit, got, len(w.calls), test.want, test.calls)
			}
			if got, want := tab.Units(), (table.Units{Read: float64(test.calls) / 2, Reads: int64(test.calls)}); got != want {
				t.Errorf("used %+v, want %+v", got, want)
			}
			if w.calls[1].body["ExclusiveStartKey"] == nil {
				t.Error("the second page began at the start")
			}
		})
	}
}

// TestForeignItems reads items that this package never writes: each is an error, never a wrong item.
func TestForeignItems(t *testing.T) {
	for _, attribute := range []string{
		`"n":{"N":"1.5"}`, `"n":{"N":"99999999999999999999"}`, `"x":{"NULL":true}`, `"x":{"BS":["AA=="]}`, `"x":{"SS":["a"]}`,
		`"x":{"L":[{"S":"a"},{"N":"1"}]}`, `"x":{"L":[{"M":{}},{"S":"a"}]}`, `"x":{"M":{"y":{"NULL":true}}}`,
		`"x":{"L":[{"M":{"y":{"N":"1.5"}}}]}`, `"rev":{"S":"1"}`, `"ttl":{"N":"x"}`,
	} {
		on(t, []answer{ok(`{"Item":{"pk":{"S":"p"},"sk":{"S":"s"},` + attribute + `}}`)},
			func(t *testing.T, tab *dynamo.Table, _ *wire) {
				if it, err := tab.Get(t.Context(), item("s").Key); err == nil || errors.Is(err, table.ErrAbsent) {
					t.Errorf("%s: got %v, %v", attribute, it, err)
				}
			})
	}
	on(t, []answer{ok(`{"Item":{"pk":{"N":"1"},"sk":{"S":"s"}}}`)}, func(t *testing.T, tab *dynamo.Table, _ *wire) {
		if it, err := tab.Get(t.Context(), item("s").Key); err == nil {
			t.Errorf("got %v under a key that is a number", it)
		}
	})
}

// TestUnits counts the costs that DynamoDB reports, and those of failed conditions, which it does not report.
func TestUnits(t *testing.T) {
	create := table.Op{Verb: table.Create, Item: item("s")}
	check := table.Op{Verb: table.Check, Item: item("t")}
	big := `{"pk":{"S":"p"},"sk":{"S":"s"},"text":{"S":"` + strings.Repeat("x", 3000) + `"}}`
	for _, test := range []struct {
		name   string
		ops    []table.Op
		answer answer
		want   table.Units
	}{
		{"told", []table.Op{create}, ok(`{"ConsumedCapacity":{"CapacityUnits":1}}`), table.Units{Write: 1, Writes: 1}},
		{"failed, by the greater of both items", []table.Op{create}, taken(big), table.Units{Write: 3, Writes: 1}},
		{"transaction", []table.Op{create, check}, ok(`{"ConsumedCapacity":[{"CapacityUnits":4,"WriteCapacityUnits":4}]}`),
			table.Units{Write: 4, Writes: 2}},
		{"transaction known by its token", []table.Op{create, check},
			ok(`{"ConsumedCapacity":[{"CapacityUnits":4,"ReadCapacityUnits":4}]}`), table.Units{Read: 4, Writes: 2}},
		{"transaction failed", []table.Op{create, check}, cancelled("None", "ConditionalCheckFailed"),
			table.Units{Write: 4, Writes: 2}},
	} {
		on(t, []answer{test.answer}, func(t *testing.T, tab *dynamo.Table, _ *wire) {
			if err := tab.Commit(t.Context(), test.ops...); err != nil && !errors.Is(err, table.ErrConflict) {
				t.Fatal(err)
			}
			if got := tab.Units(); got != test.want {
				t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
			}
		})
	}
}

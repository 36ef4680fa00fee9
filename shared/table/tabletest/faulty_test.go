package tabletest_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"testing"

	"github.com/mailtrail/mailtrail/shared/table"
	"github.com/mailtrail/mailtrail/shared/table/tabletest"
)

// noting is a table that notes what it was asked to do.
type noting struct{ done []string }

func (n *noting) note(op string) { n.done = append(n.done, op) }

func (n *noting) Get(context.Context, table.Key) (table.Item, error) {
	n.note("get")
	return table.Item{Revision: 1}, nil
}

func (n *noting) GetMany(context.Context, []table.Key) ([]table.Item, error) {
	n.note("getmany")
	return []table.Item{{}}, nil
}

func (n *noting) Query(context.Context, table.Query) iter.Seq2[table.Item, error] {
	return func(yield func(table.Item, error) bool) {
		n.note("query")
		for range 3 {
			if !yield(table.Item{}, nil) {
				return
			}
		}
	}
}

func (n *noting) Commit(context.Context, ...table.Op) error { n.note("commit"); return nil }
func (n *noting) Load(context.Context, ...table.Item) error { n.note("load"); return nil }
func (n *noting) Create(context.Context, ...table.Item) ([]bool, error) {
	n.note("create")
	return []bool{true}, nil
}

// operations do each operation once, and return its error; a failed one must give nothing else.
func operations(t *testing.T, tab table.Table) map[string]func() error {
	ctx := t.Context()
	return map[string]func() error{
		"get": func() error {
			it, err := tab.Get(ctx, table.Key{})
			if err != nil && it.Revision != 0 {
				t.Error("a failed get gave an item")
			}
			return err
		},
		"getmany": func() error {
			items, err := tab.GetMany(ctx, nil)
			if err != nil && items != nil {
				t.Error("a failed getmany gave items")
			}
			return err
		},
		"query": func() (last error) {
			for _, err := range tab.Query(ctx, table.Query{}) {
				if last != nil {
					t.Error("a query went on after an error")
				}
				last = err
			}
			return last
		},
		"commit": func() error { return tab.Commit(ctx) },
		"load":   func() error { return tab.Load(ctx) },
		"create": func() error {
			created, err := tab.Create(ctx)
			if err != nil && created != nil {
				t.Error("a failed create gave results")
			}
			return err
		},
	}
}

// TestFaulty fails the second call of each operation, before and after it.
func TestFaulty(t *testing.T) {
	fault := errors.New("fault")
	for _, after := range []bool{false, true} {
		inner := &noting{}
		faulty := &tabletest.Faulty{Table: inner}
		for op, do := range operations(t, faulty) {
			plan := func(asked string, n int) error {
				if asked == op && n == 2 {
					return fault
				}
				return nil
			}
			faulty.Before, faulty.After = plan, nil
			if after {
				faulty.Before, faulty.After = nil, plan
			}
			inner.done = nil
			for n, want := range []error{nil, fault, nil} {
				if err := do(); !errors.Is(err, want) {
					t.Errorf("%s %d, after is %v: got error %v, want %v", op, n+1, after, err, want)
				}
			}
			want := []string{op, op}
			if after {
				want = append(want, op)
			}
			if !slices.Equal(inner.done, want) {
				t.Errorf("%s, after is %v: done %v, want %v", op, after, inner.done, want)
			}
		}
	}
}

func TestFaultyQueryStops(t *testing.T) {
	faulty := &tabletest.Faulty{Table: &noting{}, After: func(string, int) error { return errors.New("fault") }}
	n := 0
	for range faulty.Query(t.Context(), table.Query{}) {
		n++
		break
	}
	if n != 1 {
		t.Errorf("yielded %d times", n)
	}
}

package tabletest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/mailtrail/mailtrail/shared/table"
)

// situation is how an item is before an operation.
type situation struct {
	name string
	make func(t *testing.T, tab table.Table, k table.Key) (revision int64)
}

func situations() []situation {
	return []situation{
		{"absent", func(*testing.T, table.Table, table.Key) int64 { return 0 }},
		{"loaded", func(t *testing.T, tab table.Table, k table.Key) int64 {
			load(t, tab, item(k.Partition, k.Sort, "before"))
			return 0
		}},
		{"created", func(t *testing.T, tab table.Table, k table.Key) int64 {
			create(t, tab, item(k.Partition, k.Sort, "before"))
			return get(t, tab, k).Revision
		}},
	}
}

// attempt is an operation, and whether its condition holds in each situation.
type attempt struct {
	name string
	verb table.Verb
	// at gives the revision to ask for, given the item's.
	at                       func(revision int64) int64
	absent, loaded, existing bool
}

func attempts() []attempt {
	none := func(int64) int64 { return 0 }
	same := func(r int64) int64 { return max(r, 1) }
	other := func(r int64) int64 { return r + 1 }
	return []attempt{
		{"put", table.Put, none, true, true, true},
		{"create", table.Create, none, true, false, false},
		{"replace", table.Replace, same, false, false, true},
		{"replace another revision", table.Replace, other, false, false, false},
		{"delete", table.Delete, none, true, true, true},
		{"delete at revision", table.Delete, same, false, false, true},
		{"delete another revision", table.Delete, other, false, false, false},
		{"check free", table.Check, none, true, false, false},
		{"check revision", table.Check, same, false, false, true},
		{"check another revision", table.Check, other, false, false, false},
	}
}

func (a attempt) holds(s situation) bool {
	return map[string]bool{"absent": a.absent, "loaded": a.loaded, "created": a.existing}[s.name]
}

// trial is an attempt on an item of its own.
type trial struct {
	attempt
	situation
	op     table.Op
	before int64
}

func newTrial(t *testing.T, tab table.Table, a attempt, s situation, k table.Key) trial {
	t.Helper()
	before := s.make(t, tab, k)
	it := item(k.Partition, k.Sort, "after")
	it.Revision = a.at(before)
	return trial{a, s, op(a.verb, it), before}
}

// check fails unless the item is as the trial leaves it, which was done or not.
func (tr trial) check(t *testing.T, tab table.Table, done bool) {
	t.Helper()
	k := tr.op.Item.Key
	gone := tr.situation.name == "absent"
	want := "before"
	if done {
		switch tr.verb {
		case table.Put, table.Create, table.Replace:
			gone, want = false, "after"
		case table.Delete:
			gone = true
		}
	}
	if gone {
		wantAbsent(t, tab, k)
		return
	}
	it := get(t, tab, k)
	if text(it) != want {
		t.Errorf("%s of %s item, done is %v: it has text %q, want %q", tr.attempt.name, tr.situation.name, done, text(it),
			want)
	}
	wantRevision := tr.before != 0
	if done && tr.verb != table.Check {
		wantRevision = tr.verb != table.Put
	}
	if (it.Revision > 0) != wantRevision {
		t.Errorf("%s of %s item, done is %v: revision %d", tr.attempt.name, tr.situation.name, done, it.Revision)
	}
}

// testConditions does every operation in every situation.
func testConditions(t *testing.T, tab table.Table) {
	for _, a := range attempts() {
		for _, s := range situations() {
			tr := newTrial(t, tab, a, s, key("p", a.name+"|"+s.name))
			err := tab.Commit(t.Context(), tr.op)
			if a.holds(s) && err != nil || !a.holds(s) && !errors.Is(err, table.ErrConflict) {
				t.Errorf("%s of %s item: got %v", a.name, s.name, err)
			}
			tr.check(t, tab, a.holds(s))
		}
	}
}

// testPairs commits every two operations together: both are done, or none.
func testPairs(t *testing.T, tab table.Table) {
	for i, a := range attempts() {
		for j, b := range attempts() {
			for n, s := range situations() {
				s2 := situations()[(n+i+j)%3]
				name := fmt.Sprint(i, "|", j, "|", n)
				first := newTrial(t, tab, a, s, key("p", name))
				second := newTrial(t, tab, b, s2, key("other", name)) // in another partition
				holds := a.holds(s) && b.holds(s2)
				err := tab.Commit(t.Context(), first.op, second.op)
				if holds && err != nil || !holds && !errors.Is(err, table.ErrConflict) {
					t.Errorf("%s of %s item with %s of %s item: got %v", a.name, s.name, b.name, s2.name, err)
				}
				first.check(t, tab, holds)
				second.check(t, tab, holds)
			}
			same := key("same", "key")
			err := tab.Commit(t.Context(),
				table.Op{Verb: a.verb, Item: table.Item{Key: same, Revision: 1}},
				table.Op{Verb: table.Put, Item: item("p", fmt.Sprint("between", i, j), "")},
				table.Op{Verb: b.verb, Item: table.Item{Key: same, Revision: 1}})
			wantErr(t, a.name+" and "+b.name+" of one key", err, table.ErrInvalid)
			wantAbsent(t, tab, key("p", fmt.Sprint("between", i, j)))
		}
	}
}

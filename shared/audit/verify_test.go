package audit_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/table"
)

const verified = 250 // blobs, more than a recount holds in memory at once

// settled is a ledger with blobs in every state.
func settled(t *testing.T) *stage {
	t.Helper()
	s := newStage(t, 1)
	s.feed.size = 100
	s.feed.publish("t0", verified, s.clock.Now().Add(-time.Minute))
	s.poll(t)
	for i, b := range s.out.sent {
		if i%3 == 2 {
			continue
		}
		begun, err := s.Ledger.Begin(t.Context(), b)
		if err == nil {
			switch {
			case i%5 == 4: // it stays begun
			case i%7 == 6:
				err = s.Ledger.Lose(t.Context(), begun, "gone", audit.Tally{Records: 1})
			default:
				err = s.Ledger.Settle(t.Context(), begun, audit.Tally{Records: 10, Events: 2, LastSend: s.clock.Now()})
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s *stage) verify(t *testing.T) audit.Recount {
	t.Helper()
	r, err := s.Ledger.Verify(t.Context(), "c0")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestALedgerThatAddsUpIsFoundRight(t *testing.T) {
	s := settled(t)
	r := s.verify(t)
	if len(r.Wrong) > 0 || r.Expired || r.Kept.Listed != verified || r.Found.Listed != verified ||
		r.Kept.Tally != r.Found.Tally {
		t.Errorf("recount: %+v", r)
	}
	if r.Open == 0 || r.Found.Settled == 0 || r.Found.Lost == 0 || r.Found.Listed != r.Found.Settled+r.Found.Lost+r.Open {
		t.Errorf("recount: %+v", r)
	}
}

// TestEntriesThatHaveExpiredAreNotMissed: what has ended is forgotten after 60 days, and the sums and the open blobs
// are not.
func TestEntriesThatHaveExpiredAreNotMissed(t *testing.T) {
	s := settled(t)
	open := s.verify(t).Open
	s.clock.advance(61 * 24 * time.Hour)
	r := s.verify(t)
	if len(r.Wrong) > 0 || !r.Expired || r.Found.Listed != open || r.Open != open || r.Kept.Listed != verified {
		t.Errorf("recount after two months: %+v", r)
	}
}

// TestALedgerThatContradictsItselfIsFoundOut changes one item at a time behind the ledger's back.
func TestALedgerThatContradictsItselfIsFoundOut(t *testing.T) {
	list := func(partition string) func(*testing.T, *stage) table.Item {
		return func(t *testing.T, s *stage) table.Item {
			t.Helper()
			for item, err := range s.Ledger.Table.Query(t.Context(), table.Query{Partition: "c0|" + partition}) {
				if err != nil {
					t.Fatal(err)
				}
				return item
			}
			t.Fatalf("there is nothing in %s", partition)
			return table.Item{}
		}
	}
	entry := func(state audit.State) func(*testing.T, *stage) table.Item {
		return func(t *testing.T, s *stage) table.Item {
			t.Helper()
			for item, err := range s.Ledger.Table.Query(t.Context(), table.Query{Partition: "c0|blob"}) {
				if err != nil {
					t.Fatal(err)
				}
				if item.Attrs["state"] == string(state) {
					return item
				}
			}
			t.Fatalf("no blob is %s", state)
			return table.Item{}
		}
	}
	remove := func(item table.Item) table.Op { return table.Op{Verb: table.Delete, Item: item} }
	set := func(attr string, value any) func(table.Item) table.Op {
		return func(item table.Item) table.Op {
			item.Attrs[attr] = value
			return table.Op{Verb: table.Put, Item: item}
		}
	}
	for name, test := range map[string]struct {
		find   func(*testing.T, *stage) table.Item
		change func(table.Item) table.Op
		want   string
	}{
		"a settled entry is gone":      {entry(audit.Settled), remove, `the sum "listed" is 250, and the entries add up to 249`},
		"an open entry is gone":        {entry(audit.WasListed), remove, "has no entry"},
		"an open blob is not in line":  {list("open"), remove, "is not in the list of open blobs"},
		"a lost blob is not in line":   {list("lost"), remove, "is not in the list of lost blobs"},
		"an open blob is settled":      {entry(audit.Begun), set("state", "settled"), "is in the list of open blobs, and is settled"},
		"an open blob moved":           {entry(audit.Begun), set("arrival", "2026-11-21T00:00:00.000Z"), "at the wrong time"},
		"a state that there is not":    {entry(audit.Settled), set("state", "eaten"), `is in the state "eaten"`},
		"more is counted than there":   {list("sums"), set("events", int64(1000)), `the sum "events"`},
		"more has ended than is known": {list("sums"), set("settled", int64(1000)), "which leaves -"},
		"a sum below nothing":          {list("sums"), set("noise", int64(-1)), `the sum "noise" is -1`},
		"the newest send is wrong":     {entry(audit.Settled), set("tally", table.Attrs{"records": int64(10), "events": int64(2), "lastsend": "2026-11-22T00:00:00.000Z"}), "the newest message"},
	} {
		t.Run(name, func(t *testing.T) {
			s := settled(t)
			item := test.find(t, s)
			item.Revision = 0
			if err := s.Ledger.Table.Commit(t.Context(), test.change(item)); err != nil {
				t.Fatal(err)
			}
			if said := strings.Join(s.verify(t).Wrong, "\n"); !strings.Contains(said, test.want) {
				t.Errorf("the recount says %q, want %q", said, test.want)
			}
		})
	}
}

// TestARecountSpellsOutABoundedNumberOfContradictions loses the whole list of open blobs.
func TestARecountSpellsOutABoundedNumberOfContradictions(t *testing.T) {
	s := settled(t)
	open := s.verify(t).Open
	for item, err := range s.Ledger.Table.Query(t.Context(), table.Query{Partition: "c0|open"}) {
		if err == nil {
			item.Revision = 0
			err = s.Ledger.Table.Commit(t.Context(), table.Op{Verb: table.Delete, Item: item})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	r := s.verify(t)
	if len(r.Wrong) != 20 || int64(len(r.Wrong)+r.More) != open {
		t.Errorf("%d sentences and %d more for %d blobs:\n%s", len(r.Wrong), r.More, open, fmt.Sprint(r.Wrong))
	}
}

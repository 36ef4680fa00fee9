package forensic_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/forensic"
	"github.com/mailtrail/mailtrail/shared/table"
	"github.com/mailtrail/mailtrail/shared/table/tabletest"
)

// A message that is purged while it is settled leaves nothing behind.
func TestSettlingAfterAPurgeResurrectsNothing(t *testing.T) {
	w, _ := waitingWorld(t, send(1, twoFiles))
	m, _ := load(t, w.desk(), id(1))
	purged := &tabletest.Faulty{Table: w.events, Before: func(op string, n int) error {
		if op == "commit" && n == 1 {
			return w.events.Commit(
				context.Background(),
				table.Op{Verb: table.Delete, Item: table.Item{Key: forensic.MessageKey(contoso, id(1))}},
			)
		}
		return nil
	}}
	d := w.desk()
	d.Events = purged
	if err := d.Settle(t.Context(), m, finding(1)); err != nil {
		t.Fatal(err)
	}
	term := forensic.Term{Field: forensic.DomainField, Value: "paper.example"}
	if left := sorts(t, w.events, forensic.TermPartition(contoso, term.Field, m.Observed,
		forensic.Bucket(term.Value))); len(
		left,
	) != 0 {
		t.Errorf("postings are left: %q", left)
	}
	if _, settled := load(t, w.desk(), id(1)); !settled {
		t.Error("a message that is gone is still to be enriched")
	}
}

// What was written for a message that is purged meanwhile holds addresses of people; one failure to delete it is not
// the end of it.
func TestWhatAPurgedMessageLeftIsDeletedThoughTheTableFailsOnce(t *testing.T) {
	for _, done := range []bool{false, true} {
		w, _ := waitingWorld(t, send(1, twoFiles))
		m, _ := load(t, w.desk(), id(1))
		failing := func(op string, n int) error {
			if op == "commit" && n == 2 {
				return fmt.Errorf("the table is busy: %w", fault.Retry)
			}
			return nil
		}
		faulty := &tabletest.Faulty{Table: w.events, Before: func(op string, n int) error {
			if op == "commit" && n == 1 {
				return w.events.Commit(
					context.Background(),
					table.Op{Verb: table.Delete, Item: table.Item{Key: forensic.MessageKey(contoso, id(1))}},
				)
			}
			if done {
				return nil
			}
			return failing(op, n)
		}}
		if done {
			faulty.After = failing
		}
		d := w.desk()
		d.Events = faulty
		if err := d.Settle(t.Context(), m, finding(1)); err != nil {
			t.Fatal(err)
		}
		term := forensic.Term{Field: forensic.DomainField, Value: "paper.example"}
		if left := sorts(t, w.events, forensic.TermPartition(contoso, term.Field, m.Observed,
			forensic.Bucket(term.Value))); len(
			left,
		) != 0 {
			t.Errorf("done %v: postings are left: %q", done, left)
		}
	}
}

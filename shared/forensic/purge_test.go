package forensic_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/forensic"
	"github.com/mailtrail/mailtrail/shared/table"
	"github.com/mailtrail/mailtrail/shared/table/tabletest"
)

// noted is a table that remembers which keys were ever written.
type noted struct {
	table.Table
	mu   sync.Mutex
	keys map[table.Key]bool
}

func (n *noted) note(items ...table.Item) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, item := range items {
		n.keys[item.Key] = true
	}
}

func (n *noted) Load(ctx context.Context, items ...table.Item) error {
	n.note(items...)
	return n.Table.Load(ctx, items...)
}

func (n *noted) Create(ctx context.Context, items ...table.Item) ([]bool, error) {
	n.note(items...)
	return n.Table.Create(ctx, items...)
}

func (n *noted) Commit(ctx context.Context, ops ...table.Op) error {
	for _, op := range ops {
		n.note(op.Item)
	}
	return n.Table.Commit(ctx, ops...)
}

// left lists what is there of all that was ever written, by whether it is of the connection.
func (n *noted) left(t *testing.T, c connection.ID) (its, others int) {
	t.Helper()
	keys := make([]table.Key, 0, len(n.keys))
	for k := range n.keys {
		keys = append(keys, k)
	}
	items, err := n.GetMany(t.Context(), keys)
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range items {
		if strings.HasPrefix(item.Partition, string(c)+"|") {
			its++
		} else {
			others++
		}
	}
	return its, others
}

// stocked is a table with messages of two connections, of several days and months: large ones, enriched ones, ones
// that wait, and what a crash left.
func stocked(t *testing.T) (*world, *noted) {
	t.Helper()
	w := newWorld(t)
	events := &noted{Table: w.events, keys: map[table.Key]bool{}}
	w.events, w.queue = events, &outbox{}
	var records []string
	for n := range 30 {
		records = append(records, send(n*24*60, fmt.Sprintf("%d.pdf (1b); b.docx (2b)", n)))
	}
	records = append(records, send(99, strings.Repeat("many.pdf (1b); ", 3000)))
	retry(t, w, w.add("blob", now, array(records...)))
	for n := range 5 {
		m, settled := load(t, w.desk(), id(n*24*60))
		if settled {
			t.Fatal("nothing waits")
		}
		if err := w.desk().Settle(t.Context(), m, finding(n)); err != nil {
			t.Fatal(err)
		}
	}
	crashed := w.ingester()
	crashed.Events = &tabletest.Faulty{Table: events, Before: func(op string, _ int) error {
		if op == "create" {
			return errCrash
		}
		return nil
	}}
	if err := crashed.Ingest(t.Context(), w.add("crashed", now, array(send(7777, "lost.pdf (1b)")))); !errors.Is(
		err,
		errCrash,
	) {
		t.Fatal(err)
	}
	other := strings.ReplaceAll(
		string(w.add("other", now, array(send(5, "theirs.pdf (1b)")))),
		string(contoso),
		"0000000other",
	)
	retry(t, w, []byte(other))
	return w, events
}

func TestAPurgeLeavesNothingOfAConnectionAndAllOfTheOthers(t *testing.T) {
	for _, budget := range []int{1, 50, 1_000_000} {
		w, events := stocked(t)
		its, others := events.left(t, contoso)
		if its < 200 || others == 0 {
			t.Fatalf("%d items are there, and %d of others", its, others)
		}
		total, slices := 0, 0
		for done := false; !done; slices++ {
			n, end, err := forensic.Purge(t.Context(), w.events, contoso, budget)
			if err != nil {
				t.Fatal(err)
			}
			if n > budget+200 || slices > 10*its {
				t.Fatalf("slice %d with budget %d deleted %d", slices, budget, n)
			}
			total, done = total+n, end
		}
		left, stayed := events.left(t, contoso)
		if left != 0 || stayed != others || total < its {
			t.Errorf(
				"budget %d: %d of %d items are left, %d of %d of others; %d deleted in %d slices",
				budget,
				left,
				its,
				stayed,
				others,
				total,
				slices,
			)
		}
		if n, done, err := forensic.Purge(t.Context(), w.events, contoso, budget); n != 0 || !done || err != nil {
			t.Errorf("once more: %d, %t, %v", n, done, err)
		}
	}
}

// A purge that fails at any write is ended by the next one, and no message is without what leads to it before that.
func TestAPurgeThatFailsAnywhereLeavesWhatTheNextOneFinds(t *testing.T) {
	for n := 1; n < 200; n += 7 {
		_, events := stocked(t)
		faulty := &tabletest.Faulty{Table: events, Before: func(op string, i int) error {
			if op == "commit" && i >= n {
				return errCrash
			}
			return nil
		}}
		_, done, err := forensic.Purge(t.Context(), faulty, contoso, 1_000_000)
		if done {
			return // there are no more writes than that
		}
		if !errors.Is(err, errCrash) {
			t.Fatalf("write %d: %v", n, err)
		}
		if _, done, err := forensic.Purge(t.Context(), events, contoso, 1_000_000); err != nil || !done {
			t.Fatal(err)
		}
		if left, _ := events.left(t, contoso); left != 0 {
			t.Errorf("after a crash at write %d: %d items are left", n, left)
		}
	}
	t.Error("a purge has more writes than this test tries")
}

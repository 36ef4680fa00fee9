package forensic_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/forensic"
	"github.com/mailtrail/mailtrail/shared/table"
)

// A process that dies at any write, before it, in its middle, or after it without an answer, loses nothing and doubles
// nothing: the queue brings the blob back, and the end is the same. So it is when only the write failed.
func TestCrashAtAnyWriteLosesAndDoublesNothing(t *testing.T) {
	w := newWorld(t)
	// The records are so large that there are several batches, and one message has further items.
	large := strings.Repeat("x", 600<<10)
	var records []string
	for n := range 9 {
		records = append(
			records,
			strings.Replace(send(n*24*60, fmt.Sprintf("%d.pdf (1b)", n)), `"Version":1`, `"New":"`+large+`"`, 1),
		)
	}
	records = append(records, send(99, strings.Repeat("many.pdf (1b); ", 3000)))
	calm := *w
	retry(t, &calm, calm.add("blob", now, array(records...)))
	want := shown(t, calm.events)
	if len(want) != len(records) {
		t.Fatalf("%d messages are shown without a crash, want %d", len(want), len(records))
	}

	for _, how := range []crash{before, midway, afterwards} {
		writes := 0
		for crashAt(t, w, records, want, how, writes+1) {
			writes++
		}
		if writes < 8 {
			t.Errorf("%d writes, want several batches of two", writes)
		}
	}
}

// crashAt ingests the records into tables of their own with a crash at the n-th write, and once more without. It
// reports whether there are so many writes.
func crashAt(
	t *testing.T,
	w *world,
	records []string,
	want map[forensic.RecordID]forensic.Message,
	how crash,
	n int,
) bool {
	t.Helper()
	ctx := context.Background()
	events, blobs := w.store.Table(fmt.Sprintf("events-%d-%d", how, n)), w.store.Table(fmt.Sprintf("blobs-%d-%d", how, n))
	doom := &plan{how: how, left: n}
	run := world{feed: feed{}, events: &crashing{events, doom}, blobs: &crashing{blobs, doom}}
	body := run.add("blob", now, array(records...))
	in := run.ingester()
	err := in.Ingest(ctx, body)
	if doom.left > 0 && err == nil {
		return false
	}
	if !errors.Is(err, errCrash) {
		t.Fatalf("crash %d at write %d: ingest says %v", how, n, err)
	}
	for record, m := range shown(t, events) {
		if !same(m, want[record]) {
			t.Errorf("crash %d at write %d: message %s is shown, but is not whole", how, n, record)
		}
	}
	requireAllFound(t, events, want)

	run.events, run.blobs = events, blobs
	if survives := n%2 == 0; survives { // only the write failed, and the process goes on with what it remembers
		in.Events, in.Ledger = events, run.ledger()
		if err := in.Ingest(ctx, body); err != nil {
			t.Fatalf("crash %d at write %d: ingest says %v without it", how, n, err)
		}
	}
	retry(t, &run, body)
	if got := shown(t, events); !maps.EqualFunc(got, want, same) {
		t.Errorf("crash %d at write %d: in the end %d messages are shown, want %d", how, n, len(got), len(want))
	}
	requireAllFound(t, events, want)
	if e := run.entry(t, "blob"); e.State != audit.Settled || e.Tally.Messages+e.Tally.Repeated != int64(len(records)) {
		t.Errorf("crash %d at write %d: blob is %s with %+v", how, n, e.State, e.Tally)
	}
	return true
}

func same(a, b forensic.Message) bool {
	return slices.Equal(a.Files, b.Files) && a.EventID(0) == b.EventID(0)
}

// requireAllFound makes sure that every index leads to each message that is stored.
func requireAllFound(t *testing.T, events table.Table, want map[forensic.RecordID]forensic.Message) {
	t.Helper()
	stored, err := forensic.Load(context.Background(), events, contoso, slices.Collect(maps.Keys(want)))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range stored {
		requireFound(t, events, m)
	}
}

var errCrash = errors.New("the process died")

type crash int

const (
	before     crash = iota // and the write was not made
	midway                  // and some of its items were written
	afterwards              // and the write was made
)

// plan lets all writes fail from the left-th on.
type plan struct {
	how  crash
	left int
}

func (p *plan) write(all, some func() error) error {
	p.left--
	switch {
	case p.left > 0:
		return all()
	case p.left == 0 && p.how == midway:
		return errors.Join(errCrash, some())
	case p.left == 0 && p.how == afterwards:
		return errors.Join(errCrash, all())
	}
	return errCrash
}

// crashing is a table whose writes follow a plan.
type crashing struct {
	table.Table
	plan *plan
}

func (c *crashing) Commit(ctx context.Context, ops ...table.Op) error {
	none := func() error { return nil }
	return c.plan.write(func() error { return c.Table.Commit(ctx, ops...) }, none)
}

func (c *crashing) Load(ctx context.Context, items ...table.Item) error {
	load := func(items []table.Item) func() error {
		return func() error { return c.Table.Load(ctx, items...) }
	}
	return c.plan.write(load(items), load(items[len(items)/2:]))
}

func (c *crashing) Create(ctx context.Context, items ...table.Item) (created []bool, err error) {
	create := func(items []table.Item) func() error {
		return func() (err error) {
			created, err = c.Table.Create(ctx, items...)
			return err
		}
	}
	if err := c.plan.write(create(items), create(items[len(items)/2:])); err != nil {
		return nil, err
	}
	return created, nil
}

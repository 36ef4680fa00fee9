package audit_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/table"
	"github.com/mailtrail/mailtrail/shared/table/tabletest"
)

func (s *stage) watermark(t *testing.T) time.Time {
	t.Helper()
	w, err := s.Ledger.Watermark(t.Context(), "c0")
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestLedgerAddsUpWhileManyWorkersEndBlobs(t *testing.T) {
	s := newStage(t, 1)
	const blobs = 120
	s.feed.publish("t0", blobs, s.clock.Now().Add(-time.Minute))
	s.poll(t)

	work := make(chan audit.Blob)
	var workers sync.WaitGroup
	for w := range 8 {
		workers.Go(func() {
			dice := rand.New(rand.NewPCG(1, uint64(w)))
			for b := range work {
				begun, err := s.Ledger.Begin(t.Context(), b)
				if errors.Is(err, audit.ErrEnded) {
					continue
				}
				if err != nil {
					t.Errorf("begin %s: %v", b.ID, err)
					continue
				}
				if dice.IntN(4) == 0 {
					err = s.Ledger.Lose(t.Context(), begun, "gone", audit.Tally{Records: 1})
				} else {
					err = s.Ledger.Settle(t.Context(), begun, audit.Tally{Records: 10, Events: 2})
				}
				if err != nil {
					t.Errorf("end %s: %v", b.ID, err)
				}
			}
		})
	}
	// Every blob is delivered twice, as a queue may.
	for range 2 {
		for _, b := range s.out.sent {
			work <- b
		}
	}
	close(work)
	workers.Wait()

	sums := s.sums(t, "c0")
	if sums.Listed != blobs || sums.Open() != 0 || s.open(t, "c0") != 0 || sums.Settled == 0 || sums.Lost == 0 {
		t.Errorf("ledger: %+v, %d open", sums, s.open(t, "c0"))
	}
	if want := 10*sums.Settled + sums.Lost; sums.Tally.Records != want {
		t.Errorf("%d records counted, want %d", sums.Tally.Records, want)
	}
}

func TestWatermarkStaysBelowWhatIsOpen(t *testing.T) {
	s := newStage(t, 1)
	if w := s.watermark(t); !w.IsZero() {
		t.Fatalf("before the first poll the watermark is %s", w)
	}
	s.feed.publish("t0", 2, s.clock.Now().Add(-time.Minute))
	s.poll(t)
	first := s.out.sent[0].Arrival
	if w := s.watermark(t); !w.Before(first) {
		t.Errorf("watermark %s, want it before %s, when two open blobs arrived", w, first)
	}
	for _, b := range s.out.sent {
		begun, err := s.Ledger.Begin(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		if w := s.watermark(t); !w.Before(first) {
			t.Errorf("watermark %s while %s is being read", w, b.ID)
		}
		if err := s.Ledger.Settle(t.Context(), begun, audit.Tally{}); err != nil {
			t.Fatal(err)
		}
	}
	if w := s.watermark(t); !w.Equal(first) {
		t.Errorf("watermark %s when all is settled, want %s", w, first)
	}
	s.poll(t) // at the very same time
	if w := s.watermark(t); !w.After(first) {
		t.Errorf("the next poll's arrival %s is not after %s", w, first)
	}
}

// TestABlobOfAPollThatCrashedIsNotReadIntoThePast is the crash between sending and remembering.
func TestABlobOfAPollThatCrashedIsNotReadIntoThePast(t *testing.T) {
	s := newStage(t, 1)
	s.poll(t)
	s.clock.advance(time.Minute)
	s.feed.publish("t0", 1, s.clock.Now().Add(-time.Second))
	s.out.fail = func() error { return errAfterwards }
	s.poll(t) // sends, does not remember, and cannot complete
	orphan := s.out.sent[0]

	// Its poll is the newest and did not complete, so nothing beyond its arrival was served: it may be read at once.
	if w := s.watermark(t); !w.Before(orphan.Arrival) {
		t.Fatalf("watermark %s passed the arrival %s of a blob that is not remembered", w, orphan.Arrival)
	}
	s.out.fail = nil
	s.clock.advance(time.Minute)
	s.feed.mu.Lock()
	s.feed.blobs["t0"] = nil // Microsoft does not list it this time
	s.feed.mu.Unlock()
	s.poll(t)
	if _, err := s.Ledger.Begin(t.Context(), orphan); !errors.Is(err, fault.Retry) {
		t.Errorf("begin of a blob that arrived before the last complete poll and is not remembered: %v, want Retry", err)
	}
}

func TestABlobIsReadBeforeItsPollRemembersIt(t *testing.T) {
	s := newStage(t, 1)
	s.poll(t)
	s.clock.advance(time.Minute)
	s.feed.publish("t0", 3, s.clock.Now().Add(-time.Second))
	s.out.fail = func() error { return errAfterwards }
	s.poll(t)
	s.out.fail = nil
	early, err := s.Ledger.Begin(t.Context(), s.out.sent[0])
	if err != nil {
		t.Fatal(err)
	}
	s.clock.advance(time.Minute)
	s.poll(t) // lists all three, and knows the first
	if sums := s.sums(t, "c0"); sums.Listed != 3 || s.open(t, "c0") != 3 {
		t.Errorf("ledger: %+v, %d open", sums, s.open(t, "c0"))
	}
	if w := s.watermark(t); !w.Before(early.Arrival) {
		t.Errorf("watermark %s passed a blob that is being read, arrived %s", w, early.Arrival)
	}
}

func TestStaleBlobs(t *testing.T) {
	s := newStage(t, 1)
	s.feed.publish("t0", 2, s.clock.Now().Add(-time.Minute))
	s.poll(t)
	begun, err := s.Ledger.Begin(t.Context(), s.out.sent[0])
	if err != nil {
		t.Fatal(err)
	}
	untouched := s.out.sent[1]

	s.clock.advance(11 * time.Minute)
	s.poll(t)
	e, err := s.Ledger.Find(t.Context(), "c0", untouched.ID)
	if err != nil || !e.Arrival.After(untouched.Arrival) {
		t.Errorf(
			"a blob that nothing was read of arrived %s after its hold, err %v; want later than %s",
			e.Arrival,
			err,
			untouched.Arrival,
		)
	}
	if e, err = s.Ledger.Find(t.Context(), "c0", begun.ID); err != nil || !e.Arrival.Equal(begun.Arrival) {
		t.Errorf("a blob that is being read was moved from %s to %s, err %v", begun.Arrival, e.Arrival, err)
	}
	if n := len(s.out.sent); n != 2 {
		t.Errorf("%d blobs queued after the hold, want the first 2 only", n)
	}

	s.clock.advance(time.Hour)
	if o := s.poll(t); o.Requeued != 2 {
		t.Errorf("after an hour: %+v, want both queued again", o)
	}
	s.clock.advance(8 * 24 * time.Hour)
	s.poll(t)
	sums := s.sums(t, "c0")
	if sums.Lost != 2 || sums.Open() != 0 || s.open(t, "c0") != 0 {
		t.Errorf("after they expired: %+v, %d open", sums, s.open(t, "c0"))
	}
	if e, err = s.Ledger.Find(t.Context(), "c0", untouched.ID); err != nil || e.Reason == "" {
		t.Errorf("a lost blob's reason is %q, err %v", e.Reason, err)
	}
	if _, err := s.Ledger.Begin(t.Context(), untouched); !errors.Is(err, audit.ErrEnded) {
		t.Errorf("begin of a lost blob: %v, want ErrEnded", err)
	}
}

func TestOnlyOneOfTwoPollsHoldsAConnection(t *testing.T) {
	s := newStage(t, 1)
	s.feed.publish("t0", 5, s.clock.Now().Add(-time.Minute))
	var polls sync.WaitGroup
	var mu sync.Mutex
	total := audit.Outcome{}
	other := *s.Poller
	other.Holder = func() string { return "another process" }
	for _, p := range []*audit.Poller{s.Poller, &other} {
		polls.Go(func() {
			o, err := p.Poll(t.Context(), s.clock.Now())
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			total.Queued += o.Queued
			total.Failed += o.Failed
		})
	}
	polls.Wait()
	if total.Queued != 5 || total.Failed != 0 {
		t.Errorf("two polls together: %+v, want 5 blobs queued once", total)
	}
}

func TestALeaseOutlivesItsPollUntilItIsFreedOrRunsOut(t *testing.T) {
	s := newStage(t, 1)
	died, end := context.WithCancel(t.Context())
	s.feed.publish("t0", 1, s.clock.Now().Add(-time.Minute))
	s.feed.fail = func(connection.TenantID, string) error { end(); return context.Canceled }
	s.Poller.Ledger = &audit.Ledger{Table: &tabletest.Faulty{Table: s.Ledger.Table, Before: func(op string, _ int) error {
		if op == "commit" && died.Err() != nil {
			return died.Err() // a dead process releases nothing
		}
		return nil
	}}, Now: s.clock.Now}
	s.poll(t)
	s.feed.fail, s.Poller.Ledger = nil, &audit.Ledger{Table: s.Ledger.Table.(*tabletest.Faulty).Table, Now: s.clock.Now}

	if o := s.poll(t); o.Busy != 1 {
		t.Fatalf("while the dead poll's lease lasts: %+v", o)
	}
	if err := s.Ledger.Free(t.Context(), "c0"); err != nil {
		t.Fatal(err)
	}
	if o := s.poll(t); o.Queued != 1 {
		t.Errorf("after it was freed: %+v", o)
	}
}

func TestFindOfAnUnknownBlob(t *testing.T) {
	s := newStage(t, 1)
	if _, err := s.Ledger.Find(t.Context(), "c0", "nothing"); !errors.Is(err, table.ErrAbsent) {
		t.Errorf("got %v, want ErrAbsent", err)
	}
}

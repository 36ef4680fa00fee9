package audit_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/table/tabletest"
)

// TestAConsentThatIsGivenAgainLeavesNoGap is the tenant that withdrew its consent and gave it again three days later:
// what was listed up to then counts, not when the consent was given.
func TestAConsentThatIsGivenAgainLeavesNoGap(t *testing.T) {
	s := newStage(t, 1)
	s.poll(t)
	s.clock.advance(3 * 24 * time.Hour)
	s.feed.publish("t0", 5, s.clock.Now().Add(-2*24*time.Hour))
	s.roll.all[0].Consented = s.clock.Now()
	if o := s.poll(t); o.Queued != 5 {
		t.Errorf("%+v, want the 5 blobs of the time without consent; windows %q", o, s.feed.asked)
	}
}

// TestNothingBeforeTheFirstConsentIsListed is the other side: overlap and sweeps stay behind the beginning.
func TestNothingBeforeTheFirstConsentIsListed(t *testing.T) {
	s := newStage(t, 1)
	s.roll.all[0].Consented = s.clock.Now().Add(-time.Minute)
	s.feed.publish("t0", 5, s.clock.Now().Add(-10*time.Minute))
	for range 3 {
		if o := s.poll(t); o.Queued != 0 || o.Failed != 0 {
			t.Errorf("%+v, want nothing of before the consent", o)
		}
		s.clock.advance(61 * time.Minute)
	}
}

// TestAClockThatRanAheadStopsNoListing has our clock far ahead for one poll, and right again after it.
func TestAClockThatRanAheadStopsNoListing(t *testing.T) {
	for _, what := range []string{"listed", "listed, and an hour ahead", "told to wait", "died"} {
		t.Run(what, func(t *testing.T) {
			ahead := 30 * 24 * time.Hour
			if what == "listed, and an hour ahead" {
				ahead = time.Hour
			}
			s := newStage(t, 1)
			s.poll(t)
			s.clock.advance(ahead)
			s.feed.skew = -ahead
			switch what {
			case "told to wait":
				s.feed.fail = func(connection.TenantID, string) error {
					return &fault.Error{Kind: fault.Retry, After: time.Minute, Err: errors.New("throttled")}
				}
			case "died":
				ledger := s.Poller.Ledger
				s.Poller.Ledger = &audit.Ledger{
					Now: s.clock.Now,
					Table: &tabletest.Faulty{Table: ledger.Table, Before: func(op string, n int) error {
						if op == "commit" && n > 1 { // the lease was taken
							return errors.New("the process is dead")
						}
						return nil
					}},
				}
				defer func() { s.Poller.Ledger = ledger }()
			}
			s.poll(t)
			if what == "died" {
				s.Poller.Ledger = &audit.Ledger{Now: s.clock.Now, Table: s.Ledger.Table.(*tabletest.Faulty).Table}
			}

			s.feed.fail, s.feed.skew = nil, 0
			s.clock.advance(-ahead)
			s.feed.publish("t0", 4, s.clock.Now().Add(-30*time.Second))
			s.clock.advance(time.Minute)
			if o := s.poll(t); o.Queued != 4 {
				t.Fatalf("after the clock was put right: %+v, want 4 queued; reported %v", o, s.roll.reported["c0"])
			}
			s.feed.publish("t0", 1, s.clock.Now().Add(-30*time.Second))
			s.clock.advance(time.Minute)
			if o := s.poll(t); o.Queued != 1 {
				t.Errorf("at the next tick: %+v, want 1 queued", o)
			}
		})
	}
}

// TestAWaitBeginsWhenMicrosoftAsksForIt is a throttle at the end of a poll that took long.
func TestAWaitBeginsWhenMicrosoftAsksForIt(t *testing.T) {
	s := newStage(t, 1)
	calls := 0
	s.feed.fail = func(connection.TenantID, string) error {
		calls++
		s.clock.advance(40 * time.Second)
		return &fault.Error{Kind: fault.Retry, Code: "AF429", After: 30 * time.Second, Err: errors.New("throttled")}
	}
	s.poll(t)
	s.clock.advance(5 * time.Second)
	s.poll(t)
	if calls != 1 {
		t.Errorf("%d calls within the half minute that Microsoft asked for, want 1", calls)
	}
}

// TestAServerThatAsksToWaitIsNotAskedAtOnce: a 503 is asked again at once, unless it says when to come back.
func TestAServerThatAsksToWaitIsNotAskedAtOnce(t *testing.T) {
	for after, want := range map[time.Duration]int{0: 3, 30 * time.Second: 1} {
		s := newStage(t, 1)
		calls := 0
		s.feed.fail = func(connection.TenantID, string) error {
			calls++
			return &fault.Error{Kind: fault.Retry, Status: 503, After: after, Err: errors.New("unavailable")}
		}
		s.poll(t)
		if calls != want {
			t.Errorf("Retry-After %s: asked %d times in one poll, want %d", after, calls, want)
		}
	}
}

// TestALeaseIsGivenBackWhicheverWriteFails fails each write of a poll over several windows, not done and done, and
// wants the next poll, seconds later, to find the connection free and everything to be queued.
func TestALeaseIsGivenBackWhicheverWriteFails(t *testing.T) {
	for n := 2; n <= 7; n++ { // 1 takes the lease, 7 gives it back
		for _, done := range []bool{false, true} {
			t.Run(fmt.Sprintf("commit %d, done %t", n, done), func(t *testing.T) {
				s := newStage(t, 1)
				s.roll.all[0].Consented = s.clock.Now().Add(-60 * time.Hour)
				for h := range 3 {
					s.feed.publish("t0", 2, s.clock.Now().Add(-time.Duration(h)*24*time.Hour-time.Hour))
				}
				good := s.Ledger
				failing := &tabletest.Faulty{Table: good.Table}
				fail := func(op string, call int) error {
					if op == "commit" && call == n {
						return errors.New("the table failed")
					}
					return nil
				}
				if failing.Before = fail; done {
					failing.Before, failing.After = nil, fail
				}
				s.Poller.Ledger = &audit.Ledger{Table: failing, Now: s.clock.Now}
				s.poll(t)
				s.Poller.Ledger = good
				s.clock.advance(5 * time.Second)
				if o := s.poll(t); o.Busy != 0 || o.Failed != 0 {
					t.Errorf("5 s later: %+v", o)
				}
				if got := len(s.out.ids()); got != 6 || s.sums(t, "c0").Listed != 6 {
					t.Errorf("%d blobs queued, ledger %+v, want 6", got, s.sums(t, "c0"))
				}
			})
		}
	}
}

// TestATenantThatTakesTooLongIsReportedOn: what ran out is the poll's patience, not the time to say so.
func TestATenantThatTakesTooLongIsReportedOn(t *testing.T) {
	s := newStage(t, 1)
	s.Poller.Patience = time.Millisecond
	s.Poller.Feed = &hanging{Feed: s.feed, tenant: "t0", release: make(chan struct{})}
	late := &lateRoll{roll: s.roll}
	s.Poller.Connections = late
	if o := s.poll(t); o.Failed != 1 {
		t.Fatalf("%+v", o)
	}
	if late.err != nil {
		t.Errorf("the report came with a context that had ended: %v", late.err)
	}
}

type lateRoll struct {
	*roll
	err error
}

func (r *lateRoll) Report(ctx context.Context, c connection.ID, outcome error) error {
	r.err = ctx.Err()
	return r.roll.Report(ctx, c, outcome)
}

// TestAWindowThatNoPollHasTheLuckForComesToItsEnd lets every second request fail. Each poll goes on where the last one
// stopped.
func TestAWindowThatNoPollHasTheLuckForComesToItsEnd(t *testing.T) {
	s := newStage(t, 1)
	s.feed.publish("t0", 30, s.clock.Now().Add(-30*time.Minute))
	calls := 0
	s.feed.fail = func(connection.TenantID, string) error {
		if calls++; calls%2 == 0 {
			return fault.Retry
		}
		return nil
	}
	polls := 0
	for progress := (audit.Cursor{}); progress.Through.IsZero(); polls++ {
		if polls > 10 {
			t.Fatalf("after %d polls %d of 30 blobs are queued", polls, len(s.out.ids()))
		}
		s.poll(t)
		s.clock.advance(5 * time.Second)
		var err error
		if progress, err = s.Ledger.Progress(t.Context(), "c0"); err != nil {
			t.Fatal(err)
		}
	}
	if ids := s.out.ids(); len(ids) != 30 || s.sums(t, "c0").Listed != 30 {
		t.Errorf("%d blobs queued, ledger: %+v", len(ids), s.sums(t, "c0"))
	}
	for id, n := range s.out.ids() {
		if n != 1 {
			t.Errorf("blob %s was queued %d times", id, n)
		}
	}
}

// TestAPageThatCannotBeGoneOnWithIsNotWaitedFor stops a listing in the middle, and then has its page refused.
func TestAPageThatCannotBeGoneOnWithIsNotWaitedFor(t *testing.T) {
	for name, refusal := range map[string]error{
		"forgotten":      fmt.Errorf("AF20031: %w", audit.ErrPage),
		"not subscribed": fmt.Errorf("AF20022: %w", audit.ErrNotSubscribed),
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, 1)
			s.feed.publish("t0", 8, s.clock.Now().Add(-30*time.Minute))
			first := true
			s.feed.fail = func(_ connection.TenantID, page string) error {
				switch {
				case page != "6":
					return nil
				case first:
					first = false
					return fault.Retry
				}
				s.feed.fail = nil
				return refusal
			}
			if o := s.poll(t); o.Failed != 1 {
				t.Fatalf("first poll: %+v", o)
			}
			s.clock.advance(5 * time.Second)
			if o := s.poll(t); o.Failed != 0 || len(s.out.ids()) != 8 {
				t.Errorf("second poll: %+v, %d blobs queued, want 8", o, len(s.out.ids()))
			}
		})
	}
}

// TestAThrottledPageIsAskedForAgainInTheSamePoll has Microsoft throttle once without saying for how long.
func TestAThrottledPageIsAskedForAgainInTheSamePoll(t *testing.T) {
	s := newStage(t, 1)
	s.feed.publish("t0", 8, s.clock.Now().Add(-30*time.Minute))
	throttled := false
	s.feed.fail = func(_ connection.TenantID, page string) error {
		if page == "3" && !throttled {
			throttled = true
			return &fault.Error{Kind: fault.Retry, Code: "AF429", Status: 403, Err: errors.New("throttled")}
		}
		return nil
	}
	if o := s.poll(t); o.Failed != 0 || o.Queued != 8 || !throttled {
		t.Errorf("%+v, throttled %t", o, throttled)
	}
}

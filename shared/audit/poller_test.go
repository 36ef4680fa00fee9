package audit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
)

func TestAllPagesAreQueuedOnce(t *testing.T) {
	s := newStage(t, 1)
	s.feed.publish("t0", 13, s.clock.Now().Add(-30*time.Minute))

	if o := s.poll(t); o.Queued != 13 {
		t.Fatalf("first poll: %+v, want 13 queued", o)
	}
	s.clock.advance(time.Minute)
	if o := s.poll(t); o.Queued != 0 {
		t.Fatalf("second poll: %+v, want nothing new", o)
	}
	ids := s.out.ids()
	if len(ids) != 13 {
		t.Errorf("%d different blobs queued, want 13", len(ids))
	}
	for id, n := range ids {
		if n != 1 {
			t.Errorf("blob %s was queued %d times", id, n)
		}
	}
	if sums := s.sums(t, "c0"); sums.Listed != 13 || sums.Open() != 13 || s.open(t, "c0") != 13 {
		t.Errorf("ledger: %+v, %d open", sums, s.open(t, "c0"))
	}
}

// TestNothingIsLostWhicheverPageOrWriteFails stops a poll at every page and at every sending, before it is done and
// after, and wants every blob queued by the polls that follow.
func TestNothingIsLostWhicheverPageOrWriteFails(t *testing.T) {
	const blobs = 13
	for at := range 5 {
		for _, when := range []string{"list", "before sending", "after sending"} {
			t.Run(fmt.Sprintf("%s %d", when, at), func(t *testing.T) {
				s := newStage(t, 1)
				s.feed.publish("t0", blobs, s.clock.Now().Add(-30*time.Minute))
				calls := 0
				failOnce := func(err error) error {
					if calls++; calls == at+1 {
						return err
					}
					return nil
				}
				switch when {
				case "list":
					s.feed.fail = func(connection.TenantID, string) error { return failOnce(fault.Retry) }
				case "before sending":
					s.out.fail = func() error { return failOnce(errors.New("queue is down")) }
				case "after sending":
					s.out.fail = func() error { return failOnce(errAfterwards) }
				}

				if o := s.poll(t); o.Failed != 1 {
					t.Fatalf("first poll: %+v, want it to fail", o)
				}
				p, err := s.Ledger.Progress(t.Context(), "c0")
				if err != nil {
					t.Fatal(err)
				}
				if !p.Through.IsZero() {
					t.Fatalf("cursor went to %s although the window was not listed to its end", p.Through)
				}
				s.clock.advance(5 * time.Second)
				if o := s.poll(t); o.Failed != 0 {
					t.Fatalf("second poll: %+v", o)
				}
				if got := len(s.out.ids()); got != blobs {
					t.Errorf("%d blobs queued, want %d", got, blobs)
				}
				if sums := s.sums(t, "c0"); sums.Listed != blobs || s.open(t, "c0") != blobs {
					t.Errorf("ledger: %+v, %d open", sums, s.open(t, "c0"))
				}
			})
		}
	}
}

func TestBlobsThatTurnUpLateAreFound(t *testing.T) {
	s := newStage(t, 1)
	s.poll(t)
	// Available ten minutes ago, but listed only now: within the overlap.
	s.feed.publish("t0", 1, s.clock.Now().Add(-10*time.Minute))
	s.clock.advance(time.Minute)
	if o := s.poll(t); o.Queued != 1 {
		t.Errorf("after ten minutes: %+v", o)
	}
	// Five hours late: found by the hourly sweep of the last day.
	s.clock.advance(6 * time.Hour)
	s.poll(t)
	s.feed.publish("t0", 1, s.clock.Now().Add(-5*time.Hour))
	s.clock.advance(61 * time.Minute)
	if o := s.poll(t); o.Queued != 1 {
		t.Errorf("after five hours: %+v", o)
	}
}

func TestWindowsStayWithinMicrosoftsRulesWhateverTheClocksSay(t *testing.T) {
	for _, skew := range []time.Duration{-10 * time.Minute, 0, 10 * time.Minute} {
		for _, away := range []time.Duration{time.Minute, 25 * time.Hour, 6*24*time.Hour + 23*time.Hour,
			30 * 24 * time.Hour} {
			t.Run(fmt.Sprintf("skew %s away %s", skew, away), func(t *testing.T) {
				s := newStage(t, 1)
				s.feed.skew = skew
				s.poll(t)
				s.clock.advance(away)
				s.feed.publish("t0", 7, s.clock.Now().Add(-min(away, 6*24*time.Hour)/2))
				if o := s.poll(t); o.Failed != 0 || o.Queued != 7 {
					t.Fatalf("%+v; windows %q; reported %v", o, s.feed.asked, s.roll.reported["c0"])
				}
				p, err := s.Ledger.Progress(t.Context(), "c0")
				if err != nil {
					t.Fatal(err)
				}
				if p.Through.After(s.clock.Now()) {
					t.Errorf("cursor at %s is ahead of the time %s", p.Through, s.clock.Now())
				}
				if gap := away > 7*24*time.Hour; gap != (len(p.Gaps) == 1) {
					t.Errorf("away for %s: gaps %v", away, p.Gaps)
				}
			})
		}
	}
}

func TestAPageThatMicrosoftForgotBeginsTheWindowAgain(t *testing.T) {
	s := newStage(t, 1)
	s.feed.publish("t0", 8, s.clock.Now().Add(-time.Minute))
	broken := false
	s.feed.fail = func(_ connection.TenantID, page string) error {
		if page == "6" && !broken {
			broken = true
			return fmt.Errorf("AF20031: %w", audit.ErrPage)
		}
		return nil
	}
	if o := s.poll(t); o.Queued != 8 || o.Failed != 0 {
		t.Errorf("%+v", o)
	}
}

func TestASubscriptionThatWasDisabledIsStartedAgainButNotAllTheTime(t *testing.T) {
	s := newStage(t, 1)
	s.poll(t)
	s.feed.fail = func(connection.TenantID, string) error { return fmt.Errorf("AF20023: %w", audit.ErrNotSubscribed) }
	for range 10 {
		s.clock.advance(5 * time.Second)
		s.poll(t)
	}
	if s.feed.starts != 1 {
		t.Errorf("%d starts within a minute of the first, want 1", s.feed.starts)
	}
	s.clock.advance(20 * time.Minute)
	s.poll(t)
	if s.feed.starts != 2 {
		t.Errorf("%d starts after twenty minutes, want 2", s.feed.starts)
	}
}

func TestOneTenantThatHangsFailsOrThrottlesDelaysNoOther(t *testing.T) {
	s := newStage(t, 4)
	for _, c := range s.roll.all {
		s.feed.publish(c.Tenant.ID, 4, s.clock.Now().Add(-time.Minute))
	}
	hang, others := &hanging{Feed: s.feed, tenant: "t0", release: make(chan struct{})}, make(chan error, 1)
	s.Poller.Feed = hang
	s.feed.fail = func(tenant connection.TenantID, _ string) error {
		switch tenant {
		case "t1":
			return &fault.Error{Kind: fault.Retry, Code: "AF429", After: time.Minute, Err: errors.New("throttled")}
		case "t2":
			return &fault.Error{Kind: fault.Refused, Code: "AF10001", Err: errors.New("no permission")}
		}
		return nil
	}
	go func() {
		_, err := s.Poll(t.Context(), s.clock.Now())
		others <- err
	}()
	waitFor(t, func() bool { return s.roll.reports("c1") > 0 && s.roll.reports("c2") > 0 && s.roll.reports("c3") > 0 })
	if s.sums(t, "c3").Listed != 4 {
		t.Error("the healthy tenant was not listed while another hangs")
	}

	// A second tick comes while the first still hangs: it passes over what the first holds.
	s.feed.publish("t3", 2, s.clock.Now().Add(-time.Second))
	s.clock.advance(5 * time.Second)
	if o := s.poll(t); o.Busy != 1 || o.Queued != 2 {
		t.Errorf("second tick: %+v", o)
	}
	close(hang.release)
	if err := <-others; err != nil {
		t.Fatal(err)
	}
	if s.sums(t, "c0").Listed != 4 {
		t.Error("the tenant that hung was not listed in the end")
	}
	if errs := s.roll.reported["c2"]; len(errs) == 0 || !errors.Is(errs[0], fault.Refused) {
		t.Errorf("reported of the refusing tenant: %v", errs)
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	s := newStage(t, 1)
	calls := 0
	s.feed.fail = func(connection.TenantID, string) error {
		calls++
		return &fault.Error{Kind: fault.Retry, Code: "AF429", After: time.Minute, Err: errors.New("throttled")}
	}
	s.poll(t)
	for range 5 {
		s.clock.advance(10 * time.Second)
		s.poll(t)
	}
	if calls != 1 {
		t.Errorf("%d calls within the minute that Microsoft asked for, want 1", calls)
	}
	s.feed.fail = nil
	s.feed.publish("t0", 2, s.clock.Now().Add(-time.Second))
	s.clock.advance(11 * time.Second)
	if o := s.poll(t); o.Queued != 2 {
		t.Errorf("after the wait: %+v", o)
	}
}

// hanging is a feed that does not answer for one tenant until it is released.
type hanging struct {
	audit.Feed
	tenant  connection.TenantID
	release chan struct{}
}

func (h *hanging) List(
	ctx context.Context,
	t connection.Tenant,
	ct audit.ContentType,
	from, to time.Time,
	page string,
) (audit.Page, error) {
	if t.ID == h.tenant {
		select {
		case <-h.release:
		case <-ctx.Done():
			return audit.Page{}, ctx.Err()
		}
	}
	return h.Feed.List(ctx, t, ct, from, to, page)
}

// waitFor waits until cond holds, and gives up after long.
func waitFor(t *testing.T, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatal("waited 30 s in vain")
		}
		time.Sleep(time.Millisecond)
	}
}

// TestPermissionsThatAreStillSpreadingWorryNobody has one tenant refuse us, before it was ever read and after.
func TestPermissionsThatAreStillSpreadingWorryNobody(t *testing.T) {
	for status, want := range map[connection.Status]struct {
		level  string
		failed int
	}{connection.Initializing: {"level=INFO", 0}, connection.Monitoring: {"level=WARN", 1}} {
		s := newStage(t, 1)
		var log bytes.Buffer
		s.Poller.Log = slog.New(slog.NewTextHandler(&log, nil))
		s.roll.all[0].Status = status
		s.feed.fail = func(connection.TenantID, string) error {
			return &fault.Error{Kind: fault.Refused, Code: "AF10001", Err: errors.New("no permission")}
		}
		if o := s.poll(t); o.Failed != want.failed || !strings.Contains(log.String(), want.level) {
			t.Errorf("%s: %+v, and the log has no %s: %s", status, o, want.level, log.String())
		}
	}
}

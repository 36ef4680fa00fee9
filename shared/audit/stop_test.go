package audit_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
)

func (s *stage) deauthorize(id connection.ID) {
	now := s.clock.Now()
	s.roll.change(id, func(c *connection.Connection) { c.Status, c.Stopping = connection.Deauthorized, now })
}

func (s *stage) resume(id connection.ID) {
	now := s.clock.Now()
	s.roll.change(id, func(c *connection.Connection) {
		c.Status, c.Stopping, c.Resumed = connection.Initializing, time.Time{}, now
	})
}

func (s *stage) stopping() int {
	return len(s.roll.those(func(c connection.Connection) bool { return !c.Stopping.IsZero() }))
}

func TestTheSubscriptionOfADeauthorizedConnectionIsStoppedUntilItIsDoneOrRefused(t *testing.T) {
	retry := &fault.Error{Kind: fault.Retry, Code: "AF50000", Status: 500, Err: errors.New("busy")}
	ours := &fault.Error{Kind: fault.Ours, Code: "AADSTS7000222", Err: errors.New("our secret has expired")}
	gone := &fault.Error{Kind: fault.Refused, Code: "AADSTS700016", Err: errors.New("deleted")}
	for name, outcomes := range map[string][]error{
		"at once":                    {nil},
		"when Microsoft is back":     {retry, retry, nil},
		"when our credential is":     {ours, nil},
		"when the tenant refuses it": {retry, gone},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, 2)
			s.poll(t)
			s.deauthorize("c0")
			s.feed.unsubscribe = func(connection.TenantID) error { return outcomes[s.feed.stops-1] }
			for i := range outcomes {
				if s.stopping() != 1 {
					t.Fatalf("before attempt %d nothing is to be stopped any more", i+1)
				}
				s.clock.advance(time.Minute)
				o := s.poll(t)
				if want := i == len(outcomes)-1; (o.Stopped == 1) != want || o.Connections != 1 {
					t.Errorf("attempt %d: %+v", i+1, o)
				}
			}
			s.clock.advance(time.Minute)
			s.poll(t)
			if s.stopping() != 0 || s.feed.stops != len(outcomes) {
				t.Errorf("%d to be stopped, Microsoft was asked %d times, want %d", s.stopping(), s.feed.stops, len(outcomes))
			}
			if s.roll.reports("c0") != 1 {
				t.Errorf("a connection that is not followed was reported on %d times", s.roll.reports("c0"))
			}
		})
	}
}

func TestAStopThatCrashesInItsMiddleIsDoneAgain(t *testing.T) {
	s := newStage(t, 1)
	s.poll(t)
	s.deauthorize("c0")
	s.poll(t)
	progress, err := s.Ledger.Progress(t.Context(), "c0")
	if err != nil || progress.Stopped.IsZero() {
		t.Fatalf("%+v, %v", progress, err)
	}
	first := progress.Stopped
	s.deauthorize("c0") // as if the connection had not been told
	s.clock.advance(time.Minute)
	s.poll(t)
	progress, err = s.Ledger.Progress(t.Context(), "c0")
	if err != nil || !progress.Stopped.Equal(first) || s.stopping() != 0 {
		t.Errorf("stopped at %s, want %s (%v)", progress.Stopped, first, err)
	}
}

func TestAResumedConnectionIsSubscribedAsSoonAsItMayBeAndTheTimeBetweenIsAGap(t *testing.T) {
	for _, away := range []time.Duration{14 * time.Minute, 20 * 24 * time.Hour} {
		s := newStage(t, 1)
		s.poll(t)
		s.deauthorize("c0")
		s.clock.advance(time.Minute)
		s.poll(t)
		stopped := s.clock.Now()
		s.clock.advance(away)
		s.resume("c0")
		s.feed.publish("t0", 2, s.clock.Now().Add(-time.Second))
		starts := s.feed.starts
		if o := s.poll(t); o.Queued != 2 || o.Failed != 0 || s.feed.starts != starts+1 {
			t.Errorf("after %s: %+v, %d starts", away, o, s.feed.starts-starts)
		}
		p, err := s.Ledger.Progress(t.Context(), "c0")
		if err != nil || !p.Stopped.IsZero() || len(p.Gaps) != 1 ||
			p.Gaps[0] != (audit.Gap{From: stopped, To: s.clock.Now()}) {
			t.Errorf("after %s: %+v, %v; want a gap from %s", away, p, err, stopped)
		}
	}
}

// Who resumes a connection in the moment in which its subscription is being stopped gets it back.
func TestAConnectionThatIsResumedWhileItIsStoppedIsSubscribedAgain(t *testing.T) {
	s := newStage(t, 1)
	s.poll(t)
	s.deauthorize("c0")
	s.feed.unsubscribe = func(connection.TenantID) error { s.resume("c0"); return nil }
	s.poll(t)
	starts := s.feed.starts
	s.clock.advance(time.Second)
	if o := s.poll(t); o.Failed != 1 || s.feed.starts != starts {
		t.Errorf("too soon: %+v, %d starts", o, s.feed.starts-starts)
	}
	s.clock.advance(15 * time.Minute)
	if o := s.poll(t); o.Failed != 0 || s.feed.starts != starts+1 || s.feed.stops != 1 {
		t.Errorf("%+v, %d starts, %d stops", o, s.feed.starts-starts, s.feed.stops)
	}
	s.resume("c0")
	s.poll(t)
	if s.feed.stops != 1 {
		t.Error("a connection that is followed was stopped")
	}
}

// slowList is a registry whose list of connections to stop is old when it is used: one of them was resumed meanwhile.
type slowList struct {
	audit.Connections
	resume func()
}

func (l slowList) Stopping(ctx context.Context) ([]connection.Connection, error) {
	defer l.resume()
	return l.Connections.Stopping(ctx)
}

func TestAConnectionThatWasResumedJustBeforeIsNotStopped(t *testing.T) {
	s := newStage(t, 1)
	s.poll(t)
	s.deauthorize("c0")
	s.Connections = slowList{s.Connections, func() { s.resume("c0") }}
	if o := s.poll(t); o.Stopped != 0 || s.feed.stops != 0 {
		t.Errorf("%+v, %d stops", o, s.feed.stops)
	}
}

// Pain 19: a change leaves pending work stuck. What was parked is open in the ledger, and queued again at the first
// poll after the connection is resumed, however much it is.
func TestWhatWasParkedIsQueuedAgainWhenTheConnectionIsResumed(t *testing.T) {
	const blobs = 450 // more than one look at the open ones
	s := newStage(t, 1)
	s.feed.size = 100
	s.feed.publish("t0", blobs, s.clock.Now().Add(-time.Minute))
	if o := s.poll(t); o.Queued != blobs {
		t.Fatalf("%+v", o)
	}
	s.deauthorize("c0")
	s.clock.advance(3 * time.Minute)
	s.poll(t)
	if sums := s.sums(t, "c0"); sums.Open() != blobs {
		t.Errorf("%d of %d parked blobs are open in the ledger", sums.Open(), blobs)
	}
	s.clock.advance(time.Minute)
	s.resume("c0")
	s.clock.advance(time.Second)
	if o := s.poll(t); o.Requeued != blobs {
		t.Errorf("%+v, want all %d queued again", o, blobs)
	}
	s.clock.advance(time.Second)
	if o := s.poll(t); o.Requeued != 0 {
		t.Errorf("%+v: what is queued is queued again", o)
	}
	for id, n := range s.out.ids() {
		if n != 2 {
			t.Errorf("blob %s was queued %d times", id, n)
		}
	}
}

// Package queuetest holds the adapters of queue.Queue to their contract, and makes senders fail for the tests of other
// rooms.
package queuetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/queue"
)

// Options say what an engine needs to be tested; the zero value suits one that runs on real time.
type Options struct {
	// Advance moves the queues' clock; nil means that they use time.Now, and that the suite waits.
	Advance func(time.Duration)
	// Unfair leaves out the tests that groups take turns, for engines that do not promise it.
	Unfair bool
}

const (
	long     = time.Minute     // longer than any test takes
	short    = 2 * time.Second // a visibility or a delay that a test waits for
	patience = 30 * time.Second
)

// suite is one engine under test.
type suite struct{ Options }

// Run tests the queues that open gives: each call returns an empty one, which is the test's own, and which delivers a
// message at least 5 times.
func Run(t *testing.T, o Options, open func(t *testing.T) queue.Queue) {
	s := suite{o}
	tests := []struct {
		name string
		run  func(t *testing.T, q queue.Queue)
	}{
		{"round trip", s.testRoundTrip},
		{"empty", s.testEmpty},
		{"limits", s.testLimits},
		{"invalid", s.testInvalid},
		{"visibility", s.testVisibility},
		{"stale receipts", s.testStale},
		{"late done", s.testLateDone},
		{"done", s.testDone},
		{"hide", s.testHide},
		{"delay", s.testDelay},
		{"wait", s.testWait},
		{"cancelled", s.testCancelled},
		{"many", s.testMany},
	}
	for _, test := range tests {
		s.run(t, test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
	if !o.Unfair {
		s.run(t, "turns", func(t *testing.T) { s.testTurns(t, open(t)) })
	}
}

// run runs a test beside the others, unless they share a clock.
func (s suite) run(t *testing.T, name string, test func(t *testing.T)) {
	t.Run(name, func(t *testing.T) {
		if s.Advance == nil {
			t.Parallel()
		}
		test(t)
	})
}

// pass lets d go by: at once where the clock can be moved, and otherwise while the next receive waits.
func (s suite) pass(d time.Duration) {
	if s.Advance != nil {
		s.Advance(d)
	}
}

// after is how long to wait until d has certainly gone by, if the clock was moved by pass.
func (s suite) after(d time.Duration) time.Duration {
	if s.Advance != nil {
		return s.moment()
	}
	return d + s.moment()
}

// moment is how long to wait for a message that should not come.
func (s suite) moment() time.Duration {
	if s.Advance != nil {
		return 50 * time.Millisecond
	}
	return time.Second
}

func text(body string) queue.Message { return queue.Message{Body: []byte(body), Group: "group"} }

func send(t *testing.T, q queue.Sender, messages ...queue.Message) {
	t.Helper()
	if err := q.Send(t.Context(), messages...); err != nil {
		t.Fatalf("send %d messages: %v", len(messages), err)
	}
}

// receive returns the next message, which must come.
func receive(t *testing.T, q queue.Queue, visibility time.Duration) queue.Delivery {
	t.Helper()
	ds, err := q.Receive(t.Context(), 1, patience, visibility)
	if err != nil || len(ds) != 1 {
		t.Fatalf("receive: got %d messages, %v", len(ds), err)
	}
	return ds[0]
}

// collect receives and finishes n messages, and returns them by their IDs.
func collect(t *testing.T, q queue.Queue, n int) map[string]queue.Delivery {
	t.Helper()
	got := map[string]queue.Delivery{}
	for len(got) < n {
		ds, err := q.Receive(t.Context(), 10, patience, long)
		if err != nil || len(ds) == 0 || len(ds) > 10 {
			t.Fatalf("receive after %d of %d messages: got %d, %v", len(got), n, len(ds), err)
		}
		for _, d := range ds {
			got[d.ID] = d
			done(t, q, d)
		}
	}
	return got
}

func done(t *testing.T, q queue.Queue, d queue.Delivery) {
	t.Helper()
	if err := q.Done(t.Context(), d); err != nil {
		t.Fatalf("done: %v", err)
	}
}

func hide(t *testing.T, q queue.Queue, d queue.Delivery, span time.Duration) {
	t.Helper()
	if err := q.Hide(t.Context(), d, span); err != nil {
		t.Fatalf("hide: %v", err)
	}
}

// wantNone fails when a message comes within wait.
func wantNone(t *testing.T, q queue.Queue, wait time.Duration) {
	t.Helper()
	ds, err := q.Receive(t.Context(), 10, wait, long)
	if err != nil || len(ds) != 0 {
		t.Fatalf("receive when there should be nothing: got %d messages, %v", len(ds), err)
	}
}

func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got error %v, want %v", what, err, want)
	}
}

func cancelled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

package queuetest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/queue"
)

// testWait has receivers wait before there is anything: one gets each message.
func (s suite) testWait(t *testing.T, q queue.Queue) {
	const n = 5
	got := make(chan string, n)
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			ds, err := q.Receive(t.Context(), 1, patience, long)
			if err != nil || len(ds) != 1 {
				t.Errorf("a waiting receiver got %d messages, %v", len(ds), err)
				return
			}
			got <- string(ds[0].Body)
		})
	}
	send(t, q, text("0"))
	send(t, q, text("1"), text("2"), text("3"))
	send(t, q, text("4"))
	wg.Wait()
	close(got)
	seen := map[string]bool{}
	for body := range got {
		seen[body] = true
	}
	if len(seen) != n {
		t.Errorf("%d receivers got %d messages", n, len(seen))
	}

	// One that waits sees a message come back, too.
	send(t, q, text("x"))
	d := receive(t, q, short)
	s.pass(short)
	if again := receive(t, q, long); again.ID != d.ID {
		t.Error("another message came back")
	}
}

func (s suite) testCancelled(t *testing.T, q queue.Queue) {
	ctx := cancelled(t)
	wantErr(t, "send with a cancelled context", q.Send(ctx, text("x")), context.Canceled)
	_, err := q.Receive(ctx, 1, patience, long)
	wantErr(t, "receive with a cancelled context", err, context.Canceled)
	wantNone(t, q, 0)
	send(t, q, text("x"))
	d := receive(t, q, long)
	wantErr(t, "done with a cancelled context", q.Done(ctx, d), context.Canceled)
	wantErr(t, "hide with a cancelled context", q.Hide(ctx, d, 0), context.Canceled)

	// A server may not notice that the caller of a long poll has gone, and give it the message. It comes back when the
	// visibility that this call asked for has passed, so that must be well below the patience of the receive that follows.
	ctx, cancel := context.WithCancel(t.Context())
	waiting := make(chan error)
	go func() {
		_, err := q.Receive(ctx, 1, patience, short)
		waiting <- err
	}()
	cancel()
	wantErr(t, "receive cancelled while it waits", <-waiting, context.Canceled)
	hide(t, q, d, 0)
	if again := receive(t, q, long); again.ID != d.ID {
		t.Error("another message came back")
	}
}

// testMany has many senders and receivers at once: every message comes, and once it is done not again.
func (s suite) testMany(t *testing.T, q queue.Queue) {
	const senders, receivers, each = 4, 6, 60
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var mu sync.Mutex
	seen := map[string]int{}
	var wg sync.WaitGroup
	for i := range senders {
		wg.Go(func() {
			for j := 0; j < each; j += 3 {
				group := fmt.Sprint("group", j%7)
				var messages []queue.Message
				for k := range 3 {
					messages = append(messages, queue.Message{Body: fmt.Appendf(nil, "%d/%d", i, j+k), Group: group})
				}
				if err := q.Send(ctx, messages...); err != nil {
					t.Errorf("send: %v", err)
				}
			}
		})
	}
	for range receivers {
		wg.Go(func() {
			for ctx.Err() == nil {
				mu.Lock()
				n := len(seen)
				mu.Unlock()
				if n == senders*each {
					return
				}
				ds, err := q.Receive(ctx, 4, time.Second, long)
				if err != nil {
					t.Errorf("receive: %v", err)
					return
				}
				for _, d := range ds {
					mu.Lock()
					seen[string(d.Body)]++
					mu.Unlock()
					if err := q.Done(ctx, d); err != nil {
						t.Errorf("done: %v", err)
					}
				}
			}
		})
	}
	wg.Wait()
	if len(seen) != senders*each {
		t.Errorf("got %d messages of %d", len(seen), senders*each)
	}
	wantNone(t, q, s.moment())
}

// testTurns sends a long backlog of one group, and then little of others: those do not wait behind it.
func (s suite) testTurns(t *testing.T, q queue.Queue) {
	var messages []queue.Message
	for range 200 {
		messages = append(messages, queue.Message{Body: []byte("x"), Group: "loud"})
	}
	send(t, q, messages...)
	done(t, q, receive(t, q, long))
	quiet := []queue.Message{{Body: []byte("x"), Group: "quiet1"}, {Body: []byte("x"), Group: "quiet2"},
		{Body: []byte("x"), Group: "quiet1"}}
	send(t, q, quiet...)
	groups := map[string]int{}
	for range 8 {
		groups[receive(t, q, long).Group]++
	}
	if groups["quiet1"] != 2 || groups["quiet2"] != 1 {
		t.Errorf("the first 8 messages are of groups %v, behind a backlog of one", groups)
	}
}

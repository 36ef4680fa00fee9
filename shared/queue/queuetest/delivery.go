package queuetest

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/queue"
)

func (s suite) testRoundTrip(t *testing.T, q queue.Queue) {
	var every []byte
	for i := range 256 {
		every = append(every, byte(i))
	}
	messages := []queue.Message{
		{Body: []byte("hello"), Group: "a"},
		{Body: every, Group: "b"},
		{Body: []byte("Grüße 世界 😀 <&>\""), Group: "connection-1"},
		{Body: []byte{0}},
		{Body: []byte("hello"), Group: "a"}, // the same is another message
	}
	send(t, q)
	send(t, q, messages...)
	got := collect(t, q, len(messages))
	for _, want := range messages {
		found := 0
		for _, d := range got {
			if bytes.Equal(d.Body, want.Body) && d.Group == want.Group {
				found++
			}
			if d.Receives != 1 || d.ID == "" || d.Receipt == "" || d.Delay != 0 || d.Sent.IsZero() {
				t.Errorf("first delivery is %+v", d)
			}
		}
		if found == 0 || found > 2 {
			t.Errorf("message %q of group %q came %d times", want.Body, want.Group, found)
		}
	}
	wantNone(t, q, 0)
}

func (s suite) testEmpty(t *testing.T, q queue.Queue) {
	wantNone(t, q, 0)
	wantNone(t, q, s.moment())
}

// testLimits sends the greatest of everything, and 25 messages at once, of which one is received at a time.
func (s suite) testLimits(t *testing.T, q queue.Queue) {
	biggest := bytes.Repeat([]byte("x"), queue.MaxBody)
	send(t, q, queue.Message{Body: biggest, Group: strings.Repeat("g", queue.MaxGroup)})
	d := receive(t, q, long)
	if !bytes.Equal(d.Body, biggest) || len(d.Group) != queue.MaxGroup {
		t.Errorf("the biggest message came with %d bytes and a group of %d", len(d.Body), len(d.Group))
	}
	done(t, q, d)
	send(t, q, queue.Message{Body: []byte("x"), Group: "g", Delay: queue.MaxDelay})
	wantNone(t, q, 0)
	var messages []queue.Message
	for i := range 25 {
		messages = append(messages, queue.Message{Body: bytes.Repeat([]byte("y"), 100_000+i), Group: "g"})
	}
	send(t, q, messages...)
	sizes := map[int]bool{}
	for range messages {
		d := receive(t, q, long)
		sizes[len(d.Body)] = true
		done(t, q, d)
	}
	if len(sizes) != len(messages) {
		t.Errorf("got %d messages of %d", len(sizes), len(messages))
	}
}

func (s suite) testInvalid(t *testing.T, q queue.Queue) {
	good := text("good")
	for what, bad := range map[string]queue.Message{
		"no body":        {Group: "g"},
		"big body":       {Body: make([]byte, queue.MaxBody+1)},
		"long group":     {Body: []byte("x"), Group: strings.Repeat("g", queue.MaxGroup+1)},
		"group of space": {Body: []byte("x"), Group: "a b"},
		"group of ä":     {Body: []byte("x"), Group: "ä"},
		"long delay":     {Body: []byte("x"), Delay: queue.MaxDelay + time.Second},
		"negative delay": {Body: []byte("x"), Delay: -time.Second},
	} {
		wantErr(t, "send "+what, q.Send(t.Context(), good, bad), queue.ErrInvalid)
	}
	wantNone(t, q, 0) // not even the good ones
	for _, c := range []struct {
		max              int
		wait, visibility time.Duration
	}{{0, 0, long}, {-1, 0, long}, {1, -1, long}, {1, 0, 0}, {1, 0, -1}, {1, 0, queue.MaxVisibility + time.Second}} {
		_, err := q.Receive(t.Context(), c.max, c.wait, c.visibility)
		wantErr(t, fmt.Sprintf("receive %+v", c), err, queue.ErrInvalid)
	}
	for _, receipt := range []string{"", "nonsense", "."} {
		bad := queue.Delivery{Message: good, ID: "x", Receipt: receipt}
		wantErr(t, fmt.Sprintf("done with receipt %q", receipt), q.Done(t.Context(), bad), queue.ErrInvalid)
		wantErr(t, fmt.Sprintf("hide with receipt %q", receipt), q.Hide(t.Context(), bad, 0), queue.ErrInvalid)
	}
	send(t, q, good)
	d := receive(t, q, long)
	wantErr(t, "hide too long", q.Hide(t.Context(), d, queue.MaxVisibility+time.Second), queue.ErrInvalid)
	wantErr(t, "hide backward", q.Hide(t.Context(), d, -time.Second), queue.ErrInvalid)
}

func (s suite) testVisibility(t *testing.T, q queue.Queue) {
	send(t, q, text("x"))
	first := receive(t, q, short)
	wantNone(t, q, 0)
	s.pass(short)
	second := receive(t, q, long)
	if second.ID != first.ID || second.Receipt == first.Receipt || second.Receives != 2 ||
		!bytes.Equal(second.Body, first.Body) || second.Group != first.Group {
		t.Errorf("came back as %+v, was %+v", second, first)
	}
	wantNone(t, q, 0)
}

// testStale uses the receipt of a delivery that another one has followed: the message stays with the other.
func (s suite) testStale(t *testing.T, q queue.Queue) {
	send(t, q, text("x"))
	first := receive(t, q, long)
	hide(t, q, first, 0)
	second := receive(t, q, long)
	hide(t, q, first, 0)
	wantNone(t, q, s.moment()) // still hidden
	done(t, q, first)
	hide(t, q, second, 0)
	third := receive(t, q, long) // still there
	if third.ID != first.ID || third.Receives != 3 {
		t.Errorf("third delivery is %+v", third)
	}
	done(t, q, third)
	done(t, q, first)
	hide(t, q, first, 0)
	wantNone(t, q, s.moment())
}

// testLateDone finishes a message whose visibility has ended, but which nobody else has received.
func (s suite) testLateDone(t *testing.T, q queue.Queue) {
	send(t, q, text("x"), text("y"))
	first := receive(t, q, long)
	hide(t, q, first, 0)
	done(t, q, first)
	got := collect(t, q, 1)
	if _, again := got[first.ID]; again {
		t.Error("a message came again that was done")
	}
	wantNone(t, q, s.moment())
}

func (s suite) testDone(t *testing.T, q queue.Queue) {
	send(t, q, text("x"), text("y"))
	d := receive(t, q, short)
	other := receive(t, q, long)
	done(t, q, d)
	done(t, q, d)
	s.pass(2 * short)
	wantNone(t, q, s.after(short))
	hide(t, q, d, 0)
	wantNone(t, q, 0)
	hide(t, q, other, 0)
	if again := receive(t, q, long); again.ID != other.ID {
		t.Error("another message came than was hidden")
	}
}

func (s suite) testHide(t *testing.T, q queue.Queue) {
	send(t, q, text("x"))
	d := receive(t, q, short)
	hide(t, q, d, long) // longer than it was
	s.pass(short)
	wantNone(t, q, s.after(short))
	hide(t, q, d, short) // and shorter
	wantNone(t, q, 0)
	s.pass(short)
	again := receive(t, q, long)
	if again.Receives != 2 {
		t.Errorf("delivery %d after a hide, want 2", again.Receives)
	}
	hide(t, q, again, 0)
	if again = receive(t, q, long); again.Receives != 3 {
		t.Errorf("delivery %d after two, want 3", again.Receives)
	}
}

func (s suite) testDelay(t *testing.T, q queue.Queue) {
	later := text("later")
	later.Delay = short
	send(t, q, later, text("now"))
	if d := receive(t, q, long); string(d.Body) != "now" {
		t.Errorf("got %q first", d.Body)
	}
	wantNone(t, q, 0)
	s.pass(short)
	if d := receive(t, q, long); string(d.Body) != "later" || d.Receives != 1 {
		t.Errorf("got %q, delivery %d", d.Body, d.Receives)
	}
}

package embedded_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/embedded"
	"github.com/mailtrail/mailtrail/shared/queue"
)

func message(body, group string) queue.Message {
	return queue.Message{Body: []byte(body), Group: group}
}

func send(t *testing.T, q *embedded.Queue, messages ...queue.Message) {
	t.Helper()
	if err := q.Send(t.Context(), messages...); err != nil {
		t.Fatal(err)
	}
}

func receive(t *testing.T, q *embedded.Queue, most int) []queue.Delivery {
	t.Helper()
	ds, err := q.Receive(t.Context(), most, 0, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return ds
}

func wantDepth(t *testing.T, q *embedded.Queue, want embedded.Depth) {
	t.Helper()
	if got, err := q.Depth(t.Context()); err != nil || got != want {
		t.Errorf("depth is %+v, %v, want %+v", got, err, want)
	}
}

// TestDeadLetters fails messages until they die, looks at them after a restart, and redrives or drops them.
func TestDeadLetters(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	options := embedded.QueueOptions{MaxReceives: 2}
	s := open(t, dir, embedded.Options{Now: c.now})
	q := s.Queue("q", options)
	send(t, q, message("0", "a"), message("1", "b"), message("2", "a"))
	sent := c.now()
	for range 2 {
		if got := len(receive(t, q, 10)); got != 3 {
			t.Fatalf("received %d of 3", got)
		}
		wantDepth(t, q, embedded.Depth{InFlight: 3})
		c.advance(time.Minute)
	}
	if got := receive(t, q, 10); len(got) != 0 {
		t.Fatalf("received %d messages for the third time, want none", len(got))
	}
	wantDepth(t, q, embedded.Depth{Dead: 3})
	shut(t, s)

	s = open(t, dir, embedded.Options{Now: c.now})
	q = s.Queue("q", options)
	wantDepth(t, q, embedded.Depth{Dead: 3})
	letters, err := q.Dead(t.Context(), "", 10)
	if err != nil || len(letters) != 3 {
		t.Fatalf("got %d dead letters, %v", len(letters), err)
	}
	for i, l := range letters {
		if string(l.Body) != fmt.Sprint(i) || l.Group != []string{"a", "b", "a"}[i] || l.Receives != 2 ||
			!l.Sent.Equal(sent) || !l.Died.Equal(c.now()) {
			t.Errorf("dead letter %d is %+v", i, l)
		}
	}
	if page, err := q.Dead(t.Context(), letters[0].ID, 1); err != nil || len(page) != 1 || page[0].ID != letters[1].ID {
		t.Errorf("the page after the first: %+v, %v", page, err)
	}
	if one, err := q.Letter(t.Context(), letters[1].ID); err != nil || string(one.Body) != "1" {
		t.Errorf("the second letter: %+v, %v", one, err)
	}
	if _, err := q.Letter(t.Context(), "0"); !errors.Is(err, queue.ErrAbsent) {
		t.Errorf("a letter that is none: %v", err)
	}
	if page, err := q.Dead(t.Context(), "ffffffffffffffff", 10); err != nil || len(page) != 0 {
		t.Errorf("the page after the last ID: %+v, %v", page, err)
	}
	if n, err := q.Redrive(t.Context(), letters[0].ID, letters[2].ID, letters[0].ID, "ffff"); err != nil || n != 2 {
		t.Errorf("redrive two: %d, %v", n, err)
	}
	if n, err := q.Drop(t.Context(), letters[0].ID, letters[1].ID); err != nil || n != 1 {
		t.Errorf("drop one: %d, %v", n, err)
	}
	if _, err := q.Redrive(t.Context(), "nonsense"); !errors.Is(err, queue.ErrInvalid) {
		t.Errorf("redrive nonsense: %v", err)
	}
	wantDepth(t, q, embedded.Depth{Ready: 2})
	shut(t, s)

	s = open(t, dir, embedded.Options{Now: c.now})
	q = s.Queue("q", options)
	for n := 1; n <= 2; n++ {
		ds := receive(t, q, 10)
		if len(ds) != 2 || ds[0].Receives != n || ds[0].ID != letters[0].ID {
			t.Errorf("redriven messages, delivery %d: %+v", n, ds)
		}
		c.advance(time.Minute)
	}
	wantDepth(t, q, embedded.Depth{Dead: 2})
}

// TestKillerDies restarts a store whose process ends at each delivery of one message: that one dies in the end.
func TestKillerDies(t *testing.T) {
	dir := t.TempDir()
	for n := 1; n <= 4; n++ {
		s := open(t, dir, embedded.Options{})
		q := s.Queue("q", embedded.QueueOptions{MaxReceives: 3})
		if n == 1 {
			send(t, q, message("killer", "a"))
		}
		if ds := receive(t, q, 1); n <= 3 && (len(ds) != 1 || ds[0].Receives != n) || n > 3 && len(ds) != 0 {
			t.Errorf("start %d: received %+v", n, ds)
		}
		if n > 3 {
			wantDepth(t, q, embedded.Depth{Dead: 1})
		}
		shut(t, s)
	}
}

func TestDelaySurvivesARestart(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	s := open(t, dir, embedded.Options{Now: c.now})
	later := message("later", "a")
	later.Delay = time.Minute
	send(t, s.Queue("q", embedded.QueueOptions{}), later)
	shut(t, s)
	q := open(t, dir, embedded.Options{Now: c.now}).Queue("q", embedded.QueueOptions{})
	wantDepth(t, q, embedded.Depth{Delayed: 1})
	if got := receive(t, q, 1); len(got) != 0 {
		t.Errorf("received %q before its time", got[0].Body)
	}
	c.advance(time.Minute)
	if got := receive(t, q, 1); len(got) != 1 {
		t.Error("not received at its time")
	}
}

// TestGroupsInFlight fills a group's share: it is passed over until a message of it is done, or comes back.
func TestGroupsInFlight(t *testing.T) {
	c := newClock()
	q := open(t, t.TempDir(), embedded.Options{Now: c.now}).Queue("q", embedded.QueueOptions{MaxInFlightPerGroup: 2})
	for i := range 6 {
		send(t, q, message(fmt.Sprint(i), "loud"))
	}
	send(t, q, message("6", "quiet"), message("7", "quiet"), message("8", "quiet"))
	bodies := func(ds []queue.Delivery) (s string) {
		for _, d := range ds {
			s += string(d.Body)
		}
		return s
	}
	first := receive(t, q, 10)
	if got := bodies(first); got != "0617" {
		t.Errorf("first turns: %s, want 0617", got)
	}
	if got := bodies(receive(t, q, 10)); got != "" {
		t.Errorf("received %s beyond the groups' shares", got)
	}
	if err := q.Done(t.Context(), first[0]); err != nil {
		t.Fatal(err)
	}
	if got := bodies(receive(t, q, 10)); got != "2" {
		t.Errorf("after one was done: %s, want 2", got)
	}
	if err := q.Hide(t.Context(), first[1], 0); err != nil {
		t.Fatal(err)
	}
	if got := bodies(receive(t, q, 10)); got != "8" {
		t.Errorf("after one came back: %s, want 8, which has waited longer", got)
	}
	c.advance(time.Minute)
	if got := len(receive(t, q, 10)); got != 4 {
		t.Errorf("after all came back: %d, want 2 of each group", got)
	}
}

// TestWaitersAreWoken has receivers wait for what a group's share holds back.
func TestWaitersAreWoken(t *testing.T) {
	q := open(t, t.TempDir(), embedded.Options{}).Queue("q", embedded.QueueOptions{MaxInFlightPerGroup: 1})
	send(t, q, message("0", "a"), message("1", "a"), message("2", "a"))
	held := receive(t, q, 1)
	got := make(chan queue.Delivery, 2)
	for range 2 {
		go func() {
			ds, err := q.Receive(t.Context(), 1, time.Minute, time.Minute)
			if err != nil || len(ds) != 1 {
				t.Errorf("a waiter got %d messages, %v", len(ds), err)
				close(got)
				return
			}
			got <- ds[0]
		}()
	}
	for range 2 {
		if err := q.Done(t.Context(), held[0]); err != nil {
			t.Fatal(err)
		}
		held[0] = <-got
	}
}

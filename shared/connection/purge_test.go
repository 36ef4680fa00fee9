package connection_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/access"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/table/tabletest"
)

// rooms are two rooms that hold some items of a connection.
type rooms struct {
	left  [2]int
	asked []int
	fail  error
}

func (r *rooms) all() []connection.Room {
	room := func(i int) connection.Room {
		return func(_ context.Context, _ connection.ID, budget int) (int, bool, error) {
			r.asked = append(r.asked, i)
			n := min(budget, r.left[i])
			r.left[i] -= n
			return n, r.left[i] == 0, r.fail
		}
	}
	return []connection.Room{room(0), room(1)}
}

func newPurger(r *connection.Registry, rooms *rooms) *connection.Purger {
	return &connection.Purger{
		Registry: r, Rooms: rooms.all(), Log: slog.New(slog.DiscardHandler), Slice: 10,
		Trail: &access.Trail{Table: r.Table, Now: r.Now, Rand: r.Rand},
	}
}

func deauthorized(t *testing.T, r *connection.Registry) connection.ID {
	t.Helper()
	id := consented(t, r)
	if _, err := r.Deauthorize(t.Context(), id, "key-1"); err != nil {
		t.Fatal(err)
	}
	if err := r.Stopped(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	return id
}

func TestAPurgeGoesOnSliceBySliceAndThenNameAndTenantAreFree(t *testing.T) {
	r, c := newRegistry(t)
	ctx, id := t.Context(), deauthorized(t, r)
	held := &rooms{left: [2]int{25, 5}}
	p := newPurger(r, held)
	tick := func() {
		t.Helper()
		if err := p.Tick(ctx); err != nil {
			t.Fatal(err)
		}
	}
	tick()
	if len(held.asked) != 0 {
		t.Fatal("something was deleted that nobody asked for")
	}
	if _, err := r.Purge(ctx, id, "key-2"); err != nil {
		t.Fatal(err)
	}
	c.advance(15 * time.Minute)
	tick()
	if len(held.asked) != 0 {
		t.Fatal("deleting began while something that had begun before may still store")
	}
	c.advance(time.Minute)
	for i, want := range []int64{15, 25} {
		tick()
		got, err := r.Get(ctx, id)
		if err != nil || got.Purge.Deleted != want || got.Status != connection.Deauthorized {
			t.Errorf("after slice %d: %+v, %v", i+1, got.Purge, err)
		}
	}
	tick()
	if _, err := r.Get(ctx, id); !errors.Is(err, connection.ErrNotFound) {
		t.Errorf("the connection is still there: %v", err)
	}
	if history, err := r.History(ctx, id); len(history) != 0 || err != nil {
		t.Errorf("its history is still there: %v, %v", history, err)
	}
	again := consented(t, r) // the same name, and the same tenant
	if again == id {
		t.Error("an id came back")
	}
	tick()
	if _, err := r.Get(ctx, again); err != nil {
		t.Errorf("the new connection went with the old one: %v", err)
	}
	var acts []access.Entry
	for e, err := range p.Trail.List(ctx, c.now().Add(-time.Hour), c.now().Add(time.Hour)) {
		if err != nil {
			t.Fatal(err)
		}
		acts = append(acts, e)
	}
	if len(acts) != 1 || acts[0].What != "connection.purged" || acts[0].Count != 30 {
		t.Errorf("the trail has %+v", acts)
	}
}

func TestOnlyWhatIsNotFollowedCanBePurged(t *testing.T) {
	r, _ := newRegistry(t)
	id := consented(t, r)
	if _, err := r.Purge(t.Context(), id, "key-1"); !errors.Is(err, connection.ErrInUse) {
		t.Errorf("a connection that is followed: %v", err)
	}
	never, _, err := r.Add(t.Context(), "Never", connection.Commercial, "key-1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Purge(t.Context(), never.ID, "key-1"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Consented(t.Context(), never.ID, administrator(globex)); !errors.Is(err, connection.ErrPurging) {
		t.Errorf("a consent called it back: %v", err)
	}
	if err := newPurger(r, &rooms{}).Tick(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Get(t.Context(), never.ID); !errors.Is(err, connection.ErrNotFound) {
		t.Errorf("a connection that nobody consented to had to wait: %v", err)
	}
}

func TestAPurgeWaitsADayForTheSubscriptionToBeStopped(t *testing.T) {
	r, c := newRegistry(t)
	id := consented(t, r)
	for _, act := range []func(context.Context, connection.ID, string) (connection.Connection, error){r.Deauthorize,
		r.Purge} {
		if _, err := act(t.Context(), id, "key-1"); err != nil {
			t.Fatal(err)
		}
	}
	held := &rooms{}
	p := newPurger(r, held)
	for _, after := range []time.Duration{time.Hour, 22 * time.Hour, time.Hour} {
		if len(held.asked) != 0 {
			t.Error("it did not wait")
		}
		c.advance(after)
		if err := p.Tick(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if len(held.asked) == 0 {
		t.Error("it waits for ever")
	}
}

// A purge that dies at any write, before it or after it without an answer, is ended by the next ticks.
func TestAPurgeThatFailsAnywhereIsEndedByTheNextTick(t *testing.T) {
	for kind, fail := range map[string]func(*tabletest.Faulty, int){
		"not done":                     func(f *tabletest.Faulty, n int) { f.Before = onWrite(n) },
		"done but told that it failed": func(f *tabletest.Faulty, n int) { f.After = onWrite(n) },
	} {
		for n := 1; n <= 8; n++ {
			r, c := newRegistry(t)
			id := deauthorized(t, r)
			if _, err := r.Purge(t.Context(), id, "key-1"); err != nil {
				t.Fatal(err)
			}
			c.advance(time.Hour)
			sound := r.Table
			faulty := &tabletest.Faulty{Table: sound}
			fail(faulty, n)
			r.Table = faulty
			held := &rooms{left: [2]int{3, 3}}
			if err := newPurger(r, held).Tick(t.Context()); err != nil {
				t.Fatal(err)
			}
			r.Table = sound
			if err := newPurger(r, held).Tick(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := r.Get(t.Context(), id); !errors.Is(err, connection.ErrNotFound) || held.left != [2]int{} {
				t.Errorf("%s, write %d: %v, and %v are left", kind, n, err, held.left)
			}
			consented(t, r) // name and tenant are free
		}
	}
}

// onWrite fails from the n-th write on.
func onWrite(n int) func(string, int) error {
	writes := 0
	return func(op string, _ int) error {
		if !slices.Contains([]string{"commit", "create", "load"}, op) {
			return nil
		}
		if writes++; writes >= n {
			return errDisk
		}
		return nil
	}
}

func TestARoomThatFailsIsAskedAgain(t *testing.T) {
	r, c := newRegistry(t)
	id := deauthorized(t, r)
	if _, err := r.Purge(t.Context(), id, "key-1"); err != nil {
		t.Fatal(err)
	}
	c.advance(time.Hour)
	held := &rooms{left: [2]int{3, 3}, fail: errDisk}
	p := newPurger(r, held)
	for range 2 {
		if err := p.Tick(t.Context()); err != nil {
			t.Fatal(err)
		}
		held.fail = nil
	}
	if _, err := r.Get(t.Context(), id); !errors.Is(err, connection.ErrNotFound) {
		t.Error(err)
	}
	if !slices.Equal(held.asked, []int{0, 0, 1}) {
		t.Errorf("rooms were asked in the order %v", held.asked)
	}
}

func TestAPurgerLeavesOthersConnectionsAlone(t *testing.T) {
	r, c := newRegistry(t)
	id := deauthorized(t, r)
	if _, err := r.Purge(t.Context(), id, "key-1"); err != nil {
		t.Fatal(err)
	}
	c.advance(time.Hour)
	p := newPurger(r, &rooms{})
	r.Share = func(connection.ID) bool { return false }
	if err := p.Tick(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Get(t.Context(), id); err != nil {
		t.Error(err)
	}
}

package connection_test

import (
	"errors"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
)

func TestDeauthorizingAsksForTheSubscriptionToBeStopped(t *testing.T) {
	r, c := newRegistry(t)
	ctx, id := t.Context(), consented(t, r)
	stopping := func() []connection.Connection {
		t.Helper()
		all, err := r.Stopping(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	followed := func(want bool) {
		t.Helper()
		if is, err := r.Follows(ctx, id); is != want || err != nil {
			t.Errorf("followed: %t, %v; want %t", is, err, want)
		}
	}
	followed(true)
	if len(stopping()) != 0 {
		t.Error("a connection that is followed is to be stopped")
	}
	asked := c.now()
	for range 2 { // twice is once
		if _, err := r.Deauthorize(ctx, id, "key-1"); err != nil {
			t.Fatal(err)
		}
		c.advance(time.Minute)
	}
	followed(false)
	if all := stopping(); len(all) != 1 || !all[0].Stopping.Equal(asked) || !all[0].Since.Equal(asked) {
		t.Errorf("%+v", all)
	}
	if err := r.Stopped(ctx, id); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Deauthorize(ctx, id, "key-1"); err != nil {
		t.Fatal(err)
	}
	if len(stopping()) != 0 {
		t.Error("what is stopped is to be stopped again")
	}
	resumed, err := r.Resume(ctx, id, "key-1")
	if err != nil || !resumed.Resumed.Equal(c.now()) || resumed.Status != connection.Initializing {
		t.Errorf("%+v, %v", resumed, err)
	}
	followed(true)
	if is, err := r.Follows(ctx, "aaaaaaaaaaaa"); is || err != nil {
		t.Errorf("a connection that is not there is followed: %t, %v", is, err)
	}
}

func TestResumingBeforeTheStopTakesItBack(t *testing.T) {
	r, _ := newRegistry(t)
	id := consented(t, r)
	for _, step := range []func() error{
		func() error { _, err := r.Deauthorize(t.Context(), id, "key-1"); return err },
		func() error { _, err := r.Resume(t.Context(), id, "key-1"); return err },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	if all, err := r.Stopping(t.Context()); len(all) != 0 || err != nil {
		t.Errorf("%+v, %v", all, err)
	}
}

func TestAConnectionWithoutATenantHasNothingToStop(t *testing.T) {
	r, _ := newRegistry(t)
	c, _, err := r.Add(t.Context(), "Acme", connection.Commercial, "key-1")
	if err != nil {
		t.Fatal(err)
	}
	if c, err = r.Deauthorize(t.Context(), c.ID, "key-1"); err != nil || !c.Stopping.IsZero() {
		t.Errorf("%+v, %v", c, err)
	}
	// It is resumed for the same tenant only: the one that an administrator proves now, for it had none.
	if _, err := r.Consented(t.Context(), c.ID, administrator(acme)); !errors.Is(err, connection.ErrDeauthorized) {
		t.Errorf("a consent undid the deauthorizing: %v", err)
	}
}

package connection_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/mailtrail/mailtrail/shared/access"
	"github.com/mailtrail/mailtrail/shared/connection"
)

func TestRenamingFreesTheOldNameAndTakesTheNewOne(t *testing.T) {
	r, _ := newRegistry(t)
	id := consented(t, r)
	rename := func(name string) error {
		_, err := r.Rename(t.Context(), id, name, "key-1")
		return err
	}
	for _, name := range []string{"ACME", "Globex", "Globex", "Acme"} {
		if err := rename(name); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, _, err := r.Add(t.Context(), name, connection.Commercial, "key-1"); !errors.Is(err, connection.ErrName) {
			t.Errorf("the name %s is free although a connection has it: %v", name, err)
		}
	}
	if _, _, err := r.Add(t.Context(), "Globex", connection.Commercial, "key-1"); err != nil {
		t.Errorf("the old name is not free: %v", err)
	}
	if err := rename("globex"); !errors.Is(err, connection.ErrName) {
		t.Errorf("a name that another connection has: %v", err)
	}
	var invalid *access.Refused
	if err := rename(" "); !errors.As(err, &invalid) {
		t.Errorf("no name: %v", err)
	}
	if c, err := r.Get(t.Context(), id); err != nil || c.DisplayName != "Acme" {
		t.Errorf("%q, %v", c.DisplayName, err)
	}
}

func TestOneOfManyConnectionsGetsANewName(t *testing.T) {
	r, _ := newRegistry(t)
	ids := make([]connection.ID, 6)
	for i := range ids {
		c, _, err := r.Add(t.Context(), fmt.Sprint("Acme ", i), connection.Commercial, "key-1")
		if err != nil {
			t.Fatal(err)
		}
		ids[i] = c.ID
	}
	race(len(ids), func(i int) error {
		_, err := r.Rename(t.Context(), ids[i], "Globex", "key-1")
		return err
	}, connection.ErrName, t)
	held := 0
	for _, id := range ids {
		if c, err := r.Get(t.Context(), id); err != nil || c.DisplayName == "Globex" {
			held++
		}
	}
	if held != 1 {
		t.Errorf("%d connections have one name", held)
	}
}

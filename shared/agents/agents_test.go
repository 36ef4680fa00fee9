package agents_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/agents"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/embedded"
	"github.com/mailtrail/mailtrail/shared/people"
	"github.com/mailtrail/mailtrail/shared/table"
	"github.com/mailtrail/mailtrail/shared/trigger"
)

// TestTheSharesOfTheAgentsHoldEveryConnectionOnce, for each agent's list. The list that an administrator sees has no
// share.
func TestTheSharesOfTheAgentsHoldEveryConnectionOnce(t *testing.T) {
	const connections, shards = 30, 3
	all := agents.New(surroundings(t))
	for i := range connections {
		c, _, err := all.Registry.Add(t.Context(), fmt.Sprintf("Tenant %d", i), connection.Commercial, "test")
		if err != nil {
			t.Fatal(err)
		}
		tenant := connection.TenantID(fmt.Sprintf("11111111-1111-4222-8333-%012d", i))
		if _, err := all.Registry.Consented(t.Context(), c.ID, connection.Administrator{Tenant: tenant,
			Object: "admin"}); err != nil {
			t.Fatal(err)
		}
		if i%3 == 0 {
			if _, err := all.Registry.Deauthorize(t.Context(), c.ID, "test"); err != nil {
				t.Fatal(err)
			}
		}
	}
	lists := map[string]func(*connection.Registry) ([]connection.Connection, error){
		"followed": func(r *connection.Registry) ([]connection.Connection, error) { return r.Followed(t.Context()) },
		"stopping": func(r *connection.Registry) ([]connection.Connection, error) { return r.Stopping(t.Context()) },
	}
	for what, list := range lists {
		whole, err := list(all.Registry)
		if err != nil {
			t.Fatal(err)
		}
		held := map[connection.ID]int{}
		for index := range shards {
			mine := all.Of(trigger.Shard{Index: index, Of: shards}.Holds)
			if mine.Poller.Connections != mine.Registry || mine.Census.Connections != mine.Registry ||
				mine.Purger.Registry != mine.Registry {
				t.Error("an agent works on another share")
			}
			own, err := list(mine.Registry)
			if err != nil {
				t.Fatal(err)
			}
			if len(own) == 0 || len(own) == len(whole) {
				t.Errorf("shard %d holds %d of %d that are %s", index, len(own), len(whole), what)
			}
			for _, c := range own {
				held[c.ID]++
			}
			if listed, err := mine.Registry.List(t.Context()); err != nil || len(listed) != connections {
				t.Errorf("shard %d lists %d connections, %v", index, len(listed), err)
			}
		}
		for _, c := range whole {
			if held[c.ID] != 1 {
				t.Errorf("%s, which is %s, is held %d times", c.ID, what, held[c.ID])
			}
		}
		if len(held) != len(whole) {
			t.Errorf("%d of %d that are %s are held", len(held), len(whole), what)
		}
	}
}

// TestSweepsSayWhatFailed has a list of connections that cannot be read.
func TestSweepsSayWhatFailed(t *testing.T) {
	s := surroundings(t)
	s.Connections = nothing{s.Connections}
	if err := agents.New(s).Sweep(t.Context()); !errors.Is(err, errNothing) {
		t.Error(err)
	}
}

func surroundings(t *testing.T) agents.Surroundings {
	t.Helper()
	store, err := embedded.Open(t.TempDir(), embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return agents.Surroundings{
		Connections: store.Table("connections"), Blobs: store.Table("blobs"), Events: store.Table("events"),
		People: store.Table("people"),
		Now:    time.Now,
		Rand:   rand.NewChaCha8([32]byte{}), // the same ids every time
		Log:    slog.New(slog.DiscardHandler),
	}
}

var errNothing = errors.New("no table")

// nothing is a table that cannot be queried.
type nothing struct{ table.Table }

func (nothing) Query(context.Context, table.Query) iter.Seq2[table.Item, error] {
	return func(yield func(table.Item, error) bool) { yield(table.Item{}, errNothing) }
}

// Connections that were made when only the mail of people with a licence was kept go on so until somebody chooses, and
// say so; new ones keep all.
func TestConnectionsKeepTheGateThatTheyWereMadeWith(t *testing.T) {
	s := surroundings(t)
	all := agents.New(s)
	c, _, err := all.Registry.Add(t.Context(), "Fernhill", connection.Commercial, "test")
	if err != nil {
		t.Fatal(err)
	}
	gate := func(want people.Gate) {
		t.Helper()
		scope, err := all.Roster.Scope(t.Context(), c.ID)
		if err != nil || scope.Gate != want || scope.Kind != people.Everybody {
			t.Errorf("%+v, want the gate %s: %v", scope, want, err)
		}
	}
	gate(people.None)
	// As versions before 0.2 stored it.
	item, err := s.Connections.Get(t.Context(), table.Key{Partition: "connection", Sort: string(c.ID)})
	if err != nil {
		t.Fatal(err)
	}
	delete(item.Attrs, "keepsAll")
	if err := s.Connections.Load(t.Context(), item); err != nil {
		t.Fatal(err)
	}
	gate(people.Premium)
	if _, err := all.Roster.SetScope(t.Context(), c.ID, people.Everybody, people.None, nil); err != nil {
		t.Fatal(err)
	}
	gate(people.None)
}

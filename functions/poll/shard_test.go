package main

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/trigger"
)

// registry has a hundred connections, or an error.
type registry struct {
	audit.Connections
	err error
}

func (r registry) Followed(context.Context) ([]connection.Connection, error) {
	var all []connection.Connection
	for i := range 100 {
		all = append(all, connection.Connection{ID: connection.ID(fmt.Sprintf("c%011d", i))})
	}
	return all, r.err
}

func TestShardsPollEveryConnectionOnce(t *testing.T) {
	polled := map[connection.ID]int{}
	for index := range 3 {
		own, err := sharded{registry{}, trigger.Shard{Index: index, Of: 3}}.Followed(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(own) == 0 || len(own) == 100 {
			t.Errorf("shard %d polls %d of 100", index, len(own))
		}
		for _, c := range own {
			polled[c.ID]++
		}
	}
	for id, n := range polled {
		if n != 1 {
			t.Errorf("%s is polled by %d shards", id, n)
		}
	}
	if len(polled) != 100 {
		t.Errorf("%d of 100 are polled", len(polled))
	}
}

func TestShardsPassErrorsOn(t *testing.T) {
	broken := errors.New("no table")
	if _, err := (sharded{registry{err: broken}, trigger.Shard{Of: 1}}).Followed(t.Context()); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/trigger"
)

// registry has a hundred connections, or an error.
type registry struct{ err error }

func (r registry) Followed(context.Context) ([]connection.Connection, error) {
	var all []connection.Connection
	for i := range 100 {
		all = append(all, connection.Connection{ID: connection.ID(fmt.Sprintf("c%011d", i))})
	}
	return all, r.err
}

func (registry) ReportDirectory(context.Context, connection.ID, error) error { return nil }

func TestShardsCountEveryConnectionOnce(t *testing.T) {
	counted := map[connection.ID]int{}
	for index := range 3 {
		own, err := sharded{registry{}, trigger.Shard{Index: index, Of: 3}}.Followed(t.Context())
		if err != nil || len(own) == 0 || len(own) == 100 {
			t.Errorf("shard %d has %d of 100, %v", index, len(own), err)
		}
		for _, c := range own {
			counted[c.ID]++
		}
	}
	for id, n := range counted {
		if n != 1 {
			t.Errorf("%s is in %d shards", id, n)
		}
	}
	if len(counted) != 100 {
		t.Errorf("%d of 100 are in a shard", len(counted))
	}
}

func TestShardsPassErrorsOn(t *testing.T) {
	broken := errors.New("no table")
	if _, err := (sharded{registry{broken}, trigger.Shard{Of: 1}}).Followed(t.Context()); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}

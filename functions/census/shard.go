package main

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/people"
	"github.com/mailtrail/mailtrail/shared/trigger"
)

// patience is how long an invocation may take for all tenants: with what its end needs, less than the function's timeout of 5 minutes. The
// next tick goes on where each census stopped.
const patience = 4 * time.Minute

// sharded are the connections of one shard.
type sharded struct {
	people.Connections
	shard trigger.Shard
}

// Followed returns the shard's connections whose tenants are followed.
func (s sharded) Followed(ctx context.Context) ([]connection.Connection, error) {
	all, err := s.Connections.Followed(ctx)
	return slices.DeleteFunc(all, func(c connection.Connection) bool { return !s.shard.Holds(string(c.ID)) }), err
}

// tell says what became of a census: an alarm waits for these lines.
func tell(ctx context.Context, log *slog.Logger, s trigger.Shard, o people.Outcome) {
	log.InfoContext(ctx, "census taken", "shard", s.Index, "shards", s.Of,
		"connections", o.Connections, "busy", o.Busy, "failed", o.Failed, "finished", o.Finished, "people", o.People)
}

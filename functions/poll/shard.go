package main

import (
	"context"
	"log/slog"
	"slices"

	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/trigger"
)

// sharded are the connections of one shard.
type sharded struct {
	audit.Connections
	shard trigger.Shard
}

// Followed returns the shard's connections whose audit log is to be followed.
func (s sharded) Followed(ctx context.Context) ([]connection.Connection, error) {
	return s.held(s.Connections.Followed(ctx))
}

// Stopping returns the shard's connections whose subscription is to be stopped.
func (s sharded) Stopping(ctx context.Context) ([]connection.Connection, error) {
	return s.held(s.Connections.Stopping(ctx))
}

func (s sharded) held(all []connection.Connection, err error) ([]connection.Connection, error) {
	return slices.DeleteFunc(all, func(c connection.Connection) bool { return !s.shard.Holds(string(c.ID)) }), err
}

// tell says what became of a poll: alarms and the dashboard count these lines.
func tell(ctx context.Context, log *slog.Logger, s trigger.Shard, o audit.Outcome) {
	log.InfoContext(ctx, "polled", "shard", s.Index, "shards", s.Of,
		"connections", o.Connections, "busy", o.Busy, "failed", o.Failed, "queued", o.Queued, "requeued", o.Requeued, "stopped", o.Stopped)
}

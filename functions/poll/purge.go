package main

import (
	"context"

	"github.com/mailtrail/mailtrail/functions/parts"
	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/forensic"
	"github.com/mailtrail/mailtrail/shared/trigger"
)

// purger deletes the shard's connections that are to be deleted, with all that the rooms hold of them.
func purger(p *parts.Parts, registry *connection.Registry, ledger *audit.Ledger, s trigger.Shard) *connection.Purger {
	events := func(ctx context.Context, id connection.ID, budget int) (int, bool, error) {
		return forensic.Purge(ctx, p.EventsTable(), id, budget)
	}
	return &connection.Purger{
		Registry: registry, Rooms: []connection.Room{events, ledger.Purge, p.Roster().Purge}, Trail: p.Trail(), Log: p.Log,
		Mine: func(id connection.ID) bool { return s.Holds(string(id)) },
	}
}

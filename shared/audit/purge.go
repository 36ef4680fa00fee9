package audit

import (
	"context"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/table"
)

// Purge deletes what the ledger holds of a connection, at most budget items, and tells how many it deleted and whether nothing is left. It
// may be called again after any error. The caller sees to it that no poll and no reading of the connection is under way.
func (l *Ledger) Purge(ctx context.Context, c connection.ID, budget int) (deleted int, done bool, err error) {
	for _, kind := range []string{"blob", "open", "lost", "unreadable", "sums", "poll"} {
		n, done, err := table.Empty(ctx, l.Table, table.Query{Partition: string(c) + "|" + kind}, budget-deleted)
		if deleted += n; err != nil || !done {
			return deleted, false, err
		}
	}
	return deleted, true, nil
}

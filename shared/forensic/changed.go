package forensic

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/table"
)

// Change says that a settled message may have been changed since it was packed. It is written before the change: a
// crash between the two leaves a change that did not happen, which costs a look at the message. Each change has an item
// of its own, so that whoever deals with some of them deletes none that came meanwhile.
type Change struct {
	Record RecordID
	key    table.Key
}

// changedPartition holds the changes of a connection's settled messages: sort <record>|<revision that is changed>.
func changedPartition(c connection.ID) string { return string(c) + "|changed" }

// changeItem is the item of a change of a message that is at some revision.
func changeItem(m Message, revision int64, expires time.Time) table.Item {
	sort := string(m.Record) + "|" + strconv.FormatInt(revision, 10)
	return table.Item{Key: table.Key{Partition: changedPartition(m.Connection), Sort: sort}, Expires: expires}
}

// Changes lists at most limit changes of a connection, in the order of their records.
func Changes(ctx context.Context, events table.Table, c connection.ID, limit int) ([]Change, error) {
	var all []Change
	for item, err := range events.Query(ctx, table.Query{Partition: changedPartition(c), Limit: limit}) {
		if err != nil {
			return nil, fmt.Errorf("list the changed messages of connection %s: %w", c, err)
		}
		record, _, ok := strings.Cut(item.Sort, "|")
		if !ok {
			return nil, fmt.Errorf("list the changed messages of connection %s: %q names no record", c, item.Sort)
		}
		all = append(all, Change{Record: RecordID(record), key: item.Key})
	}
	return all, nil
}

// Forget deletes changes that were dealt with.
func Forget(ctx context.Context, events table.Table, changes []Change) error {
	keys := make([]table.Key, len(changes))
	for i, c := range changes {
		keys[i] = c.key
	}
	return table.Remove(ctx, events, keys)
}

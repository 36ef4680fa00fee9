package table

import (
	"context"
	"fmt"
)

// Empty deletes the items that a query finds, whatever their revisions, at most budget of them. It returns how many it
// deleted, and whether it came to the end. After an error some are deleted. It is for purges: items that are written
// meanwhile may stay.
func Empty(ctx context.Context, t Table, q Query, budget int) (deleted int, done bool, err error) {
	q.Limit = budget
	keys := make([]Key, 0, min(budget, MaxCommit))
	flush := func() error {
		if err := Remove(ctx, t, keys); err != nil {
			return err
		}
		deleted += len(keys)
		keys = keys[:0]
		return nil
	}
	seen := 0
	for item, err := range t.Query(ctx, q) {
		if err != nil {
			return deleted, false, fmt.Errorf("empty %s: %w", q.Partition, err)
		}
		seen++
		if keys = append(keys, item.Key); len(keys) == MaxCommit {
			if err := flush(); err != nil {
				return deleted, false, err
			}
		}
	}
	if err := flush(); err != nil {
		return deleted, false, err
	}
	return deleted, seen < budget, nil
}

// Remove deletes items, whatever their revisions, MaxCommit at a time: after an error some are deleted. Deleting an
// absent item succeeds.
func Remove(ctx context.Context, t Table, keys []Key) error {
	for len(keys) > 0 {
		some := keys[:min(MaxCommit, len(keys))]
		ops := make([]Op, len(some))
		for i, k := range some {
			ops[i] = Op{Verb: Delete, Item: Item{Key: k}}
		}
		if err := t.Commit(ctx, ops...); err != nil {
			return fmt.Errorf("delete %d items of %s: %w", len(ops), some[0].Partition, err)
		}
		keys = keys[len(some):]
	}
	return nil
}

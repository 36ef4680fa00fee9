package connection

import (
	"context"
	"errors"

	"github.com/mailtrail/mailtrail/shared/table"
)

// Rename gives a connection another display name: the connection, the lock on the new name, and the end of the lock on the old one in one
// Commit. Of several writers who want one name exactly one gets it. Errors: *access.Refused, ErrNotFound, ErrName, ErrPurging, or the table's.
func (r *Registry) Rename(ctx context.Context, id ID, displayName, by string) (Connection, error) {
	name, err := cleanName(displayName)
	if err != nil {
		return Connection{}, err
	}
	return r.change(ctx, id, by, func(s *stored) ([]table.Op, error) {
		if !s.Purge.Asked.IsZero() {
			return nil, ErrPurging
		}
		was := fold(s.DisplayName)
		s.DisplayName = name
		if fold(name) == was { // in other letters: the lock is the same
			return nil, nil
		}
		switch holder, err := r.holder(ctx, nameKey(fold(name))); {
		case err == nil && holder != id:
			return nil, ErrName
		case err != nil && !errors.Is(err, table.ErrAbsent):
			return nil, err
		}
		return []table.Op{
			{Verb: table.Create, Item: lock(nameKey(fold(name)), id)},
			{Verb: table.Delete, Item: table.Item{Key: nameKey(was)}},
		}, nil
	})
}

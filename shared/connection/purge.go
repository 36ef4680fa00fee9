package connection

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/mailtrail/mailtrail/shared/access"
	"github.com/mailtrail/mailtrail/shared/table"
)

const (
	// settling is how long work that began before a connection was deauthorized may still store something for it. On
	// AWS nothing runs for longer than 15 minutes.
	settling = 16 * time.Minute
	// unstopped is how long a purge waits until the subscription is stopped at Microsoft. After that the subscription
	// is left alone.
	unstopped = 24 * time.Hour
	// slice is how many items of one room a tick deletes at most, and sliceTime is how long a tick may take.
	slice     = 50_000
	sliceTime = 40 * time.Second
)

const purging = "The connection is being deleted, with all that was stored of it. This cannot be undone."

// Room deletes what a room stores for a connection, about budget items at most. It returns how many it deleted and
// whether nothing is left. It can be called again after any error.
type Room func(ctx context.Context, id ID, budget int) (deleted int, done bool, err error)

// Purge asks for a connection to be deleted with all its data. The connection must be deauthorized, or no administrator
// has consented to it yet. It cannot be undone. It is idempotent. Errors: ErrNotFound, ErrInUse, or the table's.
func (r *Registry) Purge(ctx context.Context, id ID, by string) (Connection, error) {
	now := r.now()
	return r.change(ctx, id, by, func(s *stored) ([]table.Op, error) {
		switch {
		case !s.Purge.Asked.IsZero():
			return nil, nil
		case s.Followed():
			return nil, ErrInUse
		}
		s.Status, s.Reason = Deauthorized, purging
		s.link, s.linkUntil = "", time.Time{}
		s.Purge = Purge{Asked: now, By: by}
		return nil, nil
	})
}

// Purger deletes connections slice by slice after Purge was asked for. Order of deletes: what the rooms store, then the
// history, then the connection with its locks on name and tenant in one Commit. A crash anywhere leaves a connection
// that is being deleted, and the next tick continues. Two purgers at once do the same work twice, which is harmless.
type Purger struct {
	Registry *Registry
	Rooms    []Room
	Trail    *access.Trail
	Log      *slog.Logger
	Slice    int // items per room and tick; 0 means 50,000
}

// Tick deletes one slice of each connection that is being deleted. The failure of one connection is logged and stops no
// other; the error concerns the list of connections only.
func (p *Purger) Tick(ctx context.Context) error {
	all, err := p.Registry.list(ctx, func(c Connection) bool { return !c.Purge.Asked.IsZero() && p.Registry.shares(c) })
	if err != nil {
		return fmt.Errorf("list connections to delete: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, sliceTime)
	defer cancel()
	for _, c := range all {
		if err := p.purge(ctx, c); err != nil && ctx.Err() == nil {
			p.Log.WarnContext(
				ctx,
				"deleting a connection failed, and goes on at the next tick",
				"connection",
				c.ID,
				"err",
				err,
			)
		}
	}
	return nil
}

// purge deletes a slice of one connection, and after the last slice the connection itself.
func (p *Purger) purge(ctx context.Context, c Connection) error {
	if now := p.Registry.now(); now.Before(c.purgeable(now)) {
		return nil
	}
	var deleted int
	var failed error
	done := true
	for _, room := range p.Rooms {
		n, all, err := room(ctx, c.ID, p.slice())
		deleted += n
		if done = done && all; err != nil {
			failed = err
			break
		}
	}
	if deleted > 0 { // shows progress; of two purgers the higher number stays
		if err := p.Registry.purged(ctx, c.ID, c.Purge.Deleted+int64(deleted)); err != nil {
			return errors.Join(failed, err)
		}
	}
	if failed != nil || !done {
		return failed
	}
	return p.end(ctx, c.ID)
}

func (p *Purger) slice() int {
	if p.Slice > 0 {
		return p.Slice
	}
	return slice
}

// purgeable is when the deletion may begin: when all work that had begun before the connection was deauthorized has
// ended, and its subscription is stopped. A connection without a consent has no work under way.
func (c Connection) purgeable(now time.Time) time.Time {
	switch {
	case c.Tenant.ID == "":
		return c.Purge.Asked
	case !c.Stopping.IsZero() && now.Before(c.Purge.Asked.Add(unstopped)):
		return c.Purge.Asked.Add(unstopped)
	case c.Since.IsZero():
		return c.Purge.Asked.Add(settling)
	}
	return c.Since.Add(settling)
}

// purged stores how many items of a connection have been deleted.
func (r *Registry) purged(ctx context.Context, id ID, n int64) error {
	_, err := r.change(ctx, id, Poller, func(s *stored) ([]table.Op, error) {
		s.Purge.Deleted = max(s.Purge.Deleted, n)
		return nil, nil
	})
	return err
}

// end writes the trail, and then deletes the history, the connection and its locks.
func (p *Purger) end(ctx context.Context, id ID) error {
	r := p.Registry
	s, err := r.get(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	detail, err := json.Marshal(
		map[string]string{
			"connection":  string(id),
			"displayName": s.DisplayName,
			"tenant":      string(s.Tenant.ID),
			"asked":       s.Purge.By,
		},
	)
	if err != nil {
		return err
	}
	err = p.Trail.Record(ctx, access.Entry{
		Who:         Poller,
		What:        "connection.purged",
		Detail:      string(detail),
		Count:       s.Purge.Deleted,
		Connections: access.Limit{string(id)},
	})
	if err != nil {
		return err
	}
	if _, done, err := table.Empty(
		ctx,
		r.Table,
		table.Query{Partition: historyPartition(id)},
		slice,
	); err != nil ||
		!done {
		return err
	}
	ops := []table.Op{
		{Verb: table.Delete, Item: table.Item{Key: connectionKey(id), Revision: s.Revision}},
		{Verb: table.Delete, Item: table.Item{Key: nameKey(fold(s.DisplayName))}},
	}
	if s.Tenant.ID != "" {
		ops = append(ops, table.Op{Verb: table.Delete, Item: table.Item{Key: tenantKey(s.Tenant.ID)}})
	}
	if err := r.Table.Commit(ctx, ops...); err != nil {
		return fmt.Errorf("delete connection %s: %w", id, err)
	}
	p.Log.InfoContext(
		ctx,
		"a connection was deleted, with all that was stored of it",
		"connection",
		id,
		"tenant",
		s.Tenant.ID,
		"items",
		s.Purge.Deleted,
	)
	return nil
}

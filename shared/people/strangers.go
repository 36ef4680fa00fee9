package people

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/table"
)

// find looks names up in the roster, and in the directory those that are not in it.
func (m *Monitor) find(ctx context.Context, c tenant, names []string) (map[string]entry, error) {
	found, err := m.Roster.named(ctx, c.id, names)
	if err != nil {
		return nil, err
	}
	var strangers []string
	for _, n := range names {
		if _, ok := found[n]; !ok {
			strangers = append(strangers, n)
		}
	}
	ask, err := m.Roster.askable(ctx, c.id, strangers)
	if err != nil || len(ask) == 0 {
		return found, err
	}
	if err := m.ask(ctx, c, ask); err != nil {
		return nil, err
	}
	more, err := m.Roster.named(ctx, c.id, ask)
	for n, e := range more {
		found[n] = e
	}
	return found, err
}

// ask asks the directory for names, a few at once, and stores each answer. After an error it begins no further one.
func (m *Monitor) ask(ctx context.Context, c tenant, names []string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	slots := make(chan struct{}, lookups)
	for _, n := range names {
		slots <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		all.Go(func() {
			defer func() { <-slots }()
			if err := m.askOne(ctx, c, n); err != nil {
				cancel(err)
			}
		})
	}
	all.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

func (m *Monitor) askOne(ctx context.Context, c tenant, n string) error {
	p, err := m.Directory.User(ctx, c.at, n)
	if errors.Is(err, ErrUnknown) {
		return m.Roster.forget(ctx, c.id, n)
	}
	if errors.Is(err, fault.Poison) { // of the directory's answer, which says nothing of the mail
		return fmt.Errorf("%v: %w", err, fault.Retry)
	}
	if errors.Is(err, fault.Refused) {
		return errors.Join(err, m.Roster.doubt(ctx, c.id))
	}
	if err != nil {
		return err
	}
	return m.Roster.add(ctx, c.id, p)
}

// askable are those of names that the directory was not asked for a short while ago.
func (r *Roster) askable(ctx context.Context, c connection.ID, names []string) ([]string, error) {
	keys := make([]table.Key, len(names))
	for i, n := range names {
		keys[i] = unknownKey(c, n)
	}
	items, err := r.Table.GetMany(ctx, keys)
	if err != nil {
		return nil, fmt.Errorf("look up unknown addresses of connection %s: %w", c, err)
	}
	recent := map[string]bool{}
	for _, item := range items {
		recent[item.Sort] = r.Now().Before(unstamp(item.Attrs["asked"]).Add(unknownFor))
	}
	var ask []string
	for _, n := range names {
		if !recent[n] {
			ask = append(ask, n)
		}
	}
	return ask, nil
}

// forget remembers that the directory does not know an address, for as long as somebody who left is remembered: whoever looks at the
// people sees whose mail is not kept for this reason.
func (r *Roster) forget(ctx context.Context, c connection.ID, n string) error {
	now := r.Now()
	item := table.Item{Key: unknownKey(c, n), Attrs: table.Attrs{"asked": stamp(now)}, Expires: now.Add(remembered)}
	if err := r.Table.Load(ctx, item); err != nil {
		return fmt.Errorf("store an unknown address of connection %s: %w", c, err)
	}
	return nil
}

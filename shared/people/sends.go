package people

import (
	"context"
	"fmt"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/table"
)

// lastSend is when a person last sent mail: with attachments, and of any kind.
type lastSend struct{ files, any time.Time }

// later is the later of each.
func (s lastSend) later(t lastSend) lastSend {
	if t.files.After(s.files) {
		s.files = t.files
	}
	if t.any.After(s.any) {
		s.any = t.any
	}
	return s
}

// readSend reads what is stored of a person's sends. Until version 0.2 only sends with attachments were.
func readSend(item table.Item) lastSend {
	s := lastSend{table.TimeOf(item.Attrs["at"]), table.TimeOf(item.Attrs["any"])}
	return s.later(lastSend{any: s.files})
}

// Sent records when people last sent mail of any kind, by principal's name or address. It asks no directory: names that
// the roster does not have are left out, for the census brings those who matter.
func (m *Monitor) Sent(ctx context.Context, c connection.ID, latest map[string]time.Time) error {
	names := m.unheard(c, latest)
	if len(names) == 0 {
		return nil
	}
	folded := make([]string, 0, len(names))
	at := make(map[string]time.Time, len(names))
	for _, n := range names {
		f := Fold(n)
		if _, there := at[f]; !there {
			folded = append(folded, f)
		}
		if latest[n].After(at[f]) {
			at[f] = latest[n]
		}
	}
	found, err := m.Roster.named(ctx, c, folded)
	if err != nil {
		return err
	}
	last := map[ObjectID]lastSend{}
	for n, e := range found {
		last[e.ID] = last[e.ID].later(lastSend{any: at[n]})
	}
	if err := m.noteSends(ctx, c, last); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.heard == nil || len(m.heard)+len(names) > maxKnown {
		m.heard = make(map[name]time.Time)
	}
	for _, n := range names {
		m.heard[name{c, n}] = latest[n]
	}
	return nil
}

// unheard are the names of which this process recorded nothing within a day.
func (m *Monitor) unheard(c connection.ID, latest map[string]time.Time) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for n, at := range latest {
		if before, ok := m.heard[name{c, n}]; !ok || at.Sub(before) >= sendEvery {
			names = append(names, n)
		}
	}
	return names
}

// note records the last sends with attachments.
func (m *Monitor) note(ctx context.Context, c connection.ID, last map[ObjectID]time.Time) error {
	sends := make(map[ObjectID]lastSend, len(last))
	for id, at := range last {
		sends[id] = lastSend{files: at, any: at}
	}
	return m.noteSends(ctx, c, sends)
}

// noteSends writes the last sends of people, unless this process did so within a day. A backlog is read out of order,
// so a time that is there is only moved on.
func (m *Monitor) noteSends(ctx context.Context, c connection.ID, last map[ObjectID]lastSend) error {
	due := m.due(c, last)
	if len(due) == 0 {
		return nil
	}
	keys := make([]table.Key, len(due))
	for i, id := range due {
		keys[i] = sendKey(c, id)
	}
	items, err := m.Roster.Table.GetMany(ctx, keys)
	if err != nil {
		return fmt.Errorf("read last sends of connection %s: %w", c, err)
	}
	there := make(map[ObjectID]lastSend, len(items))
	for _, item := range items {
		there[ObjectID(item.Sort)] = readSend(item)
	}
	var later []table.Item
	for _, id := range due {
		news := lastSend{moment(last[id].files), moment(last[id].any)}
		if next := there[id].later(news); next != there[id] {
			attrs := table.Attrs{"any": table.Stamp(next.any)}
			if !next.files.IsZero() {
				attrs["at"] = table.Stamp(next.files)
			}
			later = append(later, table.Item{Key: sendKey(c, id), Attrs: attrs})
		}
	}
	if err := m.Roster.Table.Load(ctx, later...); err != nil {
		return fmt.Errorf("store last sends of connection %s: %w", c, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.sends == nil || len(m.sends)+len(due) > maxKnown {
		m.sends = make(map[person]lastSend)
	}
	for _, id := range due {
		m.sends[person{c, id}] = m.sends[person{c, id}].later(last[id])
	}
	return nil
}

// due are those of whom this process wrote nothing within a day.
func (m *Monitor) due(c connection.ID, last map[ObjectID]lastSend) []ObjectID {
	m.mu.Lock()
	defer m.mu.Unlock()
	var due []ObjectID
	for id, s := range last {
		written, ok := m.sends[person{c, id}]
		if !ok || s.files.Sub(written.files) >= sendEvery || s.any.Sub(written.any) >= sendEvery {
			due = append(due, id)
		}
	}
	return due
}

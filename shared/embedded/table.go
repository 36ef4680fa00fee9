package embedded

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/mailtrail/mailtrail/shared/table"
)

// Table is a table.Table in the store's folder.
type Table struct {
	store  *Store
	name   string
	prefix []byte           // what the keys of its items start with
	view   *pebble.Snapshot // the moment that a View shows; nil is now
	meter  table.Meter
}

var _ table.Table = (*Table)(nil)

// Bounds of one batch: what is written, and held in memory, at once.
const (
	batchBytes = 4 << 20
	batchItems = 10_000
)

// Table returns the table of that name, always the same one. A table without a write is empty.
func (s *Store) Table(name string) *Table {
	s.rooms.Lock()
	defer s.rooms.Unlock()
	t := s.tables[name]
	if t == nil {
		t = &Table{store: s, name: name, prefix: appendName([]byte{kindItem}, name)}
		s.tables[name] = t
	}
	return t
}

// Units returns what the table's operations would have cost on DynamoDB since the store was opened. A Load counts the
// size of what it puts, not of what it replaces; a query counts what was read, in pages of DynamoDB's size.
func (t *Table) Units() table.Units { return t.meter.Units() }

// Get implements table.Table.
func (t *Table) Get(ctx context.Context, key table.Key) (table.Item, error) {
	if err := key.Valid(); err != nil {
		return table.Item{}, err
	}
	from, err := t.read(ctx)
	if err != nil {
		return table.Item{}, t.failed("get from", err)
	}
	defer t.leave()
	item, err := t.get(from, key)
	if err != nil {
		return table.Item{}, t.failed("get from", err)
	}
	return item, nil
}

func (t *Table) failed(verb string, err error) error {
	return fmt.Errorf("%s table %s: %w", verb, t.name, err)
}

// get returns ErrAbsent when there is no item, or an expired one.
func (t *Table) get(from pebble.Reader, key table.Key) (table.Item, error) {
	value, closer, err := from.Get(itemKey(nil, t.prefix, key))
	if errors.Is(err, pebble.ErrNotFound) {
		t.meter.Get(0)
		return table.Item{}, fmt.Errorf("%w: %q %q", table.ErrAbsent, key.Partition, key.Sort)
	}
	if err != nil {
		return table.Item{}, err
	}
	defer closer.Close()
	h, attrs, err := decodeHeader(value)
	if err != nil {
		return table.Item{}, err
	}
	t.meter.Get(h.size)
	if h.expired(t.store.now()) {
		return table.Item{}, fmt.Errorf("%w: %q %q", table.ErrAbsent, key.Partition, key.Sort)
	}
	return decodeItem(key, h, attrs)
}

// GetMany implements table.Table.
func (t *Table) GetMany(ctx context.Context, keys []table.Key) ([]table.Item, error) {
	for _, key := range keys {
		if err := key.Valid(); err != nil {
			return nil, err
		}
	}
	from, err := t.read(ctx)
	if err != nil {
		return nil, t.failed("get from", err)
	}
	defer t.leave()
	items := make([]table.Item, 0, len(keys))
	seen := make(map[table.Key]bool, len(keys))
	for _, key := range keys {
		if seen[key] {
			continue
		}
		seen[key] = true
		if err := ctx.Err(); err != nil {
			return nil, t.failed("get from", err)
		}
		item, err := t.get(from, key)
		if errors.Is(err, table.ErrAbsent) {
			continue
		}
		if err != nil {
			return nil, t.failed("get from", err)
		}
		items = append(items, item)
	}
	return items, nil
}

// Load implements table.Table. It writes in batches, each of them whole or not at all, and in the order of items, so
// that a crash leaves the first ones; the last batch's sync makes all durable.
func (t *Table) Load(ctx context.Context, items ...table.Item) error {
	for i := range items {
		item := items[i]
		item.Revision = 0
		if err := item.Valid(); err != nil {
			return err
		}
	}
	if len(items) == 0 {
		return nil
	}
	if err := t.enterWrite(ctx); err != nil {
		return t.failed("load", err)
	}
	defer t.store.leaveWrite()
	for len(items) > 0 {
		if err := ctx.Err(); err != nil {
			return t.failed("load", err)
		}
		n, err := t.loadSome(items)
		if err != nil {
			return t.failed("load", err)
		}
		items = items[n:]
	}
	return nil
}

// loadSome writes as many items as one batch takes. It waits for the sync if those are the last.
func (t *Table) loadSome(items []table.Item) (n int, err error) {
	batch := t.store.db.NewBatch()
	defer func() { err = errors.Join(err, batch.Close()) }()
	var key, value []byte
	for n < len(items) && n < batchItems && batch.Len() < batchBytes {
		item := items[n]
		item.Revision = 0
		key = itemKey(key[:0], t.prefix, item.Key)
		value = appendValue(value[:0], item)
		if err := batch.Set(key, value, nil); err != nil {
			return 0, err
		}
		t.meter.Write(table.Size(item))
		n++
	}
	last := n == len(items)
	t.store.deleting.RLock()
	err = t.store.apply(batch, last)
	t.store.deleting.RUnlock()
	if err == nil && last {
		err = batch.SyncWait()
	}
	return n, err
}

// claimed runs do, which looks at items and then writes them, while no other call does so with the same keys.
func (s *Store) claimed(keys [][]byte, do func() error) error {
	claims := s.claims.take(keys)
	defer s.claims.give(claims)
	s.deleting.RLock()
	defer s.deleting.RUnlock()
	return do()
}

// apply applies a batch. If sync, the caller must call SyncWait on it when it has given its locks back.
func (s *Store) apply(batch *pebble.Batch, sync bool) error {
	if sync {
		return s.db.ApplyNoSyncWait(batch, pebble.Sync)
	}
	return s.db.Apply(batch, pebble.NoSync)
}

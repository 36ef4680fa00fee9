package embedded

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/mailtrail/mailtrail/shared/table"
)

// Commit implements table.Table. Its operations are one batch, which the log holds whole or not at all.
func (t *Table) Commit(ctx context.Context, ops ...table.Op) error {
	if err := table.ValidCommit(ops); err != nil {
		return err
	}
	if err := t.enterWrite(ctx); err != nil {
		return t.failed("commit to", err)
	}
	defer t.store.leaveWrite()
	if err := t.commit(ops); err != nil {
		return t.failed("commit to", err)
	}
	return nil
}

func (t *Table) commit(ops []table.Op) (err error) {
	keys := make([][]byte, len(ops))
	for i, op := range ops {
		keys[i] = itemKey(nil, t.prefix, op.Item.Key)
	}
	batch := t.store.db.NewBatch()
	defer func() { err = errors.Join(err, batch.Close()) }()

	err = t.store.claimed(keys, func() error {
		if err := t.prepare(batch, ops, keys); err != nil || batch.Empty() {
			return err
		}
		return t.store.apply(batch, true)
	})

	switch {
	case errors.Is(err, table.ErrConflict):
		return errors.Join(err, t.store.settle())
	case err != nil:
		return err
	case batch.Empty(): // only checks
		return t.store.settle()
	}
	return batch.SyncWait()
}

// prepare checks all conditions and puts the writes into batch. It looks at every item even after a conflict, because
// DynamoDB does, and charges for it.
func (t *Table) prepare(batch *pebble.Batch, ops []table.Op, keys [][]byte) error {
	first, err := t.store.numbers.take(t.store.db, len(ops))
	if err != nil {
		return err
	}
	var conflict error
	sizes := make([]int, len(ops))
	for i, op := range ops {
		old, err := t.store.current(keys[i])
		if err != nil {
			return err
		}
		if !holds(op, old) && conflict == nil {
			conflict = fmt.Errorf("%w: %q %q", table.ErrConflict, op.Item.Partition, op.Item.Sort)
		}
		size, err := write(batch, op, keys[i], int64(first)+int64(i))
		if err != nil {
			return err
		}
		sizes[i] = max(size, old.size)
	}
	if table.Alone(ops) {
		t.meter.Write(sizes...)
	} else {
		t.meter.Commit(sizes...)
	}
	return conflict
}

// present is what a condition can depend on.
type present struct {
	header
	there bool // false when there is none, or an expired one
}

func (s *Store) current(key []byte) (present, error) {
	value, closer, err := s.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return present{}, nil
	}
	if err != nil {
		return present{}, err
	}
	defer closer.Close()
	h, _, err := decodeHeader(value)
	return present{header: h, there: err == nil && !h.expired(s.now())}, err
}

// holds reports whether op's condition holds for the item as it is.
func holds(op table.Op, old present) bool {
	at := op.Item.Revision
	switch op.Verb {
	case table.Create:
		return !old.there
	case table.Check:
		if at == 0 {
			return !old.there
		}
		return old.there && old.revision == at
	case table.Replace:
		return old.there && old.revision == at
	case table.Delete:
		return at == 0 || old.there && old.revision == at
	}
	return true
}

// write puts op's write into batch, if it has one, and returns the size of what is written.
func write(batch *pebble.Batch, op table.Op, key []byte, revision int64) (size int, err error) {
	item := op.Item
	switch op.Verb {
	case table.Put:
		item.Revision = 0
	case table.Create, table.Replace:
		item.Revision = revision
	case table.Delete:
		return 0, batch.Delete(key, nil)
	case table.Check:
		return 0, nil
	}
	return table.Size(item), batch.Set(key, appendValue(nil, item), nil)
}

// Create implements table.Table. It writes in batches, each of them whole or not at all; the last one's sync makes all
// durable.
func (t *Table) Create(ctx context.Context, items ...table.Item) ([]bool, error) {
	for i := range items {
		if err := table.ValidCreate(items[i]); err != nil {
			return nil, err
		}
	}
	if len(items) == 0 {
		return nil, nil
	}
	if err := t.enterWrite(ctx); err != nil {
		return nil, t.failed("create in", err)
	}
	defer t.store.leaveWrite()
	created := make([]bool, len(items))
	for begin := 0; begin < len(items); {
		if err := ctx.Err(); err != nil {
			return nil, t.failed("create in", err)
		}
		n, err := t.createSome(items[begin:], created[begin:])
		if err != nil {
			return nil, t.failed("create in", err)
		}
		begin += n
	}
	return created, nil
}

// createSome does as many items as one batch takes, and sets created for them. It waits for a sync if those are the
// last.
func (t *Table) createSome(items []table.Item, created []bool) (n int, err error) {
	var keys [][]byte
	for bytes := 0; n < len(items) && n < batchItems && bytes < batchBytes; n++ {
		keys = append(keys, itemKey(nil, t.prefix, items[n].Key))
		bytes += table.Size(items[n])
	}
	batch := t.store.db.NewBatch()
	defer func() { err = errors.Join(err, batch.Close()) }()
	last := n == len(items)

	err = t.store.claimed(keys, func() error {
		if err := t.prepareCreate(batch, items[:n], keys, created); err != nil || batch.Empty() {
			return err
		}
		return t.store.apply(batch, last)
	})

	switch {
	case err != nil || !last:
		return n, err
	case !batch.Empty():
		return n, batch.SyncWait() // of the batches before too: they stand before it in the log
	}
	return n, t.store.sync() // another call may have written what is there, and still wait for its sync
}

// prepareCreate puts those items into batch whose key is free.
func (t *Table) prepareCreate(batch *pebble.Batch, items []table.Item, keys [][]byte, created []bool) error {
	first, err := t.store.numbers.take(t.store.db, len(items))
	if err != nil {
		return err
	}
	mine := make(map[string]bool, len(items))
	var value []byte
	for i, item := range items {
		old, err := t.store.current(keys[i])
		if err != nil {
			return err
		}
		item.Revision = int64(first) + int64(i)
		t.meter.Write(max(table.Size(item), old.size))
		if created[i] = !old.there && !mine[string(keys[i])]; !created[i] {
			continue
		}
		mine[string(keys[i])] = true
		value = appendValue(value[:0], item)
		if err := batch.Set(keys[i], value, nil); err != nil {
			return err
		}
	}
	return nil
}

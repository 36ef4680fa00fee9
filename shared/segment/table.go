package segment

import (
	"context"
	"fmt"
	"time"

	"github.com/mailtrail/mailtrail/shared/table"
)

// Stored keeps blocks as items of a table: a partition for each run, and in it an item for each block.
type Stored struct {
	Table table.Table
	// Partition begins the partition of each run; the run's name follows.
	Partition string
}

const attrBlock = "b"

func (s Stored) partition(run Run) string { return s.Partition + string(run) }

func (s Stored) key(at Address) table.Key {
	return table.Key{Partition: s.partition(at.Run), Sort: fmt.Sprintf("%08x", at.Number)}
}

// Read returns blocks, in one call of the table.
func (s Stored) Read(ctx context.Context, at []Address, _ bool) ([][]byte, error) {
	keys := make([]table.Key, len(at))
	for i, a := range at {
		keys[i] = s.key(a)
	}
	items, err := s.Table.GetMany(ctx, keys)
	if err != nil {
		return nil, fmt.Errorf("read %d blocks: %w", len(at), err)
	}
	found := make(map[table.Key][]byte, len(items))
	for _, item := range items {
		b, ok := item.Attrs[attrBlock].([]byte)
		if !ok {
			return nil, fmt.Errorf("block %s of %s: %w", item.Sort, item.Partition, ErrDamaged)
		}
		found[item.Key] = b
	}
	out := make([][]byte, len(at))
	for i, k := range keys {
		b, ok := found[k]
		if !ok {
			return nil, fmt.Errorf("block %s of %s: %w", k.Sort, k.Partition, ErrGone)
		}
		out[i] = b
	}
	return out, nil
}

// Remove deletes at most budget blocks of a run, and reports whether it came to the end.
func (s Stored) Remove(ctx context.Context, run Run, budget int) (deleted int, done bool, err error) {
	return table.Empty(ctx, s.Table, table.Query{Partition: s.partition(run)}, budget)
}

// Writer writes blocks, some at a time. expires is when they stop being there; the zero time is never.
func (s Stored) Writer(expires time.Time) Writer { return &storedWriter{s: s, expires: expires} }

type storedWriter struct {
	s       Stored
	expires time.Time
	items   []table.Item
	bytes   int
}

// Blocks wait until there are so many of them, or so many bytes.
const (
	waitingBlocks = 100
	waitingBytes  = 1 << 20
)

func (w *storedWriter) Write(ctx context.Context, at Address, block []byte) error {
	w.items = append(w.items, table.Item{Key: w.s.key(at), Attrs: table.Attrs{attrBlock: block}, Expires: w.expires})
	w.bytes += len(block)
	if len(w.items) < waitingBlocks && w.bytes < waitingBytes {
		return nil
	}
	return w.Flush(ctx)
}

func (w *storedWriter) Flush(ctx context.Context) error {
	if len(w.items) == 0 {
		return nil
	}
	err := w.s.Table.Load(ctx, w.items...)
	w.items, w.bytes = w.items[:0], 0
	return err
}

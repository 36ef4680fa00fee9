package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/table"
)

// staleAtOnce bounds how many stale blobs one poll looks at.
const staleAtOnce = 200

// known reports which of the listed blobs are in the ledger.
func (l *Ledger) known(ctx context.Context, c connection.ID, listed []Listed) (map[ContentID]bool, error) {
	if len(listed) == 0 {
		return nil, nil
	}
	keys := make([]table.Key, len(listed))
	for i, b := range listed {
		keys[i] = blobKey(c, b.ID)
	}
	items, err := l.Table.GetMany(ctx, keys)
	if err != nil {
		return nil, fmt.Errorf("look up %d blobs of connection %s: %w", len(keys), c, err)
	}
	known := make(map[ContentID]bool, len(items))
	for _, item := range items {
		known[ContentID(attrText(item.Attrs["id"]))] = true
	}
	return known, nil
}

// remember enters blobs that were queued, in commits that succeed only while the poll has its lease: without the
// lease its arrival is in the past. It is idempotent. A crash between two commits leaves queued blobs that the next
// poll lists as new.
func (l *Ledger) remember(ctx context.Context, c connection.ID, blobs []Blob, lease Cursor, now time.Time) error {
	for len(blobs) > 0 {
		some := blobs[:min(batch, len(blobs))]
		if err := l.enter(ctx, c, some, lease, now); err != nil {
			return fmt.Errorf("remember %d blobs of connection %s: %w", len(some), c, err)
		}
		blobs = blobs[len(some):]
	}
	return nil
}

func (l *Ledger) enter(ctx context.Context, c connection.ID, blobs []Blob, lease Cursor, now time.Time) error {
	for range tries {
		fresh, err := l.unknown(ctx, c, blobs)
		if err != nil || len(fresh) == 0 {
			return err
		}
		sums, err := l.shard(ctx, c, pollShard)
		if err != nil {
			return err
		}
		sums.Listed += int64(len(fresh))
		ops := []table.Op{
			{Verb: table.Check, Item: table.Item{Key: cursorKey(c), Revision: lease.lease.Revision}},
			sums.write(c, pollShard),
		}
		for _, b := range fresh {
			e := Entry{Blob: b, State: WasListed, Queued: now}
			ops = append(ops,
				table.Op{Verb: table.Create, Item: e.item()},
				table.Op{Verb: table.Put, Item: e.openItem()})
		}
		if err = l.Table.Commit(ctx, ops...); !errors.Is(err, table.ErrConflict) {
			return err
		}
		if held, err := l.cursor(ctx, c); err != nil {
			return err
		} else if held.lease.Revision != lease.lease.Revision {
			return fmt.Errorf("another poll took the connection: %w", fault.Retry)
		}
	}
	return fmt.Errorf("too many writers: %w", fault.Retry)
}

// unknown leaves out the blobs that a worker entered meanwhile because it met them first.
func (l *Ledger) unknown(ctx context.Context, c connection.ID, blobs []Blob) ([]Blob, error) {
	listed := make([]Listed, len(blobs))
	for i, b := range blobs {
		listed[i].ID = b.ID
	}
	known, err := l.known(ctx, c, listed)
	if err != nil {
		return nil, err
	}
	var fresh []Blob
	for _, b := range blobs {
		if !known[b.ID] {
			fresh = append(fresh, b)
		}
	}
	return fresh, nil
}

// stale returns the oldest open blobs that arrived before then.
func (l *Ledger) stale(ctx context.Context, c connection.ID, then time.Time) ([]Entry, error) {
	var keys []table.Key
	q := table.Query{Partition: string(c) + "|open", To: arrivalSort(then), Limit: staleAtOnce}
	for item, err := range l.Table.Query(ctx, q) {
		if err != nil {
			return nil, fmt.Errorf("find stale blobs of connection %s: %w", c, err)
		}
		keys = append(keys, blobKey(c, readOpen(c, item).ID))
	}
	if len(keys) == 0 {
		return nil, nil
	}
	items, err := l.Table.GetMany(ctx, keys)
	if err != nil {
		return nil, fmt.Errorf("read stale blobs of connection %s: %w", c, err)
	}
	entries := make([]Entry, 0, len(items))
	for _, item := range items {
		if e := readEntry(c, item); e.State == WasListed || e.State == Begun {
			entries = append(entries, e)
		}
	}
	return entries, nil
}

// move gives an open blob another arrival or time of queueing. table.ErrConflict means that it was begun or ended
// meanwhile, which is fine.
func (l *Ledger) move(ctx context.Context, from, to Entry, lease Cursor) error {
	ops := []table.Op{
		{Verb: table.Check, Item: table.Item{Key: cursorKey(from.Connection), Revision: lease.lease.Revision}},
		{Verb: table.Replace, Item: to.item()},
		{Verb: table.Put, Item: to.openItem()},
	}
	if !to.Arrival.Equal(from.Arrival) {
		open := openKey(from.Connection, from.Arrival, from.ID)
		ops = append(ops, table.Op{Verb: table.Delete, Item: table.Item{Key: open}})
	}
	if err := l.Table.Commit(ctx, ops...); err != nil {
		return fmt.Errorf("move blob %s: %w", from.ID, err)
	}
	return nil
}

package table

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"time"
)

// ErrHeld means that somebody else holds the lease at this moment.
var ErrHeld = errors.New("the lease is held")

const (
	// leaseSlack is how much longer a lease lasts than the work that it is for: enough to give it back.
	leaseSlack = 30 * time.Second
	// maxLease is how long a lease can legitimately last. One that ends later was written by a clock that ran ahead and
	// was then corrected, and counts for nothing.
	maxLease = 2 * time.Hour
	// releases is how many times giving back a lease is tried.
	releases = 3
)

// Lease lets one worker at a time work on what an item is about. It is part of the item that holds the state of that
// work, and whoever holds it changes the item at the revision at which it was read. A worker that dies leaves the
// lease to expire.
type Lease struct {
	Holder   string // "" is nobody
	Revision int64  // of the item when it was read; other items may be written on condition of it
	until    time.Time
}

// The attributes of an item that its lease is stored in.
const (
	attrHolder = "holder"
	attrUntil  = "until"
)

// LeaseOf returns the lease that an item holds; of an item that is not there, nobody's.
func LeaseOf(item Item) Lease {
	holder, _ := item.Attrs[attrHolder].(string)
	return Lease{Holder: holder, until: TimeOf(item.Attrs[attrUntil]), Revision: item.Revision}
}

// Acquire takes the lease for work that lasts up to a time, and replaces the item's attributes by attrs. It returns the
// item as it is stored. ErrHeld means that somebody else holds the lease, or was faster.
func (l Lease) Acquire(
	ctx context.Context, t Table, key Key, attrs Attrs, holder string, now time.Time, length time.Duration,
) (Item, error) {
	if l.Holder != "" && l.until.After(now) && !l.until.After(now.Add(maxLease)) {
		return Item{}, ErrHeld
	}
	l.Holder, l.until = holder, now.Add(length+leaseSlack)
	item, err := l.Save(ctx, t, key, attrs)
	if errors.Is(err, ErrConflict) {
		return Item{}, ErrHeld
	}
	return item, err
}

// Save replaces the item's attributes under the lease, and returns the item as it is stored, with its new revision.
// ErrConflict means that somebody else took the lease.
func (l Lease) Save(ctx context.Context, t Table, key Key, attrs Attrs) (Item, error) {
	if err := l.store(ctx, t, key, attrs); err != nil {
		return Item{}, err
	}
	item, err := t.Get(ctx, key)
	switch {
	case err != nil:
		return Item{}, fmt.Errorf("read %s after it was saved: %w", key.Partition, err)
	case LeaseOf(item).Holder != l.Holder:
		return Item{}, fmt.Errorf("read %s after it was saved: %w", key.Partition, ErrConflict)
	}
	return item, nil
}

// Release gives the lease back and replaces the item's attributes. It is short, and spares the next worker the wait for
// the lease to expire: so the end of ctx does not end it. A failed write is tried again while the lease still belongs
// to this holder; reading the item also shows whether a write that was reported as failed was done.
func (l Lease) Release(ctx context.Context, t Table, key Key, attrs Attrs) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaseSlack/2)
	defer cancel()
	given := Lease{Revision: l.Revision}
	var failed error
	for range releases {
		if failed = given.store(ctx, t, key, attrs); failed == nil {
			return nil
		}
		item, err := t.Get(ctx, key)
		if err != nil {
			return errors.Join(failed, err)
		}
		held := LeaseOf(item)
		if reflect.DeepEqual(item.Attrs, given.in(attrs)) {
			return nil
		}
		if held.Holder != l.Holder {
			return failed
		}
		given.Revision = held.Revision
	}
	return failed
}

// FreeLease takes the lease of an item from whoever holds it, and leaves the rest of the item as it is. It is for a
// process that knows that no other one works, so that a lease can only be left over from one that died.
func FreeLease(ctx context.Context, t Table, key Key) error {
	item, err := t.Get(ctx, key)
	if errors.Is(err, ErrAbsent) {
		return nil
	}
	if err != nil {
		return err
	}
	l := LeaseOf(item)
	if l.Holder == "" {
		return nil
	}
	return l.Release(ctx, t, key, item.Attrs)
}

// in returns the attributes of an item that holds the lease.
func (l Lease) in(attrs Attrs) Attrs {
	all := maps.Clone(attrs)
	all[attrHolder], all[attrUntil] = l.Holder, Stamp(l.until)
	return all
}

func (l Lease) store(ctx context.Context, t Table, key Key, attrs Attrs) error {
	op := Op{Verb: Replace, Item: Item{Key: key, Revision: l.Revision, Attrs: l.in(attrs)}}
	if l.Revision == 0 {
		op.Verb = Create
	}
	return t.Commit(ctx, op)
}

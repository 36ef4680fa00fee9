package tabletest

import (
	"context"
	"iter"
	"sync"

	"github.com/mailtrail/mailtrail/shared/table"
)

// Faulty is a table that fails on command, to test its users. Op is "get", "getmany", "query", "commit", "load" or
// "create", and n counts the calls of that operation from 1. It is safe for concurrent use if Before and After are.
type Faulty struct {
	table.Table
	// Before is asked before an operation. With an error from it the operation is not done, and the error returned.
	Before func(op string, n int) error
	// After is called after an operation that succeeded. If it returns an error, the operation is done, and its caller
	// gets it failed. A query yields all its items first.
	After func(op string, n int) error

	mu    sync.Mutex
	calls map[string]int
}

// around does an operation between Before and After.
func (f *Faulty) around(op string, do func() error) error {
	f.mu.Lock()
	if f.calls == nil {
		f.calls = map[string]int{}
	}
	f.calls[op]++
	n := f.calls[op]
	f.mu.Unlock()
	if f.Before != nil {
		if err := f.Before(op, n); err != nil {
			return err
		}
	}
	if err := do(); err != nil {
		return err
	}
	if f.After != nil {
		return f.After(op, n)
	}
	return nil
}

// Get implements table.Table.
func (f *Faulty) Get(ctx context.Context, key table.Key) (item table.Item, err error) {
	err = f.around("get", func() (err error) {
		item, err = f.Table.Get(ctx, key)
		return err
	})
	if err != nil {
		return table.Item{}, err
	}
	return item, nil
}

// GetMany implements table.Table.
func (f *Faulty) GetMany(ctx context.Context, keys []table.Key) (items []table.Item, err error) {
	err = f.around("getmany", func() (err error) {
		items, err = f.Table.GetMany(ctx, keys)
		return err
	})
	if err != nil {
		return nil, err
	}
	return items, nil
}

// Query implements table.Table.
func (f *Faulty) Query(ctx context.Context, q table.Query) iter.Seq2[table.Item, error] {
	return func(yield func(table.Item, error) bool) {
		stopped := false
		err := f.around("query", func() error {
			for item, err := range f.Table.Query(ctx, q) {
				if err != nil {
					return err
				}
				if !yield(item, nil) {
					stopped = true
					return nil
				}
			}
			return nil
		})
		if err != nil && !stopped {
			yield(table.Item{}, err)
		}
	}
}

// Commit implements table.Table.
func (f *Faulty) Commit(ctx context.Context, ops ...table.Op) error {
	return f.around("commit", func() error { return f.Table.Commit(ctx, ops...) })
}

// Load implements table.Table.
func (f *Faulty) Load(ctx context.Context, items ...table.Item) error {
	return f.around("load", func() error { return f.Table.Load(ctx, items...) })
}

// Create implements table.Table.
func (f *Faulty) Create(ctx context.Context, items ...table.Item) (created []bool, err error) {
	err = f.around("create", func() (err error) {
		created, err = f.Table.Create(ctx, items...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return created, nil
}

package embedded

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/mailtrail/mailtrail/shared/table"
)

// errView means that a table of a View was written to.
var errView = errors.New("a view of the store is for reading only")

// View is the store as it was at one moment, whatever is written meanwhile.
type View struct {
	store *Store
	at    *pebble.Snapshot
}

// View calls do with the store as it is now. While do runs, Close waits, and the disk keeps what do may still read; so
// do must end when ctx does. It is not to be used after do has returned.
func (s *Store) View(ctx context.Context, do func(View) error) (err error) {
	if err := s.enter(ctx); err != nil {
		return fmt.Errorf("view the store: %w", err)
	}
	defer s.leave()
	at := s.db.NewSnapshot()
	defer func() { err = errors.Join(err, at.Close()) }()
	return do(View{store: s, at: at})
}

// Table returns the table of that name as it was. Its writes fail.
func (v View) Table(name string) table.Table {
	return &Table{store: v.store, name: name, prefix: v.store.Table(name).prefix, view: v.at}
}

// read begins a read, and returns what to read from; leave ends it. A view has entered the store already.
func (t *Table) read(ctx context.Context) (pebble.Reader, error) {
	if t.view != nil {
		return t.view, ctx.Err()
	}
	if err := t.store.enter(ctx); err != nil {
		return nil, err
	}
	return t.store.db, nil
}

func (t *Table) leave() {
	if t.view == nil {
		t.store.leave()
	}
}

func (t *Table) enterWrite(ctx context.Context) error {
	if t.view != nil {
		return errView
	}
	return t.store.enterWrite(ctx)
}

// Checkpoint writes the store as it is now, tables and queues, to a folder that does not exist yet, while others go on
// writing. The result is a store that Open opens. On the same file system the big files are hard links, which cost no
// space until this store has replaced them; elsewhere they are copied. A crash leaves a folder that is not whole.
func (s *Store) Checkpoint(ctx context.Context, dir string) error {
	if err := s.enter(ctx); err != nil {
		return fmt.Errorf("write the store to %s: %w", dir, err)
	}
	defer s.leave()
	if err := s.db.Checkpoint(dir, pebble.WithFlushedWAL()); err != nil {
		return fmt.Errorf("write the store to %s: %w", dir, err)
	}
	return nil
}

// Package embedded is the table and the queue on one machine: one folder, one process, every write durable before it is
// confirmed. It stores in Pebble, an ordered key-value store with a write-ahead log: the log orders all writes of the
// folder, and one sync of it confirms all that wait (group commit). So a write that was made after another is never
// there without it.
package embedded

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	iofs "io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// ErrClosed means that the store was closed before or during the call.
var ErrClosed = errors.New("the store is closed")

// ErrInUse means that the folder is open already, in this process or another.
var ErrInUse = errors.New("the folder is in use")

// Options tune a store; the zero value is fine.
type Options struct {
	// Now is the clock by which items expire and messages come due; nil is time.Now. Any other clock may jump.
	Now func() time.Time
	// Log gets Pebble's messages, at debug level; nil drops them.
	Log *slog.Logger
	// CacheBytes bounds the newest writes, of which Pebble holds up to 3 * 64 MB in memory, and the cache of blocks read
	// from disk, together; 0 is 320 MB.
	CacheBytes int64
}

// Store is one folder of tables and queues. It is safe for concurrent use.
//
// Reads may see a write that is not durable yet, because its call has not returned. A write that follows from such a
// read is durable only together with it, and an answer that follows from it ("that was done already") waits until it is
// durable.
//
// A disk that refuses a write of the log ends the process, because it is unknown then what is durable. Start it again
// when the disk works.
type Store struct {
	db   *pebble.DB
	lock *pebble.Lock
	now  func() time.Time
	// simulated means that now is not time.Now, and may jump.
	simulated bool
	log       *slog.Logger

	// gate is held for reading by every call that uses db, and never while a consumer or a waiter is in control; Close
	// takes it.
	gate   sync.RWMutex
	closed bool
	ending chan struct{} // closed by Close: wakes waiters and the janitor
	owned  sync.WaitGroup

	claims claims
	// deleting is held for reading from a look at items to the write that hangs on it, and while unconditional writes are
	// applied; the janitor takes it, so that what it found expired is not written anew before it is deleted. Claims come
	// first.
	deleting sync.RWMutex
	writing  atomic.Int64 // calls that may have applied what is not synced yet
	numbers  numbers

	rooms  sync.Mutex
	tables map[string]*Table
	queues map[string]*Queue
}

// Open opens the store in folder dir, and makes it if there is none. Only one process at a time may have it open; a
// second one gets an error that names the folder. A folder that a newer Mailtrail has written to is refused with
// ErrNewer.
func Open(dir string, opts Options) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	return openOn(vfs.Default, dir, opts)
}

// openOn opens the store on a file system, of which tests have one that loses power.
func openOn(fs vfs.FS, dir string, opts Options) (*Store, error) {
	s := &Store{
		now:    opts.Now,
		log:    opts.Log,
		ending: make(chan struct{}),
		tables: map[string]*Table{},
		queues: map[string]*Queue{},
	}
	if s.simulated = s.now != nil; !s.simulated {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.claims.open()
	if err := s.open(fs, dir, opts.CacheBytes); err != nil {
		return nil, fmt.Errorf("open store in folder %s: %w", dir, err)
	}
	s.owned.Go(s.clean)
	return s, nil
}

func (s *Store) open(fs vfs.FS, dir string, cacheBytes int64) (err error) {
	if s.lock, err = pebble.LockDirectory(dir, fs); err != nil {
		if file := new(iofs.PathError); errors.As(err, &file) {
			return err // there is no file to lock
		}
		return fmt.Errorf("%w, open already in this process or another: %w", ErrInUse, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.lock.Close())
		}
	}()
	if s.db, err = pebble.Open(dir, pebbleOptions(fs, s.lock, s.log, cacheBytes)); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.db.Close())
		}
	}()
	if err := checkForm(s.db); err != nil {
		return err
	}
	if err := s.numbers.load(s.db); err != nil {
		return err
	}
	return s.loadQueues()
}

// Close waits for the calls that run, stops those that wait for messages, and closes the folder. Calls after it get
// ErrClosed.
func (s *Store) Close() error {
	s.gate.Lock()
	again := s.closed
	s.closed = true
	s.gate.Unlock()
	if again {
		return ErrClosed
	}
	close(s.ending)
	s.owned.Wait()
	if err := errors.Join(s.db.Close(), s.lock.Close()); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

// enter begins a call that uses db; leave ends it. Between the two the same call must not enter again, or Close may
// never end.
func (s *Store) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.gate.RLock()
	if s.closed {
		s.gate.RUnlock()
		return ErrClosed
	}
	return nil
}

func (s *Store) leave() { s.gate.RUnlock() }

// enterWrite is enter for a call that applies batches; leaveWrite ends it, when they are synced.
func (s *Store) enterWrite(ctx context.Context) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	s.writing.Add(1)
	return nil
}

func (s *Store) leaveWrite() {
	s.writing.Add(-1)
	s.leave()
}

// settle makes durable what the caller has seen of other calls' writes. It is called between enterWrite and leaveWrite.
func (s *Store) settle() error {
	if s.writing.Load() == 1 {
		return nil
	}
	return s.sync()
}

// sync makes all durable that was applied before.
func (s *Store) sync() error { return s.db.LogData(nil, pebble.Sync) }

// numbers gives out numbers that never come back: revisions of items and identities of messages. The first number that
// was never given out is stored, but only once in a while, and rounded up: a crash skips some.
type numbers struct {
	mu      sync.Mutex
	next    uint64
	ceiling uint64
}

// numbersAtOnce are how many numbers one write of the ceiling reserves.
const numbersAtOnce = 1 << 20

func (n *numbers) load(db *pebble.DB) error {
	n.next, n.ceiling = 1, 1
	value, closer, err := db.Get([]byte{kindNumber})
	if errors.Is(err, pebble.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	defer closer.Close()
	if len(value) != 8 {
		return errValue
	}
	n.next = binary.BigEndian.Uint64(value)
	n.ceiling = n.next
	return nil
}

// take returns the first of count numbers. The ceiling is not synced: what uses the numbers stands behind it in the
// log.
func (n *numbers) take(db *pebble.DB, count int) (uint64, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.next+uint64(count) > n.ceiling {
		ceiling := n.next + uint64(count) + numbersAtOnce
		if err := db.Set([]byte{kindNumber}, binary.BigEndian.AppendUint64(nil, ceiling), pebble.NoSync); err != nil {
			return 0, err
		}
		n.ceiling = ceiling
	}
	first := n.next
	n.next += uint64(count)
	return first, nil
}

package embedded

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// The janitor deletes what has expired. It reads the whole store for that, which is cheaper than an index of what
// expires when: that would double every write. It reads and deletes a little at a time, so that it holds up no other
// call: at most 200,000 items in a second, which takes a few percent of a core.
const (
	sweepEvery   = time.Hour
	sweepReads   = 10_000                // read between pauses
	sweepDeletes = 1000                  // deleted between pauses
	sweepPause   = 50 * time.Millisecond // longer than the work between
)

// clean sweeps until the store is closed.
func (s *Store) clean() {
	for s.pause(sweepEvery) {
		from := []byte{kindItem}
		for from != nil {
			next, err := s.sweep(from)
			if err != nil {
				s.log.Debug("delete expired items", "error", err) // the next sweep tries again
				break
			}
			if from = next; from != nil && !s.pause(sweepPause) {
				return
			}
		}
	}
}

// pause waits, and reports whether the store is still open.
func (s *Store) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.ending:
		return false
	}
}

// sweep deletes a batch of expired items whose keys are from or greater, and returns where to go on, nil at the end.
// It does not sync: what comes back after a crash is still expired.
func (s *Store) sweep(from []byte) (next []byte, err error) {
	if err := s.enter(context.Background()); err != nil {
		return nil, err
	}
	defer s.leave()
	keys, next, err := s.expired(from)
	if err != nil || len(keys) == 0 {
		return next, err
	}
	batch := s.db.NewBatch()
	defer func() { err = errors.Join(err, batch.Close()) }()
	s.deleting.Lock()
	defer s.deleting.Unlock()
	for _, key := range keys {
		// Look again: the item may have been rewritten since.
		now, err := s.current(key)
		if err != nil {
			return nil, err
		}
		if now.size > 0 && !now.there {
			if err := batch.Delete(key, nil); err != nil {
				return nil, err
			}
		}
	}
	return next, s.apply(batch, false)
}

// expired returns the keys of items that have expired among those from from on, and where to go on, nil at the end.
func (s *Store) expired(from []byte) (keys [][]byte, next []byte, err error) {
	now := s.now()
	rows, err := s.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: []byte{kindItem + 1}})
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	read := 0
	for ok := rows.First(); ok; ok = rows.Next() {
		value, err := rows.ValueAndErr()
		if err != nil {
			return nil, nil, err
		}
		if h, _, err := decodeHeader(value); err == nil && h.expired(now) { // a malformed one is for its reader to report
			keys = append(keys, bytes.Clone(rows.Key()))
		}
		if read++; read == sweepReads || len(keys) == sweepDeletes {
			return keys, append(bytes.Clone(rows.Key()), 0), nil
		}
	}
	return keys, nil, rows.Error()
}

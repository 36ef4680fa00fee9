package m365sim

import (
	"sync"
	"time"
)

// shelf keeps values by key until they expire: codes, sessions, tokens, the ids of assertions. Its zero value is
// empty. Expired values are thrown out whenever the shelf has doubled, so it stays in proportion to what is alive.
type shelf[T any] struct {
	mu    sync.RWMutex
	items map[string]shelved[T]
	sweep int // the size at which to look for expired values
}

type shelved[T any] struct {
	value   T
	expires time.Time
}

func (s *shelf[T]) put(key string, value T, now, expires time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.store(key, value, now, expires)
}

// putNew is put that reports whether the key was free.
func (s *shelf[T]) putNew(key string, value T, now, expires time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if held, ok := s.items[key]; ok && now.Before(held.expires) {
		return false
	}
	s.store(key, value, now, expires)
	return true
}

func (s *shelf[T]) store(key string, value T, now, expires time.Time) {
	if s.items == nil {
		s.items, s.sweep = map[string]shelved[T]{}, 1024
	}
	if len(s.items) >= s.sweep {
		for k, held := range s.items {
			if !now.Before(held.expires) {
				delete(s.items, k)
			}
		}
		s.sweep = max(1024, 2*len(s.items))
	}
	s.items[key] = shelved[T]{value, expires}
}

// get gives the value and whether it is still good. A value that expired but was not swept yet is given with false.
func (s *shelf[T]) get(key string, now time.Time) (T, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	held, ok := s.items[key]
	return held.value, ok && now.Before(held.expires)
}

// change lets f alter the value under the lock; f is not called for a key that is not there.
func (s *shelf[T]) change(key string, f func(value *T)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if held, ok := s.items[key]; ok {
		f(&held.value)
		s.items[key] = held
	}
}

// drop removes every value that match accepts and returns how many there were.
func (s *shelf[T]) drop(match func(T) bool) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	dropped := 0
	for key, held := range s.items {
		if match(held.value) {
			delete(s.items, key)
			dropped++
		}
	}
	return dropped
}

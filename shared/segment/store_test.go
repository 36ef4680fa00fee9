package segment_test

import (
	"context"
	"fmt"
	"sync"

	"github.com/mailtrail/mailtrail/shared/segment"
)

// store holds blocks in memory, and counts what is read. It can fail at a write.
type store struct {
	mu     sync.Mutex
	blocks map[segment.Address][]byte
	reads  int
	calls  int
	bytes  int
	fail   int // the write that fails, from 1 on
	writes int
}

func newStore() *store { return &store{blocks: map[segment.Address][]byte{}} }

func (s *store) Read(_ context.Context, at []segment.Address, _ bool) ([][]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([][]byte, len(at))
	s.calls++
	for i, a := range at {
		b, ok := s.blocks[a]
		if !ok {
			return nil, fmt.Errorf("block %d of %s: %w", a.Number, a.Run, segment.ErrGone)
		}
		out[i] = b
		s.reads++
		s.bytes += len(b)
	}
	return out, nil
}

func (s *store) Write(_ context.Context, at segment.Address, block []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writes++; s.writes == s.fail {
		return errFull
	}
	if _, ok := s.blocks[at]; ok {
		return fmt.Errorf("block %d of %s is written twice", at.Number, at.Run)
	}
	if len(block) > 350<<10 {
		return fmt.Errorf("block %d of %s has %d bytes", at.Number, at.Run, len(block))
	}
	s.blocks[at] = block
	return nil
}

func (s *store) Flush(context.Context) error { return nil }

var errFull = fmt.Errorf("the disk is full")

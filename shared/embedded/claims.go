package embedded

import (
	"hash/maphash"
	"sync"
)

// claims are the keys on which a call checks a condition right now. A key is claimed until the write that depends on
// the condition is applied, but not during its sync. Each key is claimed by itself, so that two calls that create a
// thousand different items each do not wait for one another.
type claims struct {
	seed maphash.Seed
	mu   sync.Mutex
	free *sync.Cond
	held map[uint64]bool // by hash: two keys of one hash wait for each other, which is harmless
}

func (c *claims) open() {
	c.seed = maphash.MakeSeed()
	c.free = sync.NewCond(&c.mu)
	c.held = map[uint64]bool{}
}

// take claims all keys at once or waits, so that no two callers each hold what the other waits for. It returns the
// claims for give.
func (c *claims) take(keys [][]byte) []uint64 {
	hashes := make([]uint64, len(keys))
	for i, key := range keys {
		hashes[i] = maphash.Bytes(c.seed, key)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.taken(hashes) {
		c.free.Wait()
	}
	for _, h := range hashes {
		c.held[h] = true
	}
	return hashes
}

func (c *claims) taken(hashes []uint64) bool {
	for _, h := range hashes {
		if c.held[h] {
			return true
		}
	}
	return false
}

func (c *claims) give(hashes []uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, h := range hashes {
		delete(c.held, h)
	}
	c.free.Broadcast()
}

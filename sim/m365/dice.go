package m365sim

import (
	"hash/fnv"
	"io"
	"sync"
)

// dice decide what goes wrong by chance. Each (tenant, operation) has its own sequence, so that the n-th call of an
// operation at a tenant meets the same luck in every run with the same seed, whatever other tenants do.
type dice struct {
	seed   uint64
	mu     sync.Mutex
	counts map[string]uint64
}

// roll gives the next number of the key's sequence.
func (d *dice) roll(key string) uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counts[key]++
	return mix(d.seed ^ hash(key) ^ mix(d.counts[key]))
}

// happens reports whether an event of this rate befalls the next call of the key. The sequence only moves when the
// rate is above zero.
func (d *dice) happens(key string, rate float64) bool {
	return rate > 0 && chance(d.roll(key)) < rate
}

// always reports whether an event of this rate belongs to the thing itself: the same answer at every asking.
func (d *dice) always(thing string, rate float64) bool {
	return rate > 0 && chance(mix(d.seed^hash(thing))) < rate
}

// chance maps a number to [0, 1).
func chance(n uint64) float64 { return float64(n>>11) / (1 << 53) }

// mix is the finalizer of splitmix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func hash(text string) uint64 {
	h := fnv.New64a()
	_, _ = io.WriteString(h, text) // a hash never fails to take bytes
	return h.Sum64()
}

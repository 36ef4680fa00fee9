package segment

import (
	"container/list"
	"context"
	"sync"
)

// Cache keeps blocks that were read, up to a number of bytes; those that were not asked for longest leave first. Blocks
// never change, so what it holds is never stale. It is safe for concurrent use.
type Cache struct {
	below Blocks
	limit int

	mu    sync.Mutex
	bytes int
	order *list.List // of *cached, the one asked for last in front
	held  map[Address]*list.Element
}

type cached struct {
	at    Address
	block []byte
}

// overhead is what a block in the cache takes beside its bytes, about.
const overhead = 160

// NewCache is a cache of up to limit bytes over other blocks.
func NewCache(below Blocks, limit int) *Cache {
	return &Cache{below: below, limit: limit, order: list.New(), held: make(map[Address]*list.Element)}
}

// Read returns blocks, those that are not held from below, in one call.
func (c *Cache) Read(ctx context.Context, at []Address, keep bool) ([][]byte, error) {
	out := make([][]byte, len(at))
	var missing []Address
	var places []int
	c.mu.Lock()
	for i, a := range at {
		if e := c.held[a]; e != nil {
			c.order.MoveToFront(e)
			out[i] = e.Value.(*cached).block
			continue
		}
		missing, places = append(missing, a), append(places, i)
	}
	c.mu.Unlock()
	if len(missing) == 0 {
		return out, nil
	}
	read, err := c.below.Read(ctx, missing, keep)
	if err != nil {
		return nil, err
	}
	for i, b := range read {
		out[places[i]] = b
		if keep {
			c.put(missing[i], b)
		}
	}
	return out, nil
}

func (c *Cache) put(at Address, block []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held[at] != nil || len(block)+overhead > c.limit {
		return
	}
	c.held[at] = c.order.PushFront(&cached{at, block})
	c.bytes += len(block) + overhead
	for c.bytes > c.limit {
		last := c.order.Back()
		gone := c.order.Remove(last).(*cached)
		delete(c.held, gone.at)
		c.bytes -= len(gone.block) + overhead
	}
}

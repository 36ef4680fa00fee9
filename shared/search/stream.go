package search

import (
	"cmp"
	"container/heap"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/forensic"
	"github.com/mailtrail/mailtrail/shared/pace"
	"github.com/mailtrail/mailtrail/shared/table"
)

// posting is one entry of a stream: a message that may hold matches.
type posting struct {
	at     time.Time // observed or arrived, whichever the stream is in order of
	sort   string    // the same and, by time observed, the record: what comes first in the order
	conn   *connection.Connection
	hash   string // by arrival: of the record
	record forensic.RecordID
	files  int64 // of day postings: how many events the message has
}

// compare is the one order of messages: by time observed, record and connection, or by arrival, connection and hash.
func compare(a, b posting) int {
	return cmp.Or(strings.Compare(a.sort, b.sort), strings.Compare(string(a.conn.ID), string(b.conn.ID)),
		strings.Compare(a.hash, b.hash))
}

// stream yields postings in the order of compare or its reverse, as the search asks for. After false or an error it
// is over.
type stream interface {
	next(ctx context.Context) (posting, bool, error)
}

// Chunks are how many postings one read of the table takes: few at first, since most streams are only probed.
const (
	firstChunk = 64
	lastChunk  = 1024
)

// ranged is the stream of a range of one partition.
type ranged struct {
	events table.Table
	reads  chan struct{} // holds one while it reads
	query  table.Query
	read   func(table.Item) (posting, error)
	chunk  []posting
	done   bool
}

func (r *ranged) next(ctx context.Context) (posting, bool, error) {
	if len(r.chunk) == 0 && !r.done {
		if err := r.fill(ctx); err != nil {
			return posting{}, false, err
		}
	}
	if len(r.chunk) == 0 {
		return posting{}, false, nil
	}
	p := r.chunk[0]
	r.chunk = r.chunk[1:]
	return p, true, nil
}

func (r *ranged) fill(ctx context.Context) error {
	r.reads <- struct{}{}
	defer func() { <-r.reads }()
	r.query.Limit = min(max(firstChunk, 4*r.query.Limit), lastChunk)
	r.chunk = r.chunk[:0]
	n, last := 0, ""
	for item, err := range r.events.Query(ctx, r.query) {
		if err != nil {
			return err
		}
		p, err := r.read(item)
		if err != nil {
			return err
		}
		r.chunk = append(r.chunk, p)
		n, last = n+1, item.Sort
	}
	r.done = n < r.query.Limit
	if r.query.Backward {
		r.query.To = last
	} else {
		r.query.From = last + "\x00"
	}
	return nil
}

// fixedStream yields postings that were read before.
type fixedStream []posting

func (s *fixedStream) next(context.Context) (posting, bool, error) {
	if len(*s) == 0 {
		return posting{}, false, nil
	}
	p := (*s)[0]
	*s = (*s)[1:]
	return p, true, nil
}

// chain is streams that follow each other, each opened when the one before is over.
type chain struct {
	open    []func() stream
	current stream
}

func (c *chain) next(ctx context.Context) (posting, bool, error) {
	for {
		if c.current == nil {
			if len(c.open) == 0 {
				return posting{}, false, nil
			}
			c.current, c.open = c.open[0](), c.open[1:]
		}
		p, ok, err := c.current.next(ctx)
		if ok || err != nil {
			return p, ok, err
		}
		c.current = nil
	}
}

// merged is the union of streams: what several of them have comes once.
type merged struct {
	heads   heads
	waiting []stream // not asked yet
	last    posting
	begun   bool
}

// merge is the union of streams in one order.
func merge(ascending bool, streams []stream) stream {
	if len(streams) == 1 {
		return streams[0]
	}
	return &merged{heads: heads{ascending: ascending}, waiting: streams}
}

func (m *merged) next(ctx context.Context) (posting, bool, error) {
	if len(m.waiting) > 0 {
		if err := m.begin(ctx); err != nil {
			return posting{}, false, err
		}
	}
	for m.heads.Len() > 0 {
		top := &m.heads.list[0]
		p := top.posting
		following, ok, err := top.rest.next(ctx)
		if err != nil {
			return posting{}, false, err
		}
		if ok {
			top.posting = following
			heap.Fix(&m.heads, 0)
		} else {
			heap.Pop(&m.heads)
		}
		if m.begun && compare(p, m.last) == 0 {
			continue
		}
		m.last, m.begun = p, true
		return p, true, nil
	}
	return posting{}, false, nil
}

// begin asks each stream for its first posting, several at once: they read different partitions.
func (m *merged) begin(ctx context.Context) error {
	first := make([]posting, len(m.waiting))
	some := make([]bool, len(m.waiting))
	err := pace.Each(ctx, len(m.waiting), width, func(ctx context.Context, i int) (err error) {
		first[i], some[i], err = m.waiting[i].next(ctx)
		return err
	})
	if err != nil {
		return err
	}
	for i, s := range m.waiting {
		if some[i] {
			heap.Push(&m.heads, head{first[i], s})
		}
	}
	m.waiting = nil
	return nil
}

// head is a stream of a merge, with the posting that it has come to.
type head struct {
	posting posting
	rest    stream
}

type heads struct {
	list      []head
	ascending bool
}

func (h *heads) Len() int { return len(h.list) }
func (h *heads) Less(i, j int) bool {
	c := compare(h.list[i].posting, h.list[j].posting)
	return c < 0 == h.ascending && c != 0
}
func (h *heads) Swap(i, j int) { h.list[i], h.list[j] = h.list[j], h.list[i] }
func (h *heads) Push(x any)    { h.list = append(h.list, x.(head)) }
func (h *heads) Pop() any {
	last := h.list[len(h.list)-1]
	h.list = h.list[:len(h.list)-1]
	return last
}

// probed is a stream whose first postings were read to see how fast it runs. They are not read again.
type probed struct {
	front []posting
	rest  stream
	whole bool // front is all there is
}

// probe reads up to n postings ahead.
func probe(ctx context.Context, s stream, n int) (*probed, error) {
	p, ok := s.(*probed)
	if !ok {
		p = &probed{rest: s}
	}
	for len(p.front) < n && !p.whole {
		next, ok, err := p.rest.next(ctx)
		if err != nil {
			return nil, err
		}
		if !ok {
			p.whole = true
			break
		}
		p.front = append(p.front, next)
	}
	return p, nil
}

func (p *probed) next(ctx context.Context) (posting, bool, error) {
	if len(p.front) > 0 {
		first := p.front[0]
		p.front = p.front[1:]
		return first, true, nil
	}
	if p.whole {
		return posting{}, false, nil
	}
	return p.rest.next(ctx)
}

// rarer reports whether p has fewer postings than o, as far as a probe of both can show: one that is over has few, and
// of two that are not, the one that came further through time runs thinner.
func (p *probed) rarer(o *probed, ascending bool) bool {
	if p.whole || o.whole {
		return p.whole && (!o.whole || len(p.front) < len(o.front))
	}
	c := compare(p.front[len(p.front)-1], o.front[len(o.front)-1])
	return c != 0 && c > 0 == ascending
}

// reverse turns postings around when the order is descending.
func reverse(ascending bool, postings []posting) {
	if !ascending {
		slices.Reverse(postings)
	}
}

package segment

import (
	"cmp"
	"context"
	"math/bits"
	"slices"
)

// Hit is a row that Top found.
type Hit struct {
	Row   int
	Value int64 // its number in the column, or the ordinal of its term in the field
}

// Order says how Top sorts rows: by a column, or by a field's terms. Rows of one value are sorted by time, then by key.
type Order struct {
	Column     int
	Field      int // counts when ByField is set; the field has ordinals
	ByField    bool
	Descending bool
}

// less tells whether a stands before b.
func (o Order) less(a, b Hit) bool {
	if o.Descending {
		a, b = b, a
	}
	return a.Value < b.Value || a.Value == b.Value && a.Row < b.Row
}

// Top is the first k rows of a set in an order, only those after a place if there is one. A row without a term has none
// of the places of Order by field: Top leaves it out.
func (s *Segment) Top(ctx context.Context, set Set, o Order, after *Hit, k int) ([]Hit, error) {
	t := &top{order: o, after: after, k: k}
	if k <= 0 {
		return nil, nil
	}
	var z *zones
	if !o.ByField {
		var err error
		if z, err = s.zonesOf(ctx, o.Column); err != nil {
			return nil, err
		}
	}
	// Blocks whose best value is better come first: what they find leaves fewer to be read.
	blocks := make([]int, (s.root.rows+columnRows-1)/columnRows)
	for i := range blocks {
		blocks[i] = i
	}
	if z != nil {
		slices.SortStableFunc(blocks, func(a, b int) int {
			if o.Descending {
				return cmp.Compare(z.most[b], z.most[a])
			}
			return cmp.Compare(z.least[a], z.least[b])
		})
	}
	loaded := &loader{set: set}
	for len(blocks) > 0 {
		var some []int
		for len(blocks) > 0 && len(some) < together {
			block := blocks[0]
			blocks = blocks[1:]
			if set.may(block*columnRows/chunkRows) && (z == nil || t.wants(z.least[block], z.most[block])) {
				some = append(some, block)
			}
		}
		if err := s.topOf(ctx, t, loaded, some); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(t.hits, func(a, b Hit) int {
		if o.less(a, b) {
			return -1
		}
		return 1
	})
	return t.hits, nil
}

// loader keeps the chunk of a set that was computed last, and those of before as far as they are few.
type loader struct {
	set    Set
	chunks map[int]*bitmap
}

// loadedChunks is how many chunks a loader keeps: 1 MiB.
const loadedChunks = 128

func (l *loader) load(ctx context.Context, chunk int) (*bitmap, error) {
	if b := l.chunks[chunk]; b != nil {
		return b, nil
	}
	if l.chunks == nil || len(l.chunks) >= loadedChunks {
		l.chunks = make(map[int]*bitmap)
	}
	b := new(bitmap)
	if err := l.set.load(ctx, chunk, b); err != nil {
		return nil, err
	}
	l.chunks[chunk] = b
	return b, nil
}

// topOf offers the rows of some blocks.
func (s *Segment) topOf(ctx context.Context, t *top, set *loader, some []int) error {
	if len(some) == 0 {
		return nil
	}
	if t.order.ByField {
		all, err := s.ordinals(ctx, t.order.Field, some)
		if err != nil {
			return err
		}
		for i, block := range some {
			b, err := set.load(ctx, block*columnRows/chunkRows)
			if err != nil {
				return err
			}
			all[i].walk(b, block*columnRows%chunkRows, s.rowsOf(block), func(row, first, to int) {
				if first == to {
					return
				}
				value := int64(all[i].at(first))
				for at := first + 1; at < to; at++ { // the one that stands first in the order
					if other := int64(all[i].at(at)); other < value != t.order.Descending {
						value = other
					}
				}
				t.offer(Hit{Row: block*columnRows + row, Value: value})
			})
		}
		return nil
	}
	all, err := s.column(ctx, t.order.Column, some)
	if err != nil {
		return err
	}
	for i, block := range some {
		b, err := set.load(ctx, block*columnRows/chunkRows)
		if err != nil {
			return err
		}
		eachRow(b, block*columnRows%chunkRows, s.rowsOf(block), func(row int) {
			t.offer(Hit{Row: block*columnRows + row, Value: all[i].at(row)})
		})
	}
	return nil
}

// eachRow calls f with the rows of a bitmap that lie in a block of a column, which begins at from.
func eachRow(b *bitmap, from, rows int, f func(row int)) {
	for i := range (rows + 63) / 64 {
		for w := b[from/64+i]; w != 0; w &= w - 1 {
			if row := i*64 + bits.TrailingZeros64(w); row < rows {
				f(row)
			}
		}
	}
}

// top keeps the first k of the hits that it is offered, as a heap whose root is the last of them.
type top struct {
	order Order
	after *Hit
	k     int
	hits  []Hit
}

// wants tells whether a block with values from least to most may have a hit that counts.
func (t *top) wants(least, most int64) bool {
	if len(t.hits) == t.k {
		worst := t.hits[0].Value
		if t.order.Descending && most < worst || !t.order.Descending && least > worst {
			return false
		}
	}
	if t.after != nil {
		if t.order.Descending && least > t.after.Value || !t.order.Descending && most < t.after.Value {
			return false
		}
	}
	return true
}

func (t *top) offer(h Hit) {
	if t.after != nil && !t.order.less(*t.after, h) {
		return
	}
	if len(t.hits) < t.k {
		t.hits = append(t.hits, h)
		for i := len(t.hits) - 1; i > 0; {
			parent := (i - 1) / 2
			if !t.order.less(t.hits[parent], t.hits[i]) {
				break
			}
			t.hits[parent], t.hits[i] = t.hits[i], t.hits[parent]
			i = parent
		}
		return
	}
	if !t.order.less(h, t.hits[0]) {
		return
	}
	t.hits[0] = h
	for i := 0; ; {
		child := 2*i + 1
		if child >= t.k {
			break
		}
		if child+1 < t.k && t.order.less(t.hits[child], t.hits[child+1]) {
			child++
		}
		if !t.order.less(t.hits[i], t.hits[child]) {
			break
		}
		t.hits[i], t.hits[child] = t.hits[child], t.hits[i]
		i = child
	}
}

// Numbers is the rows whose number in a column is from..to, both included.
func (s *Segment) Numbers(ctx context.Context, column int, from, to int64) (Set, error) {
	z, err := s.zonesOf(ctx, column)
	if err != nil {
		return Set{}, err
	}
	return Set{s, &numberNode{s: s, column: column, zones: z, from: from, to: to}}, nil
}

// Times is the rows whose time is from..to-1.
func (s *Segment) Times(ctx context.Context, from, to int64) (Set, error) {
	first, err := s.At(ctx, from)
	if err != nil {
		return Set{}, err
	}
	end, err := s.At(ctx, to)
	return s.Between(first, end), err
}

// numberNode is the rows whose number lies between two.
type numberNode struct {
	s        *Segment
	column   int
	zones    *zones
	from, to int64
}

func (n *numberNode) known() int { return -1 }

func (n *numberNode) may(chunk int) bool {
	for block := chunk * chunkRows / columnRows; block < min(len(n.zones.least), (chunk+1)*chunkRows/columnRows); block++ {
		if n.zones.least[block] <= n.to && n.zones.most[block] >= n.from {
			return true
		}
	}
	return false
}

func (n *numberNode) load(ctx context.Context, chunk int, into *bitmap) error {
	var some []int
	for block := chunk * chunkRows / columnRows; block < min(len(n.zones.least), (chunk+1)*chunkRows/columnRows); block++ {
		switch {
		case n.zones.least[block] > n.to || n.zones.most[block] < n.from:
		case n.zones.least[block] >= n.from && n.zones.most[block] <= n.to:
			from := block * columnRows % chunkRows
			into.fill(from, from+n.s.rowsOf(block))
		default:
			some = append(some, block)
		}
	}
	if len(some) == 0 {
		return nil
	}
	all, err := n.s.column(ctx, n.column, some)
	if err != nil {
		return err
	}
	for i, block := range some {
		from := block * columnRows % chunkRows
		for row := range all[i].n {
			if v := all[i].at(row); v >= n.from && v <= n.to {
				into.set(from + row)
			}
		}
	}
	return nil
}

// Rank is how many rows stand before a place in time: those of an earlier time, of a smaller key at that time, and of a
// smaller part of the same document. The place need not be there.
func (s *Segment) Rank(ctx context.Context, t int64, key string, part int) (int, error) {
	row, err := s.At(ctx, t)
	if err != nil {
		return 0, err
	}
	field := s.root.schema.Field(s.root.schema.Key)
	want := keyNumber(key)
	for ; row < s.root.rows; row++ {
		at, err := s.Time(ctx, row)
		if err != nil || at != t {
			return row, err
		}
		blocks, err := s.ordinals(ctx, field, []int{row / columnRows})
		if err != nil {
			return 0, err
		}
		terms, err := s.TermsAt(ctx, field, []int{int(blocks[0].at(row % columnRows))})
		if err != nil {
			return 0, err
		}
		have := keyNumber(terms[0])
		if have > want {
			return row, nil
		}
		if have == want {
			_, p, err := s.DocumentAt(ctx, row)
			if err != nil || p >= part {
				return row, err
			}
		}
	}
	return row, nil
}

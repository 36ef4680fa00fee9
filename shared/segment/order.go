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

// Order says how Top sorts rows: by a column, or by a field's terms; rows of one value by further columns; and what is
// still equal by row, which is by time and then by key.
type Order struct {
	Column     int
	Field      int // counts when ByField is set; the field has ordinals
	ByField    bool
	Then       []int // columns
	Descending bool
}

// After is a place in an order: Top returns what comes after it. Rows of that value and those numbers are after it from
// Row on, or in descending order below Row. The place need not be there.
type After struct {
	Value int64
	Then  []int64
	Row   int
}

// Top is the first k rows of a set in an order, only those after a place if there is one. A row without a term has no
// place in an order by field: Top leaves it out.
func (s *Segment) Top(ctx context.Context, set Set, o Order, after *After, k int) ([]Hit, error) {
	if k <= 0 {
		return nil, nil
	}
	t := &top{order: o, after: after, k: k, further: further{ctx: ctx, s: s, columns: o.Then}}
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
	for some := 1; len(blocks) > 0; some = min(2*some, together) {
		var next []int
		for len(blocks) > 0 && len(next) < some {
			block := blocks[0]
			blocks = blocks[1:]
			if set.may(block*columnRows/chunkRows) && (z == nil || t.wants(z.least[block], z.most[block])) {
				next = append(next, block)
			}
		}
		if err := s.topOf(ctx, t, loaded, next); err != nil {
			return nil, err
		}
		if t.further.err != nil {
			return nil, t.further.err
		}
	}
	slices.SortFunc(t.hits, t.compare)
	return t.hits, t.further.err
}

// further reads the columns that decide between rows of one value. Few rows need them.
type further struct {
	ctx     context.Context
	s       *Segment
	columns []int
	blocks  map[[2]int]numbers
	err     error
}

func (f *further) at(column, row int) int64 {
	at := [2]int{column, row / columnRows}
	n, ok := f.blocks[at]
	if !ok && f.err == nil {
		var all []numbers
		if all, f.err = f.s.column(f.ctx, column, []int{at[1]}); f.err != nil {
			return 0
		}
		if f.blocks == nil || len(f.blocks) > furtherBlocks {
			f.blocks = make(map[[2]int]numbers)
		}
		n = all[0]
		f.blocks[at] = n
	}
	if f.err != nil {
		return 0
	}
	return n.at(row % columnRows)
}

// furtherBlocks bounds the blocks of further columns in memory.
const furtherBlocks = 256

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
	order   Order
	after   *After
	k       int
	hits    []Hit
	further further
}

// compare is below 0 when a stands before b.
func (t *top) compare(a, b Hit) int {
	c := cmp.Compare(a.Value, b.Value)
	for i := 0; c == 0 && i < len(t.order.Then) && a.Row != b.Row; i++ {
		c = cmp.Compare(t.further.at(t.order.Then[i], a.Row), t.further.at(t.order.Then[i], b.Row))
	}
	if c == 0 {
		c = cmp.Compare(a.Row, b.Row)
	}
	if t.order.Descending {
		return -c
	}
	return c
}

// follows reports whether a hit comes after the place that Top begins at.
func (t *top) follows(h Hit) bool {
	if t.after == nil {
		return true
	}
	c := cmp.Compare(h.Value, t.after.Value)
	for i := 0; c == 0 && i < len(t.order.Then); i++ {
		c = cmp.Compare(t.further.at(t.order.Then[i], h.Row), t.after.Then[i])
	}
	if t.order.Descending {
		return c < 0 || c == 0 && h.Row < t.after.Row
	}
	return c > 0 || c == 0 && h.Row >= t.after.Row
}

// wants reports whether a block with values from least to most may have a hit that counts.
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
	if len(t.hits) == t.k && t.compare(h, t.hits[0]) > 0 || !t.follows(h) {
		return
	}
	if len(t.hits) < t.k {
		t.hits = append(t.hits, h)
		for i := len(t.hits) - 1; i > 0; {
			parent := (i - 1) / 2
			if t.compare(t.hits[parent], t.hits[i]) > 0 {
				break
			}
			t.hits[parent], t.hits[i] = t.hits[i], t.hits[parent]
			i = parent
		}
		return
	}
	t.hits[0] = h
	for i := 0; ; {
		child := 2*i + 1
		if child >= t.k {
			break
		}
		if child+1 < t.k && t.compare(t.hits[child], t.hits[child+1]) < 0 {
			child++
		}
		if t.compare(t.hits[i], t.hits[child]) > 0 {
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
	some, all := false, true
	for i := range z.least {
		some = some || z.least[i] <= to && z.most[i] >= from
		all = all && z.least[i] >= from && z.most[i] <= to
	}
	switch {
	case !some:
		return s.None(), nil
	case all:
		return s.All(), nil
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

package segment

import (
	"context"
	"iter"
	"math/bits"
	"slices"
)

// Set is rows of one segment. It is computed by chunks, and only those that are asked for.
type Set struct {
	s *Segment
	node
}

// node is how a set is computed.
type node interface {
	// known is how many rows there are, or -1 if they have to be counted.
	known() int
	// may reports whether a chunk may have rows.
	may(chunk int) bool
	// load puts the rows of a chunk into an empty bitmap. It is called for chunks that may have rows.
	load(ctx context.Context, chunk int, into *bitmap) error
}

// span is the rows from..to-1.
type span struct{ from, to int }

func (n span) known() int { return n.to - n.from }

func (n span) may(chunk int) bool {
	return n.from < (chunk+1)*chunkRows && n.to > chunk*chunkRows && n.from < n.to
}

func (n span) load(_ context.Context, chunk int, into *bitmap) error {
	into.fill(max(0, n.from-chunk*chunkRows), min(chunkRows, n.to-chunk*chunkRows))
	return nil
}

// All is every row.
func (s *Segment) All() Set { return Set{s, span{0, s.root.rows}} }

// None is no row.
func (s *Segment) None() Set { return Set{s, span{}} }

// Between is the rows from..to-1.
func (s *Segment) Between(from, to int) Set {
	from, to = max(0, from), min(to, s.root.rows)
	return Set{s, span{from, max(from, to)}}
}

// gathered is rows that stand in memory, by chunk; nil where there is none.
type gathered struct {
	chunks []*bitmap
	n      int
}

func (n *gathered) known() int         { return n.n }
func (n *gathered) may(chunk int) bool { return n.chunks[chunk] != nil }

func (n *gathered) load(_ context.Context, chunk int, into *bitmap) error {
	*into = *n.chunks[chunk]
	return nil
}

func (n *gathered) chunk(i int) *bitmap {
	if n.chunks[i] == nil {
		n.chunks[i] = new(bitmap)
	}
	return n.chunks[i]
}

func (n *gathered) count() {
	n.n = 0
	for _, b := range n.chunks {
		if b != nil {
			n.n += b.count()
		}
	}
}

// RowSet is a set of these rows.
func (s *Segment) RowSet(rows ...int) Set {
	g := &gathered{chunks: make([]*bitmap, chunks(s.root.rows))}
	for _, r := range rows {
		if r >= 0 && r < s.root.rows {
			g.chunk(r / chunkRows).set(r % chunkRows)
		}
	}
	g.count()
	return Set{s, g}
}

// and is what is in all of some sets.
type and []node

func (n and) known() int {
	for _, x := range n {
		if x.known() == 0 {
			return 0
		}
	}
	return -1
}

func (n and) may(chunk int) bool {
	return !slices.ContainsFunc(n, func(x node) bool { return !x.may(chunk) })
}

func (n and) load(ctx context.Context, chunk int, into *bitmap) error {
	if err := n[0].load(ctx, chunk, into); err != nil {
		return err
	}
	for _, x := range n[1:] {
		if *into == (bitmap{}) { // the others need not be read
			return nil
		}
		var other bitmap
		if err := x.load(ctx, chunk, &other); err != nil {
			return err
		}
		into.and(&other)
	}
	return nil
}

// And is the rows that are in all of the sets, which are of one segment. There is at least one.
func And(sets ...Set) Set {
	s := sets[0].s
	var all and
	for _, x := range sets {
		switch {
		case x.known() == 0:
			return s.None()
		case x.known() == s.root.rows:
			continue
		}
		if inner, ok := x.node.(and); ok {
			all = append(all, inner...)
			continue
		}
		all = append(all, x.node)
	}
	switch len(all) {
	case 0:
		return s.All()
	case 1:
		return Set{s, all[0]}
	}
	// The rarest come first: where they have nothing, the others are not read. What is not known costs most.
	slices.SortStableFunc(all, func(a, b node) int { return rank(a) - rank(b) })
	return Set{s, all}
}

func rank(n node) int {
	if k := n.known(); k >= 0 {
		return k
	}
	return MaxRows + 1
}

// or is what is in any of some sets.
type or []node

func (n or) known() int { return -1 }
func (n or) may(chunk int) bool {
	return slices.ContainsFunc(n, func(x node) bool { return x.may(chunk) })
}

func (n or) load(ctx context.Context, chunk int, into *bitmap) error {
	for _, x := range n {
		if !x.may(chunk) {
			continue
		}
		var other bitmap
		if err := x.load(ctx, chunk, &other); err != nil {
			return err
		}
		into.or(&other)
	}
	return nil
}

// Or is the rows that are in any of the sets, which are of one segment. There is at least one.
func Or(sets ...Set) Set {
	s := sets[0].s
	var all or
	for _, x := range sets {
		switch {
		case x.known() == s.root.rows:
			return s.All()
		case x.known() == 0:
			continue
		}
		all = append(all, x.node)
	}
	switch len(all) {
	case 0:
		return s.None()
	case 1:
		return Set{s, all[0]}
	}
	return Set{s, all}
}

// not is what is not in a set.
type not struct {
	s *Segment
	node
}

func (n not) known() int {
	if k := n.node.known(); k >= 0 {
		return n.s.root.rows - k
	}
	return -1
}

func (n not) may(int) bool { return true }

func (n not) load(ctx context.Context, chunk int, into *bitmap) error {
	if n.node.may(chunk) {
		if err := n.node.load(ctx, chunk, into); err != nil {
			return err
		}
	}
	into.flip(min(chunkRows, n.s.root.rows-chunk*chunkRows))
	return nil
}

// Not is the rows that are not in a set.
func Not(x Set) Set {
	switch n := x.node.(type) {
	case not:
		return Set{x.s, n.node}
	case span:
		if n.from == n.to {
			return x.s.All()
		}
		if n.from == 0 && n.to == x.s.root.rows {
			return x.s.None()
		}
	}
	return Set{x.s, not(x)}
}

// Count is how many rows the set has.
func (x Set) Count(ctx context.Context) (int, error) {
	if n := x.known(); n >= 0 {
		return n, nil
	}
	total := 0
	err := x.each(ctx, func(_ int, b *bitmap) bool { total += b.count(); return true })
	return total, err
}

// each calls f with the rows of each chunk that may have some, until it returns false.
func (x Set) each(ctx context.Context, f func(chunk int, b *bitmap) bool) error {
	var b bitmap
	for chunk := range chunks(x.s.root.rows) {
		if !x.may(chunk) {
			continue
		}
		b = bitmap{}
		if err := x.load(ctx, chunk, &b); err != nil {
			return err
		}
		if !f(chunk, &b) {
			return nil
		}
	}
	return nil
}

// Ascending yields the rows from a row on. Chunks are computed when the walk comes to them. After an error it ends.
func (x Set) Ascending(ctx context.Context, from int) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		var b bitmap
		for chunk := max(0, from) / chunkRows; chunk < chunks(x.s.root.rows); chunk++ {
			if !x.may(chunk) {
				continue
			}
			b = bitmap{}
			if err := x.load(ctx, chunk, &b); err != nil {
				yield(0, err)
				return
			}
			for i, w := range b {
				for ; w != 0; w &= w - 1 {
					row := chunk*chunkRows + i<<6 + bits.TrailingZeros64(w)
					if row >= from && !yield(row, nil) {
						return
					}
				}
			}
		}
	}
}

// Descending yields the rows below a row, from the last on. Chunks are computed when the walk comes to them. After an
// error it ends.
func (x Set) Descending(ctx context.Context, below int) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		var b bitmap
		for chunk := chunks(min(below, x.s.root.rows)) - 1; chunk >= 0; chunk-- {
			if !x.may(chunk) {
				continue
			}
			b = bitmap{}
			if err := x.load(ctx, chunk, &b); err != nil {
				yield(0, err)
				return
			}
			for i := words - 1; i >= 0; i-- {
				for w := b[i]; w != 0; {
					top := 63 - bits.LeadingZeros64(w)
					w &^= 1 << top
					row := chunk*chunkRows + i<<6 + top
					if row < below && !yield(row, nil) {
						return
					}
				}
			}
		}
	}
}

package segment

import (
	"cmp"
	"context"
	"slices"
	"sort"
)

// Tally is how many rows of a set have each term of a field.
type Tally struct {
	s      *Segment
	field  int
	counts []uint32 // by ordinal
}

// TermCount is how many rows have a term.
type TermCount struct {
	Term string
	Rows int
}

// Tally counts the terms of a field, which has ordinals, on the rows of a set.
func (s *Segment) Tally(ctx context.Context, set Set, field int) (*Tally, error) {
	t := &Tally{s: s, field: field, counts: make([]uint32, s.root.fields[field].terms.terms)}
	const perChunk = chunkRows / columnRows
	var damage error
	err := set.each(ctx, func(chunk int, b *bitmap) bool {
		var some []int
		for block := chunk * perChunk; block < (chunk+1)*perChunk && block*columnRows < s.root.rows; block++ {
			from := block * columnRows % chunkRows
			if b.countWithin(from, from+s.rowsOf(block)) > 0 {
				some = append(some, block)
			}
		}
		if len(some) == 0 {
			return true
		}
		all, err := s.ordinals(ctx, field, some)
		if err != nil {
			damage = err
			return false
		}
		for i, block := range some {
			if !t.add(&all[i], b, block*columnRows%chunkRows, s.rowsOf(block)) {
				damage = damaged(s.run, "ordinals of field "+s.name(field))
				return false
			}
		}
		return true
	})
	if err == nil {
		err = damage
	}
	return t, err
}

// add counts the rows of a block. It reports whether each ordinal is that of a term.
func (t *Tally) add(o *ordinals, b *bitmap, from, rows int) bool {
	ok := true
	count := func(at int) {
		if n := o.at(at); n < uint64(len(t.counts)) {
			t.counts[n]++
		} else {
			ok = false
		}
	}
	if o.one {
		eachRow(b, from, rows, count)
		return ok
	}
	o.walk(b, from, rows, func(_, first, to int) {
		for at := first; at < to; at++ {
			count(at)
		}
	})
	return ok
}

// atLeast are the ordinals whose terms at least n rows have, of which n is more than 0.
func (t *Tally) atLeast(n uint32) []int {
	var all []int
	for i, c := range t.counts {
		if c >= n {
			all = append(all, i)
		}
	}
	return all
}

// first is the k ordinals that most rows have; of those that equally many rows have the smaller ones.
func (t *Tally) first(k int) []int {
	var best []int // a heap would save little: k is small
	for i, c := range t.counts {
		if c == 0 || len(best) == k && c <= t.counts[best[k-1]] {
			continue
		}
		at := sort.Search(len(best), func(i int) bool { return t.counts[best[i]] < c })
		if len(best) < k {
			best = append(best, 0)
		}
		copy(best[at+1:], best[at:])
		best[at] = i
	}
	return best
}

// of adds how many rows have each of some terms.
func (t *Tally) of(ctx context.Context, sums map[string]int) error {
	x, err := t.s.index(ctx, dictionaryID{field: t.field})
	if err != nil || x.root.blocks == 0 {
		return err
	}
	terms := make([]string, 0, len(sums))
	for term := range sums {
		terms = append(terms, term)
	}
	slices.Sort(terms)
	ordinals, err := x.ordinalsOf(ctx, terms)
	if err != nil {
		return err
	}
	for i, o := range ordinals {
		if o >= 0 {
			sums[terms[i]] += int(t.counts[o])
		}
	}
	return nil
}

// Seek is the ordinal of the first term of a field that is not less than one, and whether it is that one. Where all are
// less it is the number of terms.
func (s *Segment) Seek(ctx context.Context, field int, term string) (ordinal int, found bool, err error) {
	x, err := s.index(ctx, dictionaryID{field: field})
	if err != nil || x.root.blocks == 0 {
		return 0, false, err
	}
	block := x.block(term)
	err = x.readBlocks(ctx, []int{block}, func(_ int, b []byte) error {
		e, err := x.scan(block, b)
		if err != nil {
			return err
		}
		ordinal = int(x.ordinals[block]) + x.entries(block)
		if e.seek(b, term) {
			ordinal, found = ordinal-e.left-1, string(e.term) == term
		}
		if e.in.bad {
			return x.damaged(block)
		}
		return nil
	})
	return ordinal, found, err
}

// ordinalsOf are the ordinals of sorted terms; -1 where a term is not there.
func (x *index) ordinalsOf(ctx context.Context, terms []string) ([]int, error) {
	out := make([]int, len(terms))
	var blocks []int
	for _, t := range terms {
		if b := x.block(t); len(blocks) == 0 || blocks[len(blocks)-1] != b {
			blocks = append(blocks, b)
		}
	}
	i := 0
	err := x.readBlocks(ctx, blocks, func(block int, b []byte) error {
		for ; i < len(terms) && x.block(terms[i]) == block; i++ {
			e, err := x.scan(block, b)
			if err != nil {
				return err
			}
			out[i] = -1
			if e.seek(b, terms[i]) && string(e.term) == terms[i] {
				out[i] = int(x.ordinals[block]) + x.entries(block) - e.left - 1
			}
			if e.in.bad {
				return x.damaged(block)
			}
		}
		return nil
	})
	return out, err
}

// Facet is the k terms that most rows have over several segments, exactly; terms that equally many rows have by their
// order.
//
// A term whose sum is among the first k has in some segment at least its share of the k-th sum. So only terms with that
// share somewhere have to be looked up everywhere.
func Facet(ctx context.Context, tallies []*Tally, k int) ([]TermCount, error) {
	sums := map[string]int{}
	collect := func(of func(*Tally) []int) error {
		found := map[string]int{}
		for _, t := range tallies {
			terms, err := t.s.TermsAt(ctx, t.field, of(t))
			if err != nil {
				return err
			}
			for _, term := range terms {
				if _, ok := sums[term]; !ok {
					found[term] = 0
				}
			}
		}
		for _, t := range tallies {
			if err := t.of(ctx, found); err != nil {
				return err
			}
		}
		for term, n := range found {
			sums[term] = n
		}
		return nil
	}
	if err := collect(func(t *Tally) []int { return t.first(k) }); err != nil {
		return nil, err
	}
	if best := ranked(sums, k); len(best) > 0 && len(tallies) > 1 {
		least := 1
		if len(best) == k {
			least = best[k-1].Rows
		}
		share := uint32((least + len(tallies) - 1) / len(tallies))
		if err := collect(func(t *Tally) []int { return t.atLeast(share) }); err != nil {
			return nil, err
		}
	}
	return ranked(sums, k), nil
}

// ranked are the first k of the sums that are not 0.
func ranked(sums map[string]int, k int) []TermCount {
	all := make([]TermCount, 0, len(sums))
	for term, n := range sums {
		if n > 0 {
			all = append(all, TermCount{term, n})
		}
	}
	slices.SortFunc(all, func(a, b TermCount) int {
		return cmp.Or(cmp.Compare(b.Rows, a.Rows), cmp.Compare(a.Term, b.Term))
	})
	return all[:min(k, len(all))]
}

// Histogram counts the rows of a set between each of some times and the next: edges ascend, and there are at least two.
func (s *Segment) Histogram(ctx context.Context, set Set, edges []int64) ([]int, error) {
	rows := make([]int, len(edges))
	for i, t := range edges {
		var err error
		if rows[i], err = s.At(ctx, t); err != nil {
			return nil, err
		}
	}
	bars := make([]int, len(edges)-1)
	err := set.each(ctx, func(chunk int, b *bitmap) bool {
		base := chunk * chunkRows
		for i := range bars {
			from, to := max(rows[i]-base, 0), min(rows[i+1]-base, chunkRows)
			if from < to {
				bars[i] += b.countWithin(from, to)
			}
		}
		return true
	})
	return bars, err
}

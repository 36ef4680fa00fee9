package segment

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
)

const (
	// wholeList is up to how many bytes a list of rows is read at once; a longer one is read by chunks.
	wholeList = 64 << 10
	// together is how many blocks a scan reads at once.
	together = 64
	// scanKeeps is how many blocks a scan may have that stay in the cache.
	scanKeeps = 256
)

// Pattern is a condition on terms. A term can match only if it begins with Prefix and contains all of Parts; Match
// decides.
type Pattern struct {
	Prefix string
	Parts  []string
	Match  func(term []byte) bool
}

// listNode is the rows of one list.
type listNode struct {
	x     *index
	list  rowList
	all   []extent // by chunk
	bytes []byte   // the list, when it is in memory

	mu sync.Mutex
	// recent is the last chunk that was read of a list that is not in memory: walks ask for one more than once.
	recent  extent
	payload []byte
}

func (n *listNode) known() int { return n.list.n }

func (n *listNode) extent(chunk int) (extent, bool) {
	i, ok := slices.BinarySearchFunc(n.all, chunk, func(e extent, c int) int { return e.chunk - c })
	if !ok {
		return extent{}, false
	}
	return n.all[i], true
}

func (n *listNode) may(chunk int) bool {
	_, ok := n.extent(chunk)
	return ok
}

func (n *listNode) load(ctx context.Context, chunk int, into *bitmap) error {
	e, ok := n.extent(chunk)
	if !ok {
		return nil
	}
	payload, err := n.read(ctx, e)
	if err != nil {
		return err
	}
	if !e.read(payload, into) {
		return n.x.damagedList()
	}
	return nil
}

func (n *listNode) read(ctx context.Context, e extent) ([]byte, error) {
	if n.bytes != nil {
		return n.bytes[e.from:e.to], nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.payload == nil || n.recent != e {
		payload, err := n.x.readLists(ctx, n.list.at+e.from, e.to-e.from, true)
		if err != nil {
			return nil, err
		}
		n.recent, n.payload = e, payload
	}
	return n.payload, nil
}

func (x *index) damagedList() error {
	return damaged(x.s.run, "lists of rows of field "+x.s.name(x.id.field))
}

// readLists reads bytes of the dictionary's lists of rows.
func (x *index) readLists(ctx context.Context, at, size int, keep bool) ([]byte, error) {
	if at < 0 || size <= 0 || at+size > x.root.lists {
		return nil, x.damagedList()
	}
	first, last := at/blockBytes, (at+size-1)/blockBytes
	where := make([]Address, 0, last-first+1)
	for i := first; i <= last; i++ {
		where = append(where, place(x.s.run, x.rows, x.id.field, i))
	}
	all, err := x.s.blocks.Read(ctx, where, keep)
	if err != nil {
		return nil, fmt.Errorf("read rows of segment %s: %w", x.s.run, err)
	}
	whole := all[0]
	if len(all) > 1 {
		whole = slices.Concat(all...)
	}
	from := at - first*blockBytes
	if from+size > len(whole) {
		return nil, x.damagedList()
	}
	return whole[from : from+size], nil
}

// open makes a list of more than one row ready to be asked.
func (x *index) open(ctx context.Context, l rowList) (node, error) {
	n := &listNode{x: x, list: l, bytes: l.inline}
	if n.bytes == nil && l.size <= wholeList {
		b, err := x.readLists(ctx, l.at, l.size, true)
		if err != nil {
			return nil, err
		}
		n.bytes = b
	}
	var ok bool
	if n.bytes != nil {
		n.all, _, ok = readDirectory(n.bytes, len(n.bytes), x.totalLists)
	} else {
		for size := min(blockBytes, l.size); ; size = min(size*8, l.size) {
			b, err := x.readLists(ctx, l.at, size, true)
			if err != nil {
				return nil, err
			}
			var enough bool
			if n.all, enough, ok = readDirectory(b, l.size, x.totalLists); ok || enough {
				break
			}
		}
	}
	sum := 0
	for _, e := range n.all {
		sum += e.rows
	}
	if !ok || sum != l.n {
		return nil, x.damagedList()
	}
	return n, nil
}

// Is is the rows that have any of some terms in a field.
func (s *Segment) Is(ctx context.Context, field int, terms ...string) (Set, error) {
	x, err := s.index(ctx, dictionaryID{field: field})
	if err != nil || x.root.blocks == 0 {
		return s.None(), err
	}
	found, err := x.find(ctx, terms)
	if err != nil {
		return Set{}, err
	}
	return x.set(ctx, found)
}

// find returns the lists of those terms that are there.
func (x *index) find(ctx context.Context, terms []string) ([]rowList, error) {
	sorted := slices.Clone(terms)
	slices.Sort(sorted)
	sorted = slices.Compact(sorted)
	var blocks []int
	for _, t := range sorted {
		if b := x.block(t); len(blocks) == 0 || blocks[len(blocks)-1] != b {
			blocks = append(blocks, b)
		}
	}
	var found []rowList
	err := x.readBlocks(ctx, blocks, func(block int, b []byte) error {
		for len(sorted) > 0 && x.block(sorted[0]) == block {
			e, err := x.scan(block, b)
			if err != nil {
				return err
			}
			if e.seek(b, sorted[0]) && string(e.term) == sorted[0] {
				found = append(found, e.list)
			}
			if e.in.bad {
				return x.damaged(block)
			}
			sorted = sorted[1:]
		}
		return nil
	})
	return found, err
}

// readBlocks reads blocks of terms, several at once, and calls f with each.
func (x *index) readBlocks(ctx context.Context, blocks []int, f func(block int, b []byte) error) error {
	keep := len(blocks) <= scanKeeps
	at := make([]Address, 0, together)
	for some := range slices.Chunk(blocks, together) {
		at = at[:0]
		for _, block := range some {
			at = append(at, x.place(block))
		}
		all, err := x.s.blocks.Read(ctx, at, keep)
		if err != nil {
			return fmt.Errorf("read terms of segment %s: %w", x.s.run, err)
		}
		for i, b := range all {
			if err := f(some[i], b); err != nil {
				return err
			}
		}
	}
	return nil
}

// set is the union of lists.
func (x *index) set(ctx context.Context, lists []rowList) (Set, error) {
	switch {
	case len(lists) == 0:
		return x.s.None(), nil
	case len(lists) == 1 && lists[0].n > 1:
		n, err := x.open(ctx, lists[0])
		return Set{x.s, n}, err
	}
	g := &gathered{chunks: make([]*bitmap, chunks(x.totalLists))}
	var far []rowList
	for _, l := range lists {
		switch {
		case l.n == 1:
			g.chunk(int(l.row) / chunkRows).set(int(l.row) % chunkRows)
		case l.inline != nil:
			if err := x.gather(g, l.inline); err != nil {
				return Set{}, err
			}
		default:
			far = append(far, l)
		}
	}
	if err := x.gatherFar(ctx, g, far); err != nil {
		return Set{}, err
	}
	g.count()
	return Set{x.s, g}, nil
}

// gather adds the rows of a list.
func (x *index) gather(g *gathered, b []byte) error {
	all, _, ok := readDirectory(b, len(b), x.totalLists)
	if !ok {
		return x.damagedList()
	}
	for _, e := range all {
		if !e.read(b[e.from:e.to], g.chunk(e.chunk)) {
			return x.damagedList()
		}
	}
	return nil
}

// gatherFar adds the rows of lists that stand behind the dictionary. Lists that lie together are read together.
func (x *index) gatherFar(ctx context.Context, g *gathered, far []rowList) error {
	slices.SortFunc(far, func(a, b rowList) int { return a.at - b.at })
	const most = together * blockBytes
	for len(far) > 0 {
		from, n := far[0].at, 1
		to := from + far[0].size
		for n < len(far) && far[n].at <= to+blockBytes && far[n].at+far[n].size-from <= most {
			to = max(to, far[n].at+far[n].size)
			n++
		}
		b, err := x.readLists(ctx, from, to-from, len(far) <= scanKeeps)
		if err != nil {
			return err
		}
		for _, l := range far[:n] {
			if err := x.gather(g, b[l.at-from:l.at-from+l.size]); err != nil {
				return err
			}
		}
		far = far[n:]
	}
	return nil
}

// Like is the rows that have a term that matches a pattern.
func (s *Segment) Like(ctx context.Context, field int, p Pattern) (Set, error) {
	x, err := s.index(ctx, dictionaryID{field: field})
	if err != nil || x.root.blocks == 0 {
		return s.None(), err
	}
	blocks, err := x.candidates(ctx, p)
	if err != nil {
		return Set{}, err
	}
	var found []rowList
	err = x.readBlocks(ctx, blocks, func(block int, b []byte) error {
		e, err := x.scan(block, b)
		if err != nil {
			return err
		}
		for more := e.seek(b, p.Prefix); more && hasPrefix(e.term, p.Prefix); more = e.next() {
			if p.Match(e.term) {
				found = append(found, e.list)
			}
		}
		if e.in.bad {
			return x.damaged(block)
		}
		return nil
	})
	if err != nil {
		return Set{}, err
	}
	return x.set(ctx, found)
}

func hasPrefix(term []byte, prefix string) bool {
	return len(term) >= len(prefix) && string(term[:len(prefix)]) == prefix
}

// candidates are the blocks that may have a term that matches.
func (x *index) candidates(ctx context.Context, p Pattern) ([]int, error) {
	from, to := 0, x.root.blocks-1
	if p.Prefix != "" {
		from = x.block(p.Prefix)
		for to = from; to+1 < x.root.blocks; to++ {
			if start := x.start(to + 1); start > p.Prefix && !strings.HasPrefix(start, p.Prefix) {
				break
			}
		}
	}
	all := make([]int, 0, to-from+1)
	within, err := x.s.blocksWith(ctx, x.id.field, p.Parts)
	if err != nil {
		return nil, err
	}
	for i := from; i <= to; i++ {
		if within == nil || within[i/chunkRows] != nil && within[i/chunkRows].has(i%chunkRows) {
			all = append(all, i)
		}
	}
	return all, nil
}

// blocksWith is the blocks of a field's dictionary that have all trigrams of some parts; nil when these say nothing.
func (s *Segment) blocksWith(ctx context.Context, field int, parts []string) ([]*bitmap, error) {
	if s.root.fields[field].parts.blocks == 0 {
		return nil, nil
	}
	var trigrams []string
	for _, part := range parts {
		for i := 0; i+3 <= len(part); i++ {
			trigrams = append(trigrams, part[i:i+3])
		}
	}
	if len(trigrams) == 0 {
		return nil, nil
	}
	slices.Sort(trigrams)
	trigrams = slices.Compact(trigrams)
	x, err := s.index(ctx, dictionaryID{field: field, parts: true})
	if err != nil {
		return nil, err
	}
	lists, err := x.find(ctx, trigrams)
	if err != nil {
		return nil, err
	}
	out := make([]*bitmap, chunks(x.totalLists))
	if len(lists) < len(trigrams) { // one of them is nowhere
		return out, nil
	}
	slices.SortFunc(lists, func(a, b rowList) int { return a.n - b.n })
	for i, l := range lists {
		one, err := x.set(ctx, []rowList{l})
		if err != nil {
			return nil, err
		}
		n := 0
		for c := range out {
			var b bitmap
			if one.may(c) && (i == 0 || out[c] != nil) {
				if err := one.load(ctx, c, &b); err != nil {
					return nil, err
				}
			}
			if i > 0 && out[c] != nil {
				b.and(out[c])
			}
			if out[c] = nil; b != (bitmap{}) {
				out[c] = &b
				n += b.count()
			}
		}
		if n <= together/4 { // to look into them costs no more than to read further lists
			break
		}
	}
	return out, nil
}

// Having is the rows that have a term in a field.
func (s *Segment) Having(ctx context.Context, field int) (Set, error) {
	f := s.root.fields[field]
	switch f.having {
	case 0:
		return s.None(), nil
	case 1:
		return s.Between(f.havingAt, f.havingAt+1), nil
	case s.root.rows:
		return s.All(), nil
	}
	x, err := s.index(ctx, dictionaryID{field: field})
	if err != nil {
		return Set{}, err
	}
	n, err := x.open(ctx, rowList{n: f.having, at: f.havingAt, size: f.havingBytes})
	return Set{s, n}, err
}

// TermsAt returns the terms of ordinals in a field, in the order of the ordinals given.
func (s *Segment) TermsAt(ctx context.Context, field int, which []int) ([]string, error) {
	x, err := s.index(ctx, dictionaryID{field: field})
	if err != nil {
		return nil, err
	}
	order := make([]int, len(which))
	for i := range order {
		if which[i] < 0 || which[i] >= x.root.terms {
			return nil, fmt.Errorf("segment %s has no term %d in field %s", s.run, which[i], s.name(field))
		}
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return which[a] - which[b] })
	var blocks []int
	for _, i := range order {
		if b := x.blockOf(which[i]); len(blocks) == 0 || blocks[len(blocks)-1] != b {
			blocks = append(blocks, b)
		}
	}
	out := make([]string, len(which))
	err = x.readBlocks(ctx, blocks, func(block int, b []byte) error {
		e, err := x.scan(block, b)
		if err != nil {
			return err
		}
		for at := int(x.ordinals[block]); len(order) > 0 && x.blockOf(which[order[0]]) == block; at++ {
			if !e.next() {
				return x.damaged(block)
			}
			for len(order) > 0 && which[order[0]] == at {
				out[order[0]] = string(e.term)
				order = order[1:]
			}
		}
		return nil
	})
	return out, err
}

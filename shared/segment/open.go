package segment

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sort"
	"sync"
)

// Segment is an open segment. It is safe for concurrent use. Bytes reports what it keeps in memory, which is the roots
// that it has read. The cache keeps the blocks below them.
type Segment struct {
	run    Run
	blocks Blocks
	root   root

	mu     sync.Mutex
	bytes  int
	fields map[dictionaryID]*index
	zones  map[int]*zones // by column
}

// dictionaryID names a dictionary of a segment.
type dictionaryID struct {
	field int
	parts bool
}

// Open reads the root of a segment.
func Open(ctx context.Context, blocks Blocks, run Run) (*Segment, error) {
	b, err := readOne(ctx, blocks, place(run, blockRoot, 0, 0))
	if err != nil {
		return nil, fmt.Errorf("open segment %s: %w", run, err)
	}
	r, err := readRoot(b)
	if err != nil {
		return nil, fmt.Errorf("open segment %s: %w", run, err)
	}
	return &Segment{
		run: run, blocks: blocks, root: r, bytes: len(b), fields: map[dictionaryID]*index{}, zones: map[int]*zones{},
	}, nil
}

// Run is the segment's name.
func (s *Segment) Run() Run { return s.run }

// Rows is how many rows there are.
func (s *Segment) Rows() int { return s.root.rows }

// Span is the time of the first row and of the last.
func (s *Segment) Span() (first, last int64) { return s.root.first, s.root.last }

// Schema is what the segment has. It is not to be changed.
func (s *Segment) Schema() Schema { return s.root.schema }

// name is the name of a field.
func (s *Segment) name(field int) string { return s.root.schema.Fields[field].Name }

// Terms is how many different terms a field has.
func (s *Segment) Terms(field int) int { return s.root.fields[field].terms.terms }

// Documents are the runs that the rows' documents lie in. They are not to be changed.
func (s *Segment) Documents() []Run { return s.root.documents }

// Bytes is how much memory the segment holds, about.
func (s *Segment) Bytes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes
}

// index is the root of a dictionary: where each block of terms begins.
type index struct {
	s          *Segment
	id         dictionaryID
	root       dictionaryRoot
	starts     []byte   // the separators, one behind the other
	at         []uint32 // where each separator begins in starts, and at last where they end
	ordinals   []uint32 // of the first term of each block
	terms      int      // kinds of blocks
	rows       int
	totalLists int // what the numbers in the lists are below: rows of the segment, or blocks of the dictionary
}

// index returns the root of a dictionary, which is read once.
func (s *Segment) index(ctx context.Context, id dictionaryID) (*index, error) {
	s.mu.Lock()
	x := s.fields[id]
	s.mu.Unlock()
	if x != nil {
		return x, nil
	}
	x = &index{
		s: s, id: id, root: s.root.fields[id.field].terms, terms: blockTerms, rows: blockRows, totalLists: s.root.rows,
	}
	kind := blockFieldRoot
	if id.parts {
		x.root, x.terms, x.rows, kind = s.root.fields[id.field].parts, blockParts, blockPartsRows, blockPartsRoot
		x.totalLists = s.root.fields[id.field].terms.blocks
	}
	if x.root.blocks > 0 {
		b, err := readPieces(ctx, s.blocks, s.run, kind, id.field, x.root.pieces)
		if err != nil {
			return nil, fmt.Errorf("read field %s of segment %s: %w", s.name(id.field), s.run, err)
		}
		if !x.read(b) {
			return nil, damaged(s.run, "root of field "+s.name(id.field))
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if other := s.fields[id]; other != nil {
		return other, nil
	}
	s.fields[id] = x
	s.bytes += len(x.starts) + 4*len(x.at) + 4*len(x.ordinals)
	return x, nil
}

func (x *index) read(b []byte) bool {
	in := &input{b: b}
	x.at = make([]uint32, 0, min(x.root.blocks, len(b))+1)
	x.ordinals = make([]uint32, 0, min(x.root.blocks, len(b)))
	var last []byte
	for i := range x.root.blocks {
		ordinal := in.count(x.root.terms - 1)
		shared := in.count(len(last))
		rest := in.bytes(in.count(MaxTerm))
		if in.bad || i > 0 && ordinal <= int(x.ordinals[i-1]) || i == 0 && ordinal != 0 {
			return false
		}
		x.ordinals = append(x.ordinals, uint32(ordinal))
		at := len(x.starts)
		x.at = append(x.at, uint32(at))
		x.starts = append(append(x.starts, last[:shared]...), rest...)
		last = slices.Clone(x.starts[at:])
	}
	x.at = append(x.at, uint32(len(x.starts)))
	return !in.bad && len(in.b) == 0
}

// start is the separator of a block: all its terms are not less, and all before it are less.
func (x *index) start(block int) string { return string(x.starts[x.at[block]:x.at[block+1]]) }

// block is the block that has a term if there is one that does. There is at least one block.
func (x *index) block(term string) int {
	return max(0, sort.Search(x.root.blocks, func(i int) bool { return x.start(i) > term })-1)
}

// entries is how many terms a block has.
func (x *index) entries(block int) int {
	if block+1 < len(x.ordinals) {
		return int(x.ordinals[block+1] - x.ordinals[block])
	}
	return x.root.terms - int(x.ordinals[block])
}

// blockOf is the block of an ordinal.
func (x *index) blockOf(ordinal int) int {
	return sort.Search(len(x.ordinals), func(i int) bool { return int(x.ordinals[i]) > ordinal }) - 1
}

func (x *index) place(block int) Address { return place(x.s.run, x.terms, x.id.field, block) }

func (x *index) damaged(block int) error {
	return damaged(x.s.run, fmt.Sprintf("block %d of the terms of field %s", block, x.s.name(x.id.field)))
}

// rowList is a list of rows, wherever it stands.
type rowList struct {
	n      int    // rows
	row    uint32 // when n is 1
	inline []byte // when it stands in the dictionary
	at     int    // else where it begins in the field's lists
	size   int    // and its length
}

// entries walks through the terms of a block.
type entries struct {
	x     *index
	in    input
	term  []byte
	left  int
	list  rowList
	begin []byte // the entries, from the first on
}

// scan begins to walk through a block.
func (x *index) scan(block int, b []byte) (entries, error) {
	n := x.entries(block)
	restarts := (n + restartEvery - 1) / restartEvery
	if len(b) < 2+2*restarts || int(binary.LittleEndian.Uint16(b)) != restarts {
		return entries{}, x.damaged(block)
	}
	begin := b[2+2*restarts:]
	return entries{x: x, in: input{b: begin}, left: n, begin: begin}, nil
}

// next goes to the next term. At the end, and when the block is damaged, it returns false; then bad says which.
func (e *entries) next() bool {
	if e.left == 0 || e.in.bad {
		e.in.bad = e.in.bad || len(e.in.b) > 0
		return false
	}
	e.left--
	shared := e.in.count(len(e.term))
	e.term = append(e.term[:shared], e.in.bytes(e.in.count(MaxTerm))...)
	e.list = rowList{n: e.in.count(e.x.totalLists)}
	switch {
	case e.list.n == 0:
		e.in.fail()
	case e.list.n == 1:
		e.list.row = uint32(e.in.count(e.x.totalLists - 1))
	default:
		tag := e.in.count(e.x.root.lists<<1 | inlineBytes<<1 | 1)
		e.list.size = tag >> 1
		if tag&1 == 0 {
			e.list.inline = e.in.bytes(e.list.size)
		} else if e.list.at = e.in.count(e.x.root.lists); e.list.at+e.list.size > e.x.root.lists {
			e.in.fail()
		}
	}
	return !e.in.bad
}

// seek goes to the first term that is not less than one. b is the block.
func (e *entries) seek(b []byte, term string) bool {
	restarts := int(binary.LittleEndian.Uint16(b))
	n := e.left
	at := sort.Search(restarts, func(i int) bool {
		first := input{b: e.from(b, i)}
		shared := first.uvarint()
		whole := first.bytes(first.count(MaxTerm))
		return shared != 0 || first.bad || string(whole) > term
	})
	if at > 0 {
		at--
	}
	e.in.b, e.left = e.from(b, at), n-at*restartEvery
	for e.next() {
		if string(e.term) >= term {
			return true
		}
	}
	return false
}

// from is the block from a restart on.
func (e *entries) from(b []byte, restart int) []byte {
	at := int(binary.LittleEndian.Uint16(b[2+2*restart:]))
	if at > len(e.begin) {
		return nil
	}
	return e.begin[at:]
}

package segment

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
)

// Source is a segment that Merge reads, and the rows of it that are not to live on.
type Source struct {
	Segment *Segment
	Drop    Set // of the segment; the zero Set drops nothing
}

// ErrEmpty means that a merge has no row left: nothing was written.
var ErrEmpty = errors.New("no row is left")

// Merge writes one segment of the rows of several, which have one schema. Documents stay where they are, unless they
// are to be written anew, in the order of the rows, to documents: so that small runs of them do not become too many. It
// reads and writes field by field, so that memory is bounded by the number of rows, at about 40 bytes each, and not by
// their terms. Where a merge of all is not wanted, such as to erase a person, it also rewrites a single segment.
func Merge(ctx context.Context, to Writer, run Run, documents *Documents, sources ...Source) error {
	m := &merger{sources: sources, w: &writer{to: to, run: run}, documents: documents}
	if len(sources) == 0 {
		return ErrEmpty
	}
	schema := sources[0].Segment.Schema()
	for _, s := range sources[1:] {
		if !s.Segment.Schema().Equal(schema) {
			return fmt.Errorf("segments %s and %s have different schemas", sources[0].Segment.run, s.Segment.run)
		}
	}
	r := root{form: Form, schema: schema}
	if err := m.order(ctx, &r); err != nil {
		return err
	}
	for i, f := range schema.Fields {
		root, err := m.field(ctx, i, f)
		if err != nil {
			return err
		}
		r.fields = append(r.fields, root)
	}
	if err := m.columns(ctx, &r); err != nil {
		return err
	}
	return m.w.root(ctx, r)
}

// gone is the new row of a row that is dropped.
const gone = ^uint32(0)

type merger struct {
	sources   []Source
	w         *writer
	documents *Documents // nil leaves them where they are
	// rows[i][r] is the new row of row r of the i-th source, or gone.
	rows [][]uint32
}

// order finds the new row of each row.
func (m *merger) order(ctx context.Context, r *root) error {
	heads := make([]*mergeHead, len(m.sources))
	total := 0
	for i, s := range m.sources {
		h, err := newMergeHead(ctx, s)
		if err != nil {
			return err
		}
		heads[i] = h
		total += h.left
		m.rows = append(m.rows, h.rows)
	}
	if total == 0 {
		return ErrEmpty
	}
	if total > MaxRows {
		return fmt.Errorf("a segment of %d rows: it has at most %d", total, MaxRows)
	}
	for next := uint32(0); ; next++ {
		var first *mergeHead
		for _, h := range heads {
			if h.left > 0 && (first == nil || h.compare(first) < 0) {
				first = h
			}
		}
		if first == nil {
			break
		}
		t := first.times[first.at]
		if next == 0 {
			r.first = t
		}
		r.last = t
		first.take(next)
	}
	m.w.rows, r.rows = total, total
	return nil
}

// mergeHead walks through the rows of a source.
type mergeHead struct {
	times []int64
	keys  []uint64
	parts []uint16
	rows  []uint32 // new rows; those that are to be dropped are gone from the start
	at    int
	left  int // that are not dropped
}

func newMergeHead(ctx context.Context, source Source) (*mergeHead, error) {
	s := source.Segment
	n := s.root.rows
	h := &mergeHead{
		times: make([]int64, 0, n), keys: make([]uint64, n), parts: make([]uint16, 0, n), rows: make([]uint32, n), left: n,
	}
	for block := 0; block*columnRows < n; block++ {
		times, err := s.column(ctx, timeColumn, []int{block})
		if err != nil {
			return nil, err
		}
		b, err := readOne(ctx, s.blocks, place(s.run, blockDocuments, 0, block))
		if err != nil {
			return nil, err
		}
		_, _, parts, ok := readDocuments(b, s.rowsOf(block))
		if !ok {
			return nil, damaged(s.run, "documents")
		}
		for i := range times[0].n {
			h.times = append(h.times, times[0].at(i))
			h.parts = append(h.parts, uint16(parts.at(i)))
		}
	}
	c := newTermCursor(s, s.root.schema.Field(s.root.schema.Key))
	for {
		ok, err := c.next(ctx)
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		rows, err := c.list(ctx)
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			h.keys[r] = keyNumber(string(c.term))
		}
	}
	if source.Drop.node != nil {
		for row, err := range source.Drop.Ascending(ctx, 0) {
			if err != nil {
				return nil, err
			}
			h.rows[row] = gone
			h.left--
		}
	}
	h.skip()
	return h, nil
}

func (h *mergeHead) skip() {
	for h.at < len(h.rows) && h.rows[h.at] == gone {
		h.at++
	}
}

func (h *mergeHead) compare(other *mergeHead) int {
	return cmp.Or(cmp.Compare(h.times[h.at], other.times[other.at]), cmp.Compare(h.keys[h.at], other.keys[other.at]),
		cmp.Compare(h.parts[h.at], other.parts[other.at]))
}

func (h *mergeHead) take(next uint32) {
	h.rows[h.at] = next
	h.at++
	h.left--
	h.skip()
}

// termCursor walks through a field's terms with their rows, in their order. It reads ahead, and keeps nothing in the
// cache.
type termCursor struct {
	s     *Segment
	field int
	x     *index
	block int
	ahead [][]byte
	e     entries
	term  []byte

	lists   []byte // a window of the lists of rows
	listsAt int
	rows    []uint32
}

func newTermCursor(s *Segment, field int) *termCursor { return &termCursor{s: s, field: field} }

// readAhead is how many blocks a merge reads at once of each field and source.
const readAhead = 16

func (c *termCursor) next(ctx context.Context) (bool, error) {
	if c.x == nil {
		var err error
		if c.x, err = c.s.index(ctx, dictionaryID{field: c.field}); err != nil {
			return false, err
		}
	}
	for {
		if c.e.x != nil {
			if c.e.next() {
				c.term = c.e.term
				return true, nil
			}
			if c.e.in.bad {
				return false, c.x.damaged(c.block - 1)
			}
		}
		if c.block == c.x.root.blocks {
			return false, nil
		}
		if len(c.ahead) == 0 {
			at := make([]Address, 0, readAhead)
			for i := c.block; i < min(c.x.root.blocks, c.block+readAhead); i++ {
				at = append(at, c.x.place(i))
			}
			var err error
			if c.ahead, err = c.s.blocks.Read(ctx, at, false); err != nil {
				return false, fmt.Errorf("read terms of segment %s: %w", c.s.run, err)
			}
		}
		term := c.e.term[:0]
		var err error
		if c.e, err = c.x.scan(c.block, c.ahead[0]); err != nil {
			return false, err
		}
		c.e.term = term
		c.ahead = c.ahead[1:]
		c.block++
	}
}

// list returns the rows of the term that the cursor is at, until it is called again.
func (c *termCursor) list(ctx context.Context) ([]uint32, error) {
	c.rows = c.rows[:0]
	l := c.e.list
	if l.n == 1 {
		c.rows = append(c.rows, l.row)
		return c.rows, nil
	}
	b := l.inline
	if b == nil {
		if l.at < c.listsAt || l.at+l.size > c.listsAt+len(c.lists) {
			size := min(max(l.size, readAhead*blockBytes), c.x.root.lists-l.at)
			var err error
			if c.lists, err = c.x.readLists(ctx, l.at, size, false); err != nil {
				return nil, err
			}
			c.listsAt = l.at
		}
		b = c.lists[l.at-c.listsAt:][:l.size]
	}
	all, _, ok := readDirectory(b, len(b), c.x.totalLists)
	if !ok {
		return nil, c.x.damagedList()
	}
	for _, e := range all {
		if c.rows, ok = e.appendTo(c.rows, b[e.from:e.to]); !ok {
			return nil, c.x.damagedList()
		}
	}
	if len(c.rows) != l.n || int(c.rows[len(c.rows)-1]) >= c.s.root.rows {
		return nil, c.x.damagedList()
	}
	return c.rows, nil
}

func (m *merger) field(ctx context.Context, which int, f Field) (fieldRoot, error) {
	out := m.w.newField(which, f)
	cursors := make([]*termCursor, len(m.sources))
	for i, s := range m.sources {
		c := newTermCursor(s.Segment, which)
		ok, err := c.next(ctx)
		if err != nil {
			return fieldRoot{}, err
		}
		if ok {
			cursors[i] = c
		}
	}
	var term []byte
	var rows []uint32
	for {
		first := -1
		for i, c := range cursors {
			if c != nil && (first < 0 || bytes.Compare(c.term, cursors[first].term) < 0) {
				first = i
			}
		}
		if first < 0 {
			return out.finish(ctx)
		}
		term, rows = append(term[:0], cursors[first].term...), rows[:0]
		from := 0
		for i, c := range cursors {
			if c == nil || !bytes.Equal(c.term, term) {
				continue
			}
			list, err := c.list(ctx)
			if err != nil {
				return fieldRoot{}, err
			}
			for _, r := range list {
				if n := m.rows[i][r]; n != gone {
					rows = append(rows, n)
				}
			}
			from++
			ok, err := c.next(ctx)
			if err != nil {
				return fieldRoot{}, err
			}
			if !ok {
				cursors[i] = nil
			}
		}
		if from > 1 {
			slices.Sort(rows)
		}
		if len(rows) > 0 {
			if err := out.add(ctx, term, rows); err != nil {
				return fieldRoot{}, err
			}
		}
	}
}

// columns merges the columns, and what says which document each row has.
func (m *merger) columns(ctx context.Context, r *root) (err error) {
	numbers := make([]int64, m.w.rows)
	merge := func(column int) (int, error) {
		if err := m.column(ctx, column, numbers); err != nil {
			return 0, err
		}
		return m.w.column(ctx, column, numbers)
	}
	if r.times, err = merge(timeColumn); err != nil {
		return err
	}
	for i := range r.schema.Columns {
		pieces, err := merge(i)
		if err != nil {
			return err
		}
		r.columns = append(r.columns, pieces)
	}

	runs := make(map[Run]int64)
	of := documentRows{runs: numbers, places: make([]int64, m.w.rows), parts: make([]int64, m.w.rows)}
	for i, source := range m.sources {
		s := source.Segment
		for block := 0; block*columnRows < s.root.rows; block++ {
			b, err := readOne(ctx, s.blocks, place(s.run, blockDocuments, 0, block))
			if err != nil {
				return err
			}
			from, places, parts, ok := readDocuments(b, s.rowsOf(block))
			if !ok {
				return damaged(s.run, "documents")
			}
			for j := range from.n {
				row := m.rows[i][block*columnRows+j]
				if row == gone {
					continue
				}
				if from.at(j) < 0 || from.at(j) >= int64(len(s.root.documents)) {
					return damaged(s.run, "documents")
				}
				name := s.root.documents[from.at(j)]
				run, ok := runs[name]
				if !ok {
					run = int64(len(r.documents))
					runs[name] = run
					r.documents = append(r.documents, name)
				}
				of.runs[row], of.places[row], of.parts[row] = run, places.at(j), parts.at(j)
			}
		}
	}
	if m.documents != nil {
		if err := m.rewrite(ctx, r, of); err != nil {
			return err
		}
	}
	return m.w.documents(ctx, of)
}

// rewrite writes the documents anew, each once. Rows of one document follow each other.
func (m *merger) rewrite(ctx context.Context, r *root, of documentRows) error {
	blocks := NewCache(m.sources[0].Segment.blocks, rewriteCache)
	var last, now Document
	for row := range of.runs {
		old := Document{
			Address: Address{Run: r.documents[of.runs[row]], Number: uint32(of.places[row] / MaxIndex)},
			Index:   int(of.places[row] % MaxIndex),
		}
		if row == 0 || old != last {
			document, err := ReadDocuments(ctx, blocks, []Document{old})
			if err != nil {
				return err
			}
			if now, err = m.documents.Add(ctx, document[0]); err != nil {
				return err
			}
			last = old
		}
		of.set(row, 0, now, int(of.parts[row]))
	}
	r.documents = []Run{m.documents.run}
	return m.documents.Close(ctx)
}

// rewriteCache is how many bytes of blocks are kept while documents are written anew.
const rewriteCache = 4 << 20

func (m *merger) column(ctx context.Context, column int, into []int64) error {
	for i, source := range m.sources {
		s := source.Segment
		for block := 0; block*columnRows < s.root.rows; block++ {
			all, err := s.column(ctx, column, []int{block})
			if err != nil {
				return err
			}
			for j := range all[0].n {
				if row := m.rows[i][block*columnRows+j]; row != gone {
					into[row] = all[0].at(j)
				}
			}
		}
	}
	return nil
}

package segment

import (
	"context"
	"fmt"
	"sort"
)

// numbers is a block of numbers.
type numbers struct {
	least int64
	n     int
	packed
}

func (n numbers) at(i int) int64 { return n.least + int64(n.packed.at(i)) }

// numbers reads what appendNumbers wrote.
func (in *input) numbers(n int) numbers {
	out := numbers{least: in.varint(), n: n}
	out.w = int(in.byte())
	if out.w > 64 {
		in.fail()
		return numbers{}
	}
	out.b = in.bytes(packedBytes(n, out.w))
	return out
}

// rowsOf is how many rows a block of a column has.
func (s *Segment) rowsOf(block int) int { return min(columnRows, s.root.rows-block*columnRows) }

// zones are the least and the greatest number of each block of a column.
type zones struct{ least, most []int64 }

// zones returns them for a column. They are read once.
func (s *Segment) zonesOf(ctx context.Context, column int) (*zones, error) {
	s.mu.Lock()
	z := s.zones[column]
	s.mu.Unlock()
	if z != nil {
		return z, nil
	}
	pieces := s.root.times
	if column != timeColumn {
		pieces = s.root.columns[column]
	}
	b, err := readPieces(ctx, s.blocks, s.run, blockColumnRoot, column, pieces)
	if err != nil {
		return nil, fmt.Errorf("read column %d of segment %s: %w", column, s.run, err)
	}
	z = &zones{}
	in := input{b: b}
	for i := 0; i*columnRows < s.root.rows; i++ {
		least := in.varint()
		z.least, z.most = append(z.least, least), append(z.most, int64(uint64(least)+in.uvarint()))
	}
	if in.bad || len(in.b) > 0 {
		return nil, damaged(s.run, fmt.Sprintf("root of column %d", column))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if other := s.zones[column]; other != nil {
		return other, nil
	}
	s.zones[column] = z
	s.bytes += 16 * len(z.least)
	return z, nil
}

// column reads blocks of a column, in their order.
func (s *Segment) column(ctx context.Context, column int, which []int) ([]numbers, error) {
	at := make([]Address, len(which))
	for i, block := range which {
		at[i] = place(s.run, blockColumn, column, block)
	}
	all, err := s.blocks.Read(ctx, at, true)
	if err != nil {
		return nil, fmt.Errorf("read column %d of segment %s: %w", column, s.run, err)
	}
	out := make([]numbers, len(which))
	for i, b := range all {
		in := input{b: b}
		out[i] = in.numbers(s.rowsOf(which[i]))
		if in.bad || len(in.b) > 0 {
			return nil, damaged(s.run, fmt.Sprintf("block %d of column %d", which[i], column))
		}
	}
	return out, nil
}

// Number is the number of a row in a column.
func (s *Segment) Number(ctx context.Context, column, row int) (int64, error) {
	all, err := s.column(ctx, column, []int{row / columnRows})
	if err != nil {
		return 0, err
	}
	return all[0].at(row % columnRows), nil
}

// Time is the time of a row.
func (s *Segment) Time(ctx context.Context, row int) (int64, error) {
	return s.Number(ctx, timeColumn, row)
}

// At is the first row whose time is not before t; Rows if there is none.
func (s *Segment) At(ctx context.Context, t int64) (int, error) {
	switch {
	case t <= s.root.first:
		return 0, nil
	case t > s.root.last:
		return s.root.rows, nil
	}
	z, err := s.zonesOf(ctx, timeColumn)
	if err != nil {
		return 0, err
	}
	block := sort.Search(len(z.most), func(i int) bool { return z.most[i] >= t })
	if block == len(z.most) {
		return s.root.rows, nil
	}
	if z.least[block] >= t {
		return block * columnRows, nil
	}
	all, err := s.column(ctx, timeColumn, []int{block})
	if err != nil {
		return 0, err
	}
	return block*columnRows + sort.Search(all[0].n, func(i int) bool { return all[0].at(i) >= t }), nil
}

// ordinals is a block of the ordinals of rows.
type ordinals struct {
	counts packed
	one    bool // each row has one
	packed
}

func (s *Segment) ordinals(ctx context.Context, field int, which []int) ([]ordinals, error) {
	at := make([]Address, len(which))
	for i, block := range which {
		at[i] = place(s.run, blockOrdinals, field, block)
	}
	all, err := s.blocks.Read(ctx, at, true)
	if err != nil {
		return nil, fmt.Errorf("read the ordinals of field %s of segment %s: %w", s.name(field), s.run, err)
	}
	out := make([]ordinals, len(which))
	for i, b := range all {
		if !out[i].read(b, s.rowsOf(which[i])) {
			return nil, damaged(s.run, fmt.Sprintf("block %d of the ordinals of field %s", which[i], s.name(field)))
		}
	}
	return out, nil
}

func (o *ordinals) read(b []byte, rows int) bool {
	in := input{b: b}
	cw, n := int(in.byte()), rows
	if o.one = cw == 0; !o.one {
		if cw > 32 {
			return false
		}
		o.counts = packed{in.bytes(packedBytes(rows, cw)), cw}
		if in.bad {
			return false
		}
		n = 0
		for i := range rows {
			n += int(o.counts.at(i))
		}
	}
	o.w = int(in.byte())
	if o.w > 32 || n > maxBytes/64 {
		return false
	}
	o.b = in.bytes(packedBytes(n, o.w))
	return !in.bad && len(in.b) == 0
}

// walk calls f with each row of the block that is in b, a bitmap of its chunk in which the block begins at from, and
// with the row's ordinals from first to to-1.
func (o *ordinals) walk(b *bitmap, from, rows int, f func(row, first, to int)) {
	at := 0
	for i := range rows {
		n := 1
		if !o.one {
			n = int(o.counts.at(i))
		}
		if b.has(from + i) {
			f(i, at, at+n)
		}
		at += n
	}
}

// DocumentAt is where a row's document lies, and which part of it the row is.
func (s *Segment) DocumentAt(ctx context.Context, row int) (Document, int, error) {
	block := row / columnRows
	b, err := readOne(ctx, s.blocks, place(s.run, blockDocuments, 0, block))
	if err != nil {
		return Document{}, 0, fmt.Errorf("find a document of segment %s: %w", s.run, err)
	}
	runs, places, parts, ok := readDocuments(b, s.rowsOf(block))
	i := row % columnRows
	if !ok || runs.at(i) < 0 || runs.at(i) >= int64(len(s.root.documents)) || places.at(i) < 0 {
		return Document{}, 0, damaged(s.run, fmt.Sprintf("block %d of the documents", block))
	}
	at := places.at(i)
	address := Address{Run: s.root.documents[runs.at(i)], Number: uint32(at / MaxIndex)}
	return Document{Address: address, Index: int(at % MaxIndex)}, int(parts.at(i)), nil
}

func readDocuments(b []byte, rows int) (runs, places, parts numbers, ok bool) {
	in := input{b: b}
	runs, places, parts = in.numbers(rows), in.numbers(rows), in.numbers(rows)
	return runs, places, parts, !in.bad && len(in.b) == 0
}

package segment

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
)

// root is block 0: what a segment is, and where everything lies.
type root struct {
	form        int
	rows        int
	first, last int64 // times of the first and the last row
	schema      Schema
	fields      []fieldRoot
	times       int   // pieces of the root of the column of times
	columns     []int // pieces of the root of each column
	documents   []Run // runs that rows' documents lie in
}

type fieldRoot struct {
	terms dictionaryRoot
	parts dictionaryRoot // without pieces when the field has none
	// The rows that have a term: how many, and where their list stands when they are neither all nor fewer than two. One
	// row alone stands in the place of where.
	having, havingAt, havingBytes int
}

const (
	flagParts = 1 << iota
	flagOrdinals
)

func (r root) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(r.form))
	dst = binary.AppendUvarint(dst, uint64(r.rows))
	dst = binary.AppendVarint(dst, r.first)
	dst = binary.AppendVarint(dst, r.last)
	dst = binary.AppendUvarint(dst, uint64(len(r.schema.Fields)))
	for i, f := range r.schema.Fields {
		flags := 0
		if f.Parts {
			flags |= flagParts
		}
		if f.Ordinals {
			flags |= flagOrdinals
		}
		dst = append(appendText(dst, f.Name), byte(flags))
		dst = r.fields[i].terms.append(dst)
		dst = r.fields[i].parts.append(dst)
		for _, n := range []int{r.fields[i].having, r.fields[i].havingAt, r.fields[i].havingBytes} {
			dst = binary.AppendUvarint(dst, uint64(n))
		}
	}
	dst = appendText(dst, r.schema.Key)
	dst = binary.AppendUvarint(dst, uint64(r.times))
	dst = binary.AppendUvarint(dst, uint64(len(r.schema.Columns)))
	for i, name := range r.schema.Columns {
		dst = binary.AppendUvarint(appendText(dst, name), uint64(r.columns[i]))
	}
	dst = binary.AppendUvarint(dst, uint64(len(r.documents)))
	for _, run := range r.documents {
		dst = appendText(dst, string(run))
	}
	return dst
}

func (d dictionaryRoot) append(dst []byte) []byte {
	for _, n := range []int{d.terms, d.pairs, d.blocks, d.lists, d.pieces} {
		dst = binary.AppendUvarint(dst, uint64(n))
	}
	return dst
}

func readDictionaryRoot(in *input) dictionaryRoot {
	d := dictionaryRoot{
		terms: in.count(maxBytes), pairs: in.count(maxBytes), blocks: in.count(maxNumber + 1),
		lists: in.count(maxBytes), pieces: in.count(maxNumber),
	}
	// A term takes three bytes at least: what is damaged must not make anybody count more than there can be.
	if d.terms > d.blocks*(blockBytes/3+1) || d.terms < d.blocks {
		in.fail()
	}
	return d
}

const (
	maxName  = 255
	maxRuns  = 1 << 16
	maxBytes = 1 << 40
)

func readRoot(b []byte) (root, error) {
	in := &input{b: b}
	r := root{form: in.count(1 << 16)}
	if !in.bad && r.form > Form {
		return root{}, fmt.Errorf("form %d, and this version reads up to %d: %w", r.form, Form, ErrNewer)
	}
	r.rows = in.count(MaxRows)
	r.first, r.last = in.varint(), in.varint()
	for range in.count(maxFields) {
		f := Field{Name: in.text(maxName)}
		flags := in.byte()
		f.Parts, f.Ordinals = flags&flagParts != 0, flags&flagOrdinals != 0
		r.schema.Fields = append(r.schema.Fields, f)
		root := fieldRoot{terms: readDictionaryRoot(in), parts: readDictionaryRoot(in)}
		root.having, root.havingAt, root.havingBytes = in.count(r.rows), in.count(maxBytes), in.count(maxBytes)
		r.fields = append(r.fields, root)
	}
	r.schema.Key = in.text(maxName)
	r.times = in.count(maxNumber)
	for range in.count(maxColumns) {
		r.schema.Columns = append(r.schema.Columns, in.text(maxName))
		r.columns = append(r.columns, in.count(maxNumber))
	}
	for range in.count(maxRuns) {
		r.documents = append(r.documents, Run(in.text(maxName)))
	}
	if in.bad || len(in.b) > 0 || r.rows == 0 || r.form == 0 {
		return root{}, errors.Join(ErrDamaged, r.schema.valid())
	}
	if err := r.schema.valid(); err != nil {
		return root{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return r, nil
}

// write writes the root: the segment is whole when it is durable.
func (w *writer) root(ctx context.Context, r root) error {
	block := r.append(nil)
	if len(block) > pieceBytes {
		return fmt.Errorf("segment %s: its root has %d bytes, of which a block holds %d", w.run, len(block), pieceBytes)
	}
	if err := w.write(ctx, blockRoot, 0, 0, block); err != nil {
		return err
	}
	if err := w.to.Flush(ctx); err != nil {
		return fmt.Errorf("write segment %s: %w", w.run, err)
	}
	return nil
}

package segment

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
)

// Build writes a segment of rows, in whatever order they come. There is at least one row. Memory grows with the rows,
// so large segments are made of small ones, by Merge.
func Build(ctx context.Context, to Writer, run Run, schema Schema, rows []Row) error {
	if err := schema.valid(); err != nil {
		return err
	}
	if len(rows) == 0 || len(rows) > MaxRows {
		return fmt.Errorf("a segment of %d rows: it has 1 to %d", len(rows), MaxRows)
	}
	key := schema.Field(schema.Key)
	for i := range rows {
		if err := rows[i].valid(schema, key); err != nil {
			return err
		}
	}
	sorted := make([]*Row, len(rows))
	for i := range rows {
		sorted[i] = &rows[i]
	}
	slices.SortFunc(sorted, func(a, b *Row) int {
		return cmp.Or(cmp.Compare(a.Time, b.Time),
			cmp.Compare(keyNumber(a.Terms[key][0]), keyNumber(b.Terms[key][0])), cmp.Compare(a.Part, b.Part))
	})

	w := &writer{to: to, run: run, rows: len(rows)}
	r := root{form: Form, rows: len(rows), first: sorted[0].Time, last: sorted[len(sorted)-1].Time, schema: schema}
	for i := range schema.Fields {
		f, err := w.buildField(ctx, i, schema.Fields[i], sorted)
		if err != nil {
			return err
		}
		r.fields = append(r.fields, f)
	}
	if err := w.buildColumns(ctx, &r, sorted); err != nil {
		return err
	}
	return w.root(ctx, r)
}

func (row *Row) valid(schema Schema, key int) error {
	switch {
	case len(row.Terms) != len(schema.Fields) || len(row.Numbers) != len(schema.Columns):
		return fmt.Errorf("a row of %d fields and %d columns: the schema has %d and %d",
			len(row.Terms), len(row.Numbers), len(schema.Fields), len(schema.Columns))
	case len(row.Terms[key]) != 1:
		return fmt.Errorf("a row has %d keys", len(row.Terms[key]))
	case row.Document.Index < 0 || row.Document.Index >= MaxIndex || row.Part < 0 || row.Part >= MaxPart:
		return fmt.Errorf("a row is part %d of document %d of a block", row.Part, row.Document.Index)
	}
	for i, terms := range row.Terms {
		for _, t := range terms {
			if len(t) > MaxTerm {
				return fmt.Errorf("a term of field %s has %d bytes, and not %d at the most", schema.Fields[i].Name, len(t), MaxTerm)
			}
		}
	}
	return nil
}

// keyNumber is the first eight bytes of a key, as a number of the same order.
func keyNumber(key string) uint64 {
	var b [8]byte
	copy(b[:], key)
	return binary.BigEndian.Uint64(b[:])
}

func (w *writer) buildField(ctx context.Context, which int, f Field, rows []*Row) (fieldRoot, error) {
	lists := make(map[string][]uint32)
	for i, row := range rows {
		for _, t := range row.Terms[which] {
			list := lists[t]
			if len(list) == 0 || list[len(list)-1] != uint32(i) { // a row may have a term twice
				lists[t] = append(list, uint32(i))
			}
		}
	}
	terms := make([]string, 0, len(lists))
	for t := range lists {
		terms = append(terms, t)
	}
	slices.Sort(terms)

	out := w.newField(which, f)
	for _, t := range terms {
		if err := out.add(ctx, []byte(t), lists[t]); err != nil {
			return fieldRoot{}, err
		}
	}
	return out.finish(ctx)
}

// fieldWriter writes all that is of one field.
type fieldWriter struct {
	w          *writer
	which      int
	dictionary *dictionary
	ordinals   *rowOrdinals // nil when the field has none
	having     []bitmap     // rows that have a term, by chunk
}

func (w *writer) newField(which int, f Field) *fieldWriter {
	out := &fieldWriter{w: w, which: which, dictionary: w.field(which, f.Parts), having: make([]bitmap, chunks(w.rows))}
	if f.Ordinals {
		out.ordinals = newRowOrdinals(w.rows)
	}
	return out
}

func (f *fieldWriter) add(ctx context.Context, term []byte, rows []uint32) error {
	if f.ordinals != nil {
		f.ordinals.add(f.dictionary.n, rows)
	}
	for _, r := range rows {
		f.having[r/chunkRows].set(int(r % chunkRows))
	}
	return f.dictionary.add(ctx, term, rows)
}

func (f *fieldWriter) finish(ctx context.Context) (fieldRoot, error) {
	var having []uint32
	for i := range f.having {
		having = f.having[i].appendTo(having, uint32(i)*chunkRows)
	}
	at, size := 0, 0
	if len(having) > 1 && len(having) < f.w.rows {
		var err error
		if at, size, err = f.dictionary.addList(ctx, having); err != nil {
			return fieldRoot{}, err
		}
	}
	terms, err := f.dictionary.finish(ctx)
	if err != nil {
		return fieldRoot{}, err
	}
	root := fieldRoot{terms: terms, having: len(having), havingAt: at, havingBytes: size}
	if len(having) == 1 {
		root.havingAt = int(having[0])
	}
	if f.dictionary.parts != nil {
		if root.parts, err = f.dictionary.finishParts(ctx); err != nil {
			return fieldRoot{}, err
		}
	}
	if f.ordinals != nil {
		err = f.w.ordinals(ctx, f.which, f.ordinals.sorted())
	}
	return root, err
}

func (w *writer) buildColumns(ctx context.Context, r *root, rows []*Row) (err error) {
	numbers := make([]int64, len(rows))
	fill := func(of func(*Row) int64) []int64 {
		for i, row := range rows {
			numbers[i] = of(row)
		}
		return numbers
	}
	if r.times, err = w.column(ctx, timeColumn, fill(func(row *Row) int64 { return row.Time })); err != nil {
		return err
	}
	for i := range r.schema.Columns {
		pieces, err := w.column(ctx, i, fill(func(row *Row) int64 { return row.Numbers[i] }))
		if err != nil {
			return err
		}
		r.columns = append(r.columns, pieces)
	}

	runs := make(map[Run]int64)
	of := newDocumentRows(len(rows))
	for i, row := range rows {
		run, ok := runs[row.Document.Run]
		if !ok {
			run = int64(len(r.documents))
			runs[row.Document.Run] = run
			r.documents = append(r.documents, row.Document.Run)
		}
		of.set(i, run, row.Document, row.Part)
	}
	return w.documents(ctx, of)
}

// timeColumn is the number of the column of times: behind those that a schema may have.
const timeColumn = maxColumns - 1

// documentRows says which document each row has: its run, its block and place there, and the row's part of it.
type documentRows struct{ runs, places, parts []int64 }

func newDocumentRows(rows int) documentRows {
	return documentRows{runs: make([]int64, rows), places: make([]int64, rows), parts: make([]int64, rows)}
}

func (d documentRows) set(row int, run int64, at Document, part int) {
	d.runs[row], d.places[row], d.parts[row] = run, int64(at.Number)*MaxIndex+int64(at.Index), int64(part)
}

// documents writes which document each row has. Each block has three lists of numbers, one after the other.
func (w *writer) documents(ctx context.Context, of documentRows) error {
	for i := 0; i*columnRows < w.rows; i++ {
		from, to := i*columnRows, min(w.rows, (i+1)*columnRows)
		block := appendNumbers(nil, of.runs[from:to])
		block = appendNumbers(block, of.places[from:to])
		block = appendNumbers(block, of.parts[from:to])
		if err := w.write(ctx, blockDocuments, 0, i, block); err != nil {
			return err
		}
	}
	return nil
}

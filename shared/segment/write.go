package segment

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
)

const (
	// inlineBytes is how long a list of rows may be to stand in the dictionary.
	inlineBytes = 64
	// restartEvery is after how many terms one stands whole, so that a search in a block can begin there.
	restartEvery = 16
)

// writer writes the blocks of one segment.
type writer struct {
	to   Writer
	run  Run
	rows int // that the segment has
}

func (w *writer) write(ctx context.Context, kind, which, number int, block []byte) error {
	if number > maxNumber {
		return fmt.Errorf("segment %s: more than %d blocks of kind %d", w.run, maxNumber, kind)
	}
	if err := w.to.Write(ctx, place(w.run, kind, which, number), block); err != nil {
		return fmt.Errorf("write a block of segment %s: %w", w.run, err)
	}
	return nil
}

// writePieces writes a root, cut where it is longer than a block may be, and returns in how many pieces.
func (w *writer) writePieces(ctx context.Context, kind, which int, whole []byte) (int, error) {
	n := 0
	for piece := range slices.Chunk(whole, pieceBytes) {
		if err := w.write(ctx, kind, which, n, piece); err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}

// dictionary writes sorted terms with their rows. For each field there is one, and one of its trigrams, whose rows are
// the numbers of the blocks that have them.
type dictionary struct {
	w                   *writer
	which               int
	terms, rows, atRoot int // kinds of blocks
	parts               map[[3]byte][]uint32

	n        int // terms so far
	pairs    int // terms and rows so far
	last     []byte
	block    []byte // entries of the block that grows
	restarts []int
	inBlock  int
	root     []byte
	sep      []byte // last separator in the root
	blocks   int
	list     []byte // rows that are to be written
	listAt   int    // bytes of lists that were written before list
	lists    int    // blocks of lists that were written
	scratch  []byte
}

func (w *writer) field(which int, parts bool) *dictionary {
	d := &dictionary{w: w, which: which, terms: blockTerms, rows: blockRows, atRoot: blockFieldRoot}
	if parts {
		d.parts = make(map[[3]byte][]uint32)
	}
	return d
}

// add adds a term, which is greater than all before it, with its rows, which ascend and are not empty.
func (d *dictionary) add(ctx context.Context, term []byte, rows []uint32) error {
	if d.n > 0 && cmp.Compare(string(d.last), string(term)) >= 0 {
		return fmt.Errorf("segment %s: term %q does not follow %q", d.w.run, term, d.last)
	}
	if len(term) > MaxTerm || len(rows) == 0 {
		return fmt.Errorf("segment %s: a term of %d bytes with %d rows", d.w.run, len(term), len(rows))
	}
	if d.inBlock == 0 {
		d.open(term)
	}
	shared := 0
	if d.inBlock%restartEvery == 0 {
		d.restarts = append(d.restarts, len(d.block))
	} else {
		shared = sharedPrefix(d.last, term)
	}
	d.block = binary.AppendUvarint(d.block, uint64(shared))
	d.block = binary.AppendUvarint(d.block, uint64(len(term)-shared))
	d.block = append(d.block, term[shared:]...)
	d.block = binary.AppendUvarint(d.block, uint64(len(rows)))
	if len(rows) == 1 {
		d.block = binary.AppendUvarint(d.block, uint64(rows[0]))
	} else if err := d.addRows(ctx, rows); err != nil {
		return err
	}
	if d.parts != nil {
		d.addParts(term)
	}
	d.last = append(d.last[:0], term...)
	d.n++
	d.pairs += len(rows)
	d.inBlock++
	if len(d.block) >= blockBytes {
		return d.close(ctx)
	}
	return nil
}

// open begins a block. In the root it stands under the shortest string that parts it from the block before.
func (d *dictionary) open(term []byte) {
	sep := term
	if d.blocks == 0 {
		sep = nil
	} else if n := sharedPrefix(d.last, term) + 1; n < len(term) {
		sep = term[:n]
	}
	shared := sharedPrefix(d.sep, sep)
	d.root = binary.AppendUvarint(d.root, uint64(d.n))
	d.root = binary.AppendUvarint(d.root, uint64(shared))
	d.root = appendText(d.root, string(sep[shared:]))
	d.sep = append(d.sep[:0], sep...)
}

// addRows puts more than one row into the entry, or where the entry says.
func (d *dictionary) addRows(ctx context.Context, rows []uint32) error {
	d.scratch = appendRows(d.scratch[:0], rows)
	if len(d.scratch) <= inlineBytes {
		d.block = binary.AppendUvarint(d.block, uint64(len(d.scratch))<<1)
		d.block = append(d.block, d.scratch...)
		return nil
	}
	at, size, err := d.addList(ctx, rows)
	d.block = binary.AppendUvarint(d.block, uint64(size)<<1|1)
	d.block = binary.AppendUvarint(d.block, uint64(at))
	return err
}

// addList puts more than one row behind the lists, and returns where they begin and how many bytes they take.
func (d *dictionary) addList(ctx context.Context, rows []uint32) (at, size int, err error) {
	d.scratch = appendRows(d.scratch[:0], rows)
	at, size = d.listAt+len(d.list), len(d.scratch)
	d.list = append(d.list, d.scratch...)
	for len(d.list) >= blockBytes {
		if err := d.writeList(ctx, blockBytes); err != nil {
			return 0, 0, err
		}
	}
	return at, size, nil
}

func (d *dictionary) writeList(ctx context.Context, n int) error {
	if err := d.w.write(ctx, d.rows, d.which, d.lists, slices.Clone(d.list[:n])); err != nil {
		return err
	}
	d.list = append(d.list[:0], d.list[n:]...)
	d.listAt += n
	d.lists++
	return nil
}

func (d *dictionary) addParts(term []byte) {
	for i := 0; i+3 <= len(term); i++ {
		part := [3]byte(term[i:])
		in := d.parts[part]
		if len(in) == 0 || in[len(in)-1] != uint32(d.blocks) {
			d.parts[part] = append(in, uint32(d.blocks))
		}
	}
}

// close ends a block.
func (d *dictionary) close(ctx context.Context) error {
	block := make([]byte, 0, 2+2*len(d.restarts)+len(d.block))
	block = binary.LittleEndian.AppendUint16(block, uint16(len(d.restarts)))
	for _, at := range d.restarts {
		block = binary.LittleEndian.AppendUint16(block, uint16(at))
	}
	block = append(block, d.block...)
	if err := d.w.write(ctx, d.terms, d.which, d.blocks, block); err != nil {
		return err
	}
	d.blocks++
	d.block, d.restarts, d.inBlock = d.block[:0], d.restarts[:0], 0
	return nil
}

// dictionaryRoot is what the segment's root says of a dictionary.
type dictionaryRoot struct {
	terms  int // how many there are
	pairs  int // terms and rows
	blocks int
	lists  int // bytes of lists of rows
	pieces int // of its own root
}

func (d *dictionary) finish(ctx context.Context) (dictionaryRoot, error) {
	if d.inBlock > 0 {
		if err := d.close(ctx); err != nil {
			return dictionaryRoot{}, err
		}
	}
	if len(d.list) > 0 {
		if err := d.writeList(ctx, len(d.list)); err != nil {
			return dictionaryRoot{}, err
		}
	}
	pieces, err := d.w.writePieces(ctx, d.atRoot, d.which, d.root)
	return dictionaryRoot{terms: d.n, pairs: d.pairs, blocks: d.blocks, lists: d.listAt, pieces: pieces}, err
}

// finishParts writes the dictionary of trigrams, after finish.
func (d *dictionary) finishParts(ctx context.Context) (dictionaryRoot, error) {
	all := make([][3]byte, 0, len(d.parts))
	for part := range d.parts {
		all = append(all, part)
	}
	slices.SortFunc(all, func(a, b [3]byte) int { return cmp.Compare(string(a[:]), string(b[:])) })
	p := &dictionary{w: d.w, which: d.which, terms: blockParts, rows: blockPartsRows, atRoot: blockPartsRoot}
	for _, part := range all {
		if err := p.add(ctx, part[:], d.parts[part]); err != nil {
			return dictionaryRoot{}, err
		}
	}
	return p.finish(ctx)
}

func sharedPrefix(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// appendNumbers appends a block of numbers: the least, how many bits a number takes, and what is to be added to the
// least.
func appendNumbers(dst []byte, numbers []int64) []byte {
	least := slices.Min(numbers)
	w := width(uint64(slices.Max(numbers)) - uint64(least))
	more := make([]uint64, len(numbers))
	for i, n := range numbers {
		more[i] = uint64(n) - uint64(least)
	}
	dst = binary.AppendVarint(dst, least)
	dst = append(dst, byte(w))
	return appendPacked(dst, more, w)
}

// column writes a column of numbers.
func (w *writer) column(ctx context.Context, which int, numbers []int64) (pieces int, err error) {
	var root []byte
	i := 0
	for part := range slices.Chunk(numbers, columnRows) {
		if err := w.write(ctx, blockColumn, which, i, appendNumbers(nil, part)); err != nil {
			return 0, err
		}
		least, most := slices.Min(part), slices.Max(part)
		root = binary.AppendVarint(root, least)
		root = binary.AppendUvarint(root, uint64(most)-uint64(least))
		i++
	}
	return w.writePieces(ctx, blockColumnRoot, which, root)
}

// ordinals writes, for each row, the ordinals of its terms in a field's dictionary. of[i] are those of row i.
func (w *writer) ordinals(ctx context.Context, which int, of rowOrdinals) error {
	counts := make([]uint64, 0, columnRows)
	var all []uint64
	for block := 0; block*columnRows < w.rows; block++ {
		counts, all = counts[:0], all[:0]
		for row := block * columnRows; row < min(w.rows, (block+1)*columnRows); row++ {
			n := len(all)
			all = of.appendTo(all, uint32(row))
			counts = append(counts, uint64(len(all)-n))
		}
		if err := w.write(ctx, blockOrdinals, which, block, appendOrdinals(nil, counts, all)); err != nil {
			return err
		}
	}
	return nil
}

// appendOrdinals appends a block: how many bits a row's number of ordinals takes (0 if each row has one), these
// numbers, how many bits an ordinal takes, and the ordinals.
func appendOrdinals(dst []byte, counts, all []uint64) []byte {
	cw := 0
	for _, n := range counts {
		if n != 1 {
			cw = max(1, width(slices.Max(counts)))
			break
		}
	}
	dst = append(dst, byte(cw))
	dst = appendPacked(dst, counts, cw)
	w := 0
	if len(all) > 0 {
		w = width(slices.Max(all))
	}
	dst = append(dst, byte(w))
	return appendPacked(dst, all, w)
}

// rowOrdinals collects the ordinals of rows while a dictionary is written: the first of each row in one list, the
// others, which are few as a rule, in another.
type rowOrdinals struct {
	first []uint32 // ordinal and one; 0 is none
	more  []uint64 // row and ordinal
}

func newRowOrdinals(rows int) *rowOrdinals { return &rowOrdinals{first: make([]uint32, rows)} }

// add is called in the order of ordinals.
func (o *rowOrdinals) add(ordinal int, rows []uint32) {
	for _, r := range rows {
		if o.first[r] == 0 {
			o.first[r] = uint32(ordinal) + 1
			continue
		}
		o.more = append(o.more, uint64(r)<<32|uint64(ordinal))
	}
}

// sorted is called after the last add.
func (o *rowOrdinals) sorted() rowOrdinals {
	slices.Sort(o.more)
	return *o
}

func (o rowOrdinals) appendTo(dst []uint64, row uint32) []uint64 {
	if o.first[row] == 0 {
		return dst
	}
	dst = append(dst, uint64(o.first[row]-1))
	i, _ := slices.BinarySearch(o.more, uint64(row)<<32)
	for ; i < len(o.more) && o.more[i]>>32 == uint64(row); i++ {
		dst = append(dst, o.more[i]&(1<<32-1))
	}
	return dst
}

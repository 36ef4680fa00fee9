package segment

import (
	"encoding/binary"
	"math/bits"
)

const (
	// chunkRows is how many rows a chunk has: sets are stored, combined and counted chunk by chunk.
	chunkRows = 1 << 16
	words     = chunkRows / 64
)

// chunks is how many chunks n rows take.
func chunks(n int) int { return (n + chunkRows - 1) / chunkRows }

// bitmap is a set of rows of one chunk, each by its place in the chunk.
type bitmap [words]uint64

func (b *bitmap) set(i int)      { b[i>>6] |= 1 << (i & 63) }
func (b *bitmap) has(i int) bool { return b[i>>6]>>(i&63)&1 != 0 }

func (b *bitmap) and(other *bitmap) {
	for i := range b {
		b[i] &= other[i]
	}
}

func (b *bitmap) or(other *bitmap) {
	for i := range b {
		b[i] |= other[i]
	}
}

// flip complements the first n rows and clears the others.
func (b *bitmap) flip(n int) {
	for i := range b {
		switch {
		case (i+1)*64 <= n:
			b[i] = ^b[i]
		case i*64 >= n:
			b[i] = 0
		default:
			b[i] = ^b[i] & mask(n-i*64)
		}
	}
}

// fill sets the rows from..to-1.
func (b *bitmap) fill(from, to int) {
	for i := from; i < to; {
		if i&63 == 0 && i+64 <= to {
			b[i>>6] = ^uint64(0)
			i += 64
			continue
		}
		b.set(i)
		i++
	}
}

func (b *bitmap) count() int {
	n := 0
	for _, w := range b {
		n += bits.OnesCount64(w)
	}
	return n
}

// countWithin counts the rows from..to-1.
func (b *bitmap) countWithin(from, to int) int {
	n := 0
	for i := from >> 6; i<<6 < to; i++ {
		w := b[i]
		if low := from - i<<6; low > 0 {
			w &^= mask(low)
		}
		if high := to - i<<6; high < 64 {
			w &= mask(high)
		}
		n += bits.OnesCount64(w)
	}
	return n
}

// A list of rows is stored by chunk, only those with rows:
//
//	number of chunks
//	for each: chunk less the one before, rows less one, bytes of payload times four plus kind
//	the payloads
//
// One row alone is stored as the row.
const (
	kindGaps   = 0 // the first row's place in the chunk, then what lies between each row and the next
	kindBitmap = 1 // 8,192 bytes
	kindRun    = 2 // the first row's place: the others follow without gaps
)

// bitmapBytes is how long a bitmap is when it is stored.
const bitmapBytes = chunkRows / 8

// appendRows appends a list of more than one row, which ascends.
func appendRows(dst []byte, rows []uint32) []byte {
	var payload []byte
	directory := make([]byte, 0, 16)
	n, last := 0, 0
	for len(rows) > 0 {
		chunk := int(rows[0] / chunkRows)
		size := 1
		for size < len(rows) && int(rows[size]/chunkRows) == chunk {
			size++
		}
		start := len(payload)
		var kind int
		payload, kind = appendChunk(payload, rows[:size])
		directory = binary.AppendUvarint(directory, uint64(chunk-last))
		directory = binary.AppendUvarint(directory, uint64(size-1))
		directory = binary.AppendUvarint(directory, uint64((len(payload)-start)<<2|kind))
		rows, last, n = rows[size:], chunk, n+1
	}
	dst = binary.AppendUvarint(dst, uint64(n))
	dst = append(dst, directory...)
	return append(dst, payload...)
}

// appendChunk appends the rows of one chunk in the form that takes the fewest bytes.
func appendChunk(dst []byte, rows []uint32) ([]byte, int) {
	first := uint64(rows[0] % chunkRows)
	if int(rows[len(rows)-1]-rows[0]) == len(rows)-1 {
		return binary.AppendUvarint(dst, first), kindRun
	}
	start := len(dst)
	dst = binary.AppendUvarint(dst, first)
	for i := 1; i < len(rows); i++ {
		dst = binary.AppendUvarint(dst, uint64(rows[i]-rows[i-1]-1))
		if len(dst)-start > bitmapBytes {
			var b bitmap
			for _, r := range rows {
				b.set(int(r % chunkRows))
			}
			dst = dst[:start]
			for _, w := range b {
				dst = binary.LittleEndian.AppendUint64(dst, w)
			}
			return dst, kindBitmap
		}
	}
	return dst, kindGaps
}

// extent is where a chunk's payload lies in a list of rows.
type extent struct {
	chunk, rows, kind int
	from, to          int // bytes, from the start of the list
}

// readDirectory reads where each chunk lies. b is the list, or as much of its beginning as holds the directory; it
// reports whether that was enough.
func readDirectory(b []byte, size, total int) (all []extent, enough, ok bool) {
	in := input{b: b}
	n := in.count(chunks(total))
	all = make([]extent, 0, min(n, 256))
	chunk := 0
	for i := range n {
		step := in.count(chunks(total))
		if i > 0 && step == 0 {
			in.fail()
		}
		chunk += step
		e := extent{chunk: chunk, rows: in.count(chunkRows-1) + 1}
		tag := in.count(bitmapBytes<<2 | 3)
		e.kind, e.to = tag&3, tag>>2
		if in.bad {
			return nil, len(b) >= size, false
		}
		if e.chunk >= chunks(total) || e.kind > kindRun {
			return nil, true, false
		}
		all = append(all, e)
	}
	if in.bad {
		return nil, len(b) >= size, false
	}
	at := len(b) - len(in.b)
	for i := range all {
		all[i].from, all[i].to = at, at+all[i].to
		at = all[i].to
	}
	return all, true, at == size
}

// read adds the rows of a chunk to a bitmap. It reports whether the payload is whole.
func (e extent) read(payload []byte, into *bitmap) bool {
	switch e.kind {
	case kindBitmap:
		if len(payload) != bitmapBytes {
			return false
		}
		for i := range into {
			into[i] |= binary.LittleEndian.Uint64(payload[8*i:])
		}
		return true
	case kindRun:
		in := input{b: payload}
		first := in.count(chunkRows - 1)
		if in.bad || len(in.b) > 0 || first+e.rows > chunkRows {
			return false
		}
		into.fill(first, first+e.rows)
		return true
	}
	in := input{b: payload}
	at := in.count(chunkRows - 1)
	for i := range e.rows {
		if i > 0 {
			at += in.count(chunkRows-1) + 1
		}
		if in.bad || at >= chunkRows {
			return false
		}
		into.set(at)
	}
	return len(in.b) == 0
}

// appendTo appends the rows of a chunk. It reports whether the payload is whole.
func (e extent) appendTo(dst []uint32, payload []byte) ([]uint32, bool) {
	base := uint32(e.chunk) * chunkRows
	switch e.kind {
	case kindBitmap:
		var b bitmap
		if !e.read(payload, &b) {
			return dst, false
		}
		return b.appendTo(dst, base), true
	case kindRun:
		in := input{b: payload}
		first := in.count(chunkRows - 1)
		if in.bad || len(in.b) > 0 || first+e.rows > chunkRows {
			return dst, false
		}
		for i := range e.rows {
			dst = append(dst, base+uint32(first+i))
		}
		return dst, true
	}
	in := input{b: payload}
	at := in.count(chunkRows - 1)
	for i := range e.rows {
		if i > 0 {
			at += in.count(chunkRows-1) + 1
		}
		if in.bad || at >= chunkRows {
			return dst, false
		}
		dst = append(dst, base+uint32(at))
	}
	return dst, len(in.b) == 0
}

// appendTo appends the rows, which lie at base.
func (b *bitmap) appendTo(dst []uint32, base uint32) []uint32 {
	for i, w := range b {
		for ; w != 0; w &= w - 1 {
			dst = append(dst, base+uint32(i<<6+bits.TrailingZeros64(w)))
		}
	}
	return dst
}

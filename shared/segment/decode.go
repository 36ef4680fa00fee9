package segment

import (
	"encoding/binary"
	"math/bits"
)

// input reads a block from its front. After the first thing that does not fit it is bad, and reads zeros.
type input struct {
	b   []byte
	bad bool
}

func (in *input) uvarint() uint64 {
	n, size := binary.Uvarint(in.b)
	if size <= 0 {
		in.fail()
		return 0
	}
	in.b = in.b[size:]
	return n
}

func (in *input) varint() int64 {
	n, size := binary.Varint(in.b)
	if size <= 0 {
		in.fail()
		return 0
	}
	in.b = in.b[size:]
	return n
}

// count reads a number that is at most limit.
func (in *input) count(limit int) int {
	n := in.uvarint()
	if n > uint64(limit) {
		in.fail()
		return 0
	}
	return int(n)
}

func (in *input) byte() byte {
	if len(in.b) == 0 {
		in.fail()
		return 0
	}
	c := in.b[0]
	in.b = in.b[1:]
	return c
}

// bytes returns the next n bytes, which stay part of the block.
func (in *input) bytes(n int) []byte {
	if n < 0 || n > len(in.b) {
		in.fail()
		return nil
	}
	out := in.b[:n:n]
	in.b = in.b[n:]
	return out
}

// text reads a string with its length before it, of at most limit bytes.
func (in *input) text(limit int) string { return string(in.bytes(in.count(limit))) }

func (in *input) fail() { in.b, in.bad = nil, true }

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// width is how many bits hold n.
func width(n uint64) int { return bits.Len64(n) }

// packedBytes is how many bytes n numbers of w bits take.
func packedBytes(n, w int) int { return (n*w + 7) / 8 }

// appendPacked appends numbers of w bits each, from the lowest bit on.
func appendPacked(dst []byte, numbers []uint64, w int) []byte {
	if w == 0 {
		return dst
	}
	start := len(dst)
	// Eight bytes more than needed, so that each number is written by whole words.
	dst = append(dst, make([]byte, packedBytes(len(numbers), w)+16)...)
	out := dst[start:]
	for i, n := range numbers {
		at := i * w
		shift := at & 7
		word := out[at>>3:]
		binary.LittleEndian.PutUint64(word, binary.LittleEndian.Uint64(word)|n<<shift)
		if shift+w > 64 {
			word[8] |= byte(n >> (64 - shift))
		}
	}
	return dst[:start+packedBytes(len(numbers), w)]
}

// packed is numbers of w bits each, as appendPacked writes them.
type packed struct {
	b []byte
	w int
}

// at returns the i-th number, which is there.
func (p packed) at(i int) uint64 {
	if p.w == 0 {
		return 0
	}
	at := i * p.w
	first, shift := at>>3, at&7
	if first+9 <= len(p.b) {
		n := binary.LittleEndian.Uint64(p.b[first:]) >> shift
		if shift+p.w > 64 {
			n |= uint64(p.b[first+8]) << (64 - shift)
		}
		return n & mask(p.w)
	}
	var last [16]byte
	copy(last[:], p.b[first:])
	n := binary.LittleEndian.Uint64(last[:]) >> shift
	if shift+p.w > 64 {
		n |= uint64(last[8]) << (64 - shift)
	}
	return n & mask(p.w)
}

func mask(w int) uint64 { return ^uint64(0) >> (64 - w) }

package world

import (
	"encoding/binary"
	"io"
	"math/rand/v2"
)

// Reader gives the bytes of the file: Magic first, then pseudo-random bytes that Seed decides, exactly Length of
// them. Two readers of one attachment give the same bytes, however the reads are cut, so the company can hash what
// Graph will serve without keeping it.
func (a Attachment) Reader() io.Reader {
	magic := a.Magic
	if int64(len(magic)) > a.Length {
		magic = magic[:max(a.Length, 0)]
	}
	return &content{magic: magic, left: max(a.Length, 0), source: rand.NewPCG(a.Seed, contentStream)}
}

// contentStream is the second half of every generator's seed. Changing it changes every file of every company.
const contentStream = 0x9e3779b97f4a7c15

// content is a read in progress. The generator gives eight bytes at a time; what a short read leaves of them waits
// in word, so that the stream does not depend on the sizes of the reads.
type content struct {
	magic  []byte
	left   int64 // bytes still to give, magic included
	source *rand.PCG
	word   [8]byte
	kept   int // how many bytes at the end of word are not given yet
}

func (c *content) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), c.left)]
	n := copy(p, c.magic)
	c.magic = c.magic[n:]
	n += c.drain(p[n:])
	for ; len(p)-n >= 8; n += 8 {
		binary.LittleEndian.PutUint64(p[n:], c.source.Uint64())
	}
	if n < len(p) {
		binary.LittleEndian.PutUint64(c.word[:], c.source.Uint64())
		c.kept = len(c.word)
		n += c.drain(p[n:])
	}
	c.left -= int64(n)
	return n, nil
}

// drain gives what an earlier read left of the last word.
func (c *content) drain(p []byte) int {
	n := copy(p, c.word[len(c.word)-c.kept:])
	c.kept -= n
	return n
}

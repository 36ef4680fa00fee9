package segment

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
)

const (
	// documentBytes is how long a block of documents is at the most, compressed, unless a single document is longer: one
	// read unit of DynamoDB.
	documentBytes = 4000
	// MaxDocument is how long a document is at the most, in bytes, before it is compressed.
	MaxDocument = 4 << 20
	// MaxDocumentBlock is how long a block that holds one document may become.
	maxDocumentBlock = 350 << 10
)

// A block of documents is a byte that says its form, and, compressed by zstd, their number, their lengths, and the
// documents.
const documentForm = 1

// coders are zstd's, which are dear to make and safe for concurrent use by their stateless calls.
var coders = sync.OnceValue(func() (c struct {
	*zstd.Encoder
	*zstd.Decoder
}) {
	// Neither fails with these options.
	c.Encoder, _ = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedDefault))
	c.Decoder, _ = zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(2*MaxDocument*MaxIndex))
	return c
})

// Documents writes documents into blocks of one run. It is used by one goroutine at a time.
type Documents struct {
	to      Writer
	run     Run
	blocks  uint32
	pending [][]byte
	bytes   int
	guess   float64 // how far documents are compressed, as a share
}

// NewDocuments begins a run.
func NewDocuments(to Writer, run Run) *Documents { return &Documents{to: to, run: run, guess: 0.4} }

// Add adds a document, and returns where it will lie when Close has returned.
func (d *Documents) Add(ctx context.Context, document []byte) (Document, error) {
	if len(document) > MaxDocument {
		return Document{}, fmt.Errorf("a document of %d bytes: at most %d", len(document), MaxDocument)
	}
	if len(d.pending) == MaxIndex || len(d.pending) > 0 && float64(d.bytes+len(document))*d.guess > documentBytes {
		if err := d.flush(ctx); err != nil {
			return Document{}, err
		}
	}
	at := Document{Address: Address{Run: d.run, Number: d.blocks}, Index: len(d.pending)}
	d.pending = append(d.pending, document)
	d.bytes += len(document)
	return at, nil
}

// Close writes what is left. The documents are durable when it has returned nil.
func (d *Documents) Close(ctx context.Context) error {
	if len(d.pending) > 0 {
		if err := d.flush(ctx); err != nil {
			return err
		}
	}
	if err := d.to.Flush(ctx); err != nil {
		return fmt.Errorf("write documents %s: %w", d.run, err)
	}
	return nil
}

func (d *Documents) flush(ctx context.Context) error {
	plain := binary.AppendUvarint(nil, uint64(len(d.pending)))
	for _, doc := range d.pending {
		plain = binary.AppendUvarint(plain, uint64(len(doc)))
	}
	for _, doc := range d.pending {
		plain = append(plain, doc...)
	}
	block := coders().EncodeAll(plain, []byte{documentForm})
	if len(block) > maxDocumentBlock {
		return fmt.Errorf("documents %s: a block of %d bytes", d.run, len(block))
	}
	if err := d.to.Write(ctx, Address{Run: d.run, Number: d.blocks}, block); err != nil {
		return fmt.Errorf("write documents %s: %w", d.run, err)
	}
	d.guess = (7*d.guess + float64(len(block))/float64(len(plain))) / 8
	d.blocks++
	d.pending, d.bytes = d.pending[:0], 0
	return nil
}

// ReadDocuments returns documents, in the order of where they lie. Blocks that several lie in are read once.
func ReadDocuments(ctx context.Context, blocks Blocks, at []Document) ([][]byte, error) {
	where := make([]Address, 0, len(at))
	of := make(map[Address]int, len(at))
	for _, d := range at {
		if _, ok := of[d.Address]; !ok {
			of[d.Address] = len(where)
			where = append(where, d.Address)
		}
	}
	if len(where) == 0 {
		return nil, nil
	}
	read, err := blocks.Read(ctx, where, true)
	if err != nil {
		return nil, fmt.Errorf("read %d documents: %w", len(at), err)
	}
	opened := make([][][]byte, len(where))
	out := make([][]byte, len(at))
	for i, d := range at {
		block := of[d.Address]
		if opened[block] == nil {
			if opened[block], err = openDocuments(read[block]); err != nil {
				return nil, fmt.Errorf("block %d of documents %s: %w", d.Number, d.Run, err)
			}
		}
		if d.Index < 0 || d.Index >= len(opened[block]) {
			return nil, fmt.Errorf("block %d of documents %s has no document %d: %w", d.Number, d.Run, d.Index, ErrDamaged)
		}
		out[i] = opened[block][d.Index]
	}
	return out, nil
}

func openDocuments(b []byte) ([][]byte, error) {
	switch {
	case len(b) == 0:
		return nil, ErrDamaged
	case b[0] > documentForm:
		return nil, ErrNewer
	}
	plain, err := coders().DecodeAll(b[1:], nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	in := input{b: plain}
	sizes := make([]int, in.count(MaxIndex))
	for i := range sizes {
		sizes[i] = in.count(MaxDocument)
	}
	docs := make([][]byte, len(sizes))
	for i, n := range sizes {
		docs[i] = in.bytes(n)
	}
	if in.bad || len(in.b) > 0 || len(docs) == 0 {
		return nil, ErrDamaged
	}
	return docs, nil
}

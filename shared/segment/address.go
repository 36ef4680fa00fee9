package segment

import (
	"context"
	"fmt"
)

// What a block of a segment is. With the field or column, and a number, it makes the block's address: so that no list
// of addresses has to be kept. It is on disk: never reuse one.
const (
	blockRoot       = 0
	blockFieldRoot  = 1 // by field
	blockTerms      = 2 // by field
	blockRows       = 3 // by field
	blockPartsRoot  = 4 // by field: the dictionary of its trigrams
	blockParts      = 5
	blockPartsRows  = 6
	blockOrdinals   = 7  // by field
	blockColumnRoot = 8  // by column
	blockColumn     = 9  // by column
	blockDocuments  = 10 // which document each row has
)

const (
	numberBits = 19 // of what is counted within a kind and a field
	maxNumber  = 1<<numberBits - 1
	// blockBytes is how long a block of terms or rows is, about: two read units of DynamoDB, and one write of eight.
	blockBytes = 8 << 10
	// pieceBytes is how long a block may be at the most; roots that are longer are cut.
	pieceBytes = 256 << 10
	// columnRows is how many rows a block of a column has.
	columnRows = 8192
)

// place is the address of a block of a segment.
func place(run Run, kind, which, number int) Address {
	return Address{Run: run, Number: uint32(kind<<(numberBits+8) | which<<numberBits | number)}
}

// readOne reads one block.
func readOne(ctx context.Context, blocks Blocks, at Address) ([]byte, error) {
	all, err := blocks.Read(ctx, []Address{at}, true)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// readPieces reads what writePieces wrote.
func readPieces(ctx context.Context, blocks Blocks, run Run, kind, which, pieces int) ([]byte, error) {
	at := make([]Address, pieces)
	for i := range at {
		at[i] = place(run, kind, which, i)
	}
	all, err := blocks.Read(ctx, at, true)
	if err != nil {
		return nil, err
	}
	if len(all) == 1 {
		return all[0], nil
	}
	var whole []byte
	for _, piece := range all {
		whole = append(whole, piece...)
	}
	return whole, nil
}

// damaged is ErrDamaged with the place.
func damaged(run Run, what string) error {
	return fmt.Errorf("segment %s: %s: %w", run, what, ErrDamaged)
}

// Package segment is the form of segments: immutable, sorted packs of rows that searches read instead of one item for
// each posting. It knows nothing of mail. A row is a numbered line with values; fields, columns and documents are what
// its users say they are.
//
// A segment is a run of blocks, each small enough to be an item of a table:
//
//	block 0          the root: form, number of rows, and for each field and column where its own root lies
//	field root       the first term of each dictionary block, and where trigrams lie
//	dictionary       sorted terms with their number of rows, and with their rows where these take few bytes
//	postings         the rows of the other terms, in chunks of 65,536 rows
//	trigrams         which dictionary blocks hold a sequence of three bytes
//	column root      the smallest and largest value of each block
//	column           a number for each row, or the ordinals of its terms in a field's dictionary
//
// Rows are sorted by time, and by the key of their document within one time, so that a walk through time is a walk
// through rows. Documents lie in runs of blocks of their own: a merge refers to them and does not copy them.
//
// Blocks are written before the root, and the root before anything refers to the segment. A crash between the two
// leaves blocks that nothing names.
package segment

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Form is the version of the form that Build and Merge write. Open reads every form up to it.
const Form = 1

var (
	// ErrDamaged means that a block does not hold what its place says that it holds.
	ErrDamaged = errors.New("damaged block of a segment")
	// ErrNewer means that a newer version of Mailtrail wrote the segment.
	ErrNewer = errors.New("the segment was written by a newer version")
	// ErrGone means that a block is not there: the segment was merged away, or purged, while it was read.
	ErrGone = errors.New("block of a segment is gone")
)

// Limits.
const (
	// MaxRows is how many rows a segment has at the most.
	MaxRows = 1 << 24
	// MaxTerm is how many bytes a term has at the most. Users cut longer values, and verify what they find on the
	// document.
	MaxTerm = 4000

	// MaxIndex is how many documents a block has at the most.
	MaxIndex = 64
	// MaxPart is how many parts a document has at the most.
	MaxPart = 1 << 16

	maxFields  = 256
	maxColumns = 256 // with that of times
)

// Run names the blocks that are written together: those of one segment, or those of some documents. It is never used
// twice.
type Run string

// Address is where a block lies.
type Address struct {
	Run    Run
	Number uint32
}

// Blocks reads blocks. It is safe for concurrent use.
type Blocks interface {
	// Read returns the blocks at those addresses, in their order. It returns ErrGone if one of them is not there. The
	// blocks are not to be changed. keep says that they are likely to be read again: a scan of many asks not to keep
	// them, lest it drives out what others need.
	Read(ctx context.Context, at []Address, keep bool) ([][]byte, error)
}

// Writer writes blocks. It is used by one goroutine at a time. A block is durable when Flush has returned nil after it;
// after an error the run is given up, and what was written of it is named by nothing.
type Writer interface {
	Write(ctx context.Context, at Address, block []byte) error
	Flush(ctx context.Context) error
}

// Field is a set of terms that rows have: none, one or several each.
type Field struct {
	Name string
	// Parts indexes the sequences of three bytes in the terms, so that a part of a term is found without a look at all
	// terms.
	Parts bool
	// Ordinals keeps the terms of each row, for orders, groups and facets.
	Ordinals bool
}

// Schema says what a segment has. The names of fields are distinct, and those of columns.
type Schema struct {
	Fields  []Field
	Columns []string // of numbers, one for each row
	// Key names the field, with ordinals, that orders the rows of one time. Each row has exactly one term of it, of eight
	// bytes: what is longer is cut, and does not order. Rows of one key are ordered by their part.
	Key string
}

// Equal reports whether two schemas say the same, in the same order.
func (s Schema) Equal(other Schema) bool {
	return s.Key == other.Key && slices.Equal(s.Fields, other.Fields) && slices.Equal(s.Columns, other.Columns)
}

// Field returns the index of a field, or -1.
func (s Schema) Field(name string) int {
	return slices.IndexFunc(s.Fields, func(f Field) bool { return f.Name == name })
}

// Column returns the index of a column, or -1.
func (s Schema) Column(name string) int { return slices.Index(s.Columns, name) }

// valid returns what is wrong with a schema.
func (s Schema) valid() error {
	names := map[string]bool{}
	for _, f := range s.Fields {
		if f.Name == "" || len(f.Name) > maxName || names[f.Name] {
			return fmt.Errorf("field %q is there twice, or its name is empty or too long", f.Name)
		}
		names[f.Name] = true
	}
	clear(names)
	for _, c := range s.Columns {
		if c == "" || len(c) > maxName || names[c] {
			return fmt.Errorf("column %q is there twice, or its name is empty or too long", c)
		}
		names[c] = true
	}
	if key := s.Field(s.Key); key < 0 || !s.Fields[key].Ordinals {
		return fmt.Errorf("the key %q is no field with ordinals", s.Key)
	}
	if len(s.Fields) > maxFields || len(s.Columns) >= maxColumns {
		return fmt.Errorf("%d fields and %d columns: at most %d and %d", len(s.Fields), len(s.Columns), maxFields, maxColumns)
	}
	return nil
}

// Document says where a row's document lies.
type Document struct {
	Address
	Index int // in the block, less than MaxIndex
}

// Row is what Build takes.
type Row struct {
	Time     int64    // in any unit; rows are sorted by it
	Document Document // where its document was written
	Part     int      // which part of the document it is, such as the file of a message
	// Terms has the terms of each field of the schema, in its order. An empty term is a term.
	Terms [][]string
	// Numbers has a number for each column of the schema, in its order.
	Numbers []int64
}

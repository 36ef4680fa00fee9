package forensic_test

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/mailtrail/mailtrail/shared/table"
)

// A blob that is far larger than memory should be is read with little of it in memory: the records that were
// read and are not stored yet stay below a fixed number of bytes, and so does each write.
func TestBlobOf200MBIsReadInFixedMemory(t *testing.T) {
	const (
		blobBytes  = 200 << 20
		everySend  = 20
		maxHeld    = 3 << 20
		maxWritten = 3 << 20
	)
	w := newWorld(t)
	other := strings.Replace(send(0, "a (1b)"), `"Operation":"Send"`, `"Operation":"Read"`, 1)
	source := &endless{make: func(n int) string {
		if n%everySend == 0 {
			return send(n, "a (1b)")
		}
		return other
	}, size: len(other), left: blobBytes / len(other)}
	sink := &sink{Table: w.events, source: source, everySend: everySend}
	w.events = sink
	if err := w.ingester().Ingest(context.Background(), w.add("blob", now, func() io.Reader { return source })); err != nil {
		t.Fatal(err)
	}

	e := w.entry(t, "blob")
	if source.read < blobBytes*9/10 || e.Tally.Records != int64(source.made) ||
		e.Tally.Messages != int64((source.made+everySend-1)/everySend) {
		t.Fatalf("read %d bytes in %d records, and tallied %+v", source.read, source.made, e.Tally)
	}
	if sink.held > maxHeld || sink.written > maxWritten {
		t.Errorf(
			"%d bytes were held and %d written at once, want %d and %d at most",
			sink.held,
			sink.written,
			maxHeld,
			maxWritten,
		)
	}
}

// endless streams records that it makes as they are read.
type endless struct {
	make       func(n int) string
	size, left int // of a record; how many records are to come
	made, read int // records, bytes
	rest       string
}

func (e *endless) Read(p []byte) (int, error) {
	if e.rest == "" {
		switch {
		case e.left < 0:
			return 0, io.EOF
		case e.left == 0:
			e.rest = "]"
		default:
			e.rest = "," + e.make(e.made)
			if e.made == 0 {
				e.rest = "[" + e.rest[1:]
			}
			e.made++
		}
		e.left--
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	e.read += n
	return n, nil
}

// sink forgets what is written, and remembers how much it was.
type sink struct {
	table.Table
	source    *endless
	everySend int
	messages  int
	held      int // the most bytes of records that were read and not stored: a batch, and what is read ahead
	written   int // the most bytes of one write
}

func (s *sink) Load(_ context.Context, items ...table.Item) error {
	s.weigh(items)
	return nil
}

func (s *sink) Create(_ context.Context, items ...table.Item) ([]bool, error) {
	s.weigh(items)
	s.messages += len(items)
	passed := ((s.messages-1)*s.everySend + 1) * s.source.size
	s.held = max(s.held, len(items)*s.source.size+s.source.read-passed)
	return slices.Repeat([]bool{true}, len(items)), nil
}

func (s *sink) weigh(items []table.Item) {
	bytes := 0
	for _, item := range items {
		bytes += table.Size(item)
	}
	s.written = max(s.written, bytes)
}

package audit

import (
	"context"
	"errors"
	"fmt"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/table"
)

// Sums says how many blobs of a connection were listed, what became of them, and what was in them.
type Sums struct {
	Listed  int64 `json:"listed"`
	Settled int64 `json:"settled"`
	Lost    int64 `json:"lost"`
	Tally   Tally `json:"tally"` // of the settled and lost blobs

	revision int64
}

// Open is how many blobs have been listed and have not ended.
func (s Sums) Open() int64 { return s.Listed - s.Settled - s.Lost }

// Sums adds up a connection's ledger.
func (l *Ledger) Sums(ctx context.Context, c connection.ID) (Sums, error) {
	var all Sums
	for item, err := range l.Table.Query(ctx, table.Query{Partition: string(c) + "|sums"}) {
		if err != nil {
			return Sums{}, fmt.Errorf("add up the ledger of connection %s: %w", c, err)
		}
		s := readSums(item)
		all.Listed += s.Listed
		all.Settled += s.Settled
		all.Lost += s.Lost
		all.Tally = all.Tally.Plus(s.Tally)
	}
	return all, nil
}

// shard reads one part of the sums; one that is not there yet is zero, at revision 0.
func (l *Ledger) shard(ctx context.Context, c connection.ID, shard string) (Sums, error) {
	item, err := l.Table.Get(ctx, sumsKey(c, shard))
	if errors.Is(err, table.ErrAbsent) {
		return Sums{}, nil
	}
	if err != nil {
		return Sums{}, fmt.Errorf("read sums of connection %s: %w", c, err)
	}
	return readSums(item), nil
}

func (s *Sums) end(state State, t Tally) {
	if state == Settled {
		s.Settled++
	} else {
		s.Lost++
	}
	s.Tally = s.Tally.Plus(t)
}

// write is the operation that stores a shard at the revision it was read.
func (s Sums) write(c connection.ID, shard string) table.Op {
	attrs := s.Tally.attrs()
	attrs["listed"], attrs["settled"], attrs["lost"] = s.Listed, s.Settled, s.Lost
	op := table.Op{Verb: table.Replace, Item: table.Item{Key: sumsKey(c, shard), Attrs: attrs, Revision: s.revision}}
	if s.revision == 0 {
		op.Verb = table.Create
	}
	return op
}

func readSums(item table.Item) Sums {
	return Sums{
		Listed:   attrNumber(item.Attrs["listed"]),
		Settled:  attrNumber(item.Attrs["settled"]),
		Lost:     attrNumber(item.Attrs["lost"]),
		Tally:    readTally(item.Attrs),
		revision: item.Revision,
	}
}

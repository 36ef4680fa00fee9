package audit

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/table"
)

const (
	// maxWrong bounds how many contradictions a Recount spells out.
	maxWrong = 20
	// together is how many items a recount holds in memory at once.
	together = 100
)

// Recount compares a connection's sums with the items that they count.
type Recount struct {
	Kept  Sums // as the ledger keeps them
	Found Sums // as its entries add up
	Open  int64
	// Expired says that entries may have expired: the ledger keeps each for 60 days, and the sums for ever. Found is
	// then at most Kept; without it, both are the same.
	Expired bool
	Wrong   []string // what contradicts itself, as sentences; empty is good
	More    int      // how many sentences were left out
}

// Verify recounts a connection's ledger: from its entries, the sums and listed = settled + open + lost >= 0; and for
// each open and each lost blob, that its entry and its place in the list of such blobs agree. It takes memory for a
// hundred items, however many there are. The table must not change meanwhile: on a live one the recount finds
// contradictions that are none.
func (l *Ledger) Verify(ctx context.Context, c connection.ID) (Recount, error) {
	v := &verification{ledger: l, connection: c}
	var err error
	if v.Kept, err = l.Sums(ctx, c); err != nil {
		return Recount{}, err
	}
	cursor, err := l.Progress(ctx, c)
	if err != nil {
		return Recount{}, err
	}
	// Every arrival is later than Since.
	v.Expired = !cursor.Since.IsZero() && l.Now().Sub(cursor.Since) >= remembered
	steps := []func(context.Context) error{
		v.entries,
		func(ctx context.Context) error { return v.listed(ctx, "open", WasListed, Begun) },
		func(ctx context.Context) error { return v.listed(ctx, "lost", Lost) },
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return Recount{}, fmt.Errorf("recount the ledger of connection %s: %w", c, err)
		}
	}
	v.compare()
	return v.Recount, nil
}

// verification is a Recount under way.
type verification struct {
	Recount
	ledger     *Ledger
	connection connection.ID
}

func (v *verification) wrong(format string, args ...any) {
	if len(v.Wrong) == maxWrong {
		v.More++
		return
	}
	v.Wrong = append(v.Wrong, fmt.Sprintf(format, args...))
}

// entries adds up what became of every blob, and looks for the place of each open and each lost one in its list.
func (v *verification) entries(ctx context.Context) error {
	var some []Entry
	for item, err := range v.ledger.Table.Query(ctx, table.Query{Partition: string(v.connection) + "|blob"}) {
		if err != nil {
			return err
		}
		e := readEntry(v.connection, item)
		v.Found.Listed++
		switch e.State {
		case WasListed, Begun:
			v.Open++
		case Settled, Lost:
			v.Found.end(e.State, e.Tally)
		default:
			v.wrong("blob %s is in the state %q, which there is not", e.ID, e.State)
		}
		if e.State == Settled {
			continue
		}
		if some = append(some, e); len(some) == together {
			if err := v.places(ctx, some); err != nil {
				return err
			}
			some = some[:0]
		}
	}
	return v.places(ctx, some)
}

func (e Entry) place() (list string, key table.Key) {
	if e.State == Lost {
		return "lost", lostKey(e.Connection, e.Arrival, e.ID)
	}
	return "open", openKey(e.Connection, e.Arrival, e.ID)
}

func (v *verification) places(ctx context.Context, entries []Entry) error {
	keys := make([]table.Key, len(entries))
	for i, e := range entries {
		_, keys[i] = e.place()
	}
	there, err := v.there(ctx, keys)
	if err != nil {
		return err
	}
	for i, e := range entries {
		if _, ok := there[keys[i]]; !ok {
			list, _ := e.place()
			v.wrong("blob %s is %s, and is not in the list of %s blobs", e.ID, e.State, list)
		}
	}
	return nil
}

func (v *verification) there(ctx context.Context, keys []table.Key) (map[table.Key]table.Item, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	items, err := v.ledger.Table.GetMany(ctx, keys)
	there := make(map[table.Key]table.Item, len(items))
	for _, item := range items {
		there[item.Key] = item
	}
	return there, err
}

// listed looks for the entry of each blob in a list, which must be in one of the states and have the same arrival.
func (v *verification) listed(ctx context.Context, list string, states ...State) error {
	var some []Entry
	for item, err := range v.ledger.Table.Query(ctx, table.Query{Partition: string(v.connection) + "|" + list}) {
		if err != nil {
			return err
		}
		if some = append(some, readOpen(v.connection, item)); len(some) == together {
			if err := v.agree(ctx, list, some, states); err != nil {
				return err
			}
			some = some[:0]
		}
	}
	return v.agree(ctx, list, some, states)
}

func (v *verification) agree(ctx context.Context, list string, blobs []Entry, states []State) error {
	keys := make([]table.Key, len(blobs))
	for i, b := range blobs {
		keys[i] = blobKey(v.connection, b.ID)
	}
	there, err := v.there(ctx, keys)
	if err != nil {
		return err
	}
	for i, b := range blobs {
		item, ok := there[keys[i]]
		e := readEntry(v.connection, item)
		switch {
		case !ok:
			v.wrong("blob %s is in the list of %s blobs, and has no entry", b.ID, list)
		case !slices.Contains(states, e.State):
			v.wrong("blob %s is in the list of %s blobs, and is %s", b.ID, list, e.State)
		case !e.Arrival.Equal(b.Arrival):
			v.wrong("blob %s is in the list of %s blobs twice, or at the wrong time", b.ID, list)
		}
	}
	return nil
}

// compare holds the sums that are kept against those that were found.
func (v *verification) compare() {
	if open := v.Kept.Open(); open != v.Open || open < 0 {
		v.wrong("the sums say %d listed, %d settled and %d lost, which leaves %d open; %d are open",
			v.Kept.Listed, v.Kept.Settled, v.Kept.Lost, open, v.Open)
	}
	kept, found := v.Kept.counts(), v.Found.counts()
	for i, k := range kept {
		n := *found[i].n
		switch {
		case *k.n < 0:
			v.wrong("the sum %q is %d", k.name, *k.n)
		case n > *k.n, n < *k.n && !v.Expired:
			v.wrong("the sum %q is %d, and the entries add up to %d", k.name, *k.n, n)
		}
	}
	last, summed := v.Found.Tally.LastSend, v.Kept.Tally.LastSend
	if last.After(summed) || !v.Expired && !last.Equal(summed) {
		v.wrong("the newest message was sent at %s by the sums, and at %s by the entries",
			v.Kept.Tally.LastSend.Format(time.RFC3339), last.Format(time.RFC3339))
	}
}

// counts are all numbers of the sums, by name.
func (s *Sums) counts() []count {
	return append([]count{{"listed", &s.Listed}, {"settled", &s.Settled}, {"lost", &s.Lost}}, s.Tally.counts()...)
}

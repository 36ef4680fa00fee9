package people

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/table"
)

const (
	// chunkSize is how many people are looked at together.
	chunkSize = 500
	// quietAfter is how long a monitored person may send nothing before they are reported as quiet. It may be a
	// holiday; it may mean that Microsoft does not audit the mailbox.
	quietAfter = 30 * 24 * time.Hour
)

// Covered is a person with what is known of the coverage.
type Covered struct {
	Person
	Coverage Coverage
	Reason   string           // what the coverage means under the gate, as a sentence
	Changes  []coverageChange // what it was before, in the last 90 days
	LastSend time.Time        // of a mail with attachments; zero when none was seen
	LastMail time.Time        // of any mail; zero when none was seen
	Quiet    bool             // monitored and known for 30 days, and no send was seen in them
}

// Sums count the people of a tenant by coverage.
type Sums struct {
	People     int64
	ByCoverage map[Coverage]int64
	Quiet      int64 // of the monitored ones
}

// chunks yields everybody who is stored, those who left included, chunkSize at most at a time, in the order of
// buckets and ids; after "" is from the beginning. A chunk has people of one bucket.
func (r *Roster) chunks(ctx context.Context, c connection.ID, after ObjectID) iter.Seq2[[]entry, error] {
	return func(yield func([]entry, error) bool) {
		first, from := 0, ""
		if after != "" {
			first, from = bucket(string(after)), string(after)+"\x00"
		}
		for b := first; b < buckets; b++ {
			chunk := make([]entry, 0, chunkSize)
			for item, err := range r.Table.Query(ctx, table.Query{Partition: personPartition(c, b), From: from,
				Eventual: true}) {
				if err != nil {
					yield(nil, fmt.Errorf("list the people of connection %s: %w", c, err))
					return
				}
				if chunk = append(chunk, readEntry(item)); len(chunk) < chunkSize {
					continue
				}
				if !yield(chunk, nil) {
					return
				}
				chunk = make([]entry, 0, chunkSize)
			}
			if len(chunk) > 0 && !yield(chunk, nil) {
				return
			}
			from = ""
		}
	}
}

// All yields everybody whom the directory has, with the coverage of this moment, in a stable order; after ""
// starts at the beginning. It reads as it is consumed, and holds one chunk in memory. Until the groups of a
// scope have been read, nobody counts as in scope.
func (r *Roster) All(ctx context.Context, c connection.ID, after ObjectID) iter.Seq2[Covered, error] {
	return func(yield func(Covered, error) bool) {
		scope, err := r.Scope(ctx, c)
		if err != nil {
			yield(Covered{}, err)
			return
		}
		for chunk, err := range r.chunks(ctx, c, after) {
			if err != nil {
				yield(Covered{}, err)
				return
			}
			covered, err := r.cover(ctx, c, scope, chunk)
			if err != nil {
				yield(Covered{}, err)
				return
			}
			for _, p := range covered {
				if !yield(p, nil) {
					return
				}
			}
		}
	}
}

// cover finds out about those of a chunk whom the directory has. The last sends of a chunk lie in a row, as its
// people do.
func (r *Roster) cover(ctx context.Context, c connection.ID, scope Scope, chunk []entry) ([]Covered, error) {
	in, err := r.within(ctx, c, scope, chunk)
	if err != nil && !errors.Is(err, errPending) {
		return nil, err
	}
	sends, err := r.lastSends(ctx, c, chunk)
	if err != nil {
		return nil, err
	}
	now := r.Now()
	covered := make([]Covered, 0, len(chunk))
	for _, e := range chunk {
		if e.gone.IsZero() {
			covered = append(covered, cover(e, scope.Gate, in[e.ID], sends[e.ID], now))
		}
	}
	return covered, nil
}

func cover(e entry, g Gate, in bool, sent lastSend, now time.Time) Covered {
	p := Covered{
		Person: e.Person, Coverage: g.coverage(e.Facts, in), Changes: e.changes, LastSend: sent.files, LastMail: sent.any,
	}
	p.Reason = g.describe(p.Coverage)
	sends := p.Coverage == Monitored || g == None && p.Coverage == NoLicence
	p.Quiet = sends && now.Sub(sent.any) > quietAfter && now.Sub(e.since) > quietAfter
	return p
}

func (r *Roster) lastSends(ctx context.Context, c connection.ID, chunk []entry) (map[ObjectID]lastSend, error) {
	first, last := chunk[0].ID, chunk[len(chunk)-1].ID
	q := table.Query{Partition: sendPartition(c, bucket(string(first))), From: string(first),
		To: table.After(string(last)), Eventual: true}
	sends := make(map[ObjectID]lastSend, len(chunk))
	for item, err := range r.Table.Query(ctx, q) {
		if err != nil {
			return nil, fmt.Errorf("list last sends of connection %s: %w", c, err)
		}
		sends[ObjectID(item.Sort)] = readSend(item)
	}
	return sends, nil
}

// Find returns the person who has an address or a principal's name, or ErrUnknown.
func (r *Roster) Find(ctx context.Context, c connection.ID, address string) (Covered, error) {
	name := Fold(address)
	found, err := r.named(ctx, c, []string{name})
	if err != nil {
		return Covered{}, err
	}
	e, ok := found[name]
	if !ok || !e.gone.IsZero() {
		return Covered{}, ErrUnknown
	}
	scope, err := r.Scope(ctx, c)
	if err != nil {
		return Covered{}, err
	}
	covered, err := r.cover(ctx, c, scope, []entry{e})
	if err != nil {
		return Covered{}, err
	}
	return covered[0], nil
}

// Sums counts everybody whom the directory has. It reads all of them.
func (r *Roster) Sums(ctx context.Context, c connection.ID) (Sums, error) {
	sums := Sums{ByCoverage: map[Coverage]int64{}}
	for _, coverage := range Coverages() {
		sums.ByCoverage[coverage] = 0
	}
	for p, err := range r.All(ctx, c, "") {
		if err != nil {
			return Sums{}, err
		}
		sums.People++
		sums.ByCoverage[p.Coverage]++
		if p.Quiet {
			sums.Quiet++
		}
	}
	return sums, nil
}

// Unknowns yields the addresses of senders whom the directory did not know, of the last 30 days, in order,
// after one or from the beginning, with the time that they were last asked for.
func (r *Roster) Unknowns(ctx context.Context, c connection.ID, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		q := table.Query{Partition: unknownPartition(c), Eventual: true}
		if after != "" {
			q.From = after + "\x00"
		}
		for item, err := range r.Table.Query(ctx, q) {
			if err != nil {
				err = fmt.Errorf("list unknown addresses of connection %s: %w", c, err)
			}
			if !yield(item.Sort, err) || err != nil {
				return
			}
		}
	}
}

package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

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

// Open is how many blobs are listed and have not ended.
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

// shard reads one part of the sums. A part that does not exist yet is zero, at revision 0.
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

// write returns the operation that stores a shard at the revision at which it was read.
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

// count is one number of a tally, with the name under which it is stored.
type count struct {
	name string
	n    *int64
}

func (t *Tally) counts() []count {
	return []count{
		{"records", &t.Records},
		{"sends", &t.Sends},
		{"plain", &t.Plain},
		{"noise", &t.Noise},
		{"failed", &t.Failed},
		{"unmonitored", &t.Unmonitored},
		{"unknown", &t.Unknown},
		{"messages", &t.Messages},
		{"repeated", &t.Repeated},
		{"events", &t.Events},
		{"unreadable", &t.Unreadable},
	}
}

// Plus adds two tallies.
func (t Tally) Plus(u Tally) Tally {
	more := u.counts()
	for i, c := range t.counts() {
		*c.n += *more[i].n
	}
	t.See(u.LastSend)
	return t
}

// See notes that a message was sent at a time.
func (t *Tally) See(sent time.Time) {
	if sent.After(t.LastSend) {
		t.LastSend = sent
	}
}

func (t Tally) attrs() table.Attrs {
	attrs := table.Attrs{}
	for _, c := range t.counts() {
		attrs[c.name] = *c.n
	}
	if !t.LastSend.IsZero() {
		attrs["lastsend"] = table.Stamp(t.LastSend)
	}
	return attrs
}

func readTally(attrs table.Attrs) Tally {
	var t Tally
	for _, c := range t.counts() {
		*c.n = attrNumber(attrs[c.name])
	}
	t.LastSend = table.TimeOf(attrs["lastsend"])
	return t
}

// Account is what the ledger knows about a connection, in the form in which the connections API shows it.
type Account struct {
	Sums
	Open     int64  `json:"open"` // blobs that are listed and have not ended
	Progress Cursor `json:"progress"`
	// Checks are what came of looking for sends without attachments, by client.
	Checks []Checks `json:"checks,omitempty"`
}

// Account sums up a connection's blobs, and says how far the listing has come.
func (l *Ledger) Account(ctx context.Context, c connection.ID) (Account, error) {
	sums, err := l.Sums(ctx, c)
	if err != nil {
		return Account{}, err
	}
	checks, err := l.Checks(ctx, c)
	if err != nil {
		return Account{}, err
	}
	progress, err := l.Progress(ctx, c)
	return Account{Sums: sums, Open: sums.Open(), Progress: progress, Checks: checks}, err
}

// Tell returns an account in the form that a connection's details use.
func (l *Ledger) Tell(ctx context.Context, c connection.ID) (connection.Progress, error) {
	a, err := l.Account(ctx, c)
	if err != nil {
		return connection.Progress{}, err
	}
	var warnings []string
	for _, k := range a.Checks {
		if w := k.warning(); w != "" {
			warnings = append(warnings, w)
		}
	}
	if a.Progress.ClockBehind > 0 {
		warnings = append(warnings, "The clock of Mailtrail is behind Microsoft's: the oldest hours of the seven days that "+
			"Microsoft keeps cannot be listed. Correct the clock.")
	}
	watermark, err := l.Watermark(ctx, c)
	return connection.Progress{
		Warnings: warnings,
		LastPoll: a.Progress.LastGood, LastBlob: a.Progress.LastBlob, LastSend: a.Tally.LastSend, Read: watermark,
		Failures: a.Progress.Failures, Listed: a.Listed, Open: a.Open, Ledger: a,
	}, err
}

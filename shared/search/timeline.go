package search

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/forensic"
	"github.com/mailtrail/mailtrail/shared/pace"
	"github.com/mailtrail/mailtrail/shared/table"
)

// timeline opens streams over the connections in scope: by time observed within observed, or by arrival within arrived.
// It belongs to one run.
type timeline struct {
	events    table.Table
	conns     []*connection.Connection
	ascending bool
	observed  span
	arrived   span
	after     *posting      // streams begin with this message, in their order; nil is from the start
	scans     int           // postings that may still be read to find the values of wildcards
	reads     chan struct{} // one for each read that is under way
	days      [][]time.Time // of each connection: days on which messages were observed, in order; nil until read
}

// bound is the range [from, to) of sort keys that streams by time have; "" does not bound.
func (t *timeline) bound() (from, to string) {
	if t.observed.from > minMoment {
		from = forensic.TimeSort(time.UnixMilli(t.observed.from), "")
	}
	if t.observed.to < maxMoment {
		to = forensic.TimeSort(time.UnixMilli(t.observed.to), "")
	}
	switch {
	case t.after == nil:
	case t.ascending:
		from = max(from, t.after.sort)
	case to == "" || t.after.sort < to:
		to = t.after.sort + "\x00"
	}
	return from, to
}

// observedDays reads on which days there are messages, once.
func (t *timeline) observedDays(ctx context.Context) error {
	if t.days != nil {
		return nil
	}
	days, err := t.daysOfAll(ctx, forensic.DaysObserved, t.observed, true)
	if err != nil {
		return err
	}
	t.days = days
	return nil
}

// daysOfAll returns the days of each connection.
func (t *timeline) daysOfAll(ctx context.Context, kind string, within span, eventual bool) ([][]time.Time, error) {
	all := make([][]time.Time, len(t.conns))
	err := pace.Each(ctx, len(t.conns), width, func(ctx context.Context, i int) (err error) {
		all[i], err = t.listed(ctx, t.conns[i].ID, kind, within, eventual)
		return err
	})
	return all, err
}

// listed returns the days of one kind that touch within, in the order of the streams.
func (t *timeline) listed(ctx context.Context, c connection.ID, kind string, within span, eventual bool) ([]time.Time,
	error) {
	var days []time.Time
	q := table.Query{Partition: forensic.DaysPartition(c), Backward: !t.ascending, Eventual: eventual}.Prefix(kind)
	for item, err := range t.events.Query(ctx, q) {
		if err != nil {
			return nil, fmt.Errorf("list days of connection %s: %w", c, err)
		}
		day, err := time.Parse(dayFormat, strings.TrimPrefix(item.Sort, kind))
		if err != nil {
			return nil, fmt.Errorf("list days of connection %s: %w", c, err)
		}
		if at := day.UnixMilli(); at < within.to && within.from < at+dayMillis {
			days = append(days, day)
		}
	}
	return days, nil
}

// all is the stream of all messages by time observed.
func (t *timeline) all(ctx context.Context) (stream, error) {
	if err := t.observedDays(ctx); err != nil {
		return nil, err
	}
	from, to := t.bound()
	streams := make([]stream, len(t.conns))
	for i, c := range t.conns {
		days := &chain{}
		for _, day := range t.days[i] {
			days.open = append(days.open, func() stream {
				q := table.Query{Partition: forensic.DayPartition(c.ID, day), From: from, To: to, Backward: !t.ascending,
					Eventual: true}
				return t.ranged(q, reading(c, forensic.ReadDay))
			})
		}
		streams[i] = days
	}
	return merge(t.ascending, streams), nil
}

// terms is the stream of the messages that have one of the terms, by time observed.
func (t *timeline) terms(ctx context.Context, terms []forensic.Term) (stream, error) {
	return t.monthly(ctx, func(conn int, month time.Time) stream {
		streams := make([]stream, len(terms))
		for i, term := range terms {
			streams[i] = t.term(t.conns[conn], month, term)
		}
		return merge(t.ascending, streams)
	})
}

// term is the stream of one term in one month.
func (t *timeline) term(c *connection.Connection, month time.Time, term forensic.Term) stream {
	from, to := t.bound()
	prefix := forensic.TermPrefix(term.Value)
	q := table.Query{
		Partition: forensic.TermPartition(c.ID, term.Field, month, forensic.Bucket(term.Value)),
		Backward:  !t.ascending, Eventual: true,
	}.Prefix(prefix)
	q.From = prefix + from
	if to != "" {
		q.To = prefix + to
	}
	return t.ranged(q, reading(c, forensic.ReadTerm))
}

// monthly is the stream of what open gives for each connection and month.
func (t *timeline) monthly(ctx context.Context, open func(conn int, month time.Time) stream) (stream, error) {
	if err := t.observedDays(ctx); err != nil {
		return nil, err
	}
	streams := make([]stream, len(t.conns))
	for i := range t.conns {
		months := &chain{}
		for _, month := range t.months(i) {
			months.open = append(months.open, func() stream { return open(i, month) })
		}
		streams[i] = months
	}
	return merge(t.ascending, streams), nil
}

// months are those in which the connection has messages, in the order of the streams. observedDays was called before.
func (t *timeline) months(conn int) []time.Time {
	months := make([]time.Time, len(t.days[conn]))
	for i, day := range t.days[conn] {
		months[i] = time.Date(day.Year(), day.Month(), 1, 0, 0, 0, 0, time.UTC)
	}
	return slices.Compact(months)
}

// arrivals is the stream of all messages by arrival. Its reads see all that was written before, for whoever asks in
// this order counts on missing nothing up to the watermark.
func (t *timeline) arrivals(ctx context.Context) (stream, error) {
	listed, err := t.daysOfAll(ctx, forensic.DaysArrival, t.arrived, false)
	if err != nil {
		return nil, err
	}
	streams := make([]stream, len(t.conns))
	for i, c := range t.conns {
		from, to := t.arrivalBound(c)
		days := &chain{}
		for _, day := range listed[i] {
			days.open = append(days.open, func() stream {
				q := table.Query{Partition: forensic.ArrivalPartition(c.ID, day), From: from, To: to, Backward: !t.ascending}
				return t.ranged(q, readingArrival(c))
			})
		}
		streams[i] = days
	}
	return merge(t.ascending, streams), nil
}

// arrivalBound is the range of sort keys that the connection's stream by arrival has. In the millisecond of t.after, in
// which a whole backlog may have arrived, connections whose ids are less than its own come first.
func (t *timeline) arrivalBound(c *connection.Connection) (from, to string) {
	key := func(ms int64) string {
		return strings.TrimSuffix(forensic.EventID{Arrival: time.UnixMilli(ms)}.ArrivalSort(), "-")
	}
	from, to = key(max(t.arrived.from, 0)), key(max(t.arrived.to, 0))
	if t.after == nil {
		return from, to
	}
	first := t.after.sort
	switch order := strings.Compare(string(c.ID), string(t.after.conn.ID)); {
	case order < 0:
		first = table.After(t.after.sort + "-")
	case order == 0 && t.ascending:
		first += "-" + t.after.hash
	case order == 0:
		first += "-" + t.after.hash + "\x00"
	}
	if t.ascending {
		return max(from, first), to
	}
	return from, min(to, first)
}

// ranged is the stream of a range, whose reads are among those that the search has under way.
func (t *timeline) ranged(q table.Query, read func(table.Item) (posting, error)) stream {
	return &ranged{events: t.events, reads: t.reads, query: q, read: read}
}

// reading reads postings by time observed of connection c.
func reading(c *connection.Connection, read func(table.Item) (forensic.Posting, error)) func(table.Item) (posting,
	error) {
	return func(item table.Item) (posting, error) {
		p, err := read(item)
		if err != nil {
			return posting{}, fmt.Errorf("read posting of connection %s: %w", c.ID, err)
		}
		at := item.Sort
		if p.Value != "" {
			_, at, _ = forensic.SplitTermSort(item.Sort)
		}
		return posting{at: p.Observed, sort: at, conn: c, record: p.Record, files: p.Files}, nil
	}
}

// readingArrival reads postings by arrival of connection c.
func readingArrival(c *connection.Connection) func(table.Item) (posting, error) {
	return func(item table.Item) (posting, error) {
		p, err := forensic.ReadArrival(item)
		if err != nil {
			return posting{}, fmt.Errorf("read posting of connection %s: %w", c.ID, err)
		}
		id, err := forensic.ParseEventID(strings.Replace(item.Sort, "-", "-"+string(c.ID)+"-", 1) + "-0000")
		if err != nil {
			return posting{}, fmt.Errorf("read posting of connection %s: %w", c.ID, err)
		}
		return arrival(id, c, p.Record), nil
	}
}

// arrival is a posting by arrival.
func arrival(id forensic.EventID, c *connection.Connection, r forensic.RecordID) posting {
	sort, _, _ := strings.Cut(id.ArrivalSort(), "-")
	return posting{at: id.Arrival, sort: sort, conn: c, hash: id.Hash, record: r}
}

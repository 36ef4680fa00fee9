package search

import (
	"context"
	"fmt"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/forensic"
	"github.com/mailtrail/mailtrail/shared/table"
)

// Limits of looking through the values of a field. Beyond them walking the messages themselves is cheaper.
const (
	maxExpanded = 1000    // values that a query's wildcards match, counted in every month
	maxScan     = 100_000 // postings that a search reads to find them, of which some stay in memory
	// readCost is as how many postings a read counts at least: what it brings is not all that it costs.
	readCost = 8
	// wholeValue is up to how many bytes a value has surely not been cut: Normal cuts at 512, between characters.
	wholeValue = 512 - 4
)

// expansion is what wildcards are expanded to: a stream for each value that matches, by connection and month.
type expansion struct {
	line    *timeline
	streams map[section][]stream
	values  int // still to be had
	budget  int // postings still to be read
}

// section is where an expansion looks: a month of a connection, by its index in scope.
type section struct {
	conn  int
	month time.Time
}

// wildcards is the stream of the messages that have a value which one of the wildcards matches, by time observed. It is
// nil when those values are too many to be worth it.
func (t *timeline) wildcards(ctx context.Context, wild []wildcard, budget int) (stream, error) {
	if err := t.observedDays(ctx); err != nil {
		return nil, err
	}
	budget = min(budget, t.scans)
	x := &expansion{line: t, streams: make(map[section][]stream), values: maxExpanded, budget: budget}
	defer func() { t.scans -= budget - x.budget }()
	for i := range t.conns {
		for _, month := range t.months(i) {
			for _, w := range wild {
				for bucket := range forensic.Buckets {
					if err := x.scan(ctx, section{i, month}, w, bucket); err != nil {
						return nil, err
					}
					if x.spent() {
						return nil, nil
					}
				}
			}
		}
	}
	return t.monthly(ctx, func(conn int, month time.Time) stream {
		return merge(t.ascending, x.streams[section{conn, month}])
	})
}

// spent reports whether there is too much to read or to merge.
func (x *expansion) spent() bool { return x.values < 0 || x.budget < 0 }

// scan goes from value to value of one bucket: what a read brings of a value beyond its end is skipped. Values whose
// postings were all read need not be read again.
func (x *expansion) scan(ctx context.Context, s section, w wildcard, bucket int) error {
	c := x.line.conns[s.conn]
	q := table.Query{
		Partition: forensic.TermPartition(c.ID, w.field, s.month, bucket), Limit: firstChunk, Eventual: true,
	}.Prefix(forensic.Normal(w.pattern.head()))
	for !x.spent() {
		runs, n, err := x.read(ctx, q, c)
		if err != nil {
			return fmt.Errorf("look through the values of %s of connection %s: %w", w.field, c.ID, err)
		}
		for i, r := range runs {
			if !w.pattern.match(r.value) && len(r.value) <= wholeValue {
				continue
			}
			x.values--
			var found stream = &r.postings
			if i == len(runs)-1 && n == q.Limit {
				found = x.line.term(c, s.month, forensic.Term{Field: w.field, Value: r.value})
			} else {
				reverse(x.line.ascending, r.postings)
			}
			x.streams[s] = append(x.streams[s], found)
		}
		if n < q.Limit {
			return nil
		}
		q.From = table.After(forensic.TermPrefix(runs[len(runs)-1].value))
	}
	return nil
}

// valueRun is the postings of one value within the bounds of the search.
type valueRun struct {
	value    string
	postings fixedStream
}

// read reads n postings, and gathers them by their values.
func (x *expansion) read(ctx context.Context, q table.Query, c *connection.Connection) (runs []*valueRun, n int,
	err error) {
	from, to := x.line.bound()
	read := reading(c, forensic.ReadTerm)
	for item, err := range x.line.events.Query(ctx, q) {
		if err != nil {
			return nil, 0, err
		}
		p, err := read(item)
		if err != nil {
			return nil, 0, err
		}
		n++
		value, _, _ := forensic.SplitTermSort(item.Sort)
		if len(runs) == 0 || runs[len(runs)-1].value != value {
			runs = append(runs, &valueRun{value: value})
		}
		if last := runs[len(runs)-1]; from <= p.sort && (to == "" || p.sort < to) {
			last.postings = append(last.postings, p)
		}
	}
	x.budget -= max(n, readCost)
	return runs, n, nil
}

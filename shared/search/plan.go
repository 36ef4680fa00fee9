package search

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/forensic"
	"github.com/mailtrail/mailtrail/shared/table"
)

const (
	// probeSize is how many postings are read of a stream to see how fast it runs through time.
	probeSize = 64
	// littleScan is how many postings may be read for a wildcard when there is another stream to go by.
	littleScan = 2048
	// skew is by how much clocks may differ: Microsoft's of a message's time, and ours of its arrival and storing.
	skew = 24 * time.Hour
	// settling is how long a message can be on its way from arrival to storing: its blob is to be had for 7 days.
	settling = 8 * 24 * time.Hour
)

// within is when the term, which is a time, lies if the folded condition holds.
func (t *tree) within(name string) span {
	if t.predicate != nil {
		if t.predicate.term.name == name { // of a folded condition: none of EXISTS and DOES_NOT_EXIST is left
			return t.predicate.within
		}
		return always()
	}
	if !t.any {
		s := always()
		for _, b := range t.branches {
			s = s.intersect(b.within(name))
		}
		return s
	}
	s := span{}
	for _, b := range t.branches {
		s = s.hull(b.within(name))
	}
	return s
}

// conjuncts are the predicates that each must hold.
func (t *tree) conjuncts() []*predicate {
	switch {
	case t.predicate != nil:
		return []*predicate{t.predicate}
	case t.any:
		return nil
	}
	var all []*predicate
	for _, b := range t.branches {
		all = append(all, b.conjuncts()...)
	}
	return all
}

// timeOnly reports whether the condition says nothing but a span of time observed.
func (t *tree) timeOnly() bool {
	if t.predicate != nil {
		return t.predicate.term.name == "@timestamp"
	}
	return !t.any && !slices.ContainsFunc(t.branches, func(b *tree) bool { return !b.timeOnly() })
}

// scope is those of the connections that may hold a match, in the order of their ids.
func scope(condition *tree, followed []connection.Connection) []*connection.Connection {
	var conns []*connection.Connection
	for i := range followed {
		e := &event{conn: &followed[i]}
		excluded := slices.ContainsFunc(condition.conjuncts(), func(p *predicate) bool {
			return p.term.name == "event.detectorDisplayName" && !p.match(e)
		})
		if !excluded {
			conns = append(conns, e.conn)
		}
	}
	slices.SortFunc(conns, func(a, b *connection.Connection) int { return compare(posting{conn: a}, posting{conn: b}) })
	return conns
}

// bounds are the times that matches of the condition were observed and arrived at. A message arrives after it was
// observed, and is stored after it arrived, as far as clocks agree.
func bounds(condition *tree) (observed, arrived span) {
	observed, arrived = condition.within("@timestamp"), condition.within("event.ingested")
	stored := condition.within("event.inserted")
	later := func(ms int64, d time.Duration) int64 { return min(max(ms+d.Milliseconds(), minMoment), maxMoment) }
	arrived.from = max(arrived.from, later(observed.from, -skew), later(stored.from, -settling))
	arrived.to = min(arrived.to, later(stored.to, skew))
	observed.to = min(observed.to, later(arrived.to, skew))
	return observed, arrived
}

// indexed reports whether the index offers a stream of the matches of a folded condition, without or also with
// wildcards.
func (t *tree) indexed(wild bool) bool {
	able := func(b *tree) bool { return b.indexed(wild) }
	switch {
	case t.predicate != nil:
		return slices.ContainsFunc(t.predicate.lookups(), func(l lookup) bool { return l.able(wild) })
	case t.any:
		return !slices.ContainsFunc(t.branches, func(b *tree) bool { return !able(b) })
	}
	return slices.ContainsFunc(t.branches, able)
}

// driver is a stream by time observed that has all matches of the condition, the rarest that the index offers; nil when
// it offers none. budget is how many postings may be read to find the values that a wildcard matches.
func (t *timeline) driver(ctx context.Context, condition *tree, budget int) (stream, error) {
	switch {
	case condition.predicate != nil:
		lookups := condition.predicate.lookups()
		return t.rarest(ctx, len(lookups), budget,
			func(i int, wild bool) bool { return lookups[i].able(wild) },
			func(i, budget int) (stream, error) { return t.found(ctx, lookups[i], budget) })
	case !condition.any:
		return t.rarest(ctx, len(condition.branches), budget,
			func(i int, wild bool) bool { return condition.branches[i].indexed(wild) },
			func(i, budget int) (stream, error) { return t.driver(ctx, condition.branches[i], budget) })
	}
	if !condition.indexed(budget > 0) {
		return nil, nil
	}
	streams := make([]stream, len(condition.branches))
	for i, b := range condition.branches {
		s, err := t.driver(ctx, b, budget)
		if s == nil || err != nil {
			return nil, err
		}
		streams[i] = s
	}
	return merge(t.ascending, streams), nil
}

// rarest opens those of n streams that there are, each of which would do, and returns the one that runs thinnest; nil
// when there is none. Those that need a wildcard's values come last, with what they may cost in proportion to what
// there is to gain. None is opened in vain, and none twice: streams nest, and so would what that costs.
func (t *timeline) rarest(ctx context.Context, n, budget int, able func(i int, wild bool) bool,
	open func(i, budget int) (stream, error)) (stream, error) {
	if n == 1 && able(0, budget > 0) {
		return open(0, budget)
	}
	var best *probed
	opened := make([]bool, n)
	for _, budget := range []int{0, budget} {
		if best != nil {
			budget = min(budget, littleScan)
		}
		for i := range n {
			if opened[i] || !able(i, budget > 0) || (best != nil && best.whole) {
				continue
			}
			s, err := open(i, budget)
			if err != nil {
				return nil, err
			}
			if s == nil {
				continue
			}
			opened[i] = true
			p, err := probe(ctx, s, probeSize)
			if err != nil {
				return nil, err
			}
			if best == nil || p.rarer(best, t.ascending) {
				best = p
			}
		}
	}
	if best == nil {
		return nil, nil
	}
	return best, nil
}

// found is the stream of what a lookup finds; nil when that would cost more than the budget.
func (t *timeline) found(ctx context.Context, l lookup, budget int) (stream, error) {
	var streams []stream
	if len(l.wild) > 0 {
		s, err := t.wildcards(ctx, l.wild, budget)
		if s == nil || err != nil {
			return nil, err
		}
		streams = append(streams, s)
	}
	if len(l.terms) > 0 {
		s, err := t.terms(ctx, l.terms)
		if err != nil {
			return nil, err
		}
		streams = append(streams, s)
	}
	if len(l.ids) > 0 {
		named, err := t.named(ctx, l.ids)
		if err != nil {
			return nil, err
		}
		streams = append(streams, &named)
	}
	return merge(t.ascending, streams), nil
}

// named are postings by time observed of the messages that events with these ids belong to.
func (t *timeline) named(ctx context.Context, ids []string) (fixedStream, error) {
	var found fixedStream
	for _, id := range ids {
		e, err := find(ctx, t.events, t.conns, id)
		if errors.Is(err, errNoEvent) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found = append(found, e.posting())
	}
	slices.SortFunc(found, compare)
	found = slices.CompactFunc(found, func(a, b posting) bool { return compare(a, b) == 0 })
	reverse(t.ascending, found)
	return found, nil
}

// errNoEvent means that there is no event of that id in any of the connections.
var errNoEvent = errors.New("no such event")

// find loads the event of that id, or returns errNoEvent.
func find(ctx context.Context, events table.Table, conns []*connection.Connection, id string) (event, error) {
	parsed, err := forensic.ParseEventID(id)
	at := slices.IndexFunc(conns, func(c *connection.Connection) bool { return c.ID == parsed.Connection })
	if err != nil || at < 0 {
		return event{}, errNoEvent
	}
	c := conns[at]
	item, err := events.Get(ctx, table.Key{Partition: forensic.ArrivalPartition(c.ID, parsed.Arrival),
		Sort: parsed.ArrivalSort()})
	if errors.Is(err, table.ErrAbsent) {
		return event{}, errNoEvent
	}
	if err != nil {
		return event{}, fmt.Errorf("find event %s: %w", id, err)
	}
	p, err := forensic.ReadArrival(item)
	if err != nil {
		return event{}, fmt.Errorf("find event %s: %w", id, err)
	}
	messages, err := forensic.Load(ctx, events, c.ID, []forensic.RecordID{p.Record})
	if err != nil {
		return event{}, fmt.Errorf("find event %s: %w", id, err)
	}
	if len(messages) == 0 || parsed.File >= len(messages[0].Files) || messages[0].EventID(parsed.File).String() != id {
		return event{}, errNoEvent
	}
	return event{message: &messages[0], file: parsed.File, conn: c}, nil
}

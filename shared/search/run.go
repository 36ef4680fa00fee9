package search

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/mailtrail/mailtrail/shared/access"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/forensic"
	"github.com/mailtrail/mailtrail/shared/pace"
	"github.com/mailtrail/mailtrail/shared/table"
)

// width is how many things a search does at once: reads of different partitions do not wait for each other.
const width = 8

// fewPostings is how many postings a search in the order of arrival collects and sorts at most, instead of walking all
// arrivals.
const fewPostings = 10_000

// running is one query on its way.
type running struct {
	events    table.Table
	query     Query
	condition *tree
	conns     []*connection.Connection
	start     *place // nil is from the start
	domains   Domains
	own       map[connection.ID][]string // of the connections that events were looked at of
}

// Run answers the query from the connections that the caller of ctx may see; to a limited caller, others do not
// exist. A *Problem says what is wrong with the query; any other error is ours.
//
// In the order of event.id, event.ingested and event.inserted only what is settled is served: events up to the
// watermark, before which nothing can appear any more, so that a client that goes on from the last event misses none.
func (s *Search) Run(ctx context.Context, q Query) (Result, error) {
	visible, err := s.Connections.Followed(ctx)
	if err != nil {
		return Result{}, fmt.Errorf("list connections to search: %w", err)
	}
	limit := access.From(ctx).Limit
	visible = slices.DeleteFunc(visible, func(c connection.Connection) bool { return !limit.Allows(string(c.ID)) })
	condition := q.condition.fold()
	r := &running{events: s.Events, query: q, condition: condition, conns: scope(condition, visible), domains: s.Domains,
		own: map[connection.ID][]string{}}
	if q.after != "" {
		if r.start, err = r.place(ctx, scope(&tree{}, visible)); err != nil {
			return Result{}, err
		}
	}
	if condition.never() || len(r.conns) == 0 {
		return Result{}, nil
	}
	if err := r.settle(ctx, s.Watermarks); err != nil {
		return Result{}, err
	}
	if s.Packs != nil {
		if result, ok, err := r.packed(ctx, s.Packs, s.Now()); ok || err != nil {
			return result, err
		}
	}
	return r.page(ctx)
}

// settle adds the watermark to the condition where the order asks for it. The watermark is read before the events: what
// was open then is not served, even if it is settled by now.
func (r *running) settle(ctx context.Context, watermarks Watermarks) error {
	name := r.query.sort.name
	switch name {
	case "event.id":
		name = "event.ingested"
	case "event.ingested", "event.inserted":
	default:
		return nil
	}
	ends := make([]int64, len(r.conns))
	err := pace.Each(ctx, len(r.conns), width, func(ctx context.Context, i int) error {
		watermark, err := watermarks.Watermark(ctx, r.conns[i].ID)
		if err != nil {
			return fmt.Errorf("find out how far connection %s is settled: %w", r.conns[i].ID, err)
		}
		ends[i] = watermark.UnixMilli() + 1
		return nil
	})
	if err != nil {
		return err
	}
	settled := slices.Min(ends)
	t, _ := theSchema().lookup(name)
	upTo := &predicate{term: t, operator: OnOrBefore, within: span{minMoment, settled}}
	r.condition = &tree{branches: []*tree{r.condition, {predicate: upTo}}}
	return nil
}

// page picks the way to answer by the order asked for.
func (r *running) page(ctx context.Context) (Result, error) {
	switch r.query.sort.name {
	case "@timestamp":
		return r.walked(ctx, r.byTime)
	case "event.id", "event.ingested":
		t := r.timeline(nil)
		s, err := t.driver(ctx, r.condition, maxScan)
		if err != nil {
			return Result{}, err
		}
		if s != nil {
			few, err := probe(ctx, s, fewPostings)
			if err != nil {
				return Result{}, err
			}
			if few.whole {
				return r.sorted(ctx, few)
			}
		}
		return r.walked(ctx, func(ctx context.Context, t *timeline) (stream, error) { return t.arrivals(ctx) })
	}
	s, err := r.anyOrder(ctx)
	if err != nil {
		return Result{}, err
	}
	return r.sorted(ctx, s)
}

// timeline opens streams within the condition's bounds, from the posting on.
func (r *running) timeline(after *posting) *timeline {
	t := &timeline{events: r.events, conns: r.conns, ascending: r.query.ascending, after: after, scans: maxScan,
		reads: make(chan struct{}, width)}
	t.observed, t.arrived = bounds(r.condition)
	if after == nil {
		return t
	}
	within := &t.observed
	if after.hash != "" {
		within = &t.arrived
	}
	if at := after.at.UnixMilli(); t.ascending {
		within.from = max(within.from, at)
	} else {
		within.to = min(within.to, at+1)
	}
	return t
}

// byTime is the rarest stream by time observed.
func (r *running) byTime(ctx context.Context, t *timeline) (stream, error) {
	s, err := t.driver(ctx, r.condition, maxScan)
	if s != nil || err != nil {
		return s, err
	}
	return t.all(ctx)
}

// anyOrder is the shortest stream from the start, in whatever order.
func (r *running) anyOrder(ctx context.Context) (stream, error) {
	t := r.timeline(nil)
	s, err := t.driver(ctx, r.condition, maxScan)
	if s != nil || err != nil {
		return s, err
	}
	if t.arrived.from > t.observed.from {
		return t.arrivals(ctx)
	}
	return t.all(ctx)
}

// walked answers from a stream that is in the order asked for.
func (r *running) walked(ctx context.Context, open func(context.Context, *timeline) (stream, error)) (Result, error) {
	var after *posting
	if r.start != nil {
		after = &r.start.posting
	}
	s, err := open(ctx, r.timeline(after))
	if err != nil {
		return Result{}, err
	}
	q, skip := r.query, max(r.query.page-1, 0)*r.query.size
	counting := r.start == nil && !r.countable()
	enough := skip + q.size + 1
	if counting {
		enough = MaxRows + 1
	}
	var result Result
	matched := 0
	err = r.matches(ctx, s, func(p posting, e *event) bool {
		if r.start != nil && !r.start.before(p, e.file, q.ascending) {
			return true
		}
		if matched++; matched > skip && len(result.events) < q.size {
			result.events = append(result.events, e.kept())
		}
		return matched < enough
	})
	if err != nil {
		return Result{}, err
	}
	if q.inTokens() && matched > q.size {
		result.Next = result.events[q.size-1].id()
	}
	result.Total = min(matched, MaxRows)
	if !counting {
		result.Total, err = r.count(ctx)
	}
	return result, err
}

// sorted answers from a stream in any order, which it reads to its end.
func (r *running) sorted(ctx context.Context, s stream) (Result, error) {
	q, skip := r.query, max(r.query.page-1, 0)*r.query.size
	first := best{ascending: q.ascending, most: skip + q.size + 1}
	total := 0
	err := r.matches(ctx, s, func(_ posting, e *event) bool {
		total++
		at := rankOf(q.sort, e)
		if r.start == nil || r.start.rank.compare(at, q.ascending) < 0 {
			first.add(at, e)
		}
		return true
	})
	if err != nil {
		return Result{}, err
	}
	first.settle()
	result := Result{Total: min(total, MaxRows)}
	rows := first.list[min(skip, len(first.list)):]
	for i := range rows[:min(q.size, len(rows))] {
		result.events = append(result.events, rows[i].event)
	}
	if q.inTokens() && len(rows) > q.size {
		result.Next = rows[q.size-1].id
	}
	return result, nil
}

// matches visits the events of s for which the condition holds, until visit returns false.
func (r *running) matches(ctx context.Context, s stream, visit func(posting, *event) bool) error {
	var failed error
	err := walk(ctx, r.events, s, func(p posting, m *forensic.Message) bool {
		e := event{message: m, conn: p.conn}
		if e.own, failed = r.ownDomains(ctx, p.conn.ID); failed != nil {
			return false
		}
		for e.file = range files(m, r.query.ascending) {
			if r.condition.match(&e) && !visit(p, &e) {
				return false
			}
		}
		return true
	})
	return errors.Join(failed, err)
}

// countable reports whether the index alone says how many events match.
func (r *running) countable() bool {
	return r.query.sort.name == "@timestamp" && r.condition.timeOnly()
}

// count is how many events match, up to MaxRows.
func (r *running) count(ctx context.Context) (int, error) {
	total := 0
	if !r.countable() {
		s, err := r.anyOrder(ctx)
		if err != nil {
			return 0, err
		}
		err = r.matches(ctx, s, func(posting, *event) bool {
			total++
			return total < MaxRows
		})
		return total, err
	}
	s, err := r.timeline(nil).all(ctx)
	for ok := true; ok && err == nil && total < MaxRows; {
		var p posting
		p, ok, err = s.next(ctx)
		total += int(p.files)
	}
	return min(total, MaxRows), err
}

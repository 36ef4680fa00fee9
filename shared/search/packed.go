package search

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/forensic"
	"github.com/mailtrail/mailtrail/shared/pace"
	"github.com/mailtrail/mailtrail/shared/segment"
)

// tailMost is how many messages that are not packed a search reads whole. With more of them it goes by the postings.
const tailMost = 2000

// errUnpacked means that segments cannot answer the query: the postings can.
var errUnpacked = errors.New("not to be answered from segments")

// packedRun answers one query from segments, and from the tail: what is not packed, read whole.
type packedRun struct {
	*running
	packs *Packs
	form  packForm
	now   time.Time

	parts []*packedPart
	tail  []ranked // matches that are not packed
}

// packedPart is one segment of a connection in scope, with the matches that it has.
type packedPart struct {
	conn *connection.Connection
	s    *segment.Segment
	pack pack
	own  bool // made with the domains that are the company's own now
	set  segment.Set
}

// packed answers the query from segments, or reports that it cannot.
func (r *running) packed(ctx context.Context, packs *Packs, now time.Time) (result Result, ok bool, err error) {
	for range 3 { // a segment may be merged away while it is read
		p := &packedRun{running: r, packs: packs, form: thePackForm(), now: now}
		result, err = p.answer(ctx)
		if !errors.Is(err, segment.ErrGone) {
			break
		}
	}
	if errors.Is(err, errUnpacked) || errors.Is(err, segment.ErrGone) {
		packs.passed.Add(1)
		return Result{}, false, nil
	}
	packs.answered.Add(1)
	return result, err == nil, err
}

func (p *packedRun) answer(ctx context.Context) (Result, error) {
	if !p.form.sortable(p.query.sort) {
		return Result{}, errUnpacked
	}
	if err := p.open(ctx); err != nil {
		return Result{}, err
	}
	total := len(p.tail)
	counts := make([]int, len(p.parts))
	err := pace.Each(ctx, len(p.parts), width, func(ctx context.Context, i int) (err error) {
		part := p.parts[i]
		if part.set, err = p.matching(ctx, part, p.condition); err == nil {
			counts[i], err = part.set.Count(ctx)
		}
		return err
	})
	if err != nil {
		return Result{}, err
	}
	for _, n := range counts {
		total += n
	}
	return p.pageOf(ctx, total)
}

// open opens the segments of the connections in scope, and reads their tails.
func (p *packedRun) open(ctx context.Context) error {
	views := make([]view, len(p.conns))
	changes := make([][]forensic.Change, len(p.conns))
	err := pace.Each(ctx, len(p.conns), width, func(ctx context.Context, i int) (err error) {
		// The changes are read first: a change that is packed meanwhile is in both, and one that comes meanwhile in neither,
		// as if it had come after the search.
		if changes[i], err = forensic.Changes(ctx, p.events, p.conns[i].ID, tailMost+1); err != nil {
			return err
		}
		if len(changes[i]) > tailMost { // there may be more that were not listed
			return errUnpacked
		}
		views[i], err = p.packs.view(ctx, p.conns[i].ID)
		return err
	})
	if err != nil {
		return err
	}
	left := tailMost
	for i, c := range p.conns {
		own, err := p.ownDomains(ctx, c.ID)
		if err != nil {
			return err
		}
		digest := companyDigest(own)
		found, _, _, err := settledAfter(ctx, p.events, c, views[i].upTo, time.UnixMilli(maxMoment-1), left+1)
		if err != nil {
			return err
		}
		var terms []string
		var again []forensic.RecordID
		for _, change := range changes[i] {
			if t := recordTerm(change.Record); !slices.Contains(terms, t) {
				terms, again = append(terms, t), append(again, change.Record)
			}
		}
		if left -= len(found.records) + len(again); left < 0 {
			return errUnpacked
		}
		for j, s := range views[i].segments {
			one := views[i].packs[j]
			one.dropped = append(slices.Clone(one.dropped), terms...)
			p.parts = append(p.parts, &packedPart{conn: c, s: s, pack: one, own: one.own == digest})
		}
		confirmed := func(m *forensic.Message) bool { return found.confirmed(m) || slices.Contains(again, m.Record) }
		if err := p.readTail(ctx, c, own, append(found.records, again...), confirmed); err != nil {
			return err
		}
	}
	return nil
}

// readTail adds the matches among some messages.
func (p *packedRun) readTail(
	ctx context.Context,
	c *connection.Connection,
	own []string,
	records []forensic.RecordID,
	confirmed func(*forensic.Message) bool,
) error {
	slices.Sort(records)
	records = slices.Compact(records)
	for some := range slices.Chunk(records, batchSize) {
		messages, err := forensic.Load(ctx, p.events, c.ID, some)
		if err != nil {
			return err
		}
		for i := range messages {
			e := event{message: &messages[i], conn: c, own: own}
			if !confirmed(e.message) {
				continue
			}
			for e.file = range messages[i].Files {
				if p.condition.match(&e) {
					p.tail = append(p.tail, ranked{rank: rankOf(p.query.sort, &e), event: e})
				}
			}
		}
	}
	return nil
}

// sortable reports whether segments have the order of a term.
func (f packForm) sortable(t *term) bool {
	switch t.name {
	case "event.id", "@timestamp":
		return true
	}
	return t.shape == scalar && (slices.Contains(f.fields, t) || slices.Contains(f.columns, t))
}

// matching is the rows of a part that match a condition.
func (p *packedRun) matching(ctx context.Context, part *packedPart, condition *tree) (segment.Set, error) {
	set, err := p.sets(ctx, part, condition)
	if err != nil {
		return segment.Set{}, err
	}
	dropped, err := droppedRows(ctx, part.s, part.pack.dropped)
	if err != nil {
		return segment.Set{}, err
	}
	expired, err := part.s.Numbers(ctx, part.s.Schema().Column(expiresColumn), absent, p.now.Unix())
	if err != nil {
		return segment.Set{}, err
	}
	return segment.And(set, segment.Not(dropped), segment.Not(expired)), nil
}

func (p *packedRun) sets(ctx context.Context, part *packedPart, t *tree) (segment.Set, error) {
	if t.predicate != nil {
		return p.predicate(ctx, part, t.predicate)
	}
	all := make([]segment.Set, 0, len(t.branches))
	for _, b := range t.branches {
		set, err := p.sets(ctx, part, b)
		if err != nil {
			return segment.Set{}, err
		}
		all = append(all, set)
	}
	switch {
	case len(all) == 0 && t.any:
		return part.s.None(), nil
	case len(all) == 0:
		return part.s.All(), nil
	case t.any:
		return segment.Or(all...), nil
	}
	return segment.And(all...), nil
}

// predicate is the rows for which a predicate holds.
func (p *packedRun) predicate(ctx context.Context, part *packedPart, q *predicate) (segment.Set, error) {
	switch q.term.name {
	case "event.detectorDisplayName":
		if q.match(&event{conn: part.conn}) {
			return part.s.All(), nil
		}
		return part.s.None(), nil
	case "@timestamp":
		return part.s.Times(ctx, q.within.from, q.within.to)
	case "event.id":
		return p.named(ctx, part, q)
	}
	if p.form.own[q.term] && !part.own {
		return segment.Set{}, errUnpacked
	}
	if q.term.kind != text {
		return p.number(ctx, part, q)
	}
	field := part.s.Schema().Field(q.term.name)
	if field < 0 || part.pack.long {
		return segment.Set{}, errUnpacked
	}
	switch q.operator {
	case Exists, DoesNotExist:
		set, err := part.s.Having(ctx, field)
		if err == nil && q.operator == DoesNotExist {
			set = segment.Not(set)
		}
		return set, err
	}
	patterns, byExtension := q.patterns, part.s.None()
	if q.term.name == "file.name" {
		var err error
		if byExtension, patterns, err = endingIn(ctx, part.s, patterns); err != nil {
			return segment.Set{}, err
		}
	}
	set, err := matchingTerms(ctx, part.s, field, patterns)
	if err != nil {
		return segment.Set{}, err
	}
	set = segment.Or(set, byExtension)
	if q.operator == IsNot || q.operator == IsNone {
		set = segment.Not(set)
	}
	return set, nil
}

// named is the rows for which a predicate on the event's id holds.
func (p *packedRun) named(ctx context.Context, part *packedPart, q *predicate) (segment.Set, error) {
	sets := []segment.Set{part.s.None()}
	for _, pattern := range q.patterns {
		if pattern.wild {
			return segment.Set{}, errUnpacked
		}
		id, err := forensic.ParseEventID(pattern.literal)
		if err != nil || id.Connection != part.conn.ID {
			continue
		}
		hash := hashNumber(id.Hash)
		of, err := part.s.Numbers(ctx, part.s.Schema().Column(hashColumn), hash, hash)
		if err != nil {
			return segment.Set{}, err
		}
		arrived := id.Arrival.UnixMilli()
		at, err := part.s.Numbers(ctx, part.s.Schema().Column("event.ingested"), arrived, arrived)
		if err != nil {
			return segment.Set{}, err
		}
		for row, err := range segment.And(of, at).Ascending(ctx, 0) {
			if err != nil {
				return segment.Set{}, err
			}
			_, file, err := part.s.DocumentAt(ctx, row)
			if err != nil {
				return segment.Set{}, err
			}
			if file == id.File {
				sets = append(sets, part.s.Between(row, row+1))
			}
		}
	}
	set := segment.Or(sets...)
	if q.operator == IsNot || q.operator == IsNone {
		set = segment.Not(set)
	}
	return set, nil
}

// endingIn is the rows whose file's name matches a pattern that says only how it ends, from a dot on; and the other
// patterns.
func endingIn(ctx context.Context, s *segment.Segment, all []pattern) (segment.Set, []pattern, error) {
	field := s.Schema().Field(extensionField)
	if field < 0 {
		return s.None(), all, nil
	}
	var endings []string
	var others []pattern
	for _, pattern := range all {
		ending, ok := pattern.ending()
		if !ok {
			others = append(others, pattern)
			continue
		}
		endings = append(endings, ending)
	}
	if len(endings) == 0 {
		return s.None(), all, nil
	}
	set, err := s.Is(ctx, field, endings...)
	return set, others, err
}

// ending returns what must follow the last dot, if the pattern asks for that alone.
func (p pattern) ending() (string, bool) {
	if !p.wild || len(p.parts) != 2 || len(p.parts[0].runes) > 0 || !p.parts[1].exact {
		return "", false
	}
	after, ok := strings.CutPrefix(p.parts[1].text, ".")
	return after, ok && !strings.Contains(after, ".")
}

// matchingTerms is the rows that have a term that any of the patterns matches.
func matchingTerms(ctx context.Context, s *segment.Segment, field int, patterns []pattern) (segment.Set, error) {
	var literals []string
	var sets []segment.Set
	for _, pattern := range patterns {
		if !pattern.wild {
			literals = append(literals, pattern.literal)
			continue
		}
		if pattern.everything() {
			set, err := s.Having(ctx, field)
			if err != nil {
				return segment.Set{}, err
			}
			sets = append(sets, set)
			continue
		}
		like := segment.Pattern{Prefix: pattern.head(), Match: func(term []byte) bool { return pattern.match(string(term)) }}
		for _, part := range pattern.parts {
			like.Parts = append(like.Parts, part.exactPieces()...)
		}
		set, err := s.Like(ctx, field, like)
		if err != nil {
			return segment.Set{}, err
		}
		sets = append(sets, set)
	}
	if len(literals) > 0 {
		set, err := s.Is(ctx, field, literals...)
		if err != nil {
			return segment.Set{}, err
		}
		sets = append(sets, set)
	}
	if len(sets) == 0 {
		return s.None(), nil
	}
	return segment.Or(sets...), nil
}

// everything reports whether the pattern is stars and nothing else.
func (p pattern) everything() bool {
	return p.wild && !slices.ContainsFunc(p.parts, func(part part) bool { return len(part.runes) > 0 })
}

// exactPieces are the texts that stand between the question marks of a part.
func (p part) exactPieces() []string {
	if p.exact {
		return []string{p.text}
	}
	var all []string
	for piece := range strings.SplitSeq(string(slices.Clone(p.runes)), string(anyRune)) {
		all = append(all, piece)
	}
	return all
}

// number is the rows for which a predicate on a number, a time or a truth holds.
func (p *packedRun) number(ctx context.Context, part *packedPart, q *predicate) (segment.Set, error) {
	column := part.s.Schema().Column(q.term.name)
	if column < 0 {
		return segment.Set{}, errUnpacked
	}
	between := func(from, to int64) (segment.Set, error) {
		if from > to {
			return part.s.None(), nil
		}
		return part.s.Numbers(ctx, column, from, to)
	}
	switch q.operator {
	case Exists:
		return between(absent+1, math.MaxInt64)
	case DoesNotExist:
		return between(absent, absent)
	case GreaterThan:
		if q.numbers[0] == math.MaxInt64 {
			return part.s.None(), nil
		}
		return between(max(q.numbers[0]+1, absent+1), math.MaxInt64)
	case LessThan:
		if q.numbers[0] == math.MinInt64 {
			return part.s.None(), nil
		}
		return between(absent+1, q.numbers[0]-1)
	case Is, IsAny, IsNot, IsNone:
		sets := []segment.Set{part.s.None()}
		for _, n := range q.numbers {
			set, err := between(n, n)
			if err != nil {
				return segment.Set{}, err
			}
			sets = append(sets, set)
		}
		set := segment.Or(sets...)
		if q.operator == IsNot || q.operator == IsNone {
			set = segment.Not(set)
		}
		return set, nil
	}
	if q.within.from >= q.within.to {
		return part.s.None(), nil
	}
	return between(max(q.within.from, absent+1), q.within.to-1)
}

// candidate is a match that may stand on the page: a row of a part, or an event of the tail.
type candidate struct {
	part *packedPart
	row  int
	rank
	// Ties of rank are decided by the event's id, of which these are the parts that cost little to read; in the order of
	// time by the record.
	arrival, hash int64
	file          int
	record        forensic.RecordID
	event         event // of the tail; of a row when it is loaded
}

// pageOf picks the page.
func (p *packedRun) pageOf(ctx context.Context, total int) (Result, error) {
	q, skip := p.query, max(p.query.page-1, 0)*p.query.size
	most := skip + q.size + 1
	found := make([][]candidate, len(p.parts))
	err := pace.Each(ctx, len(p.parts), width, func(ctx context.Context, i int) (err error) {
		found[i], err = p.first(ctx, p.parts[i], most)
		return err
	})
	if err != nil {
		return Result{}, err
	}
	all := slices.Concat(found...)
	for _, t := range p.tail {
		c := p.ofTail(t)
		if p.start == nil || p.afterStart(&c) {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b candidate) int { return p.compare(&a, &b) })
	result := Result{Total: min(total, MaxRows)}
	rows := all[min(skip, len(all)):]
	page := rows[:min(q.size, len(rows))]
	if err := p.load(ctx, page); err != nil {
		return Result{}, err
	}
	for i := range page {
		result.events = append(result.events, page[i].event)
	}
	if q.inTokens() && len(rows) > q.size {
		result.Next = result.events[q.size-1].id()
	}
	return result, nil
}

func (p *packedRun) ofTail(t ranked) candidate {
	m := t.event.message
	return candidate{
		rank: t.rank, arrival: m.Arrival.UnixMilli(), hash: hashNumber(m.Record.Hash()),
		file: t.event.file, record: m.Record, event: t.event,
	}
}

// compare orders candidates as the query asks.
func (p *packedRun) compare(a, b *candidate) int {
	if a.missing != b.missing {
		if b.missing {
			return -1
		}
		return 1
	}
	c := 0
	switch {
	case p.query.sort.name == "@timestamp":
		c = cmp.Or(cmp.Compare(a.num, b.num), cmp.Compare(a.record, b.record), cmp.Compare(a.connection(), b.connection()))
	case p.query.sort.name != "event.id" && !a.missing:
		c = cmp.Or(cmp.Compare(a.num, b.num), strings.Compare(a.text, b.text))
	}
	c = cmp.Or(
		c,
		cmp.Compare(a.arrival, b.arrival),
		cmp.Compare(a.connection(), b.connection()),
		cmp.Compare(a.hash, b.hash),
		cmp.Compare(a.file, b.file),
	)
	if !p.query.ascending {
		return -c
	}
	return c
}

func (c *candidate) connection() connection.ID {
	if c.part != nil {
		return c.part.conn.ID
	}
	return c.event.conn.ID
}

// afterStart reports whether an event of the tail comes after the place that the page begins at.
func (p *packedRun) afterStart(c *candidate) bool {
	if p.query.sort.name == "@timestamp" {
		return p.start.before(c.event.posting(), c.file, p.query.ascending)
	}
	return p.start.rank.compare(c.rank, p.query.ascending) < 0
}

// load reads the events of those candidates that are rows. A message that is gone meanwhile fails the answer: the
// manifest has changed, or it expires this second.
func (p *packedRun) load(ctx context.Context, page []candidate) error {
	var at []segment.Document
	var which []int
	for i := range page {
		if page[i].part == nil {
			continue
		}
		where, _, err := page[i].part.s.DocumentAt(ctx, page[i].row)
		if err != nil {
			return err
		}
		at, which = append(at, where), append(which, i)
	}
	documents, err := segment.ReadDocuments(ctx, p.packs.blocks, at)
	if err != nil {
		return err
	}
	ids := map[connection.ID][]forensic.RecordID{}
	for i, document := range documents {
		c := &page[which[i]]
		c.record = recordOf(string(document))
		ids[c.connection()] = append(ids[c.connection()], c.record)
	}
	messages := map[messageKey]*forensic.Message{}
	for conn, records := range ids {
		for some := range slices.Chunk(records, batchSize) {
			found, err := forensic.Load(ctx, p.events, conn, some)
			if err != nil {
				return err
			}
			for i := range found {
				messages[messageKey{conn, found[i].Record}] = &found[i]
			}
		}
	}
	for _, i := range which {
		c := &page[i]
		m := messages[messageKey{c.connection(), c.record}]
		if m == nil || c.file >= len(m.Files) {
			return fmt.Errorf("message %s of connection %s: %w", c.record, c.connection(), segment.ErrGone)
		}
		own, err := p.ownDomains(ctx, c.connection())
		if err != nil {
			return err
		}
		c.event = event{message: m, file: c.file, conn: c.part.conn, own: own}
	}
	return nil
}

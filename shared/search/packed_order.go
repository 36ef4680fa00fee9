package search

import (
	"context"
	"math"
	"slices"

	"github.com/mailtrail/mailtrail/shared/forensic"
	"github.com/mailtrail/mailtrail/shared/segment"
)

// first are the first matches of a part in the order of the query, at most so many, after the place that the page
// begins at.
func (p *packedRun) first(ctx context.Context, part *packedPart, most int) ([]candidate, error) {
	if p.query.sort.name == "@timestamp" {
		return p.firstByTime(ctx, part, most)
	}
	s := part.s
	arrivals, hashes := s.Schema().Column("event.ingested"), s.Schema().Column(hashColumn)
	byID := segment.Order{Column: arrivals, Then: []int{hashes}, Descending: !p.query.ascending}
	if p.query.sort.name == "event.id" {
		after, err := p.afterID(ctx, part)
		if err != nil {
			return nil, err
		}
		return p.top(ctx, part, part.set, byID, after, most, false)
	}

	order := segment.Order{Then: []int{arrivals, hashes}, Descending: !p.query.ascending}
	name := p.query.sort.name
	var having segment.Set
	var err error
	if p.query.sort.kind == text {
		order.ByField, order.Field = true, s.Schema().Field(name)
		if order.Field < 0 || part.pack.long || p.form.own[p.query.sort] && !part.own {
			return nil, errUnpacked
		}
		having, err = s.Having(ctx, order.Field)
	} else {
		if order.Column = s.Schema().Column(name); order.Column < 0 {
			return nil, errUnpacked
		}
		having, err = s.Numbers(ctx, order.Column, absent+1, math.MaxInt64)
	}
	if err != nil {
		return nil, err
	}

	// What has a value comes first, in either direction; then what has none, by id.
	var all []candidate
	if p.start == nil || !p.start.rank.missing {
		after, err := p.afterValue(ctx, part, order)
		if err != nil {
			return nil, err
		}
		if all, err = p.top(ctx, part, segment.And(part.set, having), order, after, most, false); err != nil {
			return nil, err
		}
	}
	if len(all) == most {
		return all, nil
	}
	var after *segment.After
	if p.start != nil && p.start.rank.missing {
		if after, err = p.afterID(ctx, part); err != nil {
			return nil, err
		}
	}
	rest, err := p.top(ctx, part, segment.And(part.set, segment.Not(having)), byID, after, most-len(all), true)
	return append(all, rest...), err
}

// firstByTime walks through the rows, which are in the order of time.
func (p *packedRun) firstByTime(ctx context.Context, part *packedPart, most int) ([]candidate, error) {
	from, below := 0, part.s.Rows()
	if p.start != nil {
		at, file := p.start.posting, p.start.file
		// Of rows of one time and record, those of another connection stand before or after all files.
		switch {
		case at.conn.ID < part.conn.ID:
			file = 0
		case at.conn.ID > part.conn.ID:
			file = segment.MaxPart
		case p.query.ascending:
			file++
		}
		row, err := part.s.Rank(ctx, at.at.UnixMilli(), recordTerm(at.record), file)
		if err != nil {
			return nil, err
		}
		if p.query.ascending {
			from = row
		} else {
			below = row
		}
	}
	walk := part.set.Descending(ctx, below)
	if p.query.ascending {
		walk = part.set.Ascending(ctx, from)
	}
	var rows []int
	for row, err := range walk {
		if err != nil {
			return nil, err
		}
		if rows = append(rows, row); len(rows) == most {
			break
		}
	}
	all := make([]candidate, len(rows))
	var at []segment.Document
	for i, row := range rows {
		t, err := part.s.Time(ctx, row)
		if err != nil {
			return nil, err
		}
		where, file, err := part.s.DocumentAt(ctx, row)
		if err != nil {
			return nil, err
		}
		at = append(at, where)
		all[i] = candidate{part: part, row: row, rank: rank{num: t}, file: file}
	}
	// Records decide between segments; with one segment the rows are in order.
	if len(p.parts) > 1 || len(p.tail) > 0 {
		documents, err := segment.ReadDocuments(ctx, p.packs.blocks, at)
		if err != nil {
			return nil, err
		}
		for i := range all {
			all[i].record = recordOf(string(documents[i]))
		}
	}
	return all, nil
}

// top are the first rows of a set in an order.
func (p *packedRun) top(
	ctx context.Context,
	part *packedPart,
	set segment.Set,
	order segment.Order,
	after *segment.After,
	most int,
	missing bool,
) ([]candidate, error) {
	s := part.s
	hits, err := s.Top(ctx, set, order, after, most)
	if err != nil {
		return nil, err
	}
	all := make([]candidate, len(hits))
	for i, h := range hits {
		c := candidate{part: part, row: h.Row, rank: rank{missing: missing}}
		if !missing && !order.ByField && p.query.sort.name != "event.id" {
			c.num = h.Value
		}
		if _, c.file, err = s.DocumentAt(ctx, h.Row); err != nil {
			return nil, err
		}
		if c.arrival, err = s.Number(ctx, s.Schema().Column("event.ingested"), h.Row); err != nil {
			return nil, err
		}
		if c.hash, err = s.Number(ctx, s.Schema().Column(hashColumn), h.Row); err != nil {
			return nil, err
		}
		all[i] = c
	}
	if order.ByField {
		ordinals := make([]int, len(hits))
		for i, h := range hits {
			ordinals[i] = int(h.Value)
		}
		terms, err := s.TermsAt(ctx, order.Field, ordinals)
		if err != nil {
			return nil, err
		}
		for i := range all {
			all[i].text = terms[i]
		}
	}
	return all, nil
}

// afterID is the place in the order of event ids that the page begins after; nil when it begins at the start.
func (p *packedRun) afterID(ctx context.Context, part *packedPart) (*segment.After, error) {
	if p.start == nil {
		return nil, nil
	}
	id, err := forensic.ParseEventID(p.start.rank.id)
	if err != nil {
		return nil, err
	}
	after := &segment.After{Value: id.Arrival.UnixMilli(), Then: []int64{hashNumber(id.Hash)}}
	return after, p.place(ctx, part, id, after, 0)
}

// place completes a place by an event id, whose hash is the number at index i of the further columns. Ids of one
// arrival are ordered by connection first.
func (p *packedRun) place(
	ctx context.Context,
	part *packedPart,
	id forensic.EventID,
	after *segment.After,
	i int,
) error {
	switch {
	case part.conn.ID < id.Connection: // all rows of this arrival stand before the place
		after.Then[i], after.Row = math.MaxInt64, math.MaxInt
		return nil
	case part.conn.ID > id.Connection: // all stand behind it
		after.Then[i], after.Row = math.MinInt64, 0
		return nil
	}
	// Rows of one message follow each other by file.
	set, err := part.s.Numbers(ctx, part.s.Schema().Column(hashColumn), after.Then[i], after.Then[i])
	if err != nil {
		return err
	}
	after.Row = 0
	if p.query.ascending {
		after.Row = math.MaxInt
	}
	for row, err := range set.Ascending(ctx, 0) {
		if err != nil {
			return err
		}
		_, file, err := part.s.DocumentAt(ctx, row)
		if err != nil {
			return err
		}
		if p.query.ascending && file > id.File {
			after.Row = row
			break
		}
		if !p.query.ascending && file < id.File {
			after.Row = row + 1
		}
	}
	return nil
}

// afterValue is the place in any other order that the page begins after.
func (p *packedRun) afterValue(ctx context.Context, part *packedPart, order segment.Order) (*segment.After, error) {
	if p.start == nil {
		return nil, nil
	}
	id, err := forensic.ParseEventID(p.start.rank.id)
	if err != nil {
		return nil, err
	}
	after := &segment.After{Value: p.start.rank.num, Then: []int64{id.Arrival.UnixMilli(), hashNumber(id.Hash)}}
	if order.ByField {
		ordinal, found, err := part.s.Seek(ctx, order.Field, p.start.rank.text)
		if err != nil {
			return nil, err
		}
		after.Value = int64(ordinal)
		if !found { // the place lies before that term
			after.Then, after.Row = slices.Repeat([]int64{math.MinInt64}, 2), 0
			return after, nil
		}
	}
	return after, p.place(ctx, part, id, after, 1)
}

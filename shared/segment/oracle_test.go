package segment_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/mailtrail/mailtrail/shared/segment"
)

var schema = segment.Schema{
	Fields: []segment.Field{
		{Name: "record", Ordinals: true},
		{Name: "name", Parts: true, Ordinals: true},
		{Name: "recipient", Parts: true, Ordinals: true},
		{Name: "sender", Ordinals: true},
		{Name: "tag"}, // few rows have one
	},
	Columns: []string{"size", "place", "kind"},
	Key:     "record",
}

const (
	recordField = iota
	nameField
	recipientField
	senderField
	tagField
)

// fact is a row as the oracle knows it.
type fact struct {
	segment.Row
	document string
}

func (f fact) key() uint64 { return binary.BigEndian.Uint64([]byte(f.Terms[recordField][0])) }

func compareFacts(a, b fact) int {
	return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.key(), b.key()), cmp.Compare(a.Part, b.Part))
}

// makeFacts makes n rows: with times that come twice, names that share beginnings, terms that every row has, that a few
// have, and none.
func makeFacts(t testing.TB, s *store, run segment.Run, r *rand.Rand, n int) []fact {
	t.Helper()
	docs := segment.NewDocuments(s, run)
	var facts []fact
	for len(facts) < n {
		key := binary.BigEndian.AppendUint64(nil, r.Uint64())
		at := int64(r.IntN(n * 2))
		doc := fmt.Sprintf("mail %x of %d, and a text that is long enough to be worth packing", key, at)
		where, err := docs.Add(t.Context(), []byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		for part := range 1 + min(r.IntN(4), r.IntN(4)) {
			f := fact{document: doc}
			f.Time, f.Document, f.Part = at, where, part
			f.Numbers = []int64{int64(r.IntN(2_000_000)) - 1, at*1000 + int64(r.IntN(5000)), int64(r.IntN(4))}
			f.Terms = [][]string{
				{string(key)},
				{fmt.Sprintf("%s %d.%s", words[r.IntN(len(words))], r.IntN(n), words[r.IntN(3)])},
				nil, {fmt.Sprintf("person%02d@corp.example", min(r.IntN(40), r.IntN(40)))}, nil,
			}
			for range r.IntN(4) {
				address := fmt.Sprintf("%s@%s%d.example", words[r.IntN(len(words))], words[r.IntN(len(words))], r.IntN(20))
				f.Terms[recipientField] = append(f.Terms[recipientField], address)
			}
			if r.IntN(50) == 0 {
				f.Terms[tagField] = []string{"", "rare", "rare"}[:1+r.IntN(3)]
			}
			facts = append(facts, f)
		}
	}
	if err := docs.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return facts
}

var words = strings.Fields("pdf docx png report budget invoice plan contract größe 報告書 " +
	" offer minutes roster draft summary aab aba baa \xff\xfe\xff")

func build(t testing.TB, s *store, run segment.Run, facts []fact) *segment.Segment {
	t.Helper()
	rows := make([]segment.Row, len(facts))
	for i, f := range facts {
		rows[i] = f.Row
	}
	if err := segment.Build(t.Context(), s, run, schema, rows); err != nil {
		t.Fatal(err)
	}
	return open(t, s, run)
}

func open(t testing.TB, s segment.Blocks, run segment.Run) *segment.Segment {
	t.Helper()
	seg, err := segment.Open(t.Context(), s, run)
	if err != nil {
		t.Fatal(err)
	}
	return seg
}

// question is a condition that both can answer.
type question struct {
	text string
	ask  func(ctx context.Context, s *segment.Segment) (segment.Set, error)
	is   func(f fact) bool
}

func has(f fact, field int, match func(string) bool) bool {
	return slices.ContainsFunc(f.Terms[field], match)
}

// randomQuestion makes one, of some depth at the most.
func randomQuestion(r *rand.Rand, facts []fact, depth int) question {
	someTerm := func(field int) string {
		for range 20 {
			if all := facts[r.IntN(len(facts))].Terms[field]; len(all) > 0 {
				return all[r.IntN(len(all))]
			}
		}
		return "nowhere"
	}
	field := []int{recordField, nameField, nameField, recipientField, senderField, tagField}[r.IntN(6)]
	kind := r.IntN(10)
	if depth == 0 {
		kind = r.IntN(7)
	}
	switch kind {
	case 0, 1:
		terms := []string{someTerm(field)}
		for range r.IntN(2) * r.IntN(30) {
			terms = append(terms, someTerm(field))
		}
		if r.IntN(5) == 0 {
			terms = append(terms, "not there", "")
		}
		return question{fmt.Sprintf("%d is any of %q", field, terms),
			func(ctx context.Context, s *segment.Segment) (segment.Set, error) { return s.Is(ctx, field, terms...) },
			func(f fact) bool { return has(f, field, func(t string) bool { return slices.Contains(terms, t) }) }}
	case 2, 3:
		term := someTerm(field)
		from := r.IntN(len(term) + 1)
		part := term[from : from+r.IntN(min(8, len(term)-from)+1)]
		p, is := segment.Pattern{}, func(t string) bool { return strings.Contains(t, part) }
		switch r.IntN(3) {
		case 0:
			part = term[:r.IntN(len(term)+1)]
			p.Prefix, is = part, func(t string) bool { return strings.HasPrefix(t, part) }
		case 1:
			p.Parts = []string{part}
		case 2:
			start := term[:r.IntN(len(term)+1)/2]
			p.Prefix, p.Parts = start, []string{part}
			is = func(t string) bool { return strings.HasPrefix(t, start) && strings.Contains(t, part) }
		}
		p.Match = func(t []byte) bool { return is(string(t)) }
		return question{fmt.Sprintf("%d like prefix %q parts %q", field, p.Prefix, p.Parts),
			func(ctx context.Context, s *segment.Segment) (segment.Set, error) { return s.Like(ctx, field, p) },
			func(f fact) bool { return has(f, field, is) }}
	case 4:
		return question{fmt.Sprintf("having %d", field),
			func(ctx context.Context, s *segment.Segment) (segment.Set, error) { return s.Having(ctx, field) },
			func(f fact) bool { return len(f.Terms[field]) > 0 }}
	case 5:
		c := r.IntN(2)
		a, b := facts[r.IntN(len(facts))].Numbers[c], facts[r.IntN(len(facts))].Numbers[c]
		return question{fmt.Sprintf("column %d from %d to %d", c, min(a, b), max(a, b)),
			func(ctx context.Context, s *segment.Segment) (segment.Set, error) {
				return s.Numbers(ctx, c, min(a, b), max(a, b))
			},
			func(f fact) bool { return f.Numbers[c] >= min(a, b) && f.Numbers[c] <= max(a, b) }}
	case 6:
		a, b := facts[r.IntN(len(facts))].Time, facts[r.IntN(len(facts))].Time
		return question{fmt.Sprintf("time from %d to %d", min(a, b), max(a, b)),
			func(ctx context.Context, s *segment.Segment) (segment.Set, error) {
				return s.Times(ctx, min(a, b), max(a, b))
			},
			func(f fact) bool { return f.Time >= min(a, b) && f.Time < max(a, b) }}
	case 7:
		q := randomQuestion(r, facts, depth-1)
		return question{"not (" + q.text + ")",
			func(ctx context.Context, s *segment.Segment) (segment.Set, error) {
				x, err := q.ask(ctx, s)
				if err != nil {
					return x, err
				}
				return segment.Not(x), nil
			},
			func(f fact) bool { return !q.is(f) }}
	}
	var all []question
	var texts []string
	for range 1 + r.IntN(3) {
		q := randomQuestion(r, facts, depth-1)
		all, texts = append(all, q), append(texts, "("+q.text+")")
	}
	sets := func(ctx context.Context, s *segment.Segment) ([]segment.Set, error) {
		var out []segment.Set
		for _, q := range all {
			x, err := q.ask(ctx, s)
			if err != nil {
				return nil, err
			}
			out = append(out, x)
		}
		return out, nil
	}
	if kind == 8 {
		return question{strings.Join(texts, " and "),
			func(ctx context.Context, s *segment.Segment) (segment.Set, error) {
				x, err := sets(ctx, s)
				if err != nil {
					return segment.Set{}, err
				}
				return segment.And(x...), nil
			},
			func(f fact) bool { return !slices.ContainsFunc(all, func(q question) bool { return !q.is(f) }) }}
	}
	return question{strings.Join(texts, " or "),
		func(ctx context.Context, s *segment.Segment) (segment.Set, error) {
			x, err := sets(ctx, s)
			if err != nil {
				return segment.Set{}, err
			}
			return segment.Or(x...), nil
		},
		func(f fact) bool { return slices.ContainsFunc(all, func(q question) bool { return q.is(f) }) }}
}

// judge asks a segment many questions, and compares with a scan of the facts, which it sorts.
func judge(t *testing.T, blocks segment.Blocks, s *segment.Segment, facts []fact, r *rand.Rand, questions int) {
	t.Helper()
	slices.SortFunc(facts, compareFacts)
	if s.Rows() != len(facts) {
		t.Fatalf("%d rows, and not %d", s.Rows(), len(facts))
	}
	for range questions {
		q := randomQuestion(r, facts, 3)
		if err := judgeOne(t.Context(), blocks, s, facts, r, q); err != nil {
			t.Errorf("%s: %v", q.text, err)
		}
	}
}

func judgeOne(
	ctx context.Context, blocks segment.Blocks, s *segment.Segment, facts []fact, r *rand.Rand, q question,
) error {
	set, err := q.ask(ctx, s)
	if err != nil {
		return err
	}
	var want []int
	for i, f := range facts {
		if q.is(f) {
			want = append(want, i)
		}
	}
	if n, err := set.Count(ctx); err != nil || n != len(want) {
		return fmt.Errorf("count %d, %v; want %d", n, err, len(want))
	}
	from := r.IntN(len(facts) + 1)
	var got []int
	for row, err := range set.Ascending(ctx, from) {
		if err != nil {
			return err
		}
		got = append(got, row)
	}
	at, _ := slices.BinarySearch(want, from)
	if !slices.Equal(got, want[at:]) {
		return fmt.Errorf("ascending from %d: %d rows, want %d", from, len(got), len(want[at:]))
	}
	got = got[:0]
	for row, err := range set.Descending(ctx, from) {
		if err != nil {
			return err
		}
		got = append(got, row)
	}
	slices.Reverse(got)
	if !slices.Equal(got, want[:at]) {
		return fmt.Errorf("descending from %d: %d rows, want %d", from, len(got), len(want[:at]))
	}
	if len(want) > 0 {
		if err := judgeRow(ctx, blocks, s, facts, want[r.IntN(len(want))]); err != nil {
			return err
		}
	}
	if err := judgeTop(ctx, s, facts, r, set, want); err != nil {
		return err
	}
	return judgeCounts(ctx, s, facts, r, set, want)
}

func judgeRow(ctx context.Context, blocks segment.Blocks, s *segment.Segment, facts []fact, row int) error {
	where, part, err := s.DocumentAt(ctx, row)
	if err != nil || part != facts[row].Part {
		return fmt.Errorf("row %d is part %d, %v", row, part, err)
	}
	docs, err := segment.ReadDocuments(ctx, blocks, []segment.Document{where})
	if err != nil || string(docs[0]) != facts[row].document {
		return fmt.Errorf("document of row %d: %q, %v", row, docs, err)
	}
	f := facts[row]
	rank, err := s.Rank(ctx, f.Time, f.Terms[recordField][0], f.Part)
	if err != nil || rank != row {
		return fmt.Errorf("rank of row %d is %d, %v", row, rank, err)
	}
	for _, other := range []fact{
		{Row: segment.Row{Time: f.Time, Part: f.Part + 1, Terms: f.Terms}},
		{Row: segment.Row{Time: f.Time + 1, Terms: f.Terms}},
	} {
		want, _ := slices.BinarySearchFunc(facts, other, compareFacts)
		if rank, err := s.Rank(ctx, other.Time, other.Terms[recordField][0], other.Part); err != nil || rank != want {
			return fmt.Errorf("rank beside row %d is %d, and not %d, %v", row, rank, want, err)
		}
	}
	return nil
}

func judgeTop(ctx context.Context, s *segment.Segment, facts []fact, r *rand.Rand, set segment.Set, want []int) error {
	// Column 2 has few values: further columns decide.
	o := segment.Order{Column: r.IntN(3), Descending: r.IntN(2) == 0}
	if r.IntN(2) == 0 {
		o.Then = [][]int{{1}, {2, 0}, {2}}[r.IntN(3)]
	}
	value := func(row int) (string, bool) { return fmt.Sprintf("%020d", facts[row].Numbers[o.Column]+1), true }
	if r.IntN(2) == 0 {
		o.ByField, o.Field = true, []int{nameField, recipientField, senderField}[r.IntN(3)]
		value = func(row int) (string, bool) {
			terms := facts[row].Terms[o.Field]
			if len(terms) == 0 {
				return "", false
			}
			if o.Descending {
				return slices.Max(terms), true
			}
			return slices.Min(terms), true
		}
	}
	var rows []int
	for _, row := range want {
		if _, ok := value(row); ok {
			rows = append(rows, row)
		}
	}
	slices.SortFunc(rows, func(a, b int) int {
		x, _ := value(a)
		y, _ := value(b)
		c := cmp.Compare(x, y)
		for _, column := range o.Then {
			c = cmp.Or(c, cmp.Compare(facts[a].Numbers[column], facts[b].Numbers[column]))
		}
		c = cmp.Or(c, cmp.Compare(a, b))
		if o.Descending {
			return -c
		}
		return c
	})
	k := 1 + r.IntN(30)
	var after *segment.After
	for page := range 3 {
		hits, err := s.Top(ctx, set, o, after, k)
		if err != nil {
			return err
		}
		some := rows[min(len(rows), page*k):min(len(rows), (page+1)*k)]
		if !slices.EqualFunc(hits, some, func(h segment.Hit, row int) bool { return h.Row == row }) {
			return fmt.Errorf("page %d of %+v: %v, want %v", page, o, hits, some)
		}
		if len(hits) == 0 {
			break
		}
		last := hits[len(hits)-1]
		after = &segment.After{Value: last.Value, Row: last.Row}
		if !o.Descending {
			after.Row++
		}
		for _, column := range o.Then {
			after.Then = append(after.Then, facts[last.Row].Numbers[column])
		}
	}
	return nil
}

func judgeCounts(
	ctx context.Context, s *segment.Segment, facts []fact, r *rand.Rand, set segment.Set, want []int,
) error {
	field := []int{nameField, recipientField, senderField}[r.IntN(3)]
	t, err := s.Tally(ctx, set, field)
	if err != nil {
		return err
	}
	k := 1 + r.IntN(12)
	got, err := segment.Facet(ctx, []*segment.Tally{t}, k)
	if err != nil {
		return err
	}
	if counts := facet(facts, want, field, k); !slices.Equal(got, counts) {
		return fmt.Errorf("facet of field %d: %v, want %v", field, got, counts)
	}

	edges := make([]int64, 2+r.IntN(8))
	for i := range edges {
		edges[i] = facts[r.IntN(len(facts))].Time
	}
	slices.Sort(edges)
	bars := make([]int, len(edges)-1)
	for _, row := range want {
		for i := range bars {
			if facts[row].Time >= edges[i] && facts[row].Time < edges[i+1] {
				bars[i]++
			}
		}
	}
	if got, err := s.Histogram(ctx, set, edges); err != nil || !slices.Equal(got, bars) {
		return fmt.Errorf("histogram %v, %v; want %v", got, err, bars)
	}
	return nil
}

// facet counts the slow way.
func facet(facts []fact, rows []int, field, k int) []segment.TermCount {
	counts := map[string]int{}
	for _, row := range rows {
		terms := slices.Clone(facts[row].Terms[field])
		slices.Sort(terms)
		for _, t := range slices.Compact(terms) {
			counts[t]++
		}
	}
	var all []segment.TermCount
	for t, n := range counts {
		all = append(all, segment.TermCount{Term: t, Rows: n})
	}
	slices.SortFunc(all, func(a, b segment.TermCount) int {
		return cmp.Or(cmp.Compare(b.Rows, a.Rows), bytes.Compare([]byte(a.Term), []byte(b.Term)))
	})
	return all[:min(k, len(all))]
}

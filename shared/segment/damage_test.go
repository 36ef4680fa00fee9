package segment_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/mailtrail/mailtrail/shared/segment"
)

// sorted are the addresses of a store, in order.
func (s *store) sorted() []segment.Address {
	return slices.SortedFunc(maps.Keys(s.blocks), func(a, b segment.Address) int {
		if a.Run != b.Run {
			return slices.Compare([]string{string(a.Run)}, []string{string(b.Run)})
		}
		return int(a.Number) - int(b.Number)
	})
}

// askAll asks a segment for everything that there is to ask, and returns the first error.
func askAll(ctx context.Context, blocks segment.Blocks, run segment.Run) error {
	s, err := segment.Open(ctx, blocks, run)
	if err != nil {
		return err
	}
	for field := range s.Schema().Fields {
		for _, set := range []func() (segment.Set, error){
			func() (segment.Set, error) { return s.Is(ctx, field, "report", "person01@corp.example", "rare") },
			func() (segment.Set, error) { return s.Having(ctx, field) },
			func() (segment.Set, error) {
				return s.Like(ctx, field, segment.Pattern{Parts: []string{"port"}, Match: func([]byte) bool { return true }})
			},
			func() (segment.Set, error) {
				return s.Like(ctx, field, segment.Pattern{Match: func([]byte) bool { return true }})
			},
			func() (segment.Set, error) { return s.Numbers(ctx, 0, 1000, 100_000) },
			func() (segment.Set, error) { return s.Times(ctx, 10, 300) },
		} {
			x, err := set()
			if err != nil {
				return err
			}
			if _, err := segment.And(segment.Not(x), s.All()).Count(ctx); err != nil {
				return err
			}
			for row, err := range x.Descending(ctx, s.Rows()) {
				if err != nil {
					return err
				}
				where, _, err := s.DocumentAt(ctx, row)
				if err != nil {
					return err
				}
				if _, err := segment.ReadDocuments(ctx, blocks, []segment.Document{where}); err != nil {
					return err
				}
				break
			}
			if _, err := s.Top(ctx, x, segment.Order{Column: 1}, nil, 3); err != nil {
				return err
			}
			if s.Schema().Fields[field].Ordinals {
				t, err := s.Tally(ctx, x, field)
				if err != nil {
					return err
				}
				if _, err := segment.Facet(ctx, []*segment.Tally{t}, 3); err != nil {
					return err
				}
			}
		}
	}
	other := newStore()
	return segment.Merge(ctx, other, "other", nil, segment.Source{Segment: s})
}

// TestADamagedBlockIsAnErrorAndNeverAPanic changes each byte of each block, and cuts each block everywhere, of a small
// segment. What comes of it is an error of ours, or an answer that only differs: there is no checksum at this level,
// for tables have theirs.
func TestADamagedBlockIsAnErrorAndNeverAPanic(t *testing.T) {
	s := newStore()
	facts := makeFacts(t, s, "docs", random(11), 60)
	build(t, s, "segment", facts)
	if err := askAll(t.Context(), s, "segment"); err != nil {
		t.Fatal(err)
	}
	damaged := 0
	for _, a := range s.sorted() {
		whole := s.blocks[a]
		step := max(1, len(whole)/60)
		for i := 0; i < len(whole); i += step {
			for _, change := range []func() []byte{
				func() []byte { b := slices.Clone(whole); b[i] ^= 0x80; return b },
				func() []byte { b := slices.Clone(whole); b[i]++; return b },
				func() []byte { return whole[:i] },
			} {
				s.blocks[a] = change()
				if err := askAll(t.Context(), s, "segment"); err != nil {
					damaged++
				}
			}
		}
		s.blocks[a] = whole
	}
	if damaged == 0 {
		t.Error("no damage was seen")
	}
	for _, a := range s.sorted() {
		whole := s.blocks[a]
		delete(s.blocks, a)
		err := askAll(t.Context(), s, "segment")
		if err != nil && !errors.Is(err, segment.ErrGone) {
			t.Errorf("block %d of %s is missing: %v", a.Number, a.Run, err)
		}
		s.blocks[a] = whole
	}
}

func FuzzOpen(f *testing.F) {
	s := newStore()
	facts := makeFacts(f, s, "docs", random(12), 20)
	build(f, s, "segment", facts)
	all := s.sorted()
	for i, a := range all {
		f.Add(i, s.blocks[a])
	}
	f.Fuzz(func(_ *testing.T, which int, block []byte) {
		if which < 0 || which >= len(all) {
			return
		}
		changed := newStore()
		maps.Copy(changed.blocks, s.blocks)
		changed.blocks[all[which]] = block
		_ = askAll(context.Background(), changed, "segment") // it returns
	})
}

// TestAWriteThatFailsLeavesNoSegment fails at each write: the root, which names all others, is not there then.
func TestAWriteThatFailsLeavesNoSegment(t *testing.T) {
	s := newStore()
	facts := makeFacts(t, s, "docs", random(13), 200)
	seg := build(t, s, "segment", facts)
	rows := make([]segment.Row, len(facts))
	for i := range facts {
		rows[i] = facts[i].Row
	}
	for what, do := range map[string]func(w segment.Writer) error{
		"build": func(w segment.Writer) error { return segment.Build(t.Context(), w, "new", schema, rows) },
		"merge": func(w segment.Writer) error {
			return segment.Merge(t.Context(), w, "new", nil, segment.Source{Segment: seg})
		},
	} {
		whole := newStore()
		if err := do(whole); err != nil {
			t.Fatal(err)
		}
		for fail := 1; fail <= whole.writes; fail++ {
			part := newStore()
			part.fail = fail
			if err := do(part); !errors.Is(err, errFull) {
				t.Fatalf("%s: write %d fails: %v", what, fail, err)
			}
			if _, err := segment.Open(t.Context(), part, "new"); !errors.Is(err, segment.ErrGone) {
				t.Errorf("%s: write %d failed, and there is a segment: %v", what, fail, err)
			}
		}
	}
}

func TestWhatIsNewerIsRefused(t *testing.T) {
	s := newStore()
	facts := makeFacts(t, s, "docs", random(14), 5)
	build(t, s, "segment", facts)
	root := segment.Address{Run: "segment"}
	s.blocks[root] = append([]byte{segment.Form + 1}, s.blocks[root][1:]...)
	if _, err := segment.Open(t.Context(), s, "segment"); !errors.Is(err, segment.ErrNewer) {
		t.Errorf("a newer form: %v", err)
	}
	doc := segment.Address{Run: "docs"}
	s.blocks[doc] = append([]byte{9}, s.blocks[doc][1:]...)
	_, err := segment.ReadDocuments(t.Context(), s, []segment.Document{{Address: doc}})
	if !errors.Is(err, segment.ErrNewer) {
		t.Errorf("newer documents: %v", err)
	}
}

func TestRowsThatFitNoSegmentAreRefused(t *testing.T) {
	good := func() segment.Row {
		return segment.Row{Terms: [][]string{{"12345678"}, nil, nil, nil, nil}, Numbers: []int64{1, 2, 3}}
	}
	for want, change := range map[string]func(*segment.Row, *segment.Schema){
		"the schema has 5 and 3": func(r *segment.Row, _ *segment.Schema) { r.Numbers = nil },
		"a row has 2 keys":       func(r *segment.Row, _ *segment.Schema) { r.Terms[0] = []string{"a", "b"} },
		"is part 65536":          func(r *segment.Row, _ *segment.Schema) { r.Part = segment.MaxPart },
		"has 4001 bytes": func(r *segment.Row, _ *segment.Schema) {
			r.Terms[1] = []string{strings.Repeat("a", segment.MaxTerm+1)}
		},
		`key "none" is no field`:    func(_ *segment.Row, s *segment.Schema) { s.Key = "none" },
		`key "tag" is no field`:     func(_ *segment.Row, s *segment.Schema) { s.Key = "tag" },
		`column "size" is there tw`: func(_ *segment.Row, s *segment.Schema) { s.Columns = []string{"size", "size"} },
	} {
		row, s := good(), schema
		s.Fields, s.Columns = slices.Clone(s.Fields), slices.Clone(s.Columns)
		change(&row, &s)
		err := segment.Build(t.Context(), newStore(), "new", s, []segment.Row{row})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one that says %q", err, want)
		}
	}
	if err := segment.Build(t.Context(), newStore(), "new", schema, nil); err == nil {
		t.Error("a segment of no rows was built")
	}
	if err := segment.Build(t.Context(), newStore(), "new", schema, []segment.Row{good()}); err != nil {
		t.Error(err)
	}
}

func TestTheCacheStaysWithinItsLimit(t *testing.T) {
	s := newStore()
	for i := range 100 {
		s.blocks[segment.Address{Run: "r", Number: uint32(i)}] = []byte(fmt.Sprintf("%01000d", i))
	}
	c := segment.NewCache(s, 10_000)
	ask := func(n int, keep bool) {
		t.Helper()
		b, err := c.Read(t.Context(), []segment.Address{{Run: "r", Number: uint32(n)}, {Run: "r", Number: 0}}, keep)
		if err != nil || string(b[0]) != fmt.Sprintf("%01000d", n) || string(b[1]) != fmt.Sprintf("%01000d", 0) {
			t.Fatalf("block %d: %v", n, err)
		}
	}
	for i := 1; i < 100; i++ {
		ask(i, true)
	}
	before := s.reads
	ask(99, true)
	if s.reads != before {
		t.Error("the newest block is not held")
	}
	ask(1, false)
	if s.reads != before+1 {
		t.Error("the oldest block is still held")
	}
	ask(1, false)
	if s.reads != before+2 {
		t.Error("a block that was not to be kept is held")
	}
	if _, err := c.Read(t.Context(), []segment.Address{{Run: "r", Number: 1000}}, true); !errors.Is(err, segment.ErrGone) {
		t.Errorf("a block that is not there: %v", err)
	}
}

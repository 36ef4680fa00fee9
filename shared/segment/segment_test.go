package segment_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/mailtrail/mailtrail/shared/segment"
)

func random(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 4711)) }

func TestASegmentAnswersLikeAScan(t *testing.T) {
	for seed, n := range []int{1, 2, 17, 300, 5000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			r, s := random(uint64(seed)), newStore()
			facts := makeFacts(t, s, "docs", r, n)
			judge(t, s, build(t, s, "segment", facts), facts, r, 60)
		})
	}
}

// TestALargeSegmentAnswersLikeAScan has several chunks of rows, and lists that do not fit into one read.
func TestALargeSegmentAnswersLikeAScan(t *testing.T) {
	r, s := random(7), newStore()
	facts := makeFacts(t, s, "docs", r, 100_000)
	cache := segment.NewCache(s, 1<<20)
	build(t, s, "segment", facts)
	judge(t, cache, open(t, cache, "segment"), facts, r, 12)
}

func TestAMergeAnswersLikeAScan(t *testing.T) {
	r, s := random(3), newStore()
	var all []fact
	var sources []segment.Source
	for i, n := range []int{400, 1, 2500, 90, 1200} {
		facts := makeFacts(t, s, segment.Run(fmt.Sprint("docs", i)), r, n)
		seg := build(t, s, segment.Run(fmt.Sprint("segment", i)), facts)
		slices.SortFunc(facts, compareFacts)
		var drop []int
		for row, f := range facts {
			if i%2 == 0 && r.IntN(10) == 0 {
				drop = append(drop, row)
				continue
			}
			all = append(all, f)
		}
		source := segment.Source{Segment: seg}
		if len(drop) > 0 {
			source.Drop = seg.RowSet(drop...)
		}
		sources = append(sources, source)
	}
	if err := segment.Merge(t.Context(), s, "merged", nil, sources...); err != nil {
		t.Fatal(err)
	}
	merged := open(t, s, "merged")
	judge(t, s, merged, all, r, 60)

	// Merged once more, alone, with its documents written anew, nothing changes.
	docs := segment.NewDocuments(s, "docs again")
	if err := segment.Merge(t.Context(), s, "again", docs, segment.Source{Segment: merged}); err != nil {
		t.Fatal(err)
	}
	for a := range s.blocks {
		if a.Run != "again" && a.Run != "docs again" && a.Run != "merged" {
			delete(s.blocks, a)
		}
	}
	judge(t, s, open(t, s, "again"), all, r, 20)

	err := segment.Merge(t.Context(), s, "nothing", nil, segment.Source{Segment: merged, Drop: merged.All()})
	if err != segment.ErrEmpty {
		t.Errorf("a merge of nothing: %v", err)
	}
}

// TestAFacetOverSegmentsIsExact has terms that are nowhere among the first, and are so in the sum.
func TestAFacetOverSegmentsIsExact(t *testing.T) {
	for seed := range uint64(12) {
		r, s := random(100+seed), newStore()
		var all []fact
		var segments []*segment.Segment
		for i := range 2 + r.IntN(4) {
			facts := makeFacts(t, s, segment.Run(fmt.Sprint("docs", i)), r, 20+r.IntN(200))
			segments = append(segments, build(t, s, segment.Run(fmt.Sprint("segment", i)), facts))
			all = append(all, facts...)
		}
		rows := make([]int, len(all))
		for i := range rows {
			rows[i] = i
		}
		for _, field := range []int{nameField, recipientField, senderField} {
			var tallies []*segment.Tally
			for _, seg := range segments {
				tally, err := seg.Tally(t.Context(), seg.All(), field)
				if err != nil {
					t.Fatal(err)
				}
				tallies = append(tallies, tally)
			}
			for _, k := range []int{1, 5, 10, 1000} {
				got, err := segment.Facet(t.Context(), tallies, k)
				if want := facet(all, rows, field, k); err != nil || !slices.Equal(got, want) {
					t.Fatalf("field %d, first %d: %v, %v; want %v", field, k, got, err, want)
				}
			}
		}
	}
}

package search

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// packer packs an office's mail, however little there is.
func (o *office) packer(rng *rand.Rand) *Packer {
	return &Packer{
		Events: o.table, Connections: o, Watermarks: o, Domains: o, Now: func() time.Time { return o.now },
		Rand: chaos{rng}, At: 1,
	}
}

// chaos is randomness from a seed.
type chaos struct{ *rand.Rand }

func (c chaos) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(c.Uint32())
	}
	return len(b), nil
}

// pack lets a packer run, and search read what it packed.
func (o *office) pack(p *Packer) PackOutcome {
	o.t.Helper()
	outcome, err := p.Run(o.t.Context())
	if err != nil {
		o.t.Fatal(err)
	}
	if o.search.Packs == nil {
		o.search.Packs = NewPacks(o.table, 4<<20)
	}
	return outcome
}

// TestOracleWhilePacking asks random queries while mail comes, is packed in part, and segments are merged.
func TestOracleWhilePacking(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 2))
			o := newOffice(t)
			o.found = o.findings(rng)
			p := o.packer(rng)
			merges := 0
			for range 8 {
				o.fill(rng, 5+rng.IntN(40))
				if rng.IntN(3) > 0 {
					o.watermark = o.now.Add(-time.Duration(rng.IntN(3)) * time.Minute)
					merges += o.pack(p).Merges
				}
				o.watermark = start.AddDate(1, 0, 0)
				docs := documentsOf(o.events)
				g := generator{Rand: rng, docs: docs, office: o}
				for range 8 {
					q := g.query()
					want := q.answer(docs, o.now)
					q.PgSize = 1 + len(want)/5 + rng.IntN(1+len(want)/2)
					if got := o.byNumber(q); !slices.Equal(got, want) {
						t.Fatalf("by page number: %s\n got %d %v\nwant %d %v", q.json(), len(got), got, len(want), want)
					}
					if got := o.byToken(q); !slices.Equal(got, want) {
						t.Fatalf("by token: %s\n got %d %v\nwant %d %v", q.json(), len(got), got, len(want), want)
					}
					if got := o.ask(q.json()).TotalCount; got != len(want) {
						t.Fatalf("%s: total %d, want %d", q.json(), got, len(want))
					}
				}
			}
			packed, passed := o.search.Packs.Answered()
			t.Logf("%d merges; %d searches were answered from segments, %d from postings", merges, packed, passed)
			if packed < 100 || merges == 0 {
				t.Errorf("%d merges; %d searches were answered from segments, %d from postings", merges, packed, passed)
			}
		})
	}
}

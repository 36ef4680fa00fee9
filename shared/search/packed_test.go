package search

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/forensic"
	"github.com/mailtrail/mailtrail/shared/segment"
	"github.com/mailtrail/mailtrail/shared/table"
	"github.com/mailtrail/mailtrail/shared/table/tabletest"
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
					o.judge(g.query(), docs, rng)
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

// TestAPackerThatIsKilledAnywhereHidesNothing lets each call of the table fail in turn, done and not done, and asks
// after each.
func TestAPackerThatIsKilledAnywhereHidesNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	o := newOffice(t)
	o.found = o.findings(rng)
	for range 6 {
		o.fill(rng, 8)
		if rng.IntN(2) == 0 {
			o.pack(o.packer(rng))
		}
	}
	o.search.Packs = NewPacks(o.table, 4<<20)
	docs := documentsOf(o.events)
	g := generator{Rand: rng, docs: docs, office: o}
	killed := errors.New("killed")
	step := 1
	if testing.Short() {
		step = 3
	}
	for call := 1; ; call += step {
		n := 0
		stop := func(string, int) error {
			if n++; n == call {
				return killed
			}
			return nil
		}
		faulty := &tabletest.Faulty{Table: o.table.Table}
		if call%2 == 0 {
			faulty.Before = stop
		} else {
			faulty.After = stop
		}
		p := o.packer(rng)
		p.Events = faulty
		_, err := p.Run(t.Context())
		if err != nil && !errors.Is(err, killed) {
			t.Fatal(err)
		}
		for range 2 {
			q := g.query()
			q.PgSize = 50
			want := q.answer(docs, o.now)
			if got := o.byToken(q); !slices.Equal(got, want) {
				t.Fatalf("after a kill at call %d: %s\n got %d %v\nwant %d %v", call, q.json(), len(got), got, len(want), want)
			}
		}
		if n < call {
			break
		}
		o.fill(rng, 3) // so that there is always something to pack
		docs = documentsOf(o.events)
		g.docs = docs
		if call > 120 {
			break
		}
	}
	// Hours later nothing is left of the runs of the dead: those that are listed are all referred to.
	o.now = o.now.Add(2 * time.Hour)
	o.pack(o.packer(rng))
	o.now = o.now.Add(time.Hour) // what that merged away is deleted too
	o.pack(o.packer(rng))
	for _, c := range o.conns {
		m, err := readManifest(t.Context(), o.table, c.ID)
		if err != nil {
			t.Fatal(err)
		}
		w := &packing{Packer: o.packer(rng), conn: &c, manifest: m}
		used, err := w.runs(t.Context(), m.packs)
		if err != nil {
			t.Fatal(err)
		}
		for item, err := range o.table.Query(t.Context(), table.Query{Partition: runsPartition(c.ID)}) {
			if err != nil || !used[segment.Run(item.Sort)] {
				t.Errorf("run %s of connection %s is listed, and nothing refers to it: %v", item.Sort, c.ID, err)
			}
		}
	}
}

// TestWhatChangesAfterItWasPackedIsFoundAsItIs settles messages once more, with what was missing, after they were
// packed.
func TestWhatChangesAfterItWasPackedIsFoundAsItIs(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 6))
	o := newOffice(t)
	o.found = func(forensic.Message) *forensic.Finding {
		return &forensic.Finding{At: o.now, Reason: forensic.NotFound}
	}
	o.fill(rng, 40)
	p := o.packer(rng)
	if n := o.pack(p).Messages; n != 40 {
		t.Fatalf("%d messages were packed", n)
	}
	late := o.events[0].message
	ask := func() []string {
		return o.ask(`{"groups":[{"filters":[{"term":"destination.email.bcc","operator":"IS","value":"late@paper.example"}]}]}`).
			ids()
	}
	if got := ask(); len(got) > 0 {
		t.Fatalf("found before it is there: %v", got)
	}
	finding := forensic.Finding{
		At: o.now.Add(time.Hour), Again: true, From: late.From, Sender: late.Sender,
		Recipients: []forensic.Recipient{{Address: "late@paper.example", Role: forensic.Bcc}},
	}
	for i, f := range late.Files {
		finding.Files = append(finding.Files, forensic.Attachment{Record: i, Name: f.Name, Size: 7,
			NoHash: forensic.HashingOff})
	}
	if err := o.desk.Settle(t.Context(), *late, finding); err != nil {
		t.Fatal(err)
	}
	var want []string
	for i := range late.Files {
		want = append([]string{late.EventID(i).String()}, want...)
	}
	all := len(o.events)
	check := func(when string) {
		t.Helper()
		if got := ask(); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", when, got, want)
		}
		total := o.ask(`{"groups":[{"filters":[{"term":"event.observer","operator":"IS","value":"Office365"}]}]}`).TotalCount
		if total != all {
			t.Errorf("%s: %d events, want %d", when, total, all)
		}
	}
	check("before it is packed again")
	o.pack(p)
	check("packed again")
	changes, err := forensic.Changes(t.Context(), o.table, late.Connection, 10)
	if err != nil || len(changes) > 0 {
		t.Errorf("changes are left: %v, %v", changes, err)
	}
	if from, _ := o.search.Packs.Answered(); from == 0 {
		t.Error("nothing was answered from segments")
	}
}

func TestAPurgeLeavesNothingThatWasPacked(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	o := newOffice(t)
	for range 9 {
		o.fill(rng, 10)
		o.pack(o.packer(rng))
	}
	c := o.conns[0].ID
	for i := 0; ; i++ {
		_, done, err := PurgePacks(t.Context(), o.table, c, 7)
		if err != nil {
			t.Fatal(err)
		}
		if done {
			break
		}
		if i > 10_000 {
			t.Fatal("a purge does not end")
		}
	}
	if m, err := readManifest(t.Context(), o.table, c); err != nil || m.revision != 0 {
		t.Errorf("a manifest is left: %v, %v", m, err)
	}
	other, err := readManifest(t.Context(), o.table, o.conns[1].ID)
	if err != nil || len(other.packs) == 0 {
		t.Errorf("another connection's packs are gone: %v, %v", other, err)
	}
}

// TestPacksFollowTheCompanysDomains asks for what depends on them while they change.
func TestPacksFollowTheCompanysDomains(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 8))
	o := newOffice(t)
	o.fill(rng, 60)
	p := o.packer(rng)
	o.pack(p)
	p.Domains = ownDomains{"rival.example"}
	o.search.Domains = p.Domains
	for i := range o.events {
		o.events[i].own = []string{"rival.example"}
	}
	docs := documentsOf(o.events)
	check := func() {
		t.Helper()
		for _, value := range []string{"rival.example", "partner.example", "*.example"} {
			q := oracleQuery{Groups: []oracleGroup{{Filters: []oracleFilter{{"risk.untrustedValues.domains", "IS", value}}}},
				PgSize: 1000}
			if got, want := o.byToken(q), q.answer(docs, o.now); !slices.Equal(got, want) {
				t.Errorf("%s: %d found, want %d", value, len(got), len(want))
			}
		}
	}
	check()
	from, _ := o.search.Packs.Answered()
	if from > 0 {
		t.Error("answered from segments that were made with other domains")
	}
	o.now = o.now.Add(time.Hour)
	o.pack(p)
	check()
	if from, _ := o.search.Packs.Answered(); from == 0 {
		t.Error("the segments were not made again")
	}
}

type ownDomains []string

func (d ownDomains) Domains(context.Context, connection.ID) ([]string, error) { return d, nil }

// TestMoreChangesThanAreReadHideNothing has more changed messages than a search reads by itself.
func TestMoreChangesThanAreReadHideNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	o := newOffice(t)
	o.fill(rng, 30)
	o.pack(o.packer(rng))
	c := o.events[0].conn.ID
	items := make([]table.Item, tailMost+1)
	for i := range items {
		key := table.Key{Partition: string(c) + "|changed", Sort: fmt.Sprintf("%08d|1", i)}
		items[i] = table.Item{Key: key}
	}
	if err := o.table.Load(t.Context(), items...); err != nil {
		t.Fatal(err)
	}
	const query = `{"groups":[{"filters":[{"term":"event.observer","operator":"IS","value":"Office365"}]}]}`
	if total := o.ask(query).TotalCount; total != len(o.events) {
		t.Errorf("%d events, want %d", total, len(o.events))
	}
	if _, passed := o.search.Packs.Answered(); passed != 1 {
		t.Errorf("%d searches were passed on to the postings", passed)
	}
}

// TestAMailThatWasReadTwiceIsPackedOnce has a second posting by arrival, as a crash while a blob was read leaves it.
func TestAMailThatWasReadTwiceIsPackedOnce(t *testing.T) {
	rng := rand.New(rand.NewPCG(10, 10))
	o := newOffice(t)
	o.fill(rng, 30)
	o.pack(o.packer(rng))
	o.fill(rng, 30)
	for _, e := range []event{o.events[0], o.events[len(o.events)-1]} {
		again := e.message.EventID(0)
		again.Arrival = o.now.Add(time.Minute)
		partition := forensic.ArrivalPartition(e.conn.ID, again.Arrival)
		day := forensic.DaysArrival + again.Arrival.UTC().Format("2006-01-02")
		err := o.table.Load(t.Context(),
			table.Item{Key: table.Key{Partition: partition, Sort: again.ArrivalSort()},
				Attrs: table.Attrs{"record": string(e.message.Record)}},
			table.Item{Key: table.Key{Partition: forensic.DaysPartition(e.conn.ID), Sort: day}})
		if err != nil {
			t.Fatal(err)
		}
	}
	const query = `{"groups":[{"filters":[{"term":"event.observer","operator":"IS","value":"Office365"}]}]}`
	for _, when := range []string{"in the tail", "packed"} {
		if total := o.ask(query).TotalCount; total != len(o.events) {
			t.Errorf("%s: %d events, want %d", when, total, len(o.events))
		}
		o.pack(o.packer(rng))
	}
	if total := o.ask(query).TotalCount; total != len(o.events) {
		t.Errorf("at last: %d events, want %d", total, len(o.events))
	}
}

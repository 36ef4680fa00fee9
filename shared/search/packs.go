package search

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/segment"
	"github.com/mailtrail/mailtrail/shared/table"
)

// The keys of packs, in the table of events. c is the connection.
//
//	access                                 partition           sort
//	what is packed, and into which runs    c|packs             manifest
//	every run that was begun               c|runs              <run>
//	the blocks of a run                    <run>               <number>
//
// A run is listed before its first block is written, and the manifest names it when all its blocks are durable. So a
// crash leaves a run that is listed and in no manifest: the packer deletes it an hour later. A run that a merge
// replaced stays for a while, for searches that still read an older manifest.
const manifestSort = "manifest"

func manifestKey(c connection.ID) table.Key {
	return table.Key{Partition: string(c) + "|packs", Sort: manifestSort}
}

func runsPartition(c connection.ID) string { return string(c) + "|runs" }

// runPrefix begins the names of a connection's runs, which are the names of their partitions.
func runPrefix(c connection.ID) string { return string(c) + "|segment|" }

// manifestForm is the version of the manifest's form.
const manifestForm = 1

// manifest says what of a connection is packed.
type manifest struct {
	// upTo is the place in the order of event ids (forensic.EventID.ArrivalSort) up to which everything is packed; "" is
	// nothing.
	upTo     string
	packs    []pack
	retired  []retired
	revision int64 // 0 is not there yet
}

// pack is a live segment.
type pack struct {
	run  segment.Run
	rows int
	own  string // companyDigest of the domains that it was made with
	long bool   // a value was too long to stand in it whole
	// dropped are records, as terms, whose rows do not count any more: they were packed again.
	dropped []string
}

// retired is a run that nothing refers to any more since some time.
type retired struct {
	run segment.Run
	at  time.Time
}

// readManifest returns the manifest of a connection, empty if there is none.
func readManifest(ctx context.Context, events table.Table, c connection.ID) (manifest, error) {
	item, err := events.Get(ctx, manifestKey(c))
	if errors.Is(err, table.ErrAbsent) {
		return manifest{}, nil
	}
	if err != nil {
		return manifest{}, fmt.Errorf("read what is packed of connection %s: %w", c, err)
	}
	if form, _ := item.Attrs["form"].(int64); form != manifestForm {
		return manifest{}, fmt.Errorf(
			"what is packed of connection %s is stored in form %d; this version of Mailtrail reads form %d",
			c,
			form,
			manifestForm,
		)
	}
	m := manifest{revision: item.Revision}
	m.upTo, _ = item.Attrs["upTo"].(string)
	packs, _ := item.Attrs["packs"].([]table.Attrs)
	for _, a := range packs {
		var p pack
		run, _ := a["run"].(string)
		rows, _ := a["rows"].(int64)
		p.run, p.rows = segment.Run(run), int(rows)
		p.own, _ = a["own"].(string)
		p.long, _ = a["long"].(bool)
		dropped, _ := a["dropped"].([]table.Attrs)
		for _, d := range dropped {
			b, _ := d["r"].([]byte)
			p.dropped = append(p.dropped, string(b))
		}
		m.packs = append(m.packs, p)
	}
	all, _ := item.Attrs["retired"].([]table.Attrs)
	for _, a := range all {
		run, _ := a["run"].(string)
		at, _ := a["at"].(int64)
		m.retired = append(m.retired, retired{run: segment.Run(run), at: time.UnixMilli(at).UTC()})
	}
	return m, nil
}

// write stores the manifest if nobody changed it since it was read: else table.ErrConflict.
func (m manifest) write(ctx context.Context, events table.Table, c connection.ID) error {
	attrs := table.Attrs{"form": int64(manifestForm), "upTo": m.upTo}
	packs := make([]table.Attrs, len(m.packs))
	for i, p := range m.packs {
		dropped := make([]table.Attrs, len(p.dropped))
		for j, d := range p.dropped {
			dropped[j] = table.Attrs{"r": []byte(d)}
		}
		packs[i] = table.Attrs{"run": string(p.run), "rows": int64(p.rows), "own": p.own, "long": p.long, "dropped": dropped}
	}
	all := make([]table.Attrs, len(m.retired))
	for i, r := range m.retired {
		all[i] = table.Attrs{"run": string(r.run), "at": r.at.UnixMilli()}
	}
	attrs["packs"], attrs["retired"] = packs, all
	op := table.Op{Verb: table.Create, Item: table.Item{Key: manifestKey(c), Attrs: attrs, Revision: m.revision}}
	if m.revision != 0 {
		op.Verb = table.Replace
	}
	if err := events.Commit(ctx, op); err != nil {
		return fmt.Errorf("say what is packed of connection %s: %w", c, err)
	}
	return nil
}

// Packs reads what is packed. It is safe for concurrent use.
type Packs struct {
	events table.Table
	blocks segment.Blocks

	answered, passed atomic.Int64

	mu   sync.Mutex
	open map[segment.Run]*segment.Segment
}

// Answered is how many searches were answered from segments, and how many were passed on to the postings.
func (p *Packs) Answered() (fromSegments, fromPostings int64) {
	return p.answered.Load(), p.passed.Load()
}

// NewPacks reads from a table of events, and keeps up to cacheBytes of blocks in memory.
func NewPacks(events table.Table, cacheBytes int) *Packs {
	return &Packs{
		events: events,
		blocks: segment.NewCache(segment.Stored{Table: events}, cacheBytes),
		open:   map[segment.Run]*segment.Segment{},
	}
}

// openBytes is how much memory the roots of open segments take together, at the most.
const openBytes = 64 << 20

// segment opens a segment, or returns it as it was opened before.
func (p *Packs) segment(ctx context.Context, run segment.Run) (*segment.Segment, error) {
	p.mu.Lock()
	s := p.open[run]
	p.mu.Unlock()
	if s != nil {
		return s, nil
	}
	s, err := segment.Open(ctx, p.blocks, run)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	total := 0
	for _, other := range p.open {
		total += other.Bytes()
	}
	if total > openBytes {
		clear(p.open)
	}
	p.open[run] = s
	return s, nil
}

// view is what is packed of a connection, opened.
type view struct {
	upTo     string
	packs    []pack
	segments []*segment.Segment
}

// view opens what is packed of a connection. A segment that is merged away meanwhile is segment.ErrGone: the manifest
// has another one then.
func (p *Packs) view(ctx context.Context, c connection.ID) (view, error) {
	m, err := readManifest(ctx, p.events, c)
	if err != nil {
		return view{}, err
	}
	v := view{upTo: m.upTo, packs: m.packs}
	for _, one := range m.packs {
		s, err := p.segment(ctx, one.run)
		if err != nil {
			return view{}, err
		}
		v.segments = append(v.segments, s)
	}
	return v, nil
}

package search

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/forensic"
	"github.com/mailtrail/mailtrail/shared/segment"
	"github.com/mailtrail/mailtrail/shared/table"
)

const (
	packAt    = 256
	packAfter = 5 * time.Minute
	// packMost is how many messages go into one new segment.
	packMost = 16_384
	// tier is by how many times the segments of one tier are larger than those of the tier below, and how many of a tier
	// are merged into one.
	tier = 4
	// packRows is up to how many rows a merge makes a segment.
	packRows = 1 << 20
	// rewriteRows is up to how many rows a merge writes documents anew.
	rewriteRows = 1 << 16
	// droppedMost is how many records may be dropped of a segment before it is written anew.
	droppedMost = 500
	// retiredFor is how long a run that was replaced stays for searches that are under way.
	retiredFor = 10 * time.Minute
	// orphanAfter is after how long a run that no manifest names is taken for one whose packer died.
	orphanAfter = time.Hour
	// tendEvery is how often the segments of a connection are looked at for which nothing was packed: those that are to be
	// made again, and runs that are to be deleted.
	tendEvery = time.Minute
)

// Packer packs the settled messages of connections into segments, which searches read instead of their postings.
// Several packers may work at once, also on one connection: of two that change a manifest, one starts again.
type Packer struct {
	Events      table.Table
	Connections Connections
	Watermarks  Watermarks
	Domains     Domains // nil: the sender's own domain is the company's
	Now         func() time.Time
	Rand        io.Reader
	// At is how many settled messages are packed as soon as they are there; 0 is 256. After is after how long fewer of
	// them are packed too; 0 is 5 minutes.
	At    int
	After time.Duration

	mu     sync.Mutex
	tended map[connection.ID]time.Time
}

// PackOutcome says what a run of the packer did.
type PackOutcome struct {
	Messages int // that were packed
	Merges   int
	Deleted  int // blocks of runs that nothing refers to
}

// Attrs are the outcome as attributes of a log line.
func (o PackOutcome) Attrs() []any {
	return []any{"messages", o.Messages, "merges", o.Merges, "deleted", o.Deleted}
}

// Run packs what is due of every connection, and merges segments where there are enough. A connection that fails holds
// no other up.
func (p *Packer) Run(ctx context.Context) (PackOutcome, error) {
	var sum PackOutcome
	all, err := p.Connections.Followed(ctx)
	if err != nil {
		return sum, fmt.Errorf("list connections to pack: %w", err)
	}
	var failed error
	for i := range all {
		o, err := p.Pack(ctx, &all[i])
		sum.Messages, sum.Merges, sum.Deleted = sum.Messages+o.Messages, sum.Merges+o.Merges, sum.Deleted+o.Deleted
		if err != nil && !errors.Is(err, table.ErrConflict) {
			failed = errors.Join(failed, fmt.Errorf("pack connection %s: %w", all[i].ID, err))
		}
	}
	return sum, failed
}

// Pack does so for one connection. table.ErrConflict means that somebody else packed it meanwhile.
func (p *Packer) Pack(ctx context.Context, c *connection.Connection) (PackOutcome, error) {
	var o PackOutcome
	w := &packing{Packer: p, conn: c, form: thePackForm()}
	if p.Domains != nil {
		own, err := p.Domains.Domains(ctx, c.ID)
		if err != nil {
			return o, err
		}
		w.own = own
	}
	for more := true; more; {
		var err error
		if w.manifest, err = readManifest(ctx, p.Events, c.ID); err != nil {
			return o, err
		}
		var n int
		if n, more, err = w.fresh(ctx); err != nil {
			return o, err
		}
		o.Messages += n
		if n == 0 && !p.due(c.ID) {
			return o, w.changed(ctx)
		}
		for {
			merged, err := w.merge(ctx)
			if err != nil {
				return o, err
			}
			if !merged {
				break
			}
			o.Merges++
		}
	}
	if err := w.changed(ctx); err != nil {
		return o, err
	}
	n, err := w.clean(ctx)
	if o.Deleted = n; err == nil {
		p.tend(c.ID)
	}
	return o, err
}

// due reports whether the segments of a connection have not been tended for a while.
func (p *Packer) due(c connection.ID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	at, ok := p.tended[c]
	return !ok || p.Now().Sub(at) >= tendEvery
}

// tend remembers that the segments of a connection were tended now. A connection that is deleted costs a few bytes
// here.
func (p *Packer) tend(c connection.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.tended == nil {
		p.tended = map[connection.ID]time.Time{}
	}
	p.tended[c] = p.Now()
}

// packing is the packing of one connection.
type packing struct {
	*Packer
	conn     *connection.Connection
	own      []string
	form     packForm
	manifest manifest
}

// fresh packs what has settled since the last time. It reports whether there may be more.
func (w *packing) fresh(ctx context.Context) (n int, more bool, err error) {
	watermark, err := w.Watermarks.Watermark(ctx, w.conn.ID)
	if err != nil {
		return 0, false, err
	}
	found, upTo, oldest, err := settledAfter(ctx, w.Events, w.conn, w.manifest.upTo, watermark, packMost)
	if err != nil || len(found.records) == 0 {
		return 0, false, err
	}
	records := found.records
	if len(records) < cmp.Or(w.At, packAt) && w.Now().Sub(oldest) < cmp.Or(w.After, packAfter) {
		return 0, false, nil
	}
	one, err := w.build(ctx, records, found.confirmed)
	if err != nil {
		return 0, false, err
	}
	next := w.manifest
	if next.upTo = upTo; one.rows > 0 {
		next.packs = append(slices.Clone(next.packs), one)
	}
	return len(records), len(records) == packMost, w.commit(ctx, next)
}

// commit writes a manifest, and reads it again for its revision.
func (w *packing) commit(ctx context.Context, next manifest) error {
	if err := next.write(ctx, w.Events, w.conn.ID); err != nil {
		return err
	}
	var err error
	w.manifest, err = readManifest(ctx, w.Events, w.conn.ID)
	return err
}

// settledAfter lists at most limit messages after a place in the order of event ids, up to the watermark; the place of
// the last one; and when the first one arrived.
func settledAfter(
	ctx context.Context, events table.Table, c *connection.Connection, after string, watermark time.Time, limit int,
) (found placed, last string, oldest time.Time, err error) {
	t := &timeline{
		events: events, conns: []*connection.Connection{c}, ascending: true, observed: always(),
		arrived: span{minMoment, watermark.UnixMilli() + 1}, reads: make(chan struct{}, 1),
	}
	if after != "" {
		id, err := forensic.ParseEventID(strings.Replace(after, "-", "-"+string(c.ID)+"-", 1) + "-0000")
		if err != nil {
			return placed{}, "", time.Time{}, fmt.Errorf("what is packed of connection %s ends at %q: %w", c.ID, after, err)
		}
		place := arrival(id, c, "")
		t.after, t.arrived.from = &place, id.Arrival.UnixMilli()
	}
	s, err := t.arrivals(ctx)
	if err != nil {
		return placed{}, "", time.Time{}, err
	}
	for len(found.records) < limit {
		p, ok, err := s.next(ctx)
		if err != nil {
			return placed{}, "", time.Time{}, err
		}
		if !ok {
			break
		}
		at := forensic.EventID{Arrival: p.at, Hash: p.hash}.ArrivalSort()
		if at == after { // streams begin with the place itself
			continue
		}
		if len(found.records) == 0 {
			oldest = p.at
		}
		found.add(p.record, p.at)
		last = at
	}
	return found, last, oldest, nil
}

// placed is records with the arrivals under which postings have them. A record that was read again after a crash has a
// posting under each arrival, and only that of its message counts.
type placed struct {
	records  []forensic.RecordID
	arrivals map[arrivalOf]bool
}

type arrivalOf struct {
	record forensic.RecordID
	at     int64
}

func (p *placed) add(r forensic.RecordID, at time.Time) {
	if p.arrivals == nil {
		p.arrivals = map[arrivalOf]bool{}
	}
	p.records = append(p.records, r)
	p.arrivals[arrivalOf{r, at.UnixMilli()}] = true
}

// confirmed reports whether a message stands where one of the postings says.
func (p *placed) confirmed(m *forensic.Message) bool {
	return p.arrivals[arrivalOf{m.Record, m.Arrival.UnixMilli()}]
}

// newRun names a run and lists it, so that its blocks are found if nothing ever refers to it.
func (w *packing) newRun(ctx context.Context) (segment.Run, error) {
	var b [8]byte
	if _, err := io.ReadFull(w.Rand, b[:]); err != nil {
		return "", fmt.Errorf("name a run: %w", err)
	}
	run := segment.Run(runPrefix(w.conn.ID) + hex.EncodeToString(b[:]))
	item := table.Item{
		Key:   table.Key{Partition: runsPartition(w.conn.ID), Sort: string(run)},
		Attrs: table.Attrs{"at": w.Now().UnixMilli()},
	}
	if err := w.Events.Load(ctx, item); err != nil {
		return "", fmt.Errorf("list a run: %w", err)
	}
	return run, nil
}

// build makes a segment of messages, of those that are confirmed if that is asked. Those that are there no more are
// left out; if none is there, the pack has no rows.
func (w *packing) build(
	ctx context.Context, records []forensic.RecordID, confirmed func(*forensic.Message) bool,
) (pack, error) {
	run, err := w.newRun(ctx)
	if err != nil {
		return pack{}, err
	}
	out := pack{run: run, own: companyDigest(w.own)}
	docsRun, err := w.newRun(ctx)
	if err != nil {
		return pack{}, err
	}
	to := segment.Stored{Table: w.Events}
	docs := segment.NewDocuments(to.Writer(time.Time{}), docsRun)
	var rows []segment.Row
	slices.Sort(records)
	for some := range slices.Chunk(slices.Compact(records), batchSize) {
		messages, err := forensic.Load(ctx, w.Events, w.conn.ID, some)
		if err != nil {
			return pack{}, err
		}
		for i := range messages {
			m := &messages[i]
			if confirmed != nil && !confirmed(m) {
				continue
			}
			where, err := docs.Add(ctx, []byte(recordTerm(m.Record)))
			if err != nil {
				return pack{}, err
			}
			for file := range m.Files {
				row, long := w.form.row(&event{message: m, file: file, conn: w.conn, own: w.own})
				row.Document, out.long = where, out.long || long
				rows = append(rows, row)
			}
		}
	}
	if len(rows) == 0 {
		return pack{}, nil
	}
	if err := docs.Close(ctx); err != nil {
		return pack{}, err
	}
	out.rows = len(rows)
	return out, segment.Build(ctx, to.Writer(time.Time{}), run, w.form.Schema, rows)
}

// level is the tier of a segment.
func level(rows int) int {
	n := 0
	for size := packAt * tier; rows >= size && n < 16; size *= tier {
		n++
	}
	return n
}

// merge merges the segments of a tier if there are enough, or makes one anew that needs it. It reports whether it did.
func (w *packing) merge(ctx context.Context) (bool, error) {
	own := companyDigest(w.own)
	levels := map[int][]int{}
	for i, one := range w.manifest.packs {
		s, err := segment.Open(ctx, segment.Stored{Table: w.Events}, one.run)
		if err != nil {
			return false, err
		}
		switch {
		case one.own != own || !s.Schema().Equal(w.form.Schema):
			return true, w.renew(ctx, i)
		case len(one.dropped) > droppedMost:
			return true, w.join(ctx, []int{i})
		}
		l := level(one.rows)
		levels[l] = append(levels[l], i)
		if some := levels[l]; len(some) == tier {
			total := 0
			for _, i := range some {
				total += w.manifest.packs[i].rows
			}
			if total <= packRows {
				return true, w.join(ctx, some)
			}
		}
	}
	return false, nil
}

// join merges some segments into one.
func (w *packing) join(ctx context.Context, which []int) error {
	from := segment.Stored{Table: w.Events}
	out := pack{own: companyDigest(w.own)}
	var sources []segment.Source
	total := 0
	for _, i := range which {
		one := w.manifest.packs[i]
		s, err := segment.Open(ctx, from, one.run)
		if err != nil {
			return err
		}
		drop, err := w.drop(ctx, s, one)
		if err != nil {
			return err
		}
		sources = append(sources, segment.Source{Segment: s, Drop: drop})
		out.long = out.long || one.long
		total += one.rows
	}
	run, err := w.newRun(ctx)
	if err != nil {
		return err
	}
	out.run = run
	var docs *segment.Documents
	if total <= rewriteRows {
		docsRun, err := w.newRun(ctx)
		if err != nil {
			return err
		}
		docs = segment.NewDocuments(from.Writer(time.Time{}), docsRun)
	}
	err = segment.Merge(ctx, from.Writer(time.Time{}), run, docs, sources...)
	switch {
	case errors.Is(err, segment.ErrEmpty):
		return w.swap(ctx, which)
	case err != nil:
		return err
	}
	s, err := segment.Open(ctx, from, run)
	if err != nil {
		return err
	}
	out.rows = s.Rows()
	return w.swap(ctx, which, out)
}

// drop are the rows of a segment that do not count any more: those of records that were packed again, and those whose
// messages have expired.
func (w *packing) drop(ctx context.Context, s *segment.Segment, one pack) (segment.Set, error) {
	dropped, err := droppedRows(ctx, s, one.dropped)
	if err != nil {
		return segment.Set{}, err
	}
	expired, err := s.Numbers(ctx, s.Schema().Column(expiresColumn), absent, w.Now().Unix())
	if err != nil {
		return segment.Set{}, err
	}
	return segment.Or(dropped, expired), nil
}

func droppedRows(ctx context.Context, s *segment.Segment, records []string) (segment.Set, error) {
	if len(records) == 0 {
		return s.None(), nil
	}
	return s.Is(ctx, s.Schema().Field(recordField), records...)
}

// swap puts segments in the place of others, in one commit. The runs of those retire.
func (w *packing) swap(ctx context.Context, which []int, in ...pack) error {
	next := w.manifest
	next.packs = nil
	for i, one := range w.manifest.packs {
		if !slices.Contains(which, i) {
			next.packs = append(next.packs, one)
		}
	}
	next.packs = append(next.packs, in...)
	used, err := w.runs(ctx, next.packs)
	if err != nil {
		return err
	}
	before, err := w.runs(ctx, w.manifest.packs)
	if err != nil {
		return err
	}
	next.retired = slices.Clone(next.retired)
	for run := range before {
		if !used[run] {
			next.retired = append(next.retired, retired{run: run, at: w.Now()})
		}
	}
	slices.SortFunc(next.retired, func(a, b retired) int { return cmp.Compare(a.run, b.run) })
	return w.commit(ctx, next)
}

// runs are all runs that some packs refer to.
func (w *packing) runs(ctx context.Context, packs []pack) (map[segment.Run]bool, error) {
	all := map[segment.Run]bool{}
	for _, one := range packs {
		all[one.run] = true
		s, err := segment.Open(ctx, segment.Stored{Table: w.Events}, one.run)
		if err != nil {
			return nil, err
		}
		for _, run := range s.Documents() {
			all[run] = true
		}
	}
	return all, nil
}

// renew makes a segment again of its messages: for a new term, or because other domains are the company's own now.
func (w *packing) renew(ctx context.Context, i int) error {
	one := w.manifest.packs[i]
	blocks := segment.NewCache(segment.Stored{Table: w.Events}, 8<<20)
	s, err := segment.Open(ctx, blocks, one.run)
	if err != nil {
		return err
	}
	drop, err := w.drop(ctx, s, one)
	if err != nil {
		return err
	}
	var in []pack
	var records []forensic.RecordID
	flush := func() error {
		if len(records) == 0 {
			return nil
		}
		made, err := w.build(ctx, records, nil)
		if err == nil && made.rows > 0 {
			in = append(in, made)
		}
		records = records[:0]
		return err
	}
	for row, err := range segment.Not(drop).Ascending(ctx, 0) {
		if err != nil {
			return err
		}
		where, part, err := s.DocumentAt(ctx, row)
		if err != nil {
			return err
		}
		if part > 0 {
			continue // its first file names the message
		}
		document, err := segment.ReadDocuments(ctx, blocks, []segment.Document{where})
		if err != nil {
			return err
		}
		if records = append(records, recordOf(string(document[0]))); len(records) == packMost {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := flush(); err != nil {
		return err
	}
	return w.swap(ctx, []int{i}, in...)
}

// changed packs messages again that were changed after they had been packed.
func (w *packing) changed(ctx context.Context) error {
	changes, err := forensic.Changes(ctx, w.Events, w.conn.ID, droppedMost)
	if err != nil || len(changes) == 0 {
		return err
	}
	var terms []string
	var records []forensic.RecordID
	for _, c := range changes {
		if t := recordTerm(c.Record); !slices.Contains(terms, t) {
			terms, records = append(terms, t), append(records, c.Record)
		}
	}
	// Only what was packed before is packed again: the rest will be, in its turn.
	next := w.manifest
	next.packs = slices.Clone(next.packs)
	packed := map[string]bool{}
	for i, one := range next.packs {
		s, err := segment.Open(ctx, segment.Stored{Table: w.Events}, one.run)
		if err != nil {
			return err
		}
		next.packs[i].dropped = slices.Clone(one.dropped)
		for _, t := range terms {
			set, err := s.Is(ctx, s.Schema().Field(recordField), t)
			if err != nil {
				return err
			}
			if n, err := set.Count(ctx); err != nil || n == 0 {
				if err != nil {
					return err
				}
				continue
			}
			packed[t] = true
			if !slices.Contains(one.dropped, t) {
				next.packs[i].dropped = append(next.packs[i].dropped, t)
			}
		}
	}
	records = slices.DeleteFunc(records, func(r forensic.RecordID) bool { return !packed[recordTerm(r)] })
	if len(records) > 0 {
		one, err := w.build(ctx, records, nil)
		if err != nil {
			return err
		}
		if one.rows > 0 {
			next.packs = append(next.packs, one)
		}
		if err := w.commit(ctx, next); err != nil {
			return err
		}
	}
	// What is not packed yet keeps its mark: somebody else may be packing it as it was before.
	changes = slices.DeleteFunc(changes, func(c forensic.Change) bool { return !packed[recordTerm(c.Record)] })
	return forensic.Forget(ctx, w.Events, changes)
}

// clean deletes the runs that retired a while ago, and those of packers that died.
func (w *packing) clean(ctx context.Context) (deleted int, err error) {
	now := w.Now()
	used, err := w.runs(ctx, w.manifest.packs)
	if err != nil {
		return 0, err
	}
	waiting := map[segment.Run]bool{}
	next := w.manifest
	next.retired = nil
	for _, r := range w.manifest.retired {
		if now.Sub(r.at) < retiredFor {
			next.retired = append(next.retired, r)
			waiting[r.run] = true
		}
	}
	for item, err := range w.Events.Query(ctx, table.Query{Partition: runsPartition(w.conn.ID)}) {
		if err != nil {
			return deleted, fmt.Errorf("list the runs of connection %s: %w", w.conn.ID, err)
		}
		run := segment.Run(item.Sort)
		at, _ := item.Attrs["at"].(int64)
		known := slices.ContainsFunc(w.manifest.retired, func(r retired) bool { return r.run == run })
		if used[run] || waiting[run] || !known && now.Sub(time.UnixMilli(at)) < orphanAfter {
			continue
		}
		n, err := removeRun(ctx, w.Events, w.conn.ID, run)
		if deleted += n; err != nil {
			return deleted, err
		}
	}
	if len(next.retired) == len(w.manifest.retired) {
		return deleted, nil
	}
	return deleted, w.commit(ctx, next)
}

// removeRun deletes the blocks of a run, and then what lists it.
func removeRun(ctx context.Context, events table.Table, c connection.ID, run segment.Run) (deleted int, err error) {
	for done := false; !done; {
		var n int
		if n, done, err = (segment.Stored{Table: events}).Remove(ctx, run, table.MaxCommit*10); err != nil {
			return deleted, err
		}
		deleted += n
	}
	return deleted, table.Remove(ctx, events, []table.Key{{Partition: runsPartition(c), Sort: string(run)}})
}

// PurgePacks deletes what is packed of a connection, about budget items at most. It reports how many it deleted and
// whether nothing is left. What leads to a thing is deleted after it. The caller makes sure that nobody packs the
// connection.
func PurgePacks(
	ctx context.Context,
	events table.Table,
	c connection.ID,
	budget int,
) (deleted int, done bool, err error) {
	for item, err := range events.Query(ctx, table.Query{Partition: runsPartition(c)}) {
		if err != nil {
			return deleted, false, fmt.Errorf("list the runs of connection %s: %w", c, err)
		}
		if deleted >= budget {
			return deleted, false, nil
		}
		n, done, err := (segment.Stored{Table: events}).Remove(ctx, segment.Run(item.Sort), budget-deleted)
		if deleted += n; err != nil || !done {
			return deleted, false, err
		}
		if err := table.Remove(ctx, events, []table.Key{item.Key}); err != nil {
			return deleted, false, err
		}
		deleted++
	}
	return deleted, true, table.Remove(ctx, events, []table.Key{manifestKey(c)})
}

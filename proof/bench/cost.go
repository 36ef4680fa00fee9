package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/mailtrail/mailtrail/local/machine"
	"github.com/mailtrail/mailtrail/shared/embedded"
	"github.com/mailtrail/mailtrail/shared/m365"
	"github.com/mailtrail/mailtrail/shared/table"
	m365sim "github.com/mailtrail/mailtrail/sim/m365"
	"github.com/mailtrail/mailtrail/sim/m365/company"
	"github.com/mailtrail/mailtrail/sim/m365/world"
)

// prices are AWS's in us-east-1, on demand, without free tiers (docs/deploy.md says since when), in dollars.
type prices struct {
	writes, reads   float64 // a million units
	storage, backup float64 // a GB and month
	compute         float64 // a GB and second, arm64
	requests        float64 // a million invocations, or requests to a queue
	fixed           float64 // a month: alarms, metrics, the secret
}

// tenant is the monthly use of a tenant of the example.
type tenant struct {
	people, events float64 // events are those of one person: 4 on each working day
	blobs          float64
	polls          float64
	days           float64 // that events are kept
}

// metered is the cost of one of each, as the tables meter it.
type metered struct {
	event, blob, poll table.Units
	stored            float64 // bytes of an event with its postings, and DynamoDB's 100 bytes for each item
}

const (
	blobSeconds = 1.0  // of 1 GB: reading a blob, most of it waiting for Microsoft
	fileSeconds = 0.5  // of 1 GB: looking into the mailbox, and fetching a file for its hashes
	pollSeconds = 1.0  // of 1 GB: a tick
	eachSeconds = 0.01 // of it for each tenant that a tick polls at once with others
	batch       = 10   // messages that one invocation receives
)

// cost measures what a poll, a blob and a file event consume, and adds up the monthly cost for 1, 100 and 10,000
// tenants.
func cost(ctx context.Context, r *report) error {
	m, err := meter(ctx)
	if err != nil {
		return err
	}
	p := prices{writes: dollarsPerMillion, reads: 0.125, storage: 0.25, backup: 0.20, compute: 0.0000133334,
		requests: 0.20, fixed: 5}
	t := tenant{people: 1000, events: 88, blobs: 10_000, polls: 30 * 24 * 60, days: 90}
	told := []error{
		r.tell("cost.event.write", m.event.Write, "write units of a file event, from listed to enriched"),
		r.tell("cost.event.read", m.event.Read, "read units of a file event"),
		r.tell("cost.event.stored", m.stored, "bytes of a file event, with its postings"),
		r.tell("cost.blob.write", m.blob.Write, "write units of a blob, from listed to settled"),
		r.tell("cost.blob.read", m.blob.Read, "read units of a blob"),
		r.tell("cost.poll.write", m.poll.Write, "write units of a poll that finds nothing"),
		r.tell("cost.poll.read", m.poll.Read, "read units of a poll that finds nothing"),
	}
	for _, n := range []float64{1, 100, 10_000} {
		sum := 0.0
		for i, part := range p.month(m, t, n) {
			what := []string{"writes", "reads", "storage", "compute", "requests", "fixed"}[i]
			told = append(told, r.tell(fmt.Sprintf("cost.%.0f.%s", n, what), part, "$ a month"))
			sum += part
		}
		told = append(told, r.tell(fmt.Sprintf("cost.%.0f", n), sum, "$ a month for so many tenants (docs/deploy.md)"))
	}
	return errors.Join(told...)
}

// month is the bill of n tenants: writes, reads, storage, compute, requests, and fixed costs.
func (p prices) month(m metered, t tenant, n float64) [6]float64 {
	sent := t.people * t.events
	writes := n * (m.event.Write*sent + m.blob.Write*t.blobs + m.poll.Write*t.polls)
	reads := n * (m.event.Read*sent + m.blob.Read*t.blobs + m.poll.Read*t.polls)
	stored := n * sent * t.days / 30 * m.stored / 1e9
	seconds := n*(t.blobs*blobSeconds+sent*fileSeconds) + t.polls*(pollSeconds+n*eachSeconds)
	// A blob, and a message, is sent, received and deleted in batches; an invocation works on a batch, and a tick is one.
	requests := n*(t.blobs+sent)*4/batch + 2*t.polls
	return [6]float64{
		writes / 1e6 * p.writes, reads / 1e6 * p.reads, stored * (p.storage + p.backup), seconds * p.compute,
		requests / 1e6 * p.requests, p.fixed,
	}
}

// meter polls, and reads blobs without and with file events, one kind after the other, and returns what one of each
// took. The mails are those of an invented company, with their recipients and files in its mailboxes.
func meter(ctx context.Context) (metered, error) {
	const polls, blobs, records = 20, 40, 60
	// There is no tick but ours, and a message that is in no mailbox is given up soon.
	st, err := open(ctx, 0, 0, time.Hour, func(c *machine.Config) {
		c.NoMailboxes, c.Settings.EnrichFor = false,
			10*time.Second
	})
	if err != nil {
		return metered{}, err
	}
	need := m365.RequiredPermissions()
	st.sim.AddApp(m365sim.App{
		ClientID: clientID, HomeTenant: publisher, Secrets: []m365sim.Secret{{Value: "bench-secret"}},
		ActivityRoles: need.Activity, GraphRoles: need.Graph,
	})
	who := company.New(company.Options{Seed: 7, MailsPerHour: 400, Noise: 3})
	if err := st.join(ctx, who.Tenant(), who.People()); err != nil {
		return metered{}, err
	}
	sized := &sizing{Table: st.machine.Ingester.Events}
	st.machine.Ingester.Events, st.machine.Desk.Events = sized, sized
	stop := st.run(ctx)
	if err := st.subscribed(ctx); err != nil {
		return metered{}, err
	}

	var m metered
	before := st.units(sized)
	for range polls {
		if _, err := st.machine.Poller.Poll(ctx, time.Now()); err != nil {
			return metered{}, err
		}
	}
	m.poll = share(st.units(sized), before, polls)

	// Most records in a blob are other Exchange activity, and are rejected unread.
	noise := make([]world.Record, records)
	for i := range noise {
		noise[i].JSON = fmt.Appendf(nil, `{"Id":"%08d-0000-4000-8000-000000000000","RecordType":50,`+
			`"Operation":"MailItemsAccessed"}`, i)
	}
	if m.blob, err = st.read(ctx, sized, slices.Repeat([][]world.Record{noise}, blobs)); err != nil {
		return metered{}, err
	}
	m.blob = less(m.blob, m.poll, 1)
	m.blob = table.Units{Read: m.blob.Read / blobs, Write: m.blob.Write / blobs}

	now := time.Now()
	sent := who.Between(now.Add(-6*time.Hour), now.Add(-time.Hour))
	if err := st.sim.AddMessages(st.tenants[0], sent.Messages...); err != nil {
		return metered{}, err
	}
	full := company.Blobs(sent.Records, 1, records)
	sized.bytes = 0
	all, err := st.read(ctx, sized, full)
	if err != nil {
		return metered{}, err
	}
	sums, err := st.machine.Ledger.Sums(ctx, st.ids[0])
	if err != nil {
		return metered{}, err
	}
	events := float64(sums.Tally.Events)
	all = less(less(all, m.poll, 1), m.blob, float64(len(full)))
	m.event = table.Units{Read: all.Read / events, Write: all.Write / events}
	m.stored = float64(sized.bytes) / events
	return m, errors.Join(stop(), st.close())
}

// subscribed polls until a poll works: the machine's own, at its start, may hold the lease.
func (s *stage) subscribed(ctx context.Context) error {
	for {
		outcome, err := s.machine.Poller.Poll(ctx, time.Now())
		if err != nil || outcome.Busy+outcome.Failed == 0 {
			return err
		}
	}
}

// read publishes blobs, polls once, and waits until everything in them is read and enriched. It returns what that took.
func (s *stage) read(ctx context.Context, events *sizing, blobs [][]world.Record) (table.Units, error) {
	before, err := s.machine.Ledger.Sums(ctx, s.ids[0])
	if err != nil {
		return table.Units{}, err
	}
	for _, records := range blobs {
		created := time.Now().Add(-3 * time.Second) // in a whole second that has passed, up to which a poll lists
		if _, err := s.sim.Publish(s.tenants[0], contentType, created, records); err != nil {
			return table.Units{}, err
		}
	}
	was := s.units(events)
	outcome, err := s.machine.Poller.Poll(ctx, time.Now())
	if err == nil && outcome.Queued != len(blobs) {
		err = fmt.Errorf("the poll queued %d blobs, want %d", outcome.Queued, len(blobs))
	}
	if err != nil {
		return table.Units{}, err
	}
	if err := s.settled(ctx, s.ids[0], before.Settled+int64(len(blobs))); err != nil {
		return table.Units{}, err
	}
	if err := s.enriched(ctx); err != nil {
		return table.Units{}, err
	}
	return share(s.units(events), was, 1), nil
}

// enriched returns when no message waits any more: then the watermark is the ledger's own.
func (s *stage) enriched(ctx context.Context) error {
	for {
		read, err := s.machine.Ledger.Watermark(ctx, s.ids[0])
		if err != nil {
			return err
		}
		whole, err := s.machine.Watermarks.Watermark(ctx, s.ids[0])
		if err != nil || !whole.Before(read) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// units returns what all tables have metered so far.
func (s *stage) units(events *sizing) table.Units {
	var all table.Units
	for _, t := range []table.Table{s.machine.Registry.Table, s.machine.Ledger.Table, events.Table} {
		u := t.(*embedded.Table).Units()
		all.Read += u.Read
		all.Write += u.Write
	}
	return all
}

func share(after, before table.Units, n float64) table.Units {
	return table.Units{Read: (after.Read - before.Read) / n, Write: (after.Write - before.Write) / n}
}

func less(u, other table.Units, times float64) table.Units {
	return table.Units{Read: u.Read - times*other.Read, Write: u.Write - times*other.Write}
}

// sizing adds up the sizes of written items, by DynamoDB's rules for storage.
type sizing struct {
	table.Table
	mu    sync.Mutex
	bytes int
}

const overhead = 100 // bytes that DynamoDB stores beside each item

func (s *sizing) Commit(ctx context.Context, ops ...table.Op) error {
	err := s.Table.Commit(ctx, ops...)
	if err == nil {
		for _, op := range ops {
			s.add(op.Item)
		}
	}
	return err
}

func (s *sizing) Load(ctx context.Context, items ...table.Item) error {
	err := s.Table.Load(ctx, items...)
	if err == nil {
		s.add(items...)
	}
	return err
}

func (s *sizing) add(items ...table.Item) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, item := range items {
		s.bytes += table.Size(item) + overhead
	}
}

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/embedded"
	"github.com/mailtrail/mailtrail/sim/m365/company"
	"github.com/mailtrail/mailtrail/sim/m365/world"
)

// shape is a number of blobs, of Send records in each, and a latency. A record has 1.3 KB and one attachment.
type shape struct {
	blobs, records int
	latency        time.Duration
}

const (
	recordSize = 1300
	// dollarsPerMillion is the price of a million write units of a DynamoDB table on demand (us-east-1, 2025;
	// docs/deploy.md).
	dollarsPerMillion = 0.625
)

// ingest measures the whole way from listing to searchable: list, fetch over HTTP, parse, derive, store with all
// terms, synced. The simulated Microsoft runs in this process too, and its work counts.
func ingest(ctx context.Context, r *report, s shape) error {
	st, err := open(ctx, s.latency, 1, time.Second)
	if err != nil {
		return err
	}
	events := float64(s.blobs * s.records)
	if err := st.publish(s, time.Now().Add(-time.Minute)); err != nil {
		return err
	}
	baseline, err := plain(ctx, st, s)
	if err != nil {
		return err
	}

	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpuBefore, err := used()
	if err != nil {
		return err
	}
	start := time.Now()
	stop := st.run(ctx)
	err = st.settled(ctx, st.ids[0], int64(s.blobs))
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	cpuAfter, usedErr := used()
	units := st.machine.Ingester.Events.(*embedded.Table).Units()
	sums, sumsErr := st.machine.Ledger.Sums(ctx, st.ids[0])
	if err := errors.Join(err, usedErr, sumsErr, stop(), st.close()); err != nil {
		return err
	}
	if sums.Tally.Events != int64(events) {
		return fmt.Errorf("%d events stored, want %.0f", sums.Tally.Events, events)
	}

	name := fmt.Sprintf("ingest.%dx%d_%s", s.blobs, s.records, s.latency)
	goal := 15_000.0
	if s.latency > 0 {
		goal = 40_000
	}
	speed := events / took.Seconds()
	return errors.Join(
		r.atLeast(name+".speed", speed, "events/s", goal),
		r.tell(name+".baseline", baseline, "events/s into a plain JSON file, one blob after another"),
		r.tell(name+".ratio", speed/baseline, "x baseline"),
		r.tell(name+".cpu", float64((cpuAfter.cpu-cpuBefore.cpu).Microseconds())/events,
			"us/event, the simulated Microsoft included"),
		r.tell(name+".allocations", float64(after.Mallocs-before.Mallocs)/events, "allocations/event"),
		r.below(name+".write_units", units.Write/events, "write units/event", 8.001),
		r.tell(name+".cost", units.Write/events*dollarsPerMillion, "$ for the writes of a million file events"),
		r.tell(name+".peak", cpuAfter.peak, "MB, the simulated Microsoft's records included"),
	)
}

func (st *stage) publish(s shape, created time.Time) error {
	records := company.SendRecords(1, s.blobs*s.records, recordSize)
	for i := range s.blobs {
		if _, err := st.sim.Publish(st.tenants[0], contentType, created, records[i*s.records:(i+1)*s.records]); err != nil {
			return err
		}
	}
	return nil
}

// plain does what collectors do: it fetches one blob after another, decodes it whole, and writes each relevant record
// to a file as a line of JSON, without an index. It uses the same client.
func plain(ctx context.Context, st *stage, s shape) (float64, error) {
	file, err := os.Create(filepath.Join(st.dir, "plain.json"))
	if err != nil {
		return 0, err
	}
	defer file.Close()
	tenant := connection.Tenant{ID: connection.TenantID(st.tenants[0]), Cloud: connection.Commercial}
	feed, ok := st.machine.Poller.Feed.(interface {
		audit.Feed
		Open(ctx context.Context, t connection.Tenant, uri string) (io.ReadCloser, error)
	})
	if !ok {
		return 0, errors.New("the feed cannot open blobs")
	}
	if err := feed.Subscribe(ctx, tenant, audit.Exchange); err != nil {
		return 0, err
	}

	start, out, n := time.Now(), bufio.NewWriter(file), 0
	from, next := start.Add(-time.Hour), ""
	for {
		page, err := feed.List(ctx, tenant, audit.Exchange, from, start, next)
		if err != nil {
			return 0, err
		}
		for _, b := range page.Blobs {
			body, err := feed.Open(ctx, tenant, b.URI)
			if err != nil {
				return 0, err
			}
			wrote, err := copyLines(out, body)
			if err := errors.Join(err, body.Close()); err != nil {
				return 0, err
			}
			n += wrote
		}
		if next = page.Next; next == "" {
			break
		}
	}
	if err := errors.Join(out.Flush(), file.Sync()); err != nil {
		return 0, err
	}
	if n != s.blobs*s.records {
		return 0, fmt.Errorf("the baseline found %d records, want %d", n, s.blobs*s.records)
	}
	return float64(n) / time.Since(start).Seconds(), nil
}

func copyLines(out io.Writer, body io.Reader) (int, error) {
	var records []map[string]any
	if err := json.NewDecoder(body).Decode(&records); err != nil {
		return 0, err
	}
	lines := json.NewEncoder(out)
	for _, r := range records {
		if err := lines.Encode(r); err != nil {
			return 0, err
		}
	}
	return len(records), nil
}

// poller measures one tick over a thousand tenants at 50 ms a call, compared with polling them one after the other.
func poller(ctx context.Context, r *report) error {
	const tenants, serial = 1000, 20
	st, err := open(ctx, withLatency, tenants, time.Hour)
	if err != nil {
		return err
	}
	records := company.SendRecords(1, tenants, recordSize)
	for i, tenant := range st.tenants {
		if _, err := st.sim.Publish(tenant, contentType, time.Now().Add(-time.Minute),
			[]world.Record{records[i]}); err != nil {
			return err
		}
	}
	// One after the other: the same poller with one slot, over the first few, and scaled up.
	few := *st.machine.Poller
	few.Slots = make(chan struct{}, 1)
	few.Connections = some{few.Connections, serial}
	start := time.Now()
	if _, err := few.Poll(ctx, start); err != nil {
		return err
	}
	one := time.Since(start) / serial

	rest := *st.machine.Poller
	rest.Connections = others{rest.Connections, serial}
	start = time.Now()
	outcome, err := rest.Poll(ctx, start)
	if err != nil {
		return err
	}
	took := time.Since(start)
	u, err := used()
	if err != nil {
		return err
	}
	if outcome.Queued != tenants-serial || outcome.Failed > 0 {
		return fmt.Errorf("the tick came to %+v", outcome)
	}
	return errors.Join(
		r.atLeast("poller.ratio", one.Seconds()*(tenants-serial)/took.Seconds(), "x one after the other", 100),
		r.tell("poller.tick", took.Seconds(), "s for 980 tenants at 50 ms a call, the first poll of each: token, "+
			"subscription, listing"),
		r.below("poller.peak", u.peak, "MB, the simulated Microsoft included", 256),
		st.machine.Close(), st.close(),
	)
}

// some is the first few connections, and others is the rest.
type some struct {
	audit.Connections
	n int
}

func (s some) Followed(ctx context.Context) ([]connection.Connection, error) {
	all, err := s.Connections.Followed(ctx)
	return all[:min(s.n, len(all))], err
}

type others struct {
	audit.Connections
	n int
}

func (o others) Followed(ctx context.Context) ([]connection.Connection, error) {
	all, err := o.Connections.Followed(ctx)
	return all[min(o.n, len(all)):], err
}

// newClient is an HTTP client for asking the machine itself.
func newClient() *http.Client { return &http.Client{Timeout: time.Minute} }

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/embedded"
	"github.com/mailtrail/mailtrail/shared/enrich"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/forensic"
	"github.com/mailtrail/mailtrail/shared/queue"
)

const (
	backlogged = 100_000
	mailProbes = 60
	oneCall    = 200 * time.Millisecond
)

// backlog measures how long the messages of one tenant take to be enriched while another tenant has 100,000 waiting,
// all in one mailbox. It runs as many workers as one machine has, and each call takes 200 ms.
func backlog(ctx context.Context, r *report) error {
	dir, err := os.MkdirTemp("", "mailtrail-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	store, err := embedded.Open(dir, embedded.Options{Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	q := store.Queue("messages", embedded.QueueOptions{MaxReceives: 500,
		MaxInFlightPerGroup: enrich.DefaultWorkers * 3 / 4})
	waiting := make([]queue.Message, 0, backlogged)
	for n := range backlogged {
		waiting = append(waiting, waitingOf("busy", n))
	}
	if err := q.Send(ctx, waiting...); err != nil {
		return err
	}
	d := &desk{settled: make(map[string]time.Time)}
	agent := enrich.New(enrich.Config{Graph: slowGraph{}, Messages: d, Connections: d})
	working, stop := context.WithCancel(ctx)
	var all sync.WaitGroup
	for range enrich.DefaultWorkers {
		all.Go(func() { d.work(working, q, agent) })
	}
	var seconds []float64
	for n := range mailProbes {
		begun := time.Now()
		if err := q.Send(ctx, waitingOf("quiet", n)); err != nil {
			stop()
			return err
		}
		at, err := d.until(ctx, fmt.Sprint("quiet", n))
		if err != nil {
			stop()
			return err
		}
		seconds = append(seconds, at.Sub(begun).Seconds())
	}
	stop()
	all.Wait()
	slices.Sort(seconds)
	return errors.Join(d.failed, store.Close(),
		r.tell("backlog.p50", quantile(seconds, 0.5),
			"s until enriched, at 3 calls of 0.2 s, beside 100,000 messages of another tenant"),
		r.below("backlog.p99", quantile(seconds, 0.99), "s until enriched", 2))
}

func waitingOf(tenant string, n int) queue.Message {
	return queue.Message{Body: fmt.Appendf(nil, `{"connection":%q,"record":"%s%d"}`, tenant, tenant, n), Group: tenant}
}

// desk stands in for the tables: it has every message, and records when each was settled.
type desk struct {
	mu      sync.Mutex
	settled map[string]time.Time
	failed  error
}

func (d *desk) work(ctx context.Context, q *embedded.Queue, agent *enrich.Agent) {
	for ctx.Err() == nil {
		deliveries, err := q.Receive(ctx, 1, time.Second, time.Minute)
		for _, one := range deliveries {
			if err = agent.Enrich(ctx, one.Body); err == nil {
				err = q.Done(ctx, one)
			} else if wait := fault.Wait(err); wait > 0 {
				err = q.Hide(ctx, one, wait)
			}
		}
		if err != nil && ctx.Err() == nil {
			d.mu.Lock()
			d.failed = err
			d.mu.Unlock()
		}
	}
}

// until waits until the message is settled.
func (d *desk) until(ctx context.Context, record string) (time.Time, error) {
	for {
		d.mu.Lock()
		at, ok, failed := d.settled[record], !d.settled[record].IsZero(), d.failed
		d.mu.Unlock()
		switch {
		case failed != nil, ok:
			return at, failed
		case ctx.Err() != nil:
			return at, ctx.Err()
		}
		time.Sleep(time.Millisecond)
	}
}

// Get, Load and Settle are the agent's calls for connections and messages.
func (d *desk) Get(_ context.Context, id connection.ID) (connection.Connection, error) {
	return connection.Connection{ID: id, Tenant: connection.Tenant{ID: connection.TenantID(id)},
		Status: connection.Monitoring}, nil
}

func (d *desk) Load(_ context.Context, c connection.ID, r forensic.RecordID) (forensic.Message, bool, error) {
	who := "one@" + string(c) + ".example"
	return forensic.Message{
		Connection: c, Record: r, Observed: time.Now().Add(-time.Hour), Stored: time.Now(), Operation: "Send", Actor: who,
		From: who, Mailbox: who,
		InternetMessageID: "<" + string(r) + ">", Files: []forensic.File{{Name: "a.txt", StoredSize: 300}},
	}, false, nil
}

func (d *desk) Settle(_ context.Context, m forensic.Message, _ forensic.Finding) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.settled[string(m.Record)] = time.Now()
	return nil
}

// slowGraph has every message, with one small file. Each call takes oneCall.
type slowGraph struct{ enrich.Graph }

func (slowGraph) FindSent(ctx context.Context, _ connection.Tenant, _, id string) ([]enrich.Mail, error) {
	return []enrich.Mail{{ID: id, Sent: time.Now()}}, taking(ctx)
}

func (slowGraph) Attachments(ctx context.Context, _ connection.Tenant, _, _ string) ([]enrich.Attached, error) {
	return []enrich.Attached{{ID: "a", Name: "a.txt", Kind: forensic.FileKind, StoredSize: 300}}, taking(ctx)
}

func (slowGraph) OpenEncoded(ctx context.Context, _ connection.Tenant, _, _, _ string) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader("a file")), taking(ctx)
}

func taking(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(oneCall):
		return nil
	}
}

// Tried, Refusal, Refused and Answered: no mailbox refuses here.
func (d *desk) Tried(context.Context, forensic.Message, forensic.Finding) error { return nil }

func (d *desk) Refusal(context.Context, connection.ID, string) (forensic.Refusal, error) {
	return forensic.Refusal{}, nil
}

func (d *desk) Refused(context.Context, connection.ID, string, forensic.Reason, string) (forensic.Refusal, error) {
	return forensic.Refusal{}, nil
}

func (d *desk) Answered(context.Context, connection.ID, string) error { return nil }

func (d *desk) Rival(context.Context, forensic.Message, string) (bool, error) { return false, nil }

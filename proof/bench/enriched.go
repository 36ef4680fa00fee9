package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/mailtrail/mailtrail/shared/embedded"
	"github.com/mailtrail/mailtrail/shared/forensic"
	"github.com/mailtrail/mailtrail/shared/queue"
)

// enriched measures the cost of storing messages to be enriched, and of adding to each what a mailbox typically yields:
// two recipients and the hashes of its file. It calls no mailbox; hash and mailboxes measure that.
func enriched(ctx context.Context, r *report) error {
	const settlers = 32
	s := shape{blobs: 130, records: 500}
	st, err := open(ctx, 0, 1, time.Second)
	if err != nil {
		return err
	}
	sent := &collector{Sender: st.machine.Desk.Queue}
	st.machine.Ingester.Queue = sent
	if err := st.publish(s, time.Now().Add(-time.Minute)); err != nil {
		return err
	}
	events, table := float64(s.blobs*s.records), st.machine.Ingester.Events.(*embedded.Table)

	start := time.Now()
	stop := st.run(ctx)
	err = st.settled(ctx, st.ids[0], int64(s.blobs))
	stored := time.Since(start)
	before := table.Units()

	start = time.Now()
	work := make(chan forensic.Waiting)
	failed := make(chan error, settlers)
	var all sync.WaitGroup
	for range settlers {
		all.Go(func() {
			for w := range work {
				if err := settle(ctx, st.machine.Desk, w); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	for _, w := range sent.waiting {
		select {
		case work <- w:
		case e := <-failed:
			close(work)
			return errors.Join(e, stop(), st.close())
		}
	}
	close(work)
	all.Wait()
	took := time.Since(start)
	after := table.Units()
	left, leftErr := st.machine.Desk.Waiting(ctx, st.ids[0], 1)
	if err := errors.Join(err, leftErr, stop(), st.close()); err != nil {
		return err
	}
	if len(sent.waiting) != int(events) || left != 0 {
		return fmt.Errorf("%d messages were queued, want %.0f; %d wait still", len(sent.waiting), events, left)
	}
	return errors.Join(
		r.tell("enriched.store", events/stored.Seconds(), "events/s stored, marked as waiting and queued"),
		r.tell("enriched.settle", events/took.Seconds(), "messages/s settled with two recipients and the hashes of a file"),
		r.below("enriched.store_units", before.Write/events, "write units/event until it waits", 9.001),
		r.below("enriched.write_units", after.Write/events, "write units/event, enriched", 18.001),
		r.tell("enriched.read_units", (after.Read-before.Read)/events, "read units/event to enrich it"),
		r.tell("enriched.cost", after.Write/events*dollarsPerMillion, "$ for the writes of a million file events, enriched"),
	)
}

// collector is a queue that records what was sent to it.
type collector struct {
	queue.Sender
	mu      sync.Mutex
	waiting []forensic.Waiting
}

func (c *collector) Send(ctx context.Context, messages ...queue.Message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range messages {
		var w forensic.Waiting
		if err := json.Unmarshal(m.Body, &w); err != nil {
			return err
		}
		c.waiting = append(c.waiting, w)
	}
	return c.Sender.Send(ctx, messages...)
}

// settle adds a typical finding to a message.
func settle(ctx context.Context, d *forensic.Desk, w forensic.Waiting) error {
	m, _, err := d.Load(ctx, w.Connection, w.Record)
	if err != nil {
		return err
	}
	hash := m.Record.Hash() + m.Record.Hash()
	f := forensic.Finding{
		At: time.Now(), Mailbox: m.Mailbox, From: m.From, Sender: m.Sender, Subject: m.Subject, Sent: m.Observed,
		Recipients: []forensic.Recipient{
			{Address: "rosa.eriksen@fabrikam.example", Name: "Rosa Eriksen", Role: forensic.To},
			{Address: "zoe.nunez@acme-audit.example", Name: "Zoe Nunez", Role: forensic.Cc},
		},
	}
	for i, file := range m.Files {
		f.Files = append(f.Files, forensic.Attachment{
			Record: i, Name: file.Name, ContentType: "application/octet-stream", ByBytes: forensic.TypeByName(file.Name).MIME,
			Kind:       forensic.FileKind,
			ID:         "AAMkAGI2TG93AAAAAAEJAAAiIsqMbYjsT5e-T7KzowPTAAAYbuK-AAABEgAQACKmVk6xoZBBkGkFGVv2V0E" + hash,
			StoredSize: file.StoredSize, Size: file.StoredSize - 150, MD5: hash, SHA256: hash + hash,
		})
	}
	return d.Settle(ctx, m, f)
}

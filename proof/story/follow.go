package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mailtrail/mailtrail/sim/m365/company"
	"github.com/mailtrail/mailtrail/sim/m365/world"
)

// send fills mailboxes with the company's mail, and publishes its records in bundles, as Microsoft does.
func (t *teller) send(context.Context) error {
	slice := t.company.Between(morning(), morning().Add(time.Hour))
	if err := t.sim.AddMessages(t.company.Tenant().ID, slice.Messages...); err != nil {
		return err
	}
	var err error
	var files []string
	if t.weather.limit == 0 { // it takes a while, as the template allows
		var record world.Record
		if record, files, err = large(slice); err != nil {
			return err
		}
		slice.Records = append(slice.Records, record)
	}
	for i, records := range company.Blobs(slice.Records, 1, 60) {
		created := t.sim.Now().Add(time.Duration(i) * 10 * time.Millisecond)
		if _, err := t.sim.Publish(t.company.Tenant().ID, "Audit.Exchange", created, records); err != nil {
			return err
		}
		t.blobs++
	}
	if t.truth, err = truth(t.company, slice); err != nil {
		return err
	}
	for _, l := range files {
		t.truth[l]++
	}
	// What is not a record is kept separately, and the blob still settles.
	_, err = t.sim.PublishRaw(t.company.Tenant().ID, "Audit.Exchange", t.sim.Now(),
		[]byte(`[42,"text",null,{"Operation":"Send","Item":{"Attachments":"no id.txt (1b)"}}]`))
	t.blobs++
	return err
}

// follow ticks and delivers as the template says, until all blobs have ended and all that was sent is found, with its
// recipients and hashes.
func (t *teller) follow(ctx context.Context) error {
	mappings, err := t.mappings()
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	ended := make(chan error, len(mappings))
	for _, m := range mappings {
		go func() {
			err := m.run(ctx)
			stop(err)
			ended <- err
		}()
	}
	err = t.found(ctx)
	stop(nil)
	for range mappings {
		err = errors.Join(err, <-ended)
	}
	return err
}

func (t *teller) found(ctx context.Context) error {
	return t.until(ctx, fmt.Sprintf("%d blobs to end and %d events to be found", t.blobs, total(t.truth)),
		func() (bool, error) {
			if err := t.tick(ctx); err != nil {
				return false, err
			}
			c, err := t.connection(ctx)
			if err != nil || c.Ledger.Listed < t.blobs || c.Ledger.Open > 0 {
				return false, err
			}
			events, err := t.search(ctx)
			if err != nil {
				return false, err
			}
			t.seen = len(events)
			return t.seen >= total(t.truth), compare(events, t.truth)
		})
}

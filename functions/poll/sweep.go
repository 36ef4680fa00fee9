package main

import (
	"context"
	"errors"
	"time"

	"github.com/mailtrail/mailtrail/functions/parts"
	"github.com/mailtrail/mailtrail/shared/forensic"
)

// lateness is how much longer than the deadline of its enriching a message waits before it is queued again.
const lateness = 5 * time.Minute

// sweep queues again what has waited too long to be enriched, of each of the connections. One that fails holds no other up.
func sweep(ctx context.Context, p *parts.Parts, polled sharded) error {
	desk := &forensic.Desk{Events: p.EventsTable(), Queue: p.MessageQueue(), Now: time.Now, Log: p.Log, Patience: p.Deadline + lateness}
	all, err := polled.Followed(ctx)
	if err != nil {
		return err
	}
	var failed []error
	for _, c := range all {
		if _, err := desk.Sweep(ctx, c.ID); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

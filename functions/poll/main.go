// Command poll lists what is new in every tenant's audit log, at each tick of a schedule, and queues it; queues again the messages that
// have waited too long to be enriched; and deletes what is to be deleted.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/mailtrail/mailtrail/functions/parts"
	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/trigger"
)

func main() {
	parts.Start(build, parts.TableConnections, parts.TableBlobs, parts.TableEvents, parts.TablePeople, parts.QueueBlobs, parts.QueueMessages,
		parts.EnrichMinutes, parts.ClientID, parts.CredentialARN, parts.Publisher, parts.Cloud)
}

func build(ctx context.Context, p *parts.Parts) (lambda.Handler, error) {
	feed, err := p.Feed(ctx)
	if err != nil {
		return nil, err
	}
	registry, ledger, queue, slots := p.Registry(), p.Ledger(), p.BlobQueue(), make(chan struct{}, audit.Slots)
	tick := func(ctx context.Context, at time.Time, s trigger.Shard) error {
		mine := sharded{registry, s}
		poller := &audit.Poller{
			Connections: mine, Feed: feed, Ledger: ledger, Queue: queue,
			Now: time.Now, Holder: rand.Text, Log: p.Log, Slots: slots,
		}
		outcome, err := poller.Poll(ctx, at)
		if err != nil {
			return err
		}
		tell(ctx, p.Log, s, outcome)
		return errors.Join(sweep(ctx, p, mine), purger(p, registry, ledger, s).Tick(ctx))
	}
	return &trigger.Schedule{Tick: tick, Log: p.Log}, nil
}

// Command poll runs at each tick of a schedule. It lists what is new in every tenant's audit log, and queues it. It
// queues messages again that have waited too long to be enriched, and deletes connections that are to be deleted.
package main

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/mailtrail/mailtrail/functions/parts"
	"github.com/mailtrail/mailtrail/shared/settings"
	"github.com/mailtrail/mailtrail/shared/trigger"
)

func main() {
	parts.Start(build, settings.TableConnections, settings.TableBlobs, settings.TableEvents, settings.TablePeople,
		settings.QueueBlobs, settings.QueueMessages, settings.EnrichMinutes,
		settings.ClientID, settings.CredentialARN, settings.Publisher, settings.Cloud)
}

func build(ctx context.Context, p *parts.Parts) (lambda.Handler, error) {
	all, err := p.Working(ctx)
	if err != nil {
		return nil, err
	}
	tick := func(ctx context.Context, at time.Time, s trigger.Shard) error {
		mine := all.Of(s.Holds)
		outcome, err := mine.Poller.Poll(ctx, at)
		if err != nil {
			return err
		}
		// The dashboard and the alarms count these lines.
		p.Log.InfoContext(ctx, "polled", append(s.Attrs(), outcome.Attrs()...)...)
		return errors.Join(mine.Sweep(ctx), mine.Purger.Tick(ctx))
	}
	return &trigger.Schedule{Tick: tick, Log: p.Log}, nil
}

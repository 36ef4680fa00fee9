// Command poll lists what is new in every tenant's audit log, at each tick of a schedule, and queues it; queues again the
// messages that have waited too long to be enriched; and deletes what is to be deleted.
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
		p.Log.InfoContext(ctx, "polled", append(s.Attrs(), outcome.Attrs()...)...) // the dashboard and alarms count these lines
		return errors.Join(mine.Sweep(ctx), mine.Purger.Tick(ctx))
	}
	return &trigger.Schedule{Tick: tick, Log: p.Log}, nil
}

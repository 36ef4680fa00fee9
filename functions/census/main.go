// Command census runs at each tick of a schedule. It reads the directory of every tenant whose census is due.
package main

import (
	"context"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/mailtrail/mailtrail/functions/parts"
	"github.com/mailtrail/mailtrail/shared/settings"
	"github.com/mailtrail/mailtrail/shared/trigger"
)

func main() {
	parts.Start(build, settings.TableConnections, settings.TablePeople,
		settings.ClientID, settings.CredentialARN, settings.Publisher, settings.Cloud)
}

func build(ctx context.Context, p *parts.Parts) (lambda.Handler, error) {
	all, err := p.Working(ctx)
	if err != nil {
		return nil, err
	}
	tick := func(ctx context.Context, _ time.Time, s trigger.Shard) error {
		outcome, err := all.Of(s.Holds).Census.Run(ctx)
		if err == nil {
			// An alarm rings when these lines are missing.
			p.Log.InfoContext(ctx, "census taken", append(s.Attrs(), outcome.Attrs()...)...)
		}
		return err
	}
	return &trigger.Schedule{Tick: tick, Log: p.Log}, nil
}

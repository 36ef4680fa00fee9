// Command census reads, where it is due, who is in every tenant's directory, at each tick of a schedule.
package main

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/mailtrail/mailtrail/functions/parts"
	"github.com/mailtrail/mailtrail/shared/people"
	"github.com/mailtrail/mailtrail/shared/trigger"
)

func main() {
	parts.Start(build, parts.TableConnections, parts.TablePeople, parts.ClientID, parts.CredentialARN, parts.Publisher, parts.Cloud)
}

func build(ctx context.Context, p *parts.Parts) (lambda.Handler, error) {
	directory, err := p.Feed(ctx)
	if err != nil {
		return nil, err
	}
	registry, roster := p.Registry(), p.Roster()
	tick := func(ctx context.Context, _ time.Time, s trigger.Shard) error {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		census := &people.Census{
			Connections: sharded{registry, s}, Directory: directory, Roster: roster, Now: time.Now, Holder: rand.Text, Log: p.Log, Patience: patience,
		}
		outcome, err := census.Run(ctx)
		if err == nil {
			tell(ctx, p.Log, s, outcome)
		}
		return err
	}
	return &trigger.Schedule{Tick: tick, Log: p.Log}, nil
}

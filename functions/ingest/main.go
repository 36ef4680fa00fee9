// Command ingest reads queued blobs out of Microsoft, and stores their messages, files and terms.
package main

import (
	"context"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/mailtrail/mailtrail/functions/parts"
	"github.com/mailtrail/mailtrail/shared/forensic"
	"github.com/mailtrail/mailtrail/shared/people"
	"github.com/mailtrail/mailtrail/shared/queue"
	"github.com/mailtrail/mailtrail/shared/trigger"
)

func main() {
	parts.Start(build, parts.TableConnections, parts.TableBlobs, parts.TableEvents, parts.TablePeople, parts.QueueBlobs, parts.QueueMessages,
		parts.ClientID, parts.CredentialARN, parts.Publisher, parts.Cloud)
}

func build(ctx context.Context, p *parts.Parts) (lambda.Handler, error) {
	feed, err := p.Feed(ctx)
	if err != nil {
		return nil, err
	}
	ingester := &forensic.Ingester{
		Feed: feed, Connections: p.Registry(), Ledger: p.Ledger(), Events: p.EventsTable(), Now: time.Now, Retention: p.Retention, Log: p.Log,
		Queue: p.MessageQueue(), Gate: &people.Monitor{Roster: p.Roster(), Directory: feed},
	}
	blobs := p.BlobQueue()
	hide := func(ctx context.Context, receipt string, d time.Duration) error {
		return blobs.Hide(ctx, queue.Delivery{Receipt: receipt}, d)
	}
	return &trigger.Queue{Work: ingester.Ingest, Hide: hide, Log: p.Log}, nil
}

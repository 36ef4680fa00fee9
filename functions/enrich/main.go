// Command enrich finds the recipients and hashes of queued messages in the mailboxes of those who sent them.
package main

import (
	"context"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/mailtrail/mailtrail/functions/parts"
	"github.com/mailtrail/mailtrail/shared/enrich"
	"github.com/mailtrail/mailtrail/shared/forensic"
	"github.com/mailtrail/mailtrail/shared/queue"
	"github.com/mailtrail/mailtrail/shared/trigger"
)

func main() {
	parts.Start(build, parts.TableConnections, parts.TableEvents, parts.TablePeople, parts.QueueMessages, parts.Hashes, parts.HashLimitMB, parts.EnrichMinutes,
		parts.ClientID, parts.CredentialARN, parts.Publisher, parts.Cloud)
}

func build(ctx context.Context, p *parts.Parts) (lambda.Handler, error) {
	graph, err := p.Feed(ctx)
	if err != nil {
		return nil, err
	}
	agent := enrich.New(enrich.Config{
		Graph: graph, Messages: &forensic.Desk{Events: p.EventsTable(), Now: time.Now, Log: p.Log}, Connections: p.Registry(), Domains: p.Roster(),
		Hashes: enrich.Setting(p.Hashed), Limit: p.HashLimit, Deadline: p.Deadline, Now: time.Now,
	})
	messages := p.MessageQueue()
	hide := func(ctx context.Context, receipt string, d time.Duration) error {
		return messages.Hide(ctx, queue.Delivery{Receipt: receipt}, d)
	}
	return &trigger.Queue{Work: agent.Enrich, Hide: hide, Log: p.Log}, nil
}

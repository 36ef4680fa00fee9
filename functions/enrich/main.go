// Command enrich finds the recipients and hashes of queued messages in the mailboxes of their senders.
package main

import (
	"context"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/mailtrail/mailtrail/functions/parts"
	"github.com/mailtrail/mailtrail/shared/settings"
)

func main() {
	parts.Start(build, settings.TableConnections, settings.TableBlobs, settings.TableEvents, settings.TablePeople,
		settings.QueueMessages, settings.Hashes, settings.HashLimitMB, settings.EnrichMinutes, settings.LookDays,
		settings.ClientID, settings.CredentialARN, settings.Publisher, settings.Cloud)
}

func build(ctx context.Context, p *parts.Parts) (lambda.Handler, error) {
	all, err := p.Working(ctx)
	if err != nil {
		return nil, err
	}
	return p.MessageWorker(all.Enricher.Enrich), nil
}

// Command ingest fetches queued blobs from Microsoft, and stores their messages, files and terms.
package main

import (
	"context"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/mailtrail/mailtrail/functions/parts"
	"github.com/mailtrail/mailtrail/shared/settings"
)

func main() {
	parts.Start(build, settings.TableConnections, settings.TableBlobs, settings.TableEvents, settings.TablePeople,
		settings.QueueBlobs, settings.QueueMessages, settings.RetentionDays, settings.CheckSends,
		settings.ClientID, settings.CredentialARN, settings.Publisher, settings.Cloud)
}

func build(ctx context.Context, p *parts.Parts) (lambda.Handler, error) {
	all, err := p.Working(ctx)
	if err != nil {
		return nil, err
	}
	return p.BlobWorker(all.Ingester.Ingest), nil
}

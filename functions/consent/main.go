// Command consent leads an administrator from the link to Microsoft and back.
package main

import (
	"context"
	"net/http"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/mailtrail/mailtrail/functions/parts"
	"github.com/mailtrail/mailtrail/shared/settings"
	"github.com/mailtrail/mailtrail/shared/trigger"
)

func main() {
	parts.Start(build, settings.TableConnections,
		settings.ClientID, settings.CredentialARN, settings.Publisher, settings.Cloud)
}

func build(ctx context.Context, p *parts.Parts) (lambda.Handler, error) {
	h, err := p.PerBase(func(base string) (http.Handler, error) {
		client, err := p.Microsoft(ctx, base)
		if err != nil {
			return nil, err
		}
		all := p.Agents(client)
		return all.Handler(all.ConsentRoutes()), nil
	})
	return &trigger.HTTP{Handler: h, Log: p.Log}, err
}

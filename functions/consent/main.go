// Command consent takes an administrator from the link to Microsoft and back.
package main

import (
	"context"
	"net/http"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/mailtrail/mailtrail/functions/parts"
	"github.com/mailtrail/mailtrail/shared/access"
	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/m365"
	"github.com/mailtrail/mailtrail/shared/trigger"
)

func main() {
	parts.Start(build, parts.TableConnections, parts.ClientID, parts.CredentialARN, parts.Publisher, parts.Cloud)
}

func build(ctx context.Context, p *parts.Parts) (lambda.Handler, error) {
	application, err := p.Application(ctx)
	if err != nil {
		return nil, err
	}
	h, err := p.PerBase(func(base string) (http.Handler, error) {
		application.RedirectURL = base + parts.CallbackPath // bases are built one at a time
		client, err := m365.New(application)
		if err != nil {
			return nil, err
		}
		consent := &connection.Consent{
			Registry: p.Registry(), SignIn: client, Grants: client, Trail: p.Trail(), Log: p.Log, CallbackPath: parts.CallbackPath,
			Subscribe: func(ctx context.Context, t connection.Tenant) error { return client.Subscribe(ctx, t, audit.Exchange) },
		}
		return access.Mux(p.Guard(), consent.Routes()), nil
	})
	return &trigger.HTTP{Handler: h, Log: p.Log}, err
}

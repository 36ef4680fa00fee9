// Command connections is the API of connections, their people, API clients and the trail. Invoked directly it also
// creates API clients: that is how the first one comes to be.
package main

import (
	"context"
	"net/http"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/mailtrail/mailtrail/functions/parts"
	"github.com/mailtrail/mailtrail/shared/access"
	"github.com/mailtrail/mailtrail/shared/settings"
	"github.com/mailtrail/mailtrail/shared/trigger"
)

func main() {
	parts.Start(build, settings.TableConnections, settings.TableBlobs, settings.TablePeople)
}

func build(_ context.Context, p *parts.Parts) (lambda.Handler, error) {
	all := p.Agents(nil)
	h, err := p.PerBase(func(base string) (http.Handler, error) { return all.Handler(all.AdminRoutes(base)), nil })
	return &trigger.Command[access.NewClient]{
		Name: "createClient", Run: create(all.ClientAPI), Else: &trigger.HTTP{Handler: h, Log: p.Log}, Log: p.Log,
	}, err
}

// operator stands in the trail for whoever invokes the function. IAM allowed it, and CloudTrail recorded who it was.
const operator = "iam"

// create answers the command createClient, as POST /v1/clients does for a caller without a limit.
func create(clients *access.ClientAPI) func(context.Context, access.NewClient) (any, error) {
	return func(ctx context.Context, asked access.NewClient) (any, error) {
		client, secret, err := clients.Create(access.With(ctx, access.Caller{ID: operator}), asked)
		return access.CreatedClient{ShownClient: client.Show(), Secret: secret}, err
	}
}

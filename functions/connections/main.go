// Command connections is the API of connections, their people, API clients and the trail. Invoked directly it also creates
// API clients: that is how the first one comes to be.
package main

import (
	"context"
	"net/http"
	"slices"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/mailtrail/mailtrail/functions/parts"
	"github.com/mailtrail/mailtrail/shared/access"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/openapi"
	"github.com/mailtrail/mailtrail/shared/people"
	"github.com/mailtrail/mailtrail/shared/trigger"
)

func main() { parts.Start(build, parts.TableConnections, parts.TableBlobs, parts.TablePeople) }

func build(_ context.Context, p *parts.Parts) (lambda.Handler, error) {
	ledger := p.Ledger()
	clients := &access.ClientAPI{Clients: p.Clients(), Trail: p.Trail(), Connections: p.Registry().IDs, Log: p.Log}
	h, err := p.PerBase(func(base string) (http.Handler, error) {
		api := &connection.API{
			Registry: p.Registry(), Trail: p.Trail(), Progress: ledger.Tell, Begin: base + connection.BeginPath, Log: p.Log,
		}
		acts := &access.TrailAPI{Trail: p.Trail(), Log: p.Log}
		persons := &people.API{Roster: p.Roster(), Find: p.Registry().Get, Trail: p.Trail(), Log: p.Log}
		return access.Mux(p.Guard(), slices.Concat(api.Routes(), persons.Routes(), acts.Routes(), clients.Routes(), openapi.Routes())), nil
	})
	return &trigger.Command[access.NewClient]{
		Name: "createClient", Run: create(clients), Else: &trigger.HTTP{Handler: h, Log: p.Log}, Log: p.Log,
	}, err
}

// operator is who creates clients by invoking the function: somebody whom IAM allows it. CloudTrail knows who that was.
const operator = "iam"

// create answers the command createClient, as POST /v1/clients does for a caller without a limit.
func create(clients *access.ClientAPI) func(context.Context, access.NewClient) (any, error) {
	return func(ctx context.Context, asked access.NewClient) (any, error) {
		client, secret, err := clients.Create(access.With(ctx, access.Caller{ID: operator}), asked)
		return access.CreatedClient{ShownClient: client.Show(), Secret: secret}, err
	}
}

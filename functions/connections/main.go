// Command connections is the API to add, look at, rename, scope, deauthorize, resume and delete connections, and to look at their people and at the
// trail. Invoked directly it also makes API clients, the first
// one above all.
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
	h, err := p.PerBase(func(base string) (http.Handler, error) {
		api := &connection.API{
			Registry: p.Registry(), Trail: p.Trail(), Progress: ledger.Tell, Begin: base + connection.BeginPath, Log: p.Log,
		}
		acts := &access.TrailAPI{Trail: p.Trail(), Log: p.Log}
		persons := &people.API{Roster: p.Roster(), Find: p.Registry().Get, Trail: p.Trail(), Log: p.Log}
		return access.Mux(p.Guard(), slices.Concat(api.Routes(), persons.Routes(), acts.Routes(), openapi.Routes())), nil
	})
	maker := &maker{clients: p.Clients(), trail: p.Trail()}
	return &trigger.Command[newClient]{
		Name: "createClient", Run: maker.make, Else: &trigger.HTTP{Handler: h, Log: p.Log}, Log: p.Log,
	}, err
}

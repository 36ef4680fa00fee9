// Command search answers logins and Forensic Search.
package main

import (
	"context"
	"slices"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/mailtrail/mailtrail/functions/parts"
	"github.com/mailtrail/mailtrail/shared/access"
	"github.com/mailtrail/mailtrail/shared/forensic"
	"github.com/mailtrail/mailtrail/shared/search"
	"github.com/mailtrail/mailtrail/shared/trigger"
)

// limit of one search: API Gateway waits for 30 s.
const limit = 25 * time.Second

func main() {
	parts.Start(build, parts.TableConnections, parts.TableBlobs, parts.TableEvents, parts.TablePeople)
}

func build(_ context.Context, p *parts.Parts) (lambda.Handler, error) {
	login := &access.Login{Clients: p.Clients(), Tokens: p.Tokens(), Log: p.Log}
	events := p.EventsTable()
	searches := &search.Search{
		Events: events, Connections: p.Registry(), Domains: p.Roster(), Watermarks: &forensic.Watermarks{Ledger: p.Ledger(), Events: events}, Trail: p.Trail(),
		Now: time.Now, Log: p.Log, Limit: limit, MaxAnswer: trigger.MaxAnswer,
	}
	return &trigger.HTTP{Handler: access.Mux(p.Guard(), slices.Concat(login.Routes(), searches.Routes())), Log: p.Log}, nil
}

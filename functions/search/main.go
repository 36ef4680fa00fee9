// Command search answers logins and Forensic Search.
package main

import (
	"context"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/mailtrail/mailtrail/functions/parts"
	"github.com/mailtrail/mailtrail/shared/settings"
	"github.com/mailtrail/mailtrail/shared/trigger"
)

func main() {
	parts.Start(build, settings.TableConnections, settings.TableBlobs, settings.TableEvents, settings.TablePeople)
}

func build(_ context.Context, p *parts.Parts) (lambda.Handler, error) {
	all := p.Agents(nil)
	return &trigger.HTTP{Handler: all.Handler(all.SearchRoutes()), Log: p.Log}, nil
}

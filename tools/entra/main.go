// Command entra registers Mailtrail's application at Microsoft Entra, in any of the four clouds, and changes it later:
// docs/deploy.md says when. It calls Microsoft Graph with the token of somebody who may register applications
// (GRAPH_TOKEN in the environment), and keeps nothing.
//
//	entra manifest                                  print what is registered, for those who do it by hand
//	entra register CLOUD certificate.pem            register the application; prints the stack's ClientId and Publisher
//	entra redirect CLOUD CLIENT_ID URI              let browsers come back to URI
//	entra certificate CLOUD CLIENT_ID new.pem       register another certificate beside those that are there
//	entra update CLOUD CLIENT_ID                    ask for the permissions that this version needs
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/m365"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Getenv("GRAPH_TOKEN"), m365.Clouds(), os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "entra:", err)
		os.Exit(1)
	}
}

var errUsage = errors.New(`say one of:
  entra manifest
  entra register CLOUD certificate.pem
  entra redirect CLOUD CLIENT_ID URI
  entra certificate CLOUD CLIENT_ID new.pem
  entra update CLOUD CLIENT_ID
CLOUD is commercial, gcc, gcchigh or dod`)

func run(ctx context.Context, args []string, token string, clouds map[connection.Cloud]m365.Endpoints,
	out io.Writer) error {
	a, err := manifest()
	if err != nil {
		return err
	}
	if len(args) == 1 && args[0] == "manifest" {
		text, err := json.MarshalIndent(a, "", "  ")
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(out, "%s\n", text)
		return err
	}
	if len(args) < 3 {
		return errUsage
	}
	cloud, err := connection.ParseCloud(args[1])
	if err != nil {
		return err
	}
	if token == "" {
		return errors.New("GRAPH_TOKEN is missing: an access token of Microsoft Graph with Application.ReadWrite.All")
	}
	g := &graph{root: clouds[cloud].Graph, token: token}
	switch verb, rest := args[0], args[2:]; {
	case verb == "register" && len(rest) == 1:
		return register(ctx, g, a, rest[0], out)
	case verb == "redirect" && len(rest) == 2:
		return redirect(ctx, g, rest[0], rest[1])
	case verb == "certificate" && len(rest) == 2:
		return certify(ctx, g, rest[0], rest[1])
	case verb == "update" && len(rest) == 1:
		return g.patch(ctx, rest[0], application{Requires: a.Requires, Claims: a.Claims})
	}
	return errUsage
}

package parts

import (
	"context"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/m365"
)

// CallbackPath is where Microsoft sends an administrator's browser back to. Base and CallbackPath together are the redirect URI that is
// registered with the application.
const CallbackPath = "/consent/callback"

// nobody stands in the redirect URI of clients that no browser comes back to; .invalid is no domain, and never will be (RFC 2606).
const nobody = "https://mailtrail.invalid"

// Feed is the client for Microsoft of agents that work without a browser.
func (p *Parts) Feed(ctx context.Context) (*m365.Client, error) {
	c, err := p.Application(ctx)
	if err != nil {
		return nil, err
	}
	c.RedirectURL = nobody + CallbackPath
	return m365.New(c)
}

// Application is our application at Microsoft, with its credential from Secrets Manager, and without a redirect URL. All clients that are made
// of it share the credential, and see when it is changed.
func (p *Parts) Application(ctx context.Context) (m365.Config, error) {
	stored := newCredential(p.CredentialARN, p.secret, time.Now)
	credentials, err := stored.read(ctx)
	return m365.Config{
		ClientID: p.ClientID, Publisher: p.Publisher, Credentials: credentials, Renew: stored.read,
		Endpoints: map[connection.Cloud]m365.Endpoints{p.Cloud: p.Endpoints},
	}, err
}

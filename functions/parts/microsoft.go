package parts

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/mailtrail/mailtrail/shared/agents"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/m365"
	"github.com/mailtrail/mailtrail/shared/settings"
)

// nobody is the address in the redirect URI of clients to which no browser returns. The domain .invalid will never
// exist (RFC 2606).
const nobody = "https://mailtrail.invalid"

// Working returns the agents of a function that calls Microsoft, and to which no browser returns.
func (p *Parts) Working(ctx context.Context) (*agents.Agents, error) {
	client, err := p.Microsoft(ctx, nobody)
	if err != nil {
		return nil, err
	}
	return p.Agents(client), nil
}

// Microsoft returns a client for Microsoft that sends browsers back to base. All clients share one credential. It is
// read from Secrets Manager for the first of them, and again when Microsoft refuses it. Microsoft is not safe for
// concurrent use.
func (p *Parts) Microsoft(ctx context.Context, base string) (*m365.Client, error) {
	if p.application.ClientID == "" {
		application, err := p.read(ctx)
		if err != nil {
			return nil, err
		}
		p.application = application
	}
	c := p.application
	c.RedirectURL = base + connection.CallbackPath
	client, err := m365.New(c)
	if err != nil {
		return nil, err
	}
	client.WarnOfEnds(ctx, p.Log)
	return client, nil
}

// read returns our application at Microsoft, with its credential.
func (p *Parts) read(ctx context.Context) (m365.Config, error) {
	s := p.Settings
	endpoints, err := m365.ParseEndpoints(cmp.Or(s.Endpoints, "{}"))
	if err != nil {
		return m365.Config{}, fmt.Errorf("%s: %w", settings.Endpoints, err)
	}
	stored := newCredential(s.CredentialARN, p.secret, time.Now)
	credentials, err := stored.read(ctx)
	if err != nil {
		return m365.Config{}, err
	}
	ours := s.Applications[s.Cloud]
	return m365.Config{
		ClientID: ours.ClientID, Publisher: ours.Publisher, Credentials: credentials, Renew: stored.read,
		Endpoints: map[connection.Cloud]m365.Endpoints{s.Cloud: endpoints[s.Cloud]},
	}, nil
}

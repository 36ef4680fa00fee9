package parts

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

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

// Application is our application at Microsoft, with its credential from Secrets Manager, and without a redirect URL. A credential that is
// changed is seen by what starts after it: let the old one be good for a day more.
func (p *Parts) Application(ctx context.Context) (m365.Config, error) {
	c := m365.Config{
		ClientID: p.ClientID, Publisher: p.Publisher,
		Endpoints: map[connection.Cloud]m365.Endpoints{p.Cloud: p.Endpoints},
	}
	out, err := secretsmanager.NewFromConfig(p.aws).GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String(p.CredentialARN)})
	if err != nil {
		return c, fmt.Errorf("read the credential %s: %w", p.CredentialARN, err)
	}
	text := strings.TrimSpace(aws.ToString(out.SecretString))
	switch {
	case text == "":
		err = errors.New("it is empty, or not text")
	case strings.HasPrefix(text, "-----BEGIN "):
		c.Certificate, err = m365.ParseCertificate([]byte(text))
	default:
		c.Secret = text
	}
	if err != nil {
		return c, fmt.Errorf("read the credential %s: %w", p.CredentialARN, err)
	}
	return c, nil
}

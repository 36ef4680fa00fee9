package parts

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"golang.org/x/time/rate"

	"github.com/mailtrail/mailtrail/shared/m365"
)

const (
	// again is how often the credential is read again while Microsoft refuses the one we have. It equals the time between
	// two ticks, so that a new credential takes effect at the next tick.
	again = time.Minute
	// readTime bounds one reading.
	readTime = 5 * time.Second
)

// credential is the application's certificate or client secret in Secrets Manager. It is read when a function starts,
// and again when Microsoft refuses it (m365.Application.Renew): an instance that runs for hours notices a new one,
// and an instance whose credential works reads nothing. It is safe for concurrent use: callers at the same time share
// one reading.
type credential struct {
	name  string // the secret's ARN
	value func(ctx context.Context) (string, error)
	now   func() time.Time

	mu    sync.Mutex
	often *rate.Limiter
	last  []m365.Credential // the last good ones
	err   error             // of the last reading
}

func newCredential(name string, value func(context.Context) (string, error), now func() time.Time) *credential {
	return &credential{name: name, value: value, now: now, often: rate.NewLimiter(rate.Every(again), 2)}
}

// secret reads one secret from Secrets Manager (GetSecretValue: the version with the label AWSCURRENT).
func (p *Parts) secret(ctx context.Context) (string, error) {
	id := aws.String(p.Settings.CredentialARN)
	out, err := secretsmanager.NewFromConfig(p.aws).GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: id})
	if err != nil {
		return "", err
	}
	return aws.ToString(out.SecretString), nil
}

// read reads the credential, or returns the result of the last reading if that was a short while ago.
func (c *credential) read(ctx context.Context) ([]m365.Credential, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.often.AllowN(c.now(), 1) {
		return c.last, c.err
	}
	// If the first caller gives up, the reading goes on: other callers wait for its result.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readTime)
	defer cancel()
	text, err := c.value(ctx)
	var parsed m365.Credential
	if err == nil {
		parsed, err = parseCredential(text)
	}
	if c.err = err; err != nil {
		c.err = fmt.Errorf("read the credential %s: %w", c.name, err)
		return nil, c.err
	}
	c.last = []m365.Credential{parsed}
	return c.last, nil
}

// parseCredential reads a certificate with its key from PEM, or else a client secret. Errors never quote the text.
func parseCredential(text string) (m365.Credential, error) {
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return m365.Credential{}, errors.New("it is empty, or not text")
	case strings.HasPrefix(text, "-----BEGIN "):
		certificate, err := m365.ParseCertificate([]byte(text))
		return m365.Credential{Certificate: certificate}, err
	}
	return m365.Credential{Secret: text}, nil
}

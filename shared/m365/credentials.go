package m365

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
)

// maxCredentials bounds how many credentials of one application are tried. Two are usual while a new one replaces an
// old one.
const maxCredentials = 4

// Credential proves that we are the application: a client secret or a certificate, and not both.
type Credential struct {
	Secret      string
	Certificate *Certificate
}

func (c Credential) check() error {
	switch {
	case c.Secret == "" && c.Certificate == nil:
		return errors.New("one of Secret and Certificate is missing")
	case c.Secret != "" && c.Certificate != nil:
		return errors.New("only one of Secret and Certificate may be given")
	case c.Certificate != nil:
		return c.Certificate.check()
	}
	return nil
}

// same says whether two credentials are the same.
func (c Credential) same(o Credential) bool {
	if c.Certificate == nil || o.Certificate == nil {
		return c.Certificate == o.Certificate && c.Secret == o.Secret
	}
	return c.Certificate.Leaf.Equal(o.Certificate.Leaf)
}

func checkCredentials(all []Credential) error {
	if len(all) == 0 || len(all) > maxCredentials {
		return fmt.Errorf("an application has 1 to %d credentials, and not %d", maxCredentials, len(all))
	}
	var wrong []error
	for i, c := range all {
		if err := c.check(); err != nil {
			wrong = append(wrong, fmt.Errorf("credential %d: %w", i+1, err))
		}
	}
	return errors.Join(wrong...)
}

// keyring holds the credentials of one application, the one that worked last first. It is safe for concurrent use.
type keyring struct {
	renew func(ctx context.Context) ([]Credential, error)

	mu  sync.Mutex
	all []Credential // never changed in place
}

func (k *keyring) credentials() []Credential {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.all
}

// use calls f with one credential after the other until Microsoft does not refuse the credential itself, and remembers
// that one. If all are refused, it asks renew for others and tries the new ones.
func (k *keyring) use(ctx context.Context, f func(Credential) error) error {
	all := k.credentials()
	err := k.try(all, f)
	if !refusesCredential(err) || k.renew == nil {
		return err
	}
	renewed, failed := k.renew(ctx)
	if failed == nil {
		failed = checkCredentials(renewed)
	}
	if failed != nil {
		return fmt.Errorf("%w (and no other credential could be read: %w)", err, failed)
	}
	fresh := slices.DeleteFunc(slices.Clone(renewed), func(c Credential) bool { return slices.ContainsFunc(all, c.same) })
	if len(fresh) == 0 {
		return err
	}
	k.mu.Lock()
	k.all = slices.Clone(renewed)
	k.mu.Unlock()
	return k.try(fresh, f)
}

// try returns the first outcome that is not a refusal of the credential, or else the last one.
func (k *keyring) try(all []Credential, f func(Credential) error) error {
	var err error
	for _, c := range all {
		if err = f(c); !refusesCredential(err) {
			k.prefer(c)
			return err
		}
	}
	return err
}

// prefer moves a credential that was not refused to the front.
func (k *keyring) prefer(c Credential) {
	k.mu.Lock()
	defer k.mu.Unlock()
	at := slices.IndexFunc(k.all, c.same)
	if at <= 0 {
		return
	}
	k.all = slices.Concat([]Credential{k.all[at]}, k.all[:at], k.all[at+1:])
}

// refusesCredential says whether Microsoft refused the credential itself, so that another one may work: it is wrong,
// expired, not registered, or its assertion has the wrong form or time.
func refusesCredential(err error) bool {
	if !errors.Is(err, fault.Ours) {
		return false
	}
	switch code := fault.Code(err); code {
	case "AADSTS7000215", "AADSTS7000222", // the secret is wrong, has expired
		"AADSTS700027", "AADSTS700024", "AADSTS50012", "AADSTS50013", "AADSTS50027", // the certificate or its assertion
		"": // the certificate's key does not sign
		return true
	default:
		return !connection.CauseOf(code).Known // "invalid_client" by a number that is news to us
	}
}

// params returns what the credential adds to a token request.
func (c *Client) params(cred Credential, clientID, tokenURL string) (url.Values, error) {
	if cred.Certificate == nil {
		return url.Values{"client_secret": {cred.Secret}}, nil
	}
	assertion, err := cred.Certificate.assertion(clientID, tokenURL, c.config.Now(), c.config.Rand)
	if err != nil {
		return nil, &fault.Error{Kind: fault.Ours, Err: fmt.Errorf("sign a client assertion: %w", err)}
	}
	return url.Values{
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		"client_assertion":      {assertion},
	}, nil
}

// secretsOf returns the values of a token request that no error may contain.
func secretsOf(params url.Values) []string {
	return []string{params.Get("client_secret"), params.Get("client_assertion")}
}

package m365

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
)

// What an operator should learn at the start, and not from the first tenant that cannot be read.

// outdated is an error if an application has no credential that can be used now. One that has expired beside a valid
// one is no error: that is how credentials are replaced.
func (c Config) outdated() error {
	var wrong []error
	for cloud, r := range c.registrations() {
		var all []error
		for _, credential := range r.Credentials {
			if credential.Certificate == nil || credential.Certificate.Leaf == nil {
				all = nil
				break
			}
			err := credential.Certificate.outdated(c.Now())
			if err == nil {
				all = nil
				break
			}
			all = append(all, err)
		}
		if err := errors.Join(all...); err != nil {
			wrong = append(wrong, fmt.Errorf("Application of cloud %s: %w", cloud, err))
		}
	}
	return errors.Join(wrong...)
}

// ending is how long before its end a certificate is reported.
const ending = 30 * 24 * time.Hour

// Ending is a certificate that ends soon, or has ended.
type Ending struct {
	Cloud connection.Cloud
	Ends  time.Time
}

// EndingCertificates returns the certificates that end within 30 days, by cloud and time. It does not contact
// Microsoft.
func (c *Client) EndingCertificates() []Ending {
	var all []Ending
	for cloud, r := range c.applications {
		for _, credential := range r.keys.credentials() {
			if cert := credential.Certificate; cert != nil && c.config.Now().Add(ending).After(cert.Leaf.NotAfter) {
				all = append(all, Ending{cloud, cert.Leaf.NotAfter})
			}
		}
	}
	slices.SortFunc(all, func(a, b Ending) int {
		if a.Cloud != b.Cloud {
			if a.Cloud < b.Cloud {
				return -1
			}
			return 1
		}
		return a.Ends.Compare(b.Ends)
	})
	return all
}

// WarnOfEnds logs a warning for each certificate that ends within 30 days. An alarm is made of these lines.
func (c *Client) WarnOfEnds(ctx context.Context, log *slog.Logger) {
	for _, e := range c.EndingCertificates() {
		log.WarnContext(ctx, "a certificate of our application ends soon: register another one, and set it beside this one",
			"cloud", e.Cloud, "ends", e.Ends.UTC().Format(time.DateOnly))
	}
}

// TryCredentials asks for one token in each cloud, at our own tenant, to see whether Microsoft accepts our credential.
// refused says that it does not, and must be mended; unsure says that it could not be found out: Microsoft could not be
// reached, or has no service principal of the application in our own tenant.
func (c *Client) TryCredentials(ctx context.Context) (refused, unsure error) {
	for cloud, r := range c.applications {
		tenant := connection.Tenant{ID: connection.TenantID(r.Publisher), Cloud: cloud}
		_, err := c.fetchToken(ctx, tokenKey{tenant, graph})
		switch {
		case err == nil:
		case errors.Is(err, fault.Ours):
			refused = errors.Join(
				refused,
				fmt.Errorf("the credential of the application of cloud %s is refused by Microsoft: %w", cloud, err),
			)
		default:
			unsure = errors.Join(unsure, fmt.Errorf("try the credential of the application of cloud %s: %w", cloud, err))
		}
	}
	return refused, unsure
}

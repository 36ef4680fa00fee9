package m365

import (
	"context"
	"errors"
	"fmt"

	"github.com/mailtrail/mailtrail/shared/connection"
)

// Application is our application as it is registered in one cloud. Registrations, tokens and credentials of one
// national cloud are not valid in another ("National cloud deployments"). Commercial and GCC share one, since they
// share a login.
type Application struct {
	ClientID string // the application's id
	// GUID of our own tenant in that cloud: PublisherIdentifier, by which Microsoft counts our requests apart
	Publisher string
	// Credentials prove that we are the application. There are two while one replaces the other: the one that worked
	// last is tried first, and the other if Microsoft refuses it.
	Credentials []Credential
	// Renew, if not nil, reads the credentials again after Microsoft has refused all of them. It may be called often
	// and concurrently: it limits by itself how often it really reads them.
	Renew func(ctx context.Context) ([]Credential, error)
}

func (a Application) check() error {
	var wrong []error
	demand := func(name, value string) {
		switch {
		case value == "":
			wrong = append(wrong, fmt.Errorf("%s is missing", name))
		case !connection.IsGUID(value):
			wrong = append(wrong, fmt.Errorf("%s is no GUID", name))
		}
	}
	demand("ClientID", a.ClientID)
	demand("Publisher", a.Publisher)
	return errors.Join(append(wrong, checkCredentials(a.Credentials))...)
}

// registration is an Application with its keyring.
type registration struct {
	Application
	keys *keyring
}

func newRegistration(a Application) *registration {
	return &registration{Application: a, keys: &keyring{renew: a.Renew, all: a.Credentials}}
}

// registrations are the applications of the clouds; clouds with the same application share its keyring.
func (c Config) registrations() map[connection.Cloud]*registration {
	shared := newRegistration(c.application())
	all := make(map[connection.Cloud]*registration, len(c.Endpoints))
	for cloud := range c.Endpoints {
		all[cloud] = shared
		if a, ok := c.Applications[cloud]; ok {
			all[cloud] = newRegistration(a)
		}
	}
	return all
}

// application is the one for all clouds that Applications does not name.
func (c Config) application() Application {
	a := Application{ClientID: c.ClientID, Publisher: c.Publisher, Credentials: c.Credentials, Renew: c.Renew}
	if c.Secret != "" || c.Certificate != nil || len(c.Credentials) == 0 {
		a.Credentials = append([]Credential{{Secret: c.Secret, Certificate: c.Certificate}}, c.Credentials...)
	}
	return a
}

// allNamed says whether Applications names every cloud.
func (c Config) allNamed() bool {
	for cloud := range c.Endpoints {
		if _, ok := c.Applications[cloud]; !ok {
			return false
		}
	}
	return len(c.Endpoints) > 0
}

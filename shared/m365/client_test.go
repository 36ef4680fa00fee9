package m365_test

import (
	"strings"
	"testing"

	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/m365"
)

// What the domain asks of Microsoft is what the client gives.
var (
	_ connection.SignIn = (*m365.Client)(nil)
	_ connection.Grants = (*m365.Client)(nil)
	_ audit.Feed        = (*m365.Client)(nil)
)

func TestNewNamesWhatIsMissing(t *testing.T) {
	certificate := newCertificate(t)
	good := func() m365.Config {
		return m365.Config{ClientID: clientID, Secret: secret, RedirectURL: redirect, Publisher: publisher}
	}
	for wrong, change := range map[string]func(*m365.Config){
		"":                            func(*m365.Config) {},
		"ClientID is missing":         func(c *m365.Config) { c.ClientID = "" },
		"Publisher is missing":        func(c *m365.Config) { c.Publisher = "" },
		"Publisher is no GUID":        func(c *m365.Config) { c.Publisher = "contoso.example" },
		"RedirectURL is missing":      func(c *m365.Config) { c.RedirectURL = "" },
		"RedirectURL is no absolute":  func(c *m365.Config) { c.RedirectURL = "/consent" },
		"Secret and Certificate is":   func(c *m365.Config) { c.Secret = "" },
		"only one of Secret":          func(c *m365.Config) { c.Certificate = certificate },
		"private key is missing":      func(c *m365.Config) { c.Secret, c.Certificate = "", &m365.Certificate{Leaf: certificate.Leaf} },
		"Endpoints are missing":       func(c *m365.Config) { c.Endpoints = map[connection.Cloud]m365.Endpoints{} },
		"cloud dod: Login is missing": func(c *m365.Config) { c.Endpoints[connection.DoD] = m365.Endpoints{} },
		"GraphScope is missing": func(c *m365.Config) {
			e := c.Endpoints[connection.GCC]
			e.GraphScope = ""
			c.Endpoints[connection.GCC] = e
		},
		"Activity is no http": func(c *m365.Config) {
			e := c.Endpoints[connection.GCC]
			e.Activity = "ftp://manage.example"
			c.Endpoints[connection.GCC] = e
		},
		"Graph is more than a root": func(c *m365.Config) {
			e := c.Endpoints[connection.GCC]
			e.Graph += "/"
			c.Endpoints[connection.GCC] = e
		},
	} {
		c := good()
		c.Endpoints = m365.Clouds()
		change(&c)
		_, err := m365.New(c)
		if wrong == "" && err != nil || wrong != "" && (err == nil || !strings.Contains(err.Error(), wrong)) {
			t.Errorf("%v, want %q", err, wrong)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%v holds the secret", err)
		}
	}
	_, err := m365.New(m365.Config{})
	for _, name := range []string{"ClientID", "Publisher", "RedirectURL", "Secret"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v does not name %s", err, name)
		}
	}
	if _, err := m365.New(good()); err != nil {
		t.Errorf("with Microsoft's own clouds: %v", err)
	}
}

func TestCloudsAreComplete(t *testing.T) {
	clouds := m365.Clouds()
	for cloud, activity := range map[connection.Cloud]string{
		connection.Commercial: "https://manage.office.com", connection.GCC: "https://manage-gcc.office.com",
		connection.GCCHigh: "https://manage.office365.us", connection.DoD: "https://manage.protection.apps.mil",
	} {
		if e := clouds[cloud]; e.Activity != activity || e.ActivityScope != activity+"/.default" ||
			e.GraphScope != e.Graph+"/.default" {
			t.Errorf("cloud %s: %+v", cloud, e)
		}
	}
	if len(clouds) != 4 {
		t.Errorf("%d clouds", len(clouds))
	}
}

package main

import (
	"strings"
	"testing"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/m365"
)

const (
	someID = "5f0d3d5c-0a51-4b3f-9a7e-6c8f1b2d4e60"
	ours   = "MAILTRAIL_CLIENT_ID=" + someID + " MAILTRAIL_PUBLISHER=" + someID +
		" MAILTRAIL_REDIRECT_URL=https://mailtrail.example/consent/callback"
)

func TestAConfigurationForMicrosoftIsOneThatItsClientTakes(t *testing.T) {
	env := ours + " MAILTRAIL_CLIENT_SECRET=s MAILTRAIL_NEW_CLIENT_SECRET=n MAILTRAIL_CLOUD=gcc" +
		" MAILTRAIL_CLIENT_ID_DOD=" + someID + " MAILTRAIL_PUBLISHER_DOD=" + someID + " MAILTRAIL_CLIENT_SECRET_DOD=d" +
		` MAILTRAIL_ENDPOINTS={"gcc":{"graph":"https://graph.example"}}`
	c, err := readConfig(strings.Fields(env))
	if err != nil {
		t.Fatal(err)
	}
	gcc, dod := c.microsoft.Applications[connection.GCC], c.microsoft.Applications[connection.DoD]
	if len(gcc.Credentials) != 2 || gcc.Credentials[1].Secret != "n" || dod.Credentials[0].Secret != "d" ||
		len(c.microsoft.Applications) != 2 {
		t.Errorf("%+v", c.microsoft.Applications)
	}
	want := m365.Clouds()[connection.GCC]
	want.Graph = "https://graph.example"
	if c.microsoft.Endpoints[connection.GCC] != want ||
		c.microsoft.Endpoints[connection.DoD] != m365.Clouds()[connection.DoD] {
		t.Errorf("%+v", c.microsoft.Endpoints)
	}
	c.microsoft.RedirectURL = c.Base + connection.CallbackPath
	if _, err := m365.New(*c.microsoft); err != nil {
		t.Error(err)
	}
}

func TestAConfigurationForMicrosoftThatIsWrongIsRefusedByName(t *testing.T) {
	for more, want := range map[string]string{
		"MAILTRAIL_CLIENT_CERTIFICATE=/no/such/file":                                                    "MAILTRAIL_CLIENT_CERTIFICATE: ",
		`MAILTRAIL_CLIENT_SECRET=s MAILTRAIL_ENDPOINTS={"gcc":{"grph":"https://x"}}`:                    "MAILTRAIL_ENDPOINTS: ",
		`MAILTRAIL_CLIENT_SECRET=s MAILTRAIL_ENDPOINTS={"mars":{}}`:                                     "MAILTRAIL_ENDPOINTS: ",
		`MAILTRAIL_CLIENT_SECRET=s MAILTRAIL_ENDPOINTS={"commercial":{"graph":"http://graph.example"}}`: "Graph is plain http",
		"": "MAILTRAIL_CLIENT_SECRET is missing",
	} {
		if _, err := readConfig(strings.Fields(ours + " " + more)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one that says %q", more, err, want)
		}
	}
}

package m365_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/m365"
	m365sim "github.com/mailtrail/mailtrail/sim/m365"
)

// at the time of the test's clock plus d.
func later(d time.Duration) func(*m365.Config) {
	return func(c *m365.Config) {
		now := c.Now()
		c.Now = func() time.Time { return now.Add(d) }
	}
}

func configured(t *testing.T, changes ...func(*m365.Config)) error {
	t.Helper()
	certificate := newCertificate(t)
	c := m365.Config{
		ClientID: clientID, Publisher: publisher, Certificate: certificate, RedirectURL: redirect, Now: time.Now,
		Endpoints: m365.Clouds(),
	}
	for _, change := range changes {
		change(&c)
	}
	_, err := m365.New(c)
	return err
}

func TestWhatAnOperatorShouldLearnAtTheStart(t *testing.T) {
	const years = 365 * 24 * time.Hour
	graph := func(root string) func(*m365.Config) {
		return func(c *m365.Config) {
			e := c.Endpoints[connection.Commercial]
			e.Graph = root
			c.Endpoints[connection.Commercial] = e
		}
	}
	for name, c := range map[string]struct {
		change func(*m365.Config)
		says   string
	}{
		"all is well":                 {later(0), ""},
		"expired":                     {later(6 * years), "the certificate expired on "},
		"not yet valid":               {later(-6 * years), "the certificate is not valid before "},
		"expired beside a secret":     {func(c *m365.Config) { later(6 * years)(c); c.Credentials = []m365.Credential{{Secret: "s"}} }, ""},
		"plain http to a browser":     {func(c *m365.Config) { c.RedirectURL = "http://mailtrail.example/consent/callback" }, "RedirectURL is plain http"},
		"plain http on this machine":  {func(c *m365.Config) { c.RedirectURL = "http://localhost:8080/consent/callback" }, ""},
		"plain http to an endpoint":   {graph("http://graph.example"), "Graph is plain http"},
		"an endpoint on this machine": {graph("http://127.0.0.1:9000/graph"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := configured(t, c.change)
			if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("error %v, want one that says %q", err, c.says)
			}
		})
	}
}

func TestAKeyBehindAPassPhraseIsRefusedWithWhatToDo(t *testing.T) {
	key := newKey(t, 2048)
	leaf := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: selfSigned(t, key)})
	for _, block := range []*pem.Block{
		{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("sealed")},
		{
			Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key),
			Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-256-CBC,00"},
		},
	} {
		_, err := m365.ParseCertificate(append(bytes.Clone(leaf), pem.EncodeToMemory(block)...))
		if err == nil || !strings.Contains(err.Error(), "pass phrase") || !strings.Contains(err.Error(), "openssl pkey") {
			t.Errorf("%s: %v", block.Type, err)
		}
	}
}

// A credential that Microsoft refuses ends the start. A Microsoft that cannot be reached, or does not know the
// application in our own tenant, is a warning: it may be well when the first tenant is read.
func TestTheCredentialIsTriedOnce(t *testing.T) {
	s, c := simulated(t, m365sim.Options{}, func(c *m365.Config) { c.Publisher = tenantID })
	if refused, unsure := c.TryCredentials(t.Context()); refused != nil || unsure == nil {
		t.Errorf("not known in our tenant: %v, %v", refused, unsure)
	}
	must(t, s.Grant(tenantID, clientID))
	if refused, unsure := c.TryCredentials(t.Context()); refused != nil || unsure != nil {
		t.Errorf("well: %v, %v", refused, unsure)
	}
	s.Fault(m365sim.Fault{Op: "login", Status: 503})
	if refused, unsure := c.TryCredentials(t.Context()); refused != nil || unsure == nil {
		t.Errorf("Microsoft is away: %v, %v", refused, unsure)
	}
	s.ClearFaults()
	must(t, s.ExpireSecrets(clientID))
	refused, _ := c.TryCredentials(t.Context())
	if refused == nil ||
		!strings.Contains(refused.Error(), "the credential of the application of cloud commercial is refused") ||
		!strings.Contains(refused.Error(), "AADSTS7000222") {
		t.Errorf("expired: %v", refused)
	}
}

func TestACertificateThatEndsSoonIsReported(t *testing.T) {
	certificate := newCertificate(t)
	for before, want := range map[time.Duration]int{31 * 24 * time.Hour: 0, 29 * 24 * time.Hour: 4} {
		c, err := m365.New(m365.Config{
			ClientID: clientID, Publisher: publisher, Certificate: certificate, RedirectURL: redirect,
			Now: func() time.Time { return certificate.Leaf.NotAfter.Add(-before) },
		})
		if err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		c.WarnOfEnds(t.Context(), slog.New(slog.NewTextHandler(&log, nil)))
		if got := len(c.EndingCertificates()); got != want || strings.Count(log.String(), "ends soon") != want {
			t.Errorf("%s before its end: %d, log %q", before, got, log.String())
		}
	}
}

func TestEndpointsOfACloudAreReplaced(t *testing.T) {
	all, err := m365.ParseEndpoints(`{"gcchigh": {"login": "https://login.example", "activity": "https://manage.example",
		"graph": "https://graph.example", "files": "", "activityScope": "https://manage.example/.default",
		"graphScope": "https://graph.example/.default"}}`)
	want := m365.Endpoints{
		Login: "https://login.example", Activity: "https://manage.example", Graph: "https://graph.example",
		ActivityScope: "https://manage.example/.default", GraphScope: "https://graph.example/.default",
	}
	if err != nil || all[connection.GCCHigh] != want || all[connection.DoD] != m365.Clouds()[connection.DoD] {
		t.Errorf("%+v, %v", all, err)
	}
	for text, says := range map[string]string{
		`[]`: "read the endpoints", `{"mars": {}}`: "mars", `{"gcc": {"logon": "x"}}`: "logon",
		`{"gcc": {"login": "ftp://x"}}`:                   "Login is no http or https URL",
		`{"gcc": {"login": "http://login.example"}}`:      "plain http",
		`{"gcc": {"login": "https://login.example/"}}`:    "more than a root",
		`{"gcc": {"graphScope": ""}}`:                     "GraphScope is missing",
		`{"gcc": {"login": "https://u:p@login.example"}}`: "more than a root",
	} {
		if _, err := m365.ParseEndpoints(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: error %v, want one that says %q", text, err, says)
		}
	}
}

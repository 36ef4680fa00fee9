package m365_test

import (
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"net/url"
	"strings"
	"testing"

	"github.com/mailtrail/mailtrail/shared/connection"
)

func challenge() connection.Challenge {
	return connection.Challenge{State: "the state", Nonce: "the-nonce", Verifier: verifier}
}

func TestSignInURL(t *testing.T) {
	m := newMicrosoft(t, emptyPage)
	got, err := m.client(t).SignInURL(connection.Commercial, challenge())
	if err != nil {
		t.Fatal(err)
	}
	s256 := sha256.Sum256([]byte(verifier))
	address(t, got, m.URL+"/login/organizations/oauth2/v2.0/authorize", map[string]string{
		"client_id":             clientID,
		"response_type":         "code",
		"redirect_uri":          redirect,
		"scope":                 "openid profile",
		"state":                 "the state",
		"nonce":                 "the-nonce",
		"response_mode":         "query",
		"prompt":                "select_account",
		"code_challenge":        base64.RawURLEncoding.EncodeToString(s256[:]),
		"code_challenge_method": "S256",
	})
	if strings.Contains(got, verifier) {
		t.Error("the verifier travels through the browser")
	}
	for _, c := range []connection.Challenge{{}, {State: "s", Nonce: "n"}, {State: "s", Verifier: "v"}, {Nonce: "n", Verifier: "v"}} {
		if got, err := m.client(t).SignInURL(connection.Commercial, c); err == nil {
			t.Errorf("an address for %+v: %s", c, got)
		}
	}
	if got, err := m.client(t).SignInURL(connection.DoD, challenge()); err == nil {
		t.Errorf("an address in a cloud that is not configured: %s", got)
	}
}

func TestConsentURL(t *testing.T) {
	m := newMicrosoft(t, emptyPage)
	got, err := m.client(t).ConsentURL(contoso(), "the state")
	if err != nil {
		t.Fatal(err)
	}
	address(t, got, m.URL+"/login/"+tenantID+"/v2.0/adminconsent", map[string]string{
		"client_id":    clientID,
		"redirect_uri": redirect,
		"scope":        "https://graph.microsoft.com/.default",
		"state":        "the state",
	})
	for _, id := range []connection.TenantID{"", "common", "organizations", "contoso.example", tenantID + "/..", connection.TenantID("../" + tenantID[3:])} {
		if got, err := m.client(t).ConsentURL(connection.Tenant{ID: id, Cloud: connection.Commercial}, "s"); err == nil {
			t.Errorf("an address for tenant %q: %s", id, got)
		}
	}
	if got, err := m.client(t).ConsentURL(contoso(), ""); err == nil {
		t.Errorf("an address without state: %s", got)
	}
}

func address(t *testing.T, got, root string, query map[string]string) {
	t.Helper()
	base, raw, _ := strings.Cut(got, "?")
	values, err := url.ParseQuery(raw)
	if err != nil || base != root {
		t.Fatalf("%s, want %s: %v", got, root, err)
	}
	flat := map[string]string{}
	for k := range values {
		flat[k] = strings.Join(values[k], " and ")
	}
	if !maps.Equal(flat, query) {
		t.Errorf("query %v, want %v", flat, query)
	}
}

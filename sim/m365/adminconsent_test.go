package m365sim_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	m365sim "github.com/mailtrail/mailtrail/sim/m365"
)

func consentQuery() url.Values {
	return url.Values{
		"client_id": {clientID}, "redirect_uri": {callback}, "state": {"xyz"},
		"scope": {"https://graph.microsoft.com/.default"},
	}
}

func TestConsentBringsRolesAfterTheirPropagation(t *testing.T) {
	m := start(t, m365sim.Options{RolePropagation: time.Minute})
	if r := m.tokenReply(contoso, "manage"); r.status != 400 || !strings.Contains(r.body, "AADSTS700016") {
		t.Fatalf("a token before any consent: %d %s", r.status, r.body)
	}
	b := m.browser()
	result := landed(t, b.submit(b.open("/login/"+contoso+"/v2.0/adminconsent", consentQuery()), "accept",
		"ada@contoso.test", "pass-ada"))
	if result.Get("admin_consent") != "True" || result.Get("tenant") != contoso || result.Get("state") != "xyz" ||
		result.Get("scope") == "" || result.Has("error") {
		t.Errorf("callback of a consent: %v", result)
	}
	if claims := m.verifiedClaims(m.token(contoso, "manage")); claims["roles"] != nil {
		t.Errorf("roles before their propagation: %v", claims["roles"])
	}
	m.Advance(time.Minute)
	claims := m.verifiedClaims(m.token(contoso, "manage"))
	if roles, _ := claims["roles"].([]any); len(roles) != 1 || roles[0] != "ActivityFeed.Read" {
		t.Errorf("roles after their propagation: %v", claims["roles"])
	}
	if claims["tid"] != contoso || claims["appid"] != clientID || claims["aud"] != m.base+"/manage" {
		t.Errorf("claims of an access token: %v", claims)
	}
}

func TestConsentV1NeedsNoScope(t *testing.T) {
	m := start(t, m365sim.Options{})
	query := consentQuery()
	query.Del("scope")
	b := m.browser()
	if page := b.open("/login/organizations/v2.0/adminconsent", query); !strings.Contains(page.body, "AADSTS70011") {
		t.Errorf("v2 without scope: %s", page.body)
	}
	result := landed(t, b.submit(b.open("/login/common/adminconsent", query), "accept", "ada@contoso.test", "pass-ada"))
	if result.Get("tenant") != contoso || result.Has("scope") {
		t.Errorf("callback of a v1 consent: %v", result)
	}
}

// Failures carry admin_consent=True and no tenant, as Microsoft's do.
func TestConsentIsRefused(t *testing.T) {
	for name, c := range map[string]struct{ action, account, password, code string }{
		"canceled":                {"cancel", "", "", "AADSTS65004"},
		"admin of another tenant": {"accept", "fay@fabrikam.test", "pass-fay", "AADSTS50020"},
	} {
		t.Run(name, func(t *testing.T) {
			m := start(t, m365sim.Options{})
			b := m.browser()
			result := landed(t, b.submit(b.open("/login/"+contoso+"/v2.0/adminconsent", consentQuery()), c.action,
				c.account, c.password))
			if result.Get("error") != "access_denied" || result.Get("admin_consent") != "True" ||
				result.Has("tenant") || result.Get("state") != "xyz" ||
				!strings.HasPrefix(result.Get("error_description"), c.code+":") {
				t.Errorf("callback: %v", result)
			}
			if r := m.tokenReply(contoso, "manage"); r.status != 400 {
				t.Errorf("a token after a refused consent: %d", r.status)
			}
		})
	}
}

func TestOnlyPrivilegedRolesMayConsent(t *testing.T) {
	m := start(t, m365sim.Options{})
	b := m.browser()
	page := b.open("/login/"+contoso+"/v2.0/adminconsent", consentQuery())
	if r := b.submit(page, "accept", "ben@contoso.test", "pass-ben"); r.status != 403 || !strings.Contains(r.body,
		"AADSTS90094") {
		t.Errorf("consent by a worker: %d %s", r.status, r.body)
	}
	if r := m.tokenReply(contoso, "manage"); r.status != 400 {
		t.Errorf("a token after it: %d", r.status)
	}
}

func TestBrowserStaysSignedInForTheConsent(t *testing.T) {
	m := start(t, m365sim.Options{})
	b := m.browser()
	landed(t, b.submit(b.open("/login/organizations/oauth2/v2.0/authorize", signInQuery()), "accept",
		"ada@contoso.test", "pass-ada"))
	if claims := m.verifiedClaims(m.token(contoso, "graph")); claims["roles"] != nil {
		t.Errorf("a sign-in alone gave roles: %v", claims["roles"])
	}
	page := b.open("/login/"+contoso+"/v2.0/adminconsent", consentQuery())
	if !strings.Contains(page.body, "Signed in as <strong>ada@contoso.test") {
		t.Errorf("the page does not know the browser: %s", page.body)
	}
	if result := landed(t, b.submit(page, "accept", "", "")); result.Get("tenant") != contoso {
		t.Errorf("callback: %v", result)
	}
}

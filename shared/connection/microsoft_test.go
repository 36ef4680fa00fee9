package connection_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/connection"
	m365sim "github.com/mailtrail/mailtrail/sim/m365"
)

func TestAtMicrosoft(t *testing.T) {
	for _, cloud := range []connection.Cloud{connection.Commercial, connection.GCCHigh} {
		t.Run(string(cloud), func(t *testing.T) {
			k := newCampus(t, nil)
			id, link := k.addIn(cloud)
			b := k.browser()
			consent := b.follow(b.at(b.press(link).location, boss, acme, "accept"))
			if consent.location == nil || !strings.Contains(consent.location.Path, string(acme)) {
				t.Fatalf("not sent on to consent at the tenant: %d %s", consent.status, consent.body)
			}
			done := b.follow(b.at(consent.location, boss, acme, "accept"))
			if done.status != http.StatusOK || !strings.Contains(done.body, "Monitoring begins now") {
				t.Fatalf("%d %s\n%s", done.status, done.body, k.log)
			}
			if got := k.get(id); got.Tenant != (connection.Tenant{ID: acme, Cloud: cloud}) ||
				got.ConsentedBy != "00000001"+string(acme[8:]) {
				t.Errorf("connected as %+v", got)
			}
		})
	}
}

// What Microsoft says when a tenant shuts us out becomes the connection's sentence, and its end becomes Monitoring by
// itself.
func TestStatusFollowsMicrosoft(t *testing.T) {
	k := newCampus(t, nil)
	id, link := k.addIn(connection.Commercial)
	b := k.browser()
	b.follow(b.at(b.follow(b.at(b.press(link).location, boss, acme, "accept")).location, boss, acme, "accept"))
	tenant := k.get(id).Tenant
	poll := func() connection.Connection {
		now := k.clock.now()
		_, err := k.client.List(t.Context(), tenant, audit.Exchange, now.Add(-time.Minute), now, "")
		if err := k.registry.Report(t.Context(), id, err); err != nil {
			t.Fatal(err)
		}
		return k.get(id)
	}
	if got := poll(); got.Status != connection.Monitoring {
		t.Fatalf("after the first poll: %s, %s", got.Status, got.Reason)
	}
	k.clock.advance(time.Hour)
	for _, step := range []struct {
		name   string
		spoil  func() error
		mend   func() error
		reason string
	}{
		{"audit log off", func() error { return k.sim.AuditOff(string(acme), true) }, func() error { return k.sim.AuditOff(string(acme), false) }, "audit log is inaccessible"},
		{"application deleted", func() error { return k.sim.DeletePrincipal(string(acme), appID) }, func() error { return k.sim.Grant(string(acme), appID) }, "deleted from the tenant"},
		{"application disabled", func() error { return k.sim.DisablePrincipal(string(acme), appID, true) }, func() error { return k.sim.DisablePrincipal(string(acme), appID, false) }, "disabled in the tenant"},
		{"permissions taken away", func() error { return k.sim.Revoke(string(acme), appID) }, func() error { return k.sim.Grant(string(acme), appID) }, "right permissions"},
	} {
		t.Run(step.name, func(t *testing.T) {
			if err := step.spoil(); err != nil {
				t.Fatal(err)
			}
			k.client.Forget(tenant)
			if got := poll(); got.Status != connection.Error || !strings.Contains(got.Reason, step.reason) {
				t.Errorf("broken: %s, %s", got.Status, got.Reason)
			}
			if err := step.mend(); err != nil {
				t.Fatal(err)
			}
			k.client.Forget(tenant)
			if got := poll(); got.Status != connection.Monitoring {
				t.Errorf("mended: %s, %s", got.Status, got.Reason)
			}
		})
	}
	k.sim.ExpireSecrets(appID)
	k.client.Forget(tenant)
	if got := poll(); got.Status != connection.Monitoring {
		t.Errorf("our own secret expired, and the tenant is blamed: %s, %s", got.Status, got.Reason)
	}
}

func TestWhoMayNotConsentAtMicrosoft(t *testing.T) {
	for _, name := range []string{clerk, helper} {
		t.Run(name, func(t *testing.T) {
			k := newCampus(t, nil)
			_, link := k.addIn(connection.Commercial)
			b := k.browser()
			b.follow(b.at(b.press(link).location, name, acme, "accept")).refused(t, http.StatusForbidden)
			k.nothingConnected()
		})
	}
}

func TestCancelledAtMicrosoft(t *testing.T) {
	t.Run("sign-in", func(t *testing.T) {
		k := newCampus(t, nil)
		_, link := k.addIn(connection.Commercial)
		b := k.browser()
		b.follow(b.at(b.press(link).location, boss, acme, "cancel")).refused(t, http.StatusForbidden)
		k.nothingConnected()
	})
	t.Run("consent", func(t *testing.T) {
		k := newCampus(t, nil)
		_, link := k.addIn(connection.Commercial)
		b := k.browser()
		consent := b.follow(b.at(b.press(link).location, boss, acme, "accept"))
		back := b.at(consent.location, boss, acme, "cancel")
		if back.location.Query().Get("admin_consent") != "True" {
			t.Errorf("the callback is %s", back.location)
		}
		b.follow(back).refused(t, http.StatusForbidden)
		k.nothingConnected()
	})
	t.Run("consent by an administrator of another tenant", func(t *testing.T) {
		k := newCampus(t, nil)
		_, link := k.addIn(connection.Commercial)
		b := k.browser()
		consent := b.follow(b.at(b.press(link).location, boss, acme, "accept"))
		p := b.follow(b.at(consent.location, boss, globex, "accept"))
		p.refused(t, http.StatusForbidden)
		if !strings.Contains(p.body, "belongs to another tenant") {
			t.Errorf("the page does not say why: %s", p.body)
		}
		k.nothingConnected()
	})
}

// A consent that was really given at another tenant than the one signed in to.
func TestConsentOfAnotherTenant(t *testing.T) {
	k := newCampus(t, nil)
	_, link := k.addIn(connection.Commercial)
	b := k.browser()
	consent := b.follow(b.at(b.press(link).location, boss, acme, "accept"))
	consent.location.Path = strings.ReplaceAll(consent.location.Path, string(acme), string(globex))
	b.follow(b.at(consent.location, boss, globex, "accept")).refused(t, http.StatusForbidden)
	k.nothingConnected()
}

// with is the address with one parameter changed.
func with(address *url.URL, name, value string) *url.URL {
	changed := *address
	query := changed.Query()
	query.Set(name, value)
	changed.RawQuery = query.Encode()
	return &changed
}

func TestWrongNonce(t *testing.T) {
	k := newCampus(t, nil)
	_, link := k.addIn(connection.Commercial)
	b := k.browser()
	b.follow(b.at(with(b.press(link).location, "nonce", strings.Repeat("n", 43)), boss, acme, "accept")).
		refused(t, http.StatusForbidden)
	if !strings.Contains(k.log.String(), "another sign-in") {
		t.Errorf("refused for something else:\n%s", k.log)
	}
	k.nothingConnected()
}

// An attacker who got hold of an administrator's code brings it into a sign-in of his own.
func TestStolenCode(t *testing.T) {
	k := newCampus(t, nil)
	_, link := k.addIn(connection.Commercial)
	victim, attacker := k.browser(), k.browser()
	stolen := victim.at(victim.press(link).location, boss, acme, "accept").location.Query().Get("code")

	c, own, err := k.registry.Add(t.Context(), "Attacker", connection.Commercial, "key-2")
	if err != nil {
		t.Fatal(err)
	}
	attacker.callback("code", stolen, "state", attacker.signIn(own)).refused(t, http.StatusForbidden)
	if got := k.get(c.ID); got.Tenant.ID != "" {
		t.Errorf("connected: %+v", got)
	}
}

// A login that answers with tokens of another issuer than its own.
func TestWrongIssuer(t *testing.T) {
	k := newCampus(t, func(login string) string {
		to := mustURL(login)
		proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: to.Scheme, Host: to.Host})
			r.Out.Host = to.Host
		}})
		t.Cleanup(proxy.Close)
		return proxy.URL + to.Path
	})
	_, link := k.addIn(connection.Commercial)
	b := k.browser()
	b.follow(b.at(b.press(link).location, boss, acme, "accept")).refused(t, http.StatusForbidden)
	if !strings.Contains(k.log.String(), "issuer") {
		t.Errorf("refused for something else:\n%s", k.log)
	}
	k.nothingConnected()
}

// A code of one national cloud in a sign-in of another, though the tenant's id is the same in both.
func TestCodeOfAnotherCloud(t *testing.T) {
	k := newCampus(t, nil)
	_, commercial := k.addIn(connection.Commercial)
	_, high := k.addIn(connection.GCCHigh)
	b := k.browser()
	foreign := b.at(b.press(high).location, boss, acme, "accept").location.Query().Get("code")
	b.callback("code", foreign, "state", b.signIn(commercial)).refused(t, http.StatusForbidden)
	k.nothingConnected()
}

func TestMicrosoftIsAwayDuringSignIn(t *testing.T) {
	k := newCampus(t, nil)
	_, link := k.addIn(connection.Commercial)
	b := k.browser()
	back := b.at(b.press(link).location, boss, acme, "accept")
	k.sim.Fault(m365sim.Fault{Op: "login.token", Status: http.StatusServiceUnavailable})
	b.follow(back).refused(t, http.StatusServiceUnavailable)
	k.nothingConnected()
}

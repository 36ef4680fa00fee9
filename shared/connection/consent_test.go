package connection_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
)

func TestAdministratorAuthorizes(t *testing.T) {
	o := newOffice(t)
	id, link := o.add(`Acme <b>"Inc"</b>`)
	b := o.browser()

	shown := b.open(link)
	shown.safe(t)
	if shown.status != http.StatusOK || !strings.Contains(shown.body, "Acme &lt;b&gt;") ||
		!strings.Contains(shown.body, "ActivityFeed.Read") {
		t.Errorf("the first page does not name the connection and the permissions: %d %s", shown.status, shown.body)
	}
	if policy := shown.header.Get(
		"Content-Security-Policy",
	); !strings.Contains(
		policy,
		"form-action 'self' https://login.example;",
	) {
		t.Errorf("the form may not lead to the login: %s", policy)
	}
	done := b.authorize(link, acme)
	done.safe(t)
	if done.status != http.StatusOK || !strings.Contains(done.body, "Monitoring begins now") {
		t.Errorf("%d %s", done.status, done.body)
	}
	got := o.get(id)
	if got.Tenant.ID != acme || got.ConsentedBy != "admin-of-acme" || got.Status != connection.Initializing {
		t.Errorf("connected as %+v", got)
	}
	if len(o.subscribed) != 1 || o.subscribed[0] != got.Tenant || len(o.grants.forgotten) != 1 ||
		o.grants.forgotten[0] != got.Tenant {
		t.Errorf("subscribed %v, forgot the tokens of %v", o.subscribed, o.grants.forgotten)
	}
	if o.log.Len() > 0 {
		t.Errorf("logged %s", o.log)
	}
	var whats []string
	for e, err := range o.trail.List(t.Context(), o.clock.now(), o.clock.now().Add(time.Second)) {
		if err != nil {
			t.Fatal(err)
		}
		whats = append(whats, e.Who+" "+e.What)
	}
	if strings.Join(whats, ",") != "admin-of-acme connection.consent" {
		t.Errorf("the trail holds %v", whats)
	}
}

func TestCookieIsBoundToHostAndBrowser(t *testing.T) {
	o := newOffice(t)
	_, link := o.add("Acme")
	cookie := o.browser().open(link).header.Get("Set-Cookie")
	for _, want := range []string{"__Host-mailtrail-consent=", "; Path=/;", "; HttpOnly", "; Secure", "; SameSite=Lax"} {
		if !strings.Contains(cookie, want) {
			t.Errorf("the cookie %q lacks %q", cookie, want)
		}
	}
	if strings.Contains(cookie, "Domain") {
		t.Errorf("the cookie %q goes to other hosts", cookie)
	}
}

func TestFirstPermissionsMayTakeAnHour(t *testing.T) {
	o := newOffice(t)
	id, link := o.add("Acme")
	o.subscribe = refusedBy("AF10001")
	o.grants.missing = []string{"ActivityFeed.Read"}
	done := o.browser().authorize(link, acme)
	if done.status != http.StatusOK || !strings.Contains(done.body, "ActivityFeed.Read. This can take up to an hour") {
		t.Errorf("%d %s", done.status, done.body)
	}
	if o.get(id).Tenant.ID != acme {
		t.Error("the connection is not stored")
	}
}

func TestPrivilegedRoleAdministratorMayConsent(t *testing.T) {
	o := newOffice(t)
	_, link := o.add("Acme")
	o.login.who.Roles = []string{applicationAdministrator, privilegedRoleAdministrator}
	if done := o.browser().authorize(link, acme); done.status != http.StatusOK {
		t.Errorf("%d %s", done.status, done.body)
	}
}

func TestTenantInCapitalsIsTheSame(t *testing.T) {
	o := newOffice(t)
	_, link := o.add("Acme")
	o.login.who.Tenant = "aaaaaaaa-2222-3333-4444-555555555555"
	if done := o.browser().authorize(link, "AAAAAAAA-2222-3333-4444-555555555555"); done.status != http.StatusOK {
		t.Errorf("%d %s", done.status, done.body)
	}
}

func TestConsentAgain(t *testing.T) {
	o := newOffice(t)
	id, link := o.add("Acme")
	o.browser().authorize(link, acme)
	if err := o.registry.Report(t.Context(), id, refusedBy("AADSTS7000112")); err != nil {
		t.Fatal(err)
	}
	link, err := o.registry.NewLink(t.Context(), id, "key-1")
	if err != nil {
		t.Fatal(err)
	}
	if done := o.browser().authorize(link, acme); done.status != http.StatusOK {
		t.Errorf("%d %s", done.status, done.body)
	}
	if got := o.get(id); got.Status != connection.Initializing {
		t.Errorf("after the second consent: %+v", got)
	}
}

// No secret of a consent may get into the log.
func TestLogHoldsNoSecret(t *testing.T) {
	o := newOffice(t)
	_, link := o.add("Acme")
	b := o.browser()
	state := b.signIn(link)
	b.callback("code", "bad-code", "state", state, "session_state", "x")
	b.callback("code", "bad-code", "state", state)
	b.open(link)
	_, secret, _ := strings.Cut(link, ".")
	for _, s := range []string{secret, state} {
		if strings.Contains(o.log.String(), s) {
			t.Errorf("the log holds %q:\n%s", s, o.log)
		}
	}
	if strings.Count(o.log.String(), "consent refused") != 3 {
		t.Errorf("three refusals, logged as\n%s", o.log)
	}
}

func TestStyleIsServed(t *testing.T) {
	o := newOffice(t)
	b := o.browser()
	p := b.read(b.http.Get(b.base + "/consent/style.css"))
	if p.status != http.StatusOK || !strings.HasPrefix(p.header.Get("Content-Type"), "text/css") ||
		p.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%d %v", p.status, p.header)
	}
}

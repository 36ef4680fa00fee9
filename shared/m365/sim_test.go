package m365_test

import (
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/m365"
	m365sim "github.com/mailtrail/mailtrail/sim/m365"
	"github.com/mailtrail/mailtrail/sim/m365/world"
)

const globalAdministrator = "62e90394-69f5-4237-9190-012177145e10"

// simulated is a strict Microsoft 365 with one tenant and its administrator, and our client for it; both read one
// clock.
func simulated(t *testing.T, options m365sim.Options, changes ...func(*m365.Config)) (*m365sim.Server, *m365.Client) {
	t.Helper()
	now := newClock()
	options.Now, options.StrictPublisher = now.Now, true
	s := m365sim.New(options)
	s.AddApp(m365sim.App{
		ClientID:    clientID,
		DisplayName: "Mailtrail",
		HomeTenant:  publisher,
		Secrets:     []m365sim.Secret{{Value: secret}},
		RedirectURIs: []string{
			redirect,
		},
		ActivityRoles: []string{"ActivityFeed.Read"},
		GraphRoles:    []string{"Mail.Read", "User.Read.All"},
	})
	s.AddTenant(
		world.Tenant{
			ID:            tenantID,
			DisplayName:   "Contoso",
			DefaultDomain: "contoso.test",
			Domains:       []string{"contoso.test"},
		},
		[]world.Person{
			{
				ID:                "44444444-4444-4444-8444-444444444444",
				UserPrincipalName: "ada@contoso.test",
				Enabled:           true,
				UserType:          "Member",
				Roles:             []string{globalAdministrator},
				Password:          "pass-ada",
			},
		},
	)
	server := httptest.NewServer(s.Handler())
	t.Cleanup(server.Close)
	c := m365.Config{
		ClientID: clientID, Secret: secret, RedirectURL: redirect, Publisher: publisher, HTTP: server.Client(), Now: s.Now,
		Endpoints: map[connection.Cloud]m365.Endpoints{connection.Commercial: {
			Login: server.URL + "/login", Activity: server.URL + "/manage", Graph: server.URL + "/graph",
			ActivityScope: "https://manage.office.com/.default", GraphScope: "https://graph.microsoft.com/.default",
		}},
	}
	for _, change := range changes {
		change(&c)
	}
	client, err := m365.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s, client
}

// signIn does what the administrator's browser does, and returns the code that it brings back.
func signIn(t *testing.T, address string) string {
	t.Helper()
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	form := u.Query()
	form.Set("account", "ada@contoso.test")
	form.Set("password", "pass-ada")
	resp, err := browser.PostForm(u.Scheme+"://"+u.Host+"/login/organizations/login", form)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	back, err := resp.Location()
	if err != nil {
		t.Fatalf("the sign-in was answered with %d and no redirect", resp.StatusCode)
	}
	if got := back.Query().Get("state"); got != challenge().State {
		t.Errorf("state %q came back", got)
	}
	return back.Query().Get("code")
}

func TestSimulatedConsent(t *testing.T) {
	s, c := simulated(t, m365sim.Options{RolePropagation: time.Minute})
	ctx := t.Context()
	address, err := c.SignInURL(connection.Commercial, challenge())
	if err != nil {
		t.Fatal(err)
	}
	code := signIn(t, address)
	who, err := c.Redeem(ctx, connection.Commercial, code, challenge())
	if err != nil {
		t.Fatal(err)
	}
	if who.Tenant != tenantID || who.Guest || !slices.Contains(who.Roles, globalAdministrator) {
		t.Errorf("signed in: %+v", who)
	}
	_, err = c.Redeem(ctx, connection.Commercial, code, challenge())
	check(t, err, fault.Refused, fault.Code(err), 400)

	other := challenge()
	other.Verifier += "x"
	_, err = c.Redeem(ctx, connection.Commercial, signIn(t, address), other)
	check(t, err, fault.Refused, fault.Code(err), 400)
	other = challenge()
	other.Nonce += "x"
	_, err = c.Redeem(ctx, connection.Commercial, signIn(t, address), other)
	check(t, err, fault.Refused, m365.BadIDToken, 0)

	missing := func(want ...string) {
		t.Helper()
		if got, err := c.MissingPermissions(ctx, contoso()); err != nil || !slices.Equal(got, want) {
			t.Errorf("missing %v %v, want %v", got, err, want)
		}
	}
	must(t, s.Consent(tenantID, clientID))
	missing("ActivityFeed.Read", "Mail.Read", "User.Read.All")
	s.Advance(time.Minute)
	missing()
}

func TestSimulatedFeed(t *testing.T) {
	s, c := simulated(t, m365sim.Options{PageSize: 3})
	ctx := t.Context()
	must(t, s.Grant(tenantID, clientID))
	from := s.Now().Add(-time.Hour)
	_, err := c.List(ctx, contoso(), audit.Exchange, from, s.Now(), "")
	if !errors.Is(err, audit.ErrNotSubscribed) {
		t.Errorf("before subscribing: %v", err)
	}
	must(t, c.Subscribe(ctx, contoso(), audit.Exchange))
	must(t, c.Subscribe(ctx, contoso(), audit.Exchange))
	published := map[audit.ContentID]bool{}
	for i := range 10 {
		id, err := s.PublishRaw(
			tenantID,
			string(audit.Exchange),
			from.Add(time.Duration(i)*time.Minute),
			[]byte(`[{"Id":"`+string(rune('a'+i))+`"}]`),
		)
		must(t, err)
		published[audit.ContentID(id)] = true
	}
	var last audit.Listed
	pages, next := 0, ""
	for pages == 0 || next != "" {
		page, err := c.List(ctx, contoso(), audit.Exchange, from, s.Now(), next)
		if err != nil {
			t.Fatal(err)
		}
		if pages == 1 {
			s.ExpireTokens(tenantID) // a token may end between two pages
		}
		for _, b := range page.Blobs {
			delete(published, b.ID)
			last = b
		}
		pages, next = pages+1, page.Next
	}
	if pages != 4 || len(published) != 0 {
		t.Errorf("%d pages, and %d blobs not listed", pages, len(published))
	}
	blob, err := c.Open(ctx, contoso(), last.URI)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(blob)
	if err != nil || len(body) != len(`[{"Id":"a"}]`) {
		t.Errorf("read %q, %v", body, err)
	}
	must(t, blob.Close())
	for _, r := range s.History(m365sim.Filter{Op: "feed"}) {
		if r.SharedPool {
			t.Errorf("%s %s without PublisherIdentifier", r.Op, r.Query)
		}
	}

	must(t, s.ExpireBlob(tenantID, string(last.ID)))
	_, err = c.Open(ctx, contoso(), last.URI)
	if !isGone(err) {
		t.Errorf("an expired blob: %v", err)
	}
	must(t, s.DisableSubscription(tenantID, string(audit.Exchange), true))
	_, err = c.List(ctx, contoso(), audit.Exchange, from, s.Now(), "")
	if !errors.Is(err, audit.ErrNotSubscribed) {
		t.Errorf("a disabled subscription: %v", err)
	}
}

func TestSimulatedSubscriptionIsStopped(t *testing.T) {
	s, c := simulated(t, m365sim.Options{})
	ctx := t.Context()
	must(t, s.Grant(tenantID, clientID))
	must(t, c.Unsubscribe(ctx, contoso(), audit.Exchange)) // there is none
	must(t, c.Subscribe(ctx, contoso(), audit.Exchange))
	must(t, c.Unsubscribe(ctx, contoso(), audit.Exchange))
	_, err := c.List(ctx, contoso(), audit.Exchange, s.Now().Add(-time.Hour), s.Now(), "")
	if !errors.Is(err, audit.ErrNotSubscribed) {
		t.Errorf("after stopping: %v", err)
	}
	tokens := len(s.History(m365sim.Filter{Op: "login.token"}))
	must(t, c.Unsubscribe(ctx, contoso(), audit.Exchange))
	must(t, c.Subscribe(ctx, contoso(), audit.Exchange))
	if more := len(s.History(m365sim.Filter{Op: "login.token"})) - tokens; more != 1 {
		t.Errorf("%d tokens were asked for after the cached ones were dropped, want 1", more)
	}
	s.Fault(m365sim.Fault{Op: "feed.stop", Status: 503, Times: 1})
	check(t, c.Unsubscribe(ctx, contoso(), audit.Exchange), fault.Retry, "AF50000", 503)
	must(t, s.DeletePrincipal(tenantID, clientID))
	s.ExpireTokens(tenantID)
	check(t, c.Unsubscribe(ctx, contoso(), audit.Exchange), fault.Refused, "AADSTS700016", 400)
}

func TestSimulatedRefusals(t *testing.T) {
	s, c := simulated(t, m365sim.Options{})
	subscribe := func() error { return c.Subscribe(t.Context(), contoso(), audit.Exchange) }
	check(t, subscribe(), fault.Refused, "AADSTS700016", 400)
	must(t, s.Grant(tenantID, clientID))
	must(t, s.AuditOff(tenantID, true))
	check(t, subscribe(), fault.Refused, connection.AuditLogOff, 400)
	must(t, s.AuditOff(tenantID, false))
	must(t, subscribe())

	must(t, s.Revoke(tenantID, clientID))
	s.ExpireTokens(tenantID)
	check(t, subscribe(), fault.Retry, "", 401) // a start is not repeated with a fresh token
	check(t, subscribe(), fault.Refused, "AF10001", 401)
	must(t, s.Grant(tenantID, clientID)) // the cached token lacks the role: the listing that comes first finds out
	_, err := c.List(t.Context(), contoso(), audit.Exchange, time.Now().Add(-time.Minute), time.Now(), "")
	if err != nil && !errors.Is(err, audit.ErrNotSubscribed) {
		t.Fatal(err)
	}
	must(t, subscribe())

	started := len(s.History(m365sim.Filter{Op: "feed.start"}))
	s.Fault(m365sim.Fault{
		Op: "feed.start", Status: 403, Code: "429", Times: 1,
		Message: "Too many frequent subscription start requests. Please retry again after 8m 46s.",
	})
	err = subscribe()
	check(t, err, fault.Retry, "429", 403)
	if wait, n := fault.Wait(err), len(s.History(m365sim.Filter{Op: "feed.start"})); wait != 8*time.Minute+46*time.Second ||
		n != started+1 {
		t.Errorf("throttled for %s, after %d starts", wait, n-started)
	}

	s.Fault(m365sim.Fault{Op: "feed.start", Status: 403, Code: "AF429", Times: 1})
	check(t, subscribe(), fault.Retry, "AF429", 403)
	s.Fault(m365sim.Fault{Op: "feed.start", Reset: true, Times: 1})
	check(t, subscribe(), fault.Retry, "", 0)

	must(t, s.ExpireSecrets(clientID))
	c.Forget(contoso())
	check(t, subscribe(), fault.Ours, "AADSTS7000222", 401)
}

func TestSimulatedCertificate(t *testing.T) {
	certificate := newCertificate(t)
	s, c := simulated(t, m365sim.Options{}, func(c *m365.Config) { c.Secret, c.Certificate = "", certificate })
	must(t, s.Grant(tenantID, clientID))
	check(t, c.Subscribe(t.Context(), contoso(), audit.Exchange), fault.Ours, "AADSTS700027", 401)
	app := m365sim.App{
		ClientID:      clientID,
		HomeTenant:    publisher,
		RedirectURIs:  []string{redirect},
		ActivityRoles: []string{"ActivityFeed.Read"},
		Certificates:  []*x509.Certificate{certificate.Leaf},
	}
	s.AddApp(app)
	must(t, s.Grant(tenantID, clientID))
	must(t, c.Subscribe(t.Context(), contoso(), audit.Exchange))
	address, err := c.SignInURL(connection.Commercial, challenge())
	must(t, err)
	_, err = c.Redeem(t.Context(), connection.Commercial, signIn(t, address), challenge())
	must(t, err)
}

package m365sim_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	m365sim "github.com/mailtrail/mailtrail/sim/m365"
	"github.com/mailtrail/mailtrail/sim/m365/world"
)

const (
	contoso   = "11111111-1111-4111-8111-111111111111"
	fabrikam  = "22222222-2222-4222-8222-222222222222"
	vendor    = "99999999-9999-4999-8999-999999999999"
	clientID  = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
	secret    = "a+secret/with=signs"
	callback  = "http://localhost/consent/callback"
	exchange  = "Audit.Exchange"
	adminRole = "62e90394-69f5-4237-9190-012177145e10"
)

// noon is where the simulated clock of every test stands.
var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// testKey is made once: making one for every test would be most of their time.
var testKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// microsoft is a running simulation with two tenants, one app and a standing clock.
type microsoft struct {
	*m365sim.Server
	t    testing.TB
	base string
}

func start(t testing.TB, opts m365sim.Options) *microsoft {
	t.Helper()
	opts.Now = func() time.Time { return noon }
	opts.Key = testKey()
	s := m365sim.New(opts)
	s.AddApp(m365sim.App{
		ClientID: clientID, DisplayName: "Test Trail", HomeTenant: vendor,
		Secrets:       []m365sim.Secret{{Value: secret}, {Value: "old", Expires: noon.Add(-time.Hour)}},
		RedirectURIs:  []string{callback},
		ActivityRoles: []string{"ActivityFeed.Read"},
		GraphRoles:    []string{"User.Read.All", "Mail.Read"},
	})
	s.AddTenant(world.Tenant{ID: contoso, DisplayName: "Contoso", DefaultDomain: "contoso.onmicrosoft.com",
		Domains: []string{"contoso.onmicrosoft.com", "contoso.test"}}, []world.Person{
		{ID: "c0000000-0000-4000-8000-000000000001", DisplayName: "Ada Admin", UserPrincipalName: "ada@contoso.test",
			Mail: "ada@contoso.test", Enabled: true, UserType: "Member", Roles: []string{adminRole},
			Password: "pass-ada"},
		{ID: "c0000000-0000-4000-8000-000000000002", DisplayName: "Ben Worker", UserPrincipalName: "ben@contoso.test",
			Mail: "ben@contoso.test", Enabled: true, UserType: "Member", Password: "pass-ben",
			Plans: []world.Plan{{ID: "2f442157-a11c-46b9-ae5b-6e39ff4e5849", Service: "exchange",
				CapabilityStatus: "Enabled"}}},
		{ID: "c0000000-0000-4000-8000-000000000003", DisplayName: "Cleo Room", UserPrincipalName: "cleo@contoso.test",
			Enabled: false, UserType: "Member", Password: "pass-cleo"},
	})
	s.AddTenant(world.Tenant{ID: fabrikam, DisplayName: "Fabrikam", DefaultDomain: "fabrikam.test",
		Domains: []string{"fabrikam.test"}}, []world.Person{
		{ID: "f0000000-0000-4000-8000-000000000001", DisplayName: "Fay Admin", UserPrincipalName: "fay@fabrikam.test",
			Mail: "fay@fabrikam.test", Enabled: true, Roles: []string{adminRole}, Password: "pass-fay"},
	})
	server := httptest.NewServer(s.Handler())
	t.Cleanup(server.Close)
	return &microsoft{Server: s, t: t, base: server.URL}
}

// consented is start with the app's consent in Contoso and a running subscription of Audit.Exchange.
func consented(t testing.TB, opts m365sim.Options) *microsoft {
	t.Helper()
	m := start(t, opts)
	if err := m.Grant(contoso, clientID); err != nil {
		t.Fatal(err)
	}
	if a := m.feed("POST", "subscriptions/start?contentType="+exchange, m.token(contoso,
		"manage")); a.status != 200 && opts.RefuseRate == 0 {
		t.Fatalf("start the subscription: %d %s", a.status, a.body)
	}
	return m
}

// reply is an answer read to its end.
type reply struct {
	status int
	header http.Header
	body   string
	err    error // of reading the body
}

// code is the error code of an activity API or Graph error.
func (r reply) code() string {
	var body struct{ Error struct{ Code string } }
	_ = json.Unmarshal([]byte(r.body), &body)
	return body.Error.Code
}

func into[T any](t testing.TB, r reply) T {
	t.Helper()
	var value T
	if err := json.Unmarshal([]byte(r.body), &value); err != nil {
		t.Fatalf("status %d, body is not the JSON that was wanted: %v\n%s", r.status, err, r.body)
	}
	return value
}

func (m *microsoft) do(method, address string, header http.Header, body io.Reader) reply {
	m.t.Helper()
	if strings.HasPrefix(address, "/") {
		address = m.base + address
	}
	request, err := http.NewRequestWithContext(m.t.Context(), method, address, body)
	if err != nil {
		m.t.Fatal(err)
	}
	for name, values := range header {
		request.Header[name] = values
	}
	response, err := (&http.Client{CheckRedirect: func(*http.Request,
		[]*http.Request) error {
		return http.ErrUseLastResponse
	}}).Do(request)
	if err != nil {
		return reply{err: err}
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	return reply{response.StatusCode, response.Header, string(raw), err}
}

func (m *microsoft) form(address string, values url.Values) reply {
	m.t.Helper()
	return m.do("POST", address, http.Header{"Content-Type": {"application/x-www-form-urlencoded"}},
		strings.NewReader(values.Encode()))
}

// tokenReply asks for an app-only token of a root (manage or graph).
func (m *microsoft) tokenReply(tenant, root string) reply {
	m.t.Helper()
	return m.form("/login/"+tenant+"/oauth2/v2.0/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {clientID}, "client_secret": {secret},
		"scope": {m.base + "/" + root + "/.default"},
	})
}

func (m *microsoft) token(tenant, root string) string {
	m.t.Helper()
	token := into[struct {
		AccessToken string `json:"access_token"`
	}](m.t, m.tokenReply(tenant, root)).AccessToken
	if token == "" {
		m.t.Fatalf("no %s token for %s", root, tenant)
	}
	return token
}

func bearer(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

// feed calls the activity API of Contoso.
func (m *microsoft) feed(method, path, token string) reply {
	m.t.Helper()
	separator := "?"
	if strings.Contains(path, "?") {
		separator = "&"
	}
	return m.do(method, "/manage/api/v1.0/"+contoso+"/activity/feed/"+path+separator+"PublisherIdentifier="+vendor,
		bearer(token), nil)
}

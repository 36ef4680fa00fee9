package m365sim_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"math/big"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	m365sim "github.com/mailtrail/mailtrail/sim/m365"
	"github.com/mailtrail/mailtrail/sim/m365/world"
)

// browser keeps cookies, fills in forms and stops where a redirect leaves the simulation.
type browser struct {
	m      *microsoft
	client *http.Client
}

func (m *microsoft) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		m.t.Fatal(err)
	}
	return &browser{m, &http.Client{Jar: jar, CheckRedirect: func(*http.Request,
		[]*http.Request) error {
		return http.ErrUseLastResponse
	}}}
}

func (b *browser) read(response *http.Response, err error) reply {
	b.m.t.Helper()
	if err != nil {
		b.m.t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	return reply{response.StatusCode, response.Header, string(raw), err}
}

func (b *browser) open(path string, query url.Values) reply {
	b.m.t.Helper()
	return b.read(b.client.Get(b.m.base + path + "?" + query.Encode()))
}

// submit fills in the page's form: its hidden fields as they are, and what the person types.
func (b *browser) submit(page reply, action, account, password string) reply {
	b.m.t.Helper()
	target := regexp.MustCompile(`<form method="post" action="([^"]+)"`).FindStringSubmatch(page.body)
	if target == nil {
		b.m.t.Fatalf("the page has no form: %d %s", page.status, page.body)
	}
	form := url.Values{"action": {action}, "account": {account}, "password": {password}}
	for _, field := range regexp.MustCompile(`type="hidden" name="([^"]+)" value="([^"]*)"`).FindAllStringSubmatch(page.body, -1) {
		form.Set(field[1], unescape(field[2]))
	}
	return b.read(b.client.PostForm(unescape(target[1]), form))
}

func unescape(text string) string {
	return strings.NewReplacer("&amp;", "&", "&#43;", "+", "&#34;", `"`, "&#39;", "'", "&lt;", "<", "&gt;",
		">").Replace(text)
}

// landed gives the parameters of the app's callback that the answer redirects to.
func landed(t testing.TB, r reply) url.Values {
	t.Helper()
	location := r.header.Get("Location")
	if r.status != http.StatusFound || !strings.HasPrefix(location, callback) {
		t.Fatalf("not sent back to the app: %d %s\n%s", r.status, location, r.body)
	}
	target, err := url.Parse(location)
	if err != nil {
		t.Fatal(err)
	}
	return target.Query()
}

const verifier = "a-verifier-that-is-at-least-forty-three-characters-long"

func signInQuery() url.Values {
	challenge := sha256.Sum256([]byte(verifier))
	return url.Values{
		"client_id": {clientID}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid profile"},
		"state": {"s&t=<a>te"}, "nonce": {"n-1"}, "code_challenge_method": {"S256"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])},
	}
}

func redeem(code string) url.Values {
	return url.Values{
		"grant_type": {"authorization_code"}, "client_id": {clientID}, "client_secret": {secret}, "code": {code},
		"redirect_uri": {callback}, "code_verifier": {verifier},
	}
}

// verifiedClaims checks the signature against the published keys.
func (m *microsoft) verifiedClaims(token string) map[string]any {
	m.t.Helper()
	keys := into[struct{ Keys []struct{ Kid, N, E string } }](m.t, m.do("GET",
		"/login/organizations/discovery/v2.0/keys", nil, nil)).Keys
	parts := strings.Split(token, ".")
	if len(parts) != 3 || len(keys) != 1 {
		m.t.Fatalf("a token of %d parts, %d keys", len(parts), len(keys))
	}
	raw := func(text string) []byte {
		data, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil {
			m.t.Fatal(err)
		}
		return data
	}
	public := &rsa.PublicKey{N: new(big.Int).SetBytes(raw(keys[0].N)),
		E: int(new(big.Int).SetBytes(raw(keys[0].E)).Int64())}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if err := rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], raw(parts[2])); err != nil {
		m.t.Fatalf("the published key does not verify the token: %v", err)
	}
	var claims map[string]any
	if err := json.Unmarshal(raw(parts[1]), &claims); err != nil {
		m.t.Fatal(err)
	}
	return claims
}

func TestSignInGivesAnIDTokenOnce(t *testing.T) {
	m := start(t, m365sim.Options{})
	b := m.browser()
	page := b.open("/login/organizations/oauth2/v2.0/authorize", signInQuery())
	if again := b.submit(page, "accept", "ada@contoso.test", "wrong"); !strings.Contains(again.body, "AADSTS50126") {
		t.Fatalf("a wrong password: %d %s", again.status, again.body)
	}
	result := landed(t, b.submit(page, "accept", "ada@contoso.test", "pass-ada"))
	if result.Get("state") != "s&t=<a>te" {
		t.Errorf("state came back as %q", result.Get("state"))
	}
	wrong := redeem(result.Get("code"))
	first := m.form("/login/organizations/oauth2/v2.0/token", redeem(result.Get("code")))
	tokens := into[struct {
		IDToken string `json:"id_token"`
	}](t, first)
	claims := m.verifiedClaims(tokens.IDToken)
	for name, want := range map[string]any{
		"aud": clientID, "iss": m.base + "/login/" + contoso + "/v2.0", "tid": contoso, "nonce": "n-1",
		"oid": "c0000000-0000-4000-8000-000000000001", "preferred_username": "ada@contoso.test",
		"exp": float64(noon.Add(time.Hour).Unix()),
	} {
		if claims[name] != want {
			t.Errorf("claim %s is %v, want %v", name, claims[name], want)
		}
	}
	if roles, _ := claims["wids"].([]any); len(roles) != 2 || roles[0] != adminRole {
		t.Errorf("wids are %v", claims["wids"])
	}
	if second := m.form("/login/organizations/oauth2/v2.0/token", wrong); !strings.Contains(second.body,
		"AADSTS54005") {
		t.Errorf("a code was good twice: %s", second.body)
	}
}

func TestCodesAreRefused(t *testing.T) {
	cases := map[string]struct {
		change func(m *microsoft, form url.Values)
		code   string
	}{
		"another verifier": {func(_ *microsoft, f url.Values) { f.Set("code_verifier", verifier+"x") }, "AADSTS501481"},
		"no verifier":      {func(_ *microsoft, f url.Values) { f.Del("code_verifier") }, "AADSTS501481"},
		"another redirect": {func(_ *microsoft, f url.Values) { f.Set("redirect_uri", callback+"/x") }, "AADSTS70000"},
		"too late":         {func(m *microsoft, _ url.Values) { m.Advance(11 * time.Minute) }, "AADSTS70008"},
		"invented":         {func(_ *microsoft, f url.Values) { f.Set("code", "0.Aguess") }, "AADSTS70008"},
		"a wrong secret":   {func(_ *microsoft, f url.Values) { f.Set("client_secret", "x") }, "AADSTS7000215"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := start(t, m365sim.Options{})
			b := m.browser()
			result := landed(t, b.submit(b.open("/login/organizations/oauth2/v2.0/authorize", signInQuery()), "accept",
				"ada@contoso.test", "pass-ada"))
			form := redeem(result.Get("code"))
			c.change(m, form)
			if r := m.form("/login/organizations/oauth2/v2.0/token", form); !strings.Contains(r.body, c.code+":") {
				t.Errorf("want %s, got %d %s", c.code, r.status, r.body)
			}
		})
	}
}

func TestSignInIsRefusedOnThePage(t *testing.T) {
	for name, c := range map[string]struct{ path, account, password, code string }{
		"an unknown account":    {"organizations", "zoe@contoso.test", "x", "AADSTS50034"},
		"an unknown domain":     {"organizations", "ada@nowhere.test", "x", "AADSTS50034"},
		"a disabled account":    {"organizations", "cleo@contoso.test", "pass-cleo", "AADSTS50057"},
		"another tenant's page": {contoso, "fay@fabrikam.test", "pass-fay", "AADSTS50020"},
		"nobody":                {"organizations", "", "", "AADSTS50034"},
	} {
		m := start(t, m365sim.Options{})
		b := m.browser()
		page := b.submit(b.open("/login/"+c.path+"/oauth2/v2.0/authorize", signInQuery()), "accept", c.account,
			c.password)
		if page.header.Get("Location") != "" || !strings.Contains(page.body, c.code+":") {
			t.Errorf("%s: want a page with %s, got %d %s", name, c.code, page.status, page.body)
		}
	}
}

func TestSessionEndsWithItsAccount(t *testing.T) {
	m := start(t, m365sim.Options{})
	b := m.browser()
	page := b.open("/login/organizations/oauth2/v2.0/authorize", signInQuery())
	landed(t, b.submit(page, "accept", "ada@contoso.test", "pass-ada"))
	landed(t, b.submit(page, "accept", "", ""))
	m.must(m.AddPeople(contoso, world.Person{ID: "c0000000-0000-4000-8000-000000000001",
		UserPrincipalName: "ada@contoso.test", Password: "pass-ada"}))
	if r := b.submit(page, "accept", "", ""); !strings.Contains(r.body, "AADSTS50034") {
		t.Errorf("a disabled account went on by its session: %d %s", r.status, r.body)
	}
}

func TestSignInIsDeclined(t *testing.T) {
	m := start(t, m365sim.Options{})
	b := m.browser()
	result := landed(t, b.submit(b.open("/login/organizations/oauth2/v2.0/authorize", signInQuery()), "cancel", "", ""))
	if result.Get("error") != "access_denied" || result.Get("error_subcode") != "cancel" || result.Has("code") {
		t.Errorf("callback of a declined sign-in: %v", result)
	}
}

// What is wrong with the app or its redirect URI must never be sent to that URI.
func TestWrongAppsStayOnMicrosoftsPage(t *testing.T) {
	m := start(t, m365sim.Options{})
	for _, path := range []string{"/login/organizations/oauth2/v2.0/authorize",
		"/login/organizations/v2.0/adminconsent"} {
		for code, change := range map[string]url.Values{
			"AADSTS700016": {"client_id": {"bbbbbbbb-aaaa-4aaa-8aaa-aaaaaaaaaaaa"}},
			"AADSTS50011":  {"redirect_uri": {"https://evil.test/"}},
		} {
			query := signInQuery()
			for name, value := range change {
				query[name] = value
			}
			if r := m.browser().open(path, query); r.status != 400 || r.header.Get("Location") != "" ||
				!strings.Contains(r.body, code) {
				t.Errorf("%s: want a page with %s, got %d %s", path, code, r.status, r.body)
			}
		}
	}
}

func TestDiscoveryOfOneTenantAndOfAll(t *testing.T) {
	m := start(t, m365sim.Options{})
	for name, issued := range map[string]string{contoso: contoso, "contoso.test": contoso,
		"organizations": "{tenantid}", "common": "{tenantid}"} {
		document := into[map[string]any](t, m.do("GET", "/login/"+name+"/v2.0/.well-known/openid-configuration", nil,
			nil))
		if want := m.base + "/login/" + issued + "/v2.0"; document["issuer"] != want {
			t.Errorf("issuer of %s is %v, want %s", name, document["issuer"], want)
		}
	}
	if r := m.do("GET", "/login/nowhere.test/v2.0/.well-known/openid-configuration", nil, nil); r.status != 400 ||
		!strings.Contains(r.body, "AADSTS90002") {
		t.Errorf("discovery of an unknown tenant: %d %s", r.status, r.body)
	}
}

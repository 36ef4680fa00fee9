package m365sim_test

import (
	"cmp"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	m365sim "github.com/mailtrail/mailtrail/sim/m365"
	"github.com/mailtrail/mailtrail/sim/m365/world"
)

type tokenError struct {
	Kind        string `json:"error"`
	Description string `json:"error_description"`
	Codes       []int  `json:"error_codes"`
	Timestamp   string `json:"timestamp"`
	Trace       string `json:"trace_id"`
	Correlation string `json:"correlation_id"`
	URI         string `json:"error_uri"`
}

func TestTokenErrors(t *testing.T) {
	cases := map[string]struct {
		tenant string
		change url.Values // replaces form fields; an empty value removes one
		setUp  func(m *microsoft) error
		status int
		kind   string
		code   int
	}{
		"not consented": {setUp: func(m *microsoft) error { return m.DeletePrincipal(contoso, clientID) },
			status: 400, kind: "unauthorized_client", code: 700016},
		"unknown app": {change: url.Values{"client_id": {"bbbbbbbb-aaaa-4aaa-8aaa-aaaaaaaaaaaa"}},
			status: 400, kind: "unauthorized_client", code: 700016},
		"disabled app": {setUp: func(m *microsoft) error {
			return m.DisablePrincipal(contoso, clientID,
				true)
		}, status: 400, kind: "unauthorized_client", code: 7000112},
		"wrong secret": {change: url.Values{"client_secret": {"nope"}}, status: 401, kind: "invalid_client",
			code: 7000215},
		"old secret": {change: url.Values{"client_secret": {"old"}}, status: 401, kind: "invalid_client",
			code: 7000222},
		"secrets made expired": {setUp: func(m *microsoft) error { return m.ExpireSecrets(clientID) }, status: 401,
			kind: "invalid_client", code: 7000222},
		"no credential": {change: url.Values{"client_secret": {""}}, status: 401, kind: "invalid_client",
			code: 7000218},
		"unknown tenant": {tenant: "33333333-3333-4333-8333-333333333333", status: 400, kind: "invalid_request",
			code: 90002},
		"common": {tenant: "common", status: 400, kind: "invalid_request", code: 9001023},
		"no default scope": {change: url.Values{"scope": {"https://graph.microsoft.com/Mail.Read"}}, status: 400,
			kind: "invalid_scope", code: 70011},
		"two resources": {change: url.Values{"scope": {"https://graph.microsoft.com/.default " +
			"https://manage.office.com/.default"}}, status: 400, kind: "invalid_scope", code: 28002},
		"unknown resource": {change: url.Values{"scope": {"https://vault.azure.net/.default"}}, status: 400,
			kind: "invalid_resource", code: 500011},
		"v1 resource": {change: url.Values{"resource": {"https://manage.office.com"}}, status: 400,
			kind: "invalid_request", code: 901002},
		"unknown grant": {change: url.Values{"grant_type": {"password"}}, status: 400,
			kind: "unsupported_grant_type", code: 70003},
		"another cloud": {tenant: fabrikam, status: 400, kind: "invalid_request", code: 90038,
			setUp: func(m *microsoft) error {
				m.AddTenant(world.Tenant{ID: fabrikam, DefaultDomain: "fabrikam.test", Cloud: "gcchigh"}, nil)
				return nil
			}},
		"a fault": {status: 400, kind: "invalid_resource", code: 500014, setUp: func(m *microsoft) error {
			m.Fault(m365sim.Fault{Tenant: contoso, Op: "login.token", Code: "AADSTS500014"})
			return nil
		}},
		"a transient fault": {status: 503, kind: "temporarily_unavailable", code: 90033,
			setUp: func(m *microsoft) error {
				m.Fault(m365sim.Fault{Op: "login", Status: 503})
				return nil
			}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := start(t, m365sim.Options{})
			if err := m.Grant(contoso, clientID); err != nil {
				t.Fatal(err)
			}
			if c.setUp != nil {
				if err := c.setUp(m); err != nil {
					t.Fatal(err)
				}
			}
			form := url.Values{"grant_type": {"client_credentials"}, "client_id": {clientID},
				"client_secret": {secret}, "scope": {"https://manage.office.com/.default"}}
			for field, value := range c.change {
				form[field] = value
				if value[0] == "" {
					form.Del(field)
				}
			}
			r := m.form("/login/"+cmp.Or(c.tenant, contoso)+"/oauth2/v2.0/token", form)
			got := into[tokenError](t, r)
			if r.status != c.status || got.Kind != c.kind || len(got.Codes) != 1 || got.Codes[0] != c.code {
				t.Errorf("got %d %s, want %d %s %d", r.status, r.body, c.status, c.kind, c.code)
			}
			if !strings.HasPrefix(got.Description, fmt.Sprintf("AADSTS%d: ", c.code)) ||
				!strings.Contains(got.Description, "\r\nTrace ID: ") ||
				got.Trace == "" || got.Correlation == "" || got.Timestamp == "" || !strings.HasSuffix(got.URI,
				fmt.Sprintf("code=%d", c.code)) {
				t.Errorf("the body lacks something: %s", r.body)
			}
		})
	}
}

func TestTokensByBasicAuthAndByEitherAudience(t *testing.T) {
	m := consented(t, m365sim.Options{})
	for _, scope := range []string{"https://manage.office.com/.default", m.base + "/manage/.default"} {
		basic := base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(clientID) + ":" + url.QueryEscape(secret)))
		header := http.Header{"Authorization": {"Basic " + basic},
			"Content-Type": {"application/x-www-form-urlencoded"}}
		form := url.Values{"grant_type": {"client_credentials"}, "scope": {scope}}
		r := m.do("POST", "/login/"+contoso+"/oauth2/v2.0/token", header, strings.NewReader(form.Encode()))
		answer := into[map[string]any](t, r)
		if r.status != 200 || answer["token_type"] != "Bearer" || answer["expires_in"] != 3599.0 {
			t.Fatalf("%s: %d %s", scope, r.status, r.body)
		}
		if a := m.feed("GET", "subscriptions/list", answer["access_token"].(string)); a.status != 200 {
			t.Errorf("%s: the token is not good: %d %s", scope, a.status, a.body)
		}
	}
}

// signer is an app's certificate with its private key.
type signer struct {
	key         *rsa.PrivateKey
	certificate *x509.Certificate
}

func newSigner(t *testing.T) signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1)},
		&x509.Certificate{}, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return signer{key, certificate}
}

func (s signer) assertion(t *testing.T, alg string, claims map[string]any) string {
	t.Helper()
	long, short := sha256.Sum256(s.certificate.Raw), sha1.Sum(s.certificate.Raw)
	header := map[string]string{"alg": alg, "typ": "JWT", "x5t#S256": base64.RawURLEncoding.EncodeToString(long[:])}
	if alg == "RS256" {
		header = map[string]string{"alg": alg, "typ": "JWT", "x5t": base64.RawURLEncoding.EncodeToString(short[:])}
	}
	encode := func(value any) string {
		raw, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(raw)
	}
	signed := encode(header) + "." + encode(claims)
	digest := sha256.Sum256([]byte(signed))
	var signature []byte
	var err error
	if alg == "PS256" {
		signature, err = rsa.SignPSS(rand.Reader, s.key, crypto.SHA256, digest[:],
			&rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	} else {
		signature, err = rsa.SignPKCS1v15(rand.Reader, s.key, crypto.SHA256, digest[:])
	}
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func TestClientAssertions(t *testing.T) {
	ours, stranger := newSigner(t), newSigner(t)
	m := start(t, m365sim.Options{})
	m.AddApp(m365sim.App{ClientID: clientID, Certificates: []*x509.Certificate{ours.certificate},
		ActivityRoles: []string{"ActivityFeed.Read"}})
	if err := m.Grant(contoso, clientID); err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		signer signer
		alg    string
		change map[string]any
		code   int // 0 is a token
	}{
		"PS256":          {ours, "PS256", nil, 0},
		"RS256":          {ours, "RS256", nil, 0},
		"not registered": {stranger, "PS256", nil, 700027},
		"no algorithm":   {ours, "none", nil, 700027},
		"for another tenant": {
			ours,
			"PS256",
			map[string]any{"aud": m.base + "/login/" + fabrikam + "/oauth2/v2.0/token"},
			50027,
		},
		"of another issuer":   {ours, "PS256", map[string]any{"iss": vendor}, 700021},
		"of another subject":  {ours, "PS256", map[string]any{"sub": vendor}, 700021},
		"expired":             {ours, "PS256", map[string]any{"exp": noon.Add(-6 * time.Minute).Unix()}, 700024},
		"not yet valid":       {ours, "PS256", map[string]any{"nbf": noon.Add(6 * time.Minute).Unix()}, 700024},
		"without jti":         {ours, "PS256", map[string]any{"jti": ""}, 50027},
		"replayed (the last)": {ours, "PS256", map[string]any{"jti": "same"}, 50013},
	}
	send := func(name string) reply {
		c := cases[name]
		claims := map[string]any{
			"aud": m.base + "/login/" + contoso + "/oauth2/v2.0/token", "iss": clientID, "sub": clientID,
			"jti": rand.Text(), "nbf": noon.Unix(), "exp": noon.Add(5 * time.Minute).Unix(),
		}
		for claim, value := range c.change {
			claims[claim] = value
		}
		return m.form("/login/"+contoso+"/oauth2/v2.0/token", url.Values{
			"grant_type": {"client_credentials"}, "client_id": {clientID},
			"scope":                 {"https://manage.office.com/.default"},
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
			"client_assertion":      {c.signer.assertion(t, c.alg, claims)},
		})
	}
	if r := send("replayed (the last)"); r.status != 200 {
		t.Fatalf("the first use of an assertion: %d %s", r.status, r.body)
	}
	for name, c := range cases {
		r := send(name)
		if got := into[tokenError](t, r).Codes; c.code == 0 && r.status != 200 || c.code != 0 && (len(got) != 1 ||
			got[0] != c.code) {
			t.Errorf("%s: want %d, got %d %s", name, c.code, r.status, r.body)
		}
	}
}

func TestRevokedAndExpiredTokens(t *testing.T) {
	m := consented(t, m365sim.Options{TokenLife: time.Hour})
	token := m.token(contoso, "manage")
	if err := m.Revoke(contoso, clientID); err != nil {
		t.Fatal(err)
	}
	if a := m.feed("GET", "subscriptions/list", token); a.status != 200 {
		t.Errorf("a token keeps its roles until it expires, but got %d", a.status)
	}
	if a := m.feed("GET", "subscriptions/list", m.token(contoso, "manage")); a.status != 401 ||
		a.code() != "AF10001" || !strings.Contains(a.body, "()") {
		t.Errorf("a new token after the revocation: %d %s", a.status, a.body)
	}
	m.Advance(time.Hour)
	if a := m.feed("GET", "subscriptions/list", token); a.status != 401 || a.code() != "" {
		t.Errorf("an expired token: %d %s", a.status, a.body)
	}
	token = m.token(contoso, "manage")
	if n := m.ExpireTokens(contoso); n == 0 {
		t.Error("no token was expired")
	}
	if a := m.feed("GET", "subscriptions/list", token); a.status != 401 {
		t.Errorf("a token expired on purpose: %d", a.status)
	}
}

package m365_test

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/m365"
)

// signer signs id_tokens as the login does, and redeems every code for the one that it holds.
type signer struct {
	key     *rsa.PrivateKey
	keys    []any // the published key set
	idToken string
	form    url.Values // of the last redemption
}

func (s *signer) login(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/login/organizations/discovery/v2.0/keys":
		answer(w, http.StatusOK, map[string]any{"keys": s.keys})
	case "/login/organizations/oauth2/v2.0/token":
		_ = r.ParseForm()
		s.form = r.PostForm
		answer(
			w,
			http.StatusOK,
			map[string]any{"token_type": "Bearer", "expires_in": 3599, "access_token": "a", "id_token": s.idToken},
		)
	default:
		http.NotFound(w, r)
	}
}

func newSigner(t *testing.T) *signer {
	key := newKey(t, 2048)
	return &signer{key: key, keys: []any{
		map[string]any{"kty": "OKP", "crv": "Ed448", "x": "AA", "kid": "strange"},
		public(key, "k1", "https://login.microsoftonline.com/{tenantid}/v2.0"),
	}}
}

func public(key *rsa.PrivateKey, id, issuer string) map[string]any {
	raw, _ := json.Marshal(jose.JSONWebKey{Key: key.Public(), KeyID: id, Algorithm: "RS256", Use: "sig"})
	fields := map[string]any{}
	_ = json.Unmarshal(raw, &fields)
	fields["issuer"] = issuer
	return fields
}

// sign makes a compact JWS of the claims.
func sign(t *testing.T, algorithm jose.SignatureAlgorithm, key any, claims map[string]any) string {
	t.Helper()
	s, err := jose.NewSigner(
		jose.SigningKey{Algorithm: algorithm, Key: key},
		new(jose.SignerOptions).WithType("JWT").WithHeader("kid", "k1"),
	)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := s.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func goodClaims(m *microsoft, now time.Time) map[string]any {
	return map[string]any{
		"iss":   m.URL + "/login/" + tenantID + "/v2.0",
		"aud":   clientID,
		"tid":   tenantID,
		"oid":   "44444444-4444-4444-8444-444444444444",
		"nonce": "the-nonce",
		"wids":  []string{"62e90394-69f5-4237-9190-012177145e10"},
		"ver":   "2.0",
		"iat":   now.Unix(),
		"nbf":   now.Unix(),
		"exp":   now.Add(time.Hour).Unix(),
	}
}

func TestRedeemTellsWhoSignedIn(t *testing.T) {
	now, s := newClock(), newSigner(t)
	m := newMicrosoft(t, emptyPage)
	m.login = s.login
	s.idToken = sign(t, jose.RS256, s.key, goodClaims(m, now.Now()))
	got, err := m.client(t, at(now)).Redeem(context.Background(), connection.Commercial, authCode, challenge())
	if err != nil {
		t.Fatal(err)
	}
	want := connection.Administrator{
		Tenant: tenantID,
		Object: "44444444-4444-4444-8444-444444444444",
		Roles:  []string{"62e90394-69f5-4237-9190-012177145e10"},
		Claims: "wids",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	for name, value := range map[string]string{
		"grant_type": "authorization_code", "code": authCode, "code_verifier": verifier, "client_id": clientID,
		"client_secret": secret, "redirect_uri": redirect,
	} {
		if got := s.form[name]; !slices.Equal(got, []string{value}) {
			t.Errorf("form %s is %q", name, got)
		}
	}
}

func TestRedeemTellsGuests(t *testing.T) {
	now, s := newClock(), newSigner(t)
	m := newMicrosoft(t, emptyPage)
	m.login = s.login
	for _, tc := range []struct {
		claim string
		value any
		guest bool
	}{
		{"acct", 0, false},
		{"acct", "0", false},
		{"acct", 1, true},
		{"acct", "1", true},
		{"idp", "https://sts.windows.net/" + tenantID + "/", false},
		{"idp", "https://sts.windows.net/" + publisher + "/", true},
		{"idp", "live.com", true},
	} {
		claims := goodClaims(m, now.Now())
		claims[tc.claim] = tc.value
		s.idToken = sign(t, jose.RS256, s.key, claims)
		got, err := m.client(t, at(now)).Redeem(context.Background(), connection.Commercial, authCode, challenge())
		if err != nil || got.Guest != tc.guest {
			t.Errorf("%s %v: guest %v, %v", tc.claim, tc.value, got.Guest, err)
		}
	}
}

func TestRedeemRefusesForgedTokens(t *testing.T) {
	now, s := newClock(), newSigner(t)
	m := newMicrosoft(t, emptyPage)
	m.login = s.login
	stranger, personal := newKey(t, 2048), newKey(t, 2048)
	s.keys = append(
		s.keys,
		public(personal, "k2", "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0"),
	)
	good := func(change func(map[string]any)) string {
		claims := goodClaims(m, now.Now())
		change(claims)
		return sign(t, jose.RS256, s.key, claims)
	}
	set := func(name string, value any) string { return good(func(c map[string]any) { c[name] = value }) }
	same := func(map[string]any) {}
	header, payload, signature := parts(good(same))
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`))
	der := x509.MarshalPKCS1PublicKey(&s.key.PublicKey)
	pkix, err := x509.MarshalPKIXPublicKey(&s.key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pkix})
	_, otherPayload, _ := parts(set("oid", publisher))

	for name, tc := range map[string]struct{ token, code string }{
		"wrong nonce":                  {set("nonce", "another"), m365.BadIDToken},
		"no nonce":                     {set("nonce", ""), m365.BadIDToken},
		"nonce is a list":              {set("nonce", []string{"the-nonce"}), m365.BadIDToken},
		"issuer is another host":       {set("iss", "https://evil.example/"+tenantID+"/v2.0"), m365.BadIDToken},
		"issuer is another tenant":     {set("iss", m.URL+"/login/"+publisher+"/v2.0"), m365.BadIDToken},
		"tenant is another":            {set("tid", publisher), m365.BadIDToken},
		"issuer of version 1":          {set("iss", m.URL+"/login/"+tenantID+"/"), m365.BadIDToken},
		"issuer template":              {good(func(c map[string]any) { c["iss"], c["tid"] = m.URL+"/login/{tenantid}/v2.0", "{tenantid}" }), m365.BadIDToken},
		"no tenant":                    {good(func(c map[string]any) { c["iss"], c["tid"] = m.URL+"/login//v2.0", "" }), m365.BadIDToken},
		"no object":                    {set("oid", ""), m365.BadIDToken},
		"wrong audience":               {set("aud", publisher), m365.BadIDToken},
		"several audiences":            {set("aud", []string{clientID, publisher}), m365.BadIDToken},
		"no audience":                  {set("aud", ""), m365.BadIDToken},
		"expired":                      {set("exp", now.Now().Add(-time.Second).Unix()), m365.BadIDToken},
		"no expiry":                    {good(func(c map[string]any) { delete(c, "exp") }), m365.BadIDToken},
		"not yet good":                 {set("nbf", now.Now().Add(10*time.Minute).Unix()), m365.BadIDToken},
		"signed by a stranger":         {sign(t, jose.RS256, stranger, goodClaims(m, now.Now())), m365.BadIDToken},
		"signed for personal accounts": {sign(t, jose.RS256, personal, goodClaims(m, now.Now())), m365.BadIDToken},
		"PS256":                        {sign(t, jose.PS256, s.key, goodClaims(m, now.Now())), m365.BadIDToken},
		"HS256 with the public DER":    {sign(t, jose.HS256, der, goodClaims(m, now.Now())), m365.BadIDToken},
		"HS256 with the public PEM":    {sign(t, jose.HS256, publicPEM, goodClaims(m, now.Now())), m365.BadIDToken},
		"alg none":                     {none + "." + payload + ".", m365.BadIDToken},
		"alg none, with signature":     {none + "." + payload + "." + signature, m365.BadIDToken},
		"signature cut off":            {header + "." + payload + ".", m365.BadIDToken},
		"payload changed":              {header + "." + otherPayload + "." + signature, m365.BadIDToken},
		"wids is no list":              {set("wids", "62e90394-69f5-4237-9190-012177145e10"), m365.BadIDToken},
		"no token":                     {"", m365.BadIDToken},
		"rubbish":                      {"a.b.c", m365.BadIDToken},
		"a personal account": {good(func(c map[string]any) {
			c["tid"], c["iss"] = "9188040d-6c67-4c5b-b112-36a304b66dad", m.URL+"/login/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0"
		}), m365.PersonalAccount},
	} {
		s.idToken = tc.token
		got, err := m.client(t, at(now)).Redeem(context.Background(), connection.Commercial, authCode, challenge())
		if !reflect.DeepEqual(got, connection.Administrator{}) {
			t.Errorf("%s: accepted %+v", name, got)
			continue
		}
		t.Run(name, func(t *testing.T) { check(t, err, fault.Refused, tc.code, 0) })
	}
}

func parts(token string) (header, payload, signature string) {
	p := strings.Split(token, ".")
	return p[0], p[1], p[2]
}

func TestRedeemWithoutAChallengeIsRefused(t *testing.T) {
	now, s := newClock(), newSigner(t)
	m := newMicrosoft(t, emptyPage)
	m.login = s.login
	claims := goodClaims(m, now.Now())
	delete(claims, "nonce")
	s.idToken = sign(t, jose.RS256, s.key, claims)
	c := m.client(t, at(now))
	for _, ch := range []connection.Challenge{{}, {Verifier: verifier}, {Nonce: "the-nonce"}} {
		_, err := c.Redeem(context.Background(), connection.Commercial, authCode, ch)
		check(t, err, fault.Refused, "", 0)
	}
	_, err := c.Redeem(context.Background(), connection.Commercial, "", challenge())
	check(t, err, fault.Refused, "", 0)
	if s.form != nil {
		t.Error("Microsoft was asked all the same")
	}
}

func TestRedeemSaysWhoIsToBlame(t *testing.T) {
	now, s := newClock(), newSigner(t)
	m := newMicrosoft(t, emptyPage)
	s.idToken = sign(t, jose.RS256, s.key, goodClaims(m, now.Now()))
	onKeys := func(h http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/keys") {
				h(w, r)
				return
			}
			s.login(w, r)
		}
	}
	for name, tc := range map[string]struct {
		login  http.HandlerFunc
		kind   error
		code   string
		status int
	}{
		"code used":  {func(w http.ResponseWriter, _ *http.Request) { loginRefuses(w, 400, "invalid_grant", 54005) }, fault.Refused, "AADSTS54005", 400},
		"our secret": {func(w http.ResponseWriter, _ *http.Request) { loginRefuses(w, 401, "invalid_client", 7000222) }, fault.Ours, "AADSTS7000222", 401},
		"login down": {always(503, page, "down"), fault.Retry, "", 503},
		"keys down":  {onKeys(always(503, "application/json", `{"error":"unauthorized_client"}`)), fault.Retry, "", 503},
		"keys elsewhere": {onKeys(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://evil.example/", http.StatusFound)
		}), fault.Retry, "", 302},
		"keys are a page":  {onKeys(always(200, page, "<html>")), fault.Retry, m365.Unreadable, 200},
		"no keys":          {onKeys(always(200, "application/json", `{"keys":[]}`)), fault.Retry, m365.Unreadable, 200},
		"keys are not RSA": {onKeys(always(200, "application/json", `{"keys":[{"kty":"oct","k":"AAAA"},7]}`)), fault.Retry, m365.Unreadable, 200},
	} {
		t.Run(name, func(t *testing.T) {
			m.login = tc.login
			_, err := m.client(t, at(now)).Redeem(context.Background(), connection.Commercial, authCode, challenge())
			check(t, err, tc.kind, tc.code, tc.status)
		})
	}
}

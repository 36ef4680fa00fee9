package m365_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/mailtrail/mailtrail/shared/m365"
)

// newCertificate makes a certificate whose key is a plain crypto.Signer.
func newCertificate(t *testing.T) *m365.Certificate {
	t.Helper()
	key := newKey(t, 2048)
	leaf, err := x509.ParseCertificate(selfSigned(t, key))
	if err != nil {
		t.Fatal(err)
	}
	return &m365.Certificate{Leaf: leaf, Signer: key}
}

func newKey(t *testing.T, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func selfSigned(t *testing.T, key crypto.Signer) []byte {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mailtrail"},
		NotBefore: time.Now().AddDate(-5, 0, 0), NotAfter: time.Now().AddDate(5, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestAssertionsAreSignedByTheCertificate(t *testing.T) {
	certificate, now := newCertificate(t), newClock()
	var mu sync.Mutex
	ids := map[string]bool{}
	m := newMicrosoft(t, emptyPage)
	m.login = func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.PostFormValue("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" ||
			r.PostForm.Has("client_secret") {
			t.Errorf("the form is not that of an assertion")
		}
		parsed, err := jwt.ParseSigned(r.PostFormValue("client_assertion"), []jose.SignatureAlgorithm{jose.PS256})
		if err != nil {
			t.Errorf("parse the assertion: %v", err)
			return
		}
		var said jwt.Claims
		if err := parsed.Claims(certificate.Signer.Public(), &said); err != nil {
			t.Errorf("verify the assertion: %v", err)
		}
		print := sha256.Sum256(certificate.Leaf.Raw)
		if got := parsed.Headers[0].ExtraHeaders["x5t#S256"]; got != base64.RawURLEncoding.EncodeToString(print[:]) {
			t.Errorf("x5t#S256 is %v", got)
		}
		if got := parsed.Headers[0].ExtraHeaders[jose.HeaderType]; got != "JWT" {
			t.Errorf("typ is %v", got)
		}
		if err := said.ValidateWithLeeway(jwt.Expected{
			Issuer: clientID, Subject: clientID, AnyAudience: jwt.Audience{m.URL + r.URL.Path}, Time: now.Now(),
		}, 0); err != nil {
			t.Errorf("claims: %v", err)
		}
		if life := said.Expiry.Time().Sub(said.NotBefore.Time()); life < 5*time.Minute || life > 10*time.Minute {
			t.Errorf("the assertion lives %v", life)
		}
		if len(said.ID) < 32 || ids[said.ID] {
			t.Errorf("jti %q is short or used", said.ID)
		}
		ids[said.ID] = true
		m.grant(w, time.Hour)
	}
	c := m.client(t, at(now), func(c *m365.Config) { c.Secret, c.Certificate = "", certificate })
	must(t, listOnly(c))
	c.Forget(contoso())
	must(t, listOnly(c))
}

func TestParseCertificate(t *testing.T) {
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	key := newKey(t, 2048)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sec1, err := x509.MarshalPKCS8PrivateKey(curve)
	if err != nil {
		t.Fatal(err)
	}
	leaf, private := block("CERTIFICATE", selfSigned(t, key)), block("PRIVATE KEY", pkcs8)
	for name, tc := range map[string]struct{ text, wrong string }{
		"certificate, then key":    {leaf + private, ""},
		"key, then a chain":        {private + leaf + block("CERTIFICATE", selfSigned(t, newKey(t, 2048))), ""},
		"PKCS 1":                   {leaf + block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)), ""},
		"nothing":                  {"", "certificate is missing"},
		"no key":                   {leaf, "private key is missing"},
		"no certificate":           {private, "certificate is missing"},
		"somebody else's key":      {leaf + block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(newKey(t, 2048))), "not the certificate's"},
		"a curve":                  {block("CERTIFICATE", selfSigned(t, curve)) + block("PRIVATE KEY", sec1), "not RSA"},
		"an encrypted key":         {leaf + block("ENCRYPTED PRIVATE KEY", pkcs8), "pass phrase"},
		"rubbish in a certificate": {block("CERTIFICATE", []byte("rubbish")), "not readable"},
		"rubbish in a key":         {leaf + block("PRIVATE KEY", []byte("rubbish")), "not readable"},
	} {
		got, err := m365.ParseCertificate([]byte(tc.text))
		switch {
		case tc.wrong == "" && (err != nil || got.Leaf == nil || got.Signer == nil):
			t.Errorf("%s: %v", name, err)
		case tc.wrong != "" && (err == nil || !strings.Contains(err.Error(), tc.wrong)):
			t.Errorf("%s: %v, want %q", name, err, tc.wrong)
		}
	}
}

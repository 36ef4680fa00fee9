package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"

	m365sim "github.com/mailtrail/mailtrail/sim/m365"
)

// issued is a credential of the application: the part that Microsoft has, and the part that Secrets Manager keeps.
type issued struct {
	secret      string
	certificate *x509.Certificate // instead of a secret
	kept        string
}

func (c issued) String() string {
	if c.certificate != nil {
		return "a certificate"
	}
	return "a client secret"
}

func issuedSecret() issued { return issued{secret: secret, kept: secret} }

// issueCertificate creates a certificate as docs/deploy.md does: RSA, 2048 bits, self-signed, with its key in the same
// PEM text.
func issueCertificate() (issued, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return issued{}, err
	}
	now := time.Now()
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "mailtrail"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
	}
	raw, err := x509.CreateCertificate(rand.Reader, leaf, leaf, key.Public(), key)
	if err != nil {
		return issued{}, fmt.Errorf("make a certificate: %w", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return issued{}, fmt.Errorf("make a certificate: %w", err)
	}
	if leaf, err = x509.ParseCertificate(raw); err != nil {
		return issued{}, fmt.Errorf("make a certificate: %w", err)
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...)
	return issued{certificate: leaf, kept: string(text)}, nil
}

// register makes c the application's only credential at Microsoft: earlier ones are refused.
func (s *stage) register(c issued) {
	app := m365sim.App{
		ClientID: clientID, HomeTenant: publisher, RedirectURIs: []string{"https://" + s.domain + "/consent/callback"},
		ActivityRoles: []string{"ActivityFeed.Read"}, GraphRoles: []string{"Mail.Read", "Files.Read.All", "User.Read.All"},
		GroupMembershipClaims: "DirectoryRole", OptionalClaims: []string{"wids", "acct"},
	}
	if c.certificate != nil {
		app.Certificates = []*x509.Certificate{c.certificate}
	} else {
		app.Secrets = []m365sim.Secret{{Value: c.secret}}
	}
	s.sim.AddApp(app)
}

// rotate changes the credential at Microsoft and in Secrets Manager, and restarts nothing: running functions notice
// when they are refused.
func (t *teller) rotate(context.Context) error {
	c, err := issueCertificate()
	if err != nil {
		return err
	}
	t.register(c)
	t.keeper.set(c.kept)
	return nil
}

// reread checks that running instances have read the new credential by themselves.
func (t *teller) reread(context.Context) error {
	if reads := t.keeper.since(); reads == 0 {
		return fmt.Errorf("the credential was changed, and nobody has read the new one")
	}
	return nil
}

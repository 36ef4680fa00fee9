package m365

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// assertionLife is how long an assertion is good for; Microsoft asks for 5 to 10 minutes.
const assertionLife = 10 * time.Minute

// Certificate is our application's credential when it has no secret: the registered certificate and its RSA key, which
// may live behind Signer in a key service.
type Certificate struct {
	Leaf   *x509.Certificate
	Signer crypto.Signer
}

// ParseCertificate reads PEM blocks: a CERTIFICATE (the first one, if there is a chain), and its PRIVATE KEY or RSA
// PRIVATE KEY, unencrypted. Errors never quote the text.
func ParseCertificate(text []byte) (*Certificate, error) {
	var c Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		var err error
		switch {
		case block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
			return nil, errors.New("the private key is protected by a pass phrase: store it without one " +
				"(openssl pkey -in key.pem -out plain.pem), in a file that only we may read")
		case block.Type == "CERTIFICATE" && c.Leaf == nil:
			c.Leaf, err = x509.ParseCertificate(block.Bytes)
		case block.Type == "PRIVATE KEY":
			var key any
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
			c.Signer, _ = key.(crypto.Signer)
		case block.Type == "RSA PRIVATE KEY":
			c.Signer, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		}
		if err != nil {
			return nil, fmt.Errorf("parse a PEM block of type %s: not readable", block.Type)
		}
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	return &c, nil
}

// outdated says that the certificate cannot be used at that time.
func (c *Certificate) outdated(now time.Time) error {
	day := func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
	switch {
	case now.After(c.Leaf.NotAfter):
		return fmt.Errorf("the certificate expired on %s", day(c.Leaf.NotAfter))
	case now.Before(c.Leaf.NotBefore):
		return fmt.Errorf("the certificate is not valid before %s: is this machine's clock right?", day(c.Leaf.NotBefore))
	}
	return nil
}

func (c *Certificate) check() error {
	if c.Leaf == nil {
		return errors.New("the certificate is missing")
	}
	if c.Signer == nil {
		return errors.New("the certificate's private key is missing")
	}
	key, ok := c.Signer.Public().(*rsa.PublicKey)
	switch {
	case !ok:
		return errors.New("the certificate's key is not RSA")
	case key.Size() < 256:
		return errors.New("the certificate's key is shorter than 2048 bits")
	case !key.Equal(c.Leaf.PublicKey):
		return errors.New("the private key is not the certificate's")
	}
	return nil
}

// assertion is a signed statement to the token endpoint that we are the application ("Microsoft identity platform
// application authentication certificate credentials": PS256 and x5t#S256).
func (c *Certificate) assertion(clientID, tokenURL string, now time.Time, random io.Reader) (string, error) {
	thumbprint := sha256.Sum256(c.Leaf.Raw)
	options := new(jose.SignerOptions).WithType("JWT").
		WithHeader("x5t#S256", base64.RawURLEncoding.EncodeToString(thumbprint[:]))
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.PS256, Key: &pssSigner{c.Signer, random}}, options)
	if err != nil {
		return "", err
	}
	id := make([]byte, 16)
	if _, err := io.ReadFull(random, id); err != nil {
		return "", err
	}
	return jwt.Signed(signer).Claims(jwt.Claims{
		Issuer:    clientID,
		Subject:   clientID,
		Audience:  jwt.Audience{tokenURL},
		ID:        hex.EncodeToString(id),
		IssuedAt:  jwt.NewNumericDate(now),
		NotBefore: jwt.NewNumericDate(now),
		Expiry:    jwt.NewNumericDate(now.Add(assertionLife)),
	}).Serialize()
}

// pssSigner lets go-jose sign with any crypto.Signer and our own source of randomness.
type pssSigner struct {
	signer crypto.Signer
	random io.Reader
}

func (s *pssSigner) Public() *jose.JSONWebKey        { return &jose.JSONWebKey{Key: s.signer.Public()} }
func (s *pssSigner) Algs() []jose.SignatureAlgorithm { return []jose.SignatureAlgorithm{jose.PS256} }

func (s *pssSigner) SignPayload(payload []byte, _ jose.SignatureAlgorithm) ([]byte, error) {
	digest := sha256.Sum256(payload)
	return s.signer.Sign(
		s.random,
		digest[:],
		&rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256},
	)
}

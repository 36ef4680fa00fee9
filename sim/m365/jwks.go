package m365sim

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
)

// signingKey signs every token of the simulation.
type signingKey struct {
	private *rsa.PrivateKey
	id      string
	err     error // making the key failed: nothing can be signed
}

// newSigningKey names the key, and makes it when there is none.
func newSigningKey(private *rsa.PrivateKey) signingKey {
	if private == nil {
		var err error
		if private, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			return signingKey{err: fmt.Errorf("make the signing key: %w", err)}
		}
	}
	digest := sha256.Sum256(private.N.Bytes())
	return signingKey{private: private, id: base64url(digest[:20])}
}

// sign makes an RS256 JWT of the claims.
func (s *Server) sign(claims map[string]any) (string, error) {
	key := s.key()
	if key.err != nil {
		return "", key.err
	}
	header, err := json.Marshal(map[string]string{"typ": "JWT", "alg": "RS256", "kid": key.id, "x5t": key.id})
	if err != nil {
		return "", fmt.Errorf("write a token's header: %w", err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("write a token's claims: %w", err)
	}
	signed := base64url(header) + "." + base64url(payload)
	digest := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key.private, crypto.SHA256, digest[:])
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	return signed + "." + base64url(signature), nil
}

// keys answers with the JWKS document.
func keys(c *call) {
	key := c.s.key()
	if key.err != nil {
		c.tokenError(errTransient)
		return
	}
	c.json(http.StatusOK, map[string]any{"keys": []map[string]string{{
		"kty": "RSA", "use": "sig", "alg": "RS256", "kid": key.id, "x5t": key.id,
		"n": base64url(key.private.N.Bytes()), "e": base64url(big.NewInt(int64(key.private.E)).Bytes()),
	}}})
}

func base64url(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

package m365sim

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"time"
)

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// clockSkew is how far a client's clock may be off.
const clockSkew = 5 * time.Minute

type assertionHeader struct {
	Alg     string `json:"alg"`
	X5t     string `json:"x5t"`
	X5tS256 string `json:"x5t#S256"`
}

type assertionClaims struct {
	Aud string `json:"aud"`
	Iss string `json:"iss"`
	Sub string `json:"sub"`
	Jti string `json:"jti"`
	Nbf int64  `json:"nbf"`
	Exp int64  `json:"exp"`
}

// checkAssertion verifies a client assertion: signed by a registered certificate, for this endpoint, by this client,
// in time, and for the first time.
func (c *call) checkAssertion(a *app, form url.Values) aad {
	if form.Get("client_assertion_type") != assertionType {
		return errParameter
	}
	parts := strings.Split(form.Get("client_assertion"), ".")
	if len(parts) != 3 {
		return errAssertionForm
	}
	var header assertionHeader
	var claims assertionClaims
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || !decodePart(parts[0], &header) || !decodePart(parts[1], &claims) {
		return errAssertionForm
	}
	certificate := header.certificate(a.Certificates)
	if certificate == nil || !header.verifies(certificate, parts[0]+"."+parts[1], signature) {
		return errBadSignature
	}
	return c.checkClaims(a, claims)
}

func (c *call) checkClaims(a *app, claims assertionClaims) aad {
	named := c.base(login) + "/" + c.r.PathValue("tenant")
	known := named
	if c.tenant != nil {
		known = c.base(login) + "/" + c.tenant.ID
	}
	expires := time.Unix(claims.Exp, 0)
	switch aud := claims.Aud; {
	case aud != named+"/oauth2/v2.0/token" && aud != known+"/oauth2/v2.0/token" && aud != known+"/v2.0":
		return errAssertionForm
	case claims.Iss != a.ClientID || claims.Sub != a.ClientID:
		return errAssertionOwner
	case !c.now.Before(expires.Add(clockSkew)) || c.now.Add(clockSkew).Before(time.Unix(claims.Nbf, 0)):
		return errAssertionTime
	case claims.Jti == "":
		return errAssertionForm
	case !c.s.jtis.putNew(a.ClientID+"|"+claims.Jti, struct{}{}, c.now, expires.Add(clockSkew)):
		return errAssertionReuse
	}
	return 0
}

// certificate finds the registered certificate that the header's thumbprint names.
func (h assertionHeader) certificate(registered []*x509.Certificate) *x509.Certificate {
	for _, certificate := range registered {
		// x5t is defined as a SHA-1 thumbprint; it only names the certificate, and the signature proves it.
		long, short := sha256.Sum256(certificate.Raw), sha1.Sum(certificate.Raw)
		if h.X5tS256 != "" && h.X5tS256 == base64url(long[:]) || h.X5tS256 == "" && h.X5t == base64url(short[:]) {
			return certificate
		}
	}
	return nil
}

func (h assertionHeader) verifies(certificate *x509.Certificate, signed string, signature []byte) bool {
	public, ok := certificate.PublicKey.(*rsa.PublicKey)
	if !ok {
		return false
	}
	digest := sha256.Sum256([]byte(signed))
	switch h.Alg {
	case "PS256":
		return rsa.VerifyPSS(public, crypto.SHA256, digest[:], signature,
			&rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
	case "RS256":
		return rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], signature) == nil
	}
	return false
}

func decodePart(part string, into any) bool {
	raw, err := base64.RawURLEncoding.DecodeString(part)
	return err == nil && json.Unmarshal(raw, into) == nil
}

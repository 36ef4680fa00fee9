package m365

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
)

// personalAccounts is the tenant id that every personal Microsoft account has.
const personalAccounts = "9188040d-6c67-4c5b-b112-36a304b66dad"

// maxKeys bounds the answer that holds the login's signing keys: some 20 keys of 2 KB, in practice.
const maxKeys = 1 << 20

// claims of an id_token ("ID token claims reference"). acct and wids are optional claims of our registration.
type claims struct {
	Tenant   string          `json:"tid"`
	Object   string          `json:"oid"`
	Roles    []string        `json:"wids"`
	Account  json.RawMessage `json:"acct"` // 0 for a member of the tenant, 1 for a guest
	Provider string          `json:"idp"`  // the issuer of the account's home, when that is not the tenant
}

// administrator verifies the id_token, and reads who signed in. The nonce is compared last, so that only a genuine
// token gets that far.
func (c *Client) administrator(
	ctx context.Context,
	cloud connection.Cloud,
	e Endpoints,
	raw, nonce string,
) (connection.Administrator, error) {
	keys, err := c.signingKeys(ctx, e)
	if err != nil {
		return connection.Administrator{}, err
	}
	refuse := func(why string) (connection.Administrator, error) {
		return connection.Administrator{}, &fault.Error{
			Kind: fault.Refused,
			Code: BadIDToken,
			Err:  fmt.Errorf("verify an id_token: %s", why),
		}
	}
	// The issuer is checked below: it holds the tenant, which the token itself names.
	verifier := oidc.NewVerifier("", &oidc.StaticKeySet{PublicKeys: keys}, &oidc.Config{
		ClientID:             c.applications[cloud].ClientID,
		SkipIssuerCheck:      true,
		SupportedSigningAlgs: []string{oidc.RS256},
		Now:                  c.config.Now,
	})
	verified, err := verifier.Verify(ctx, raw)
	if err != nil {
		if expired := new(oidc.TokenExpiredError); errors.As(err, &expired) {
			return refuse("it has expired")
		}
		return refuse("its signature, audience or time is not acceptable")
	}
	var who claims
	if verified.Claims(&who) != nil {
		return refuse("its claims cannot be read")
	}
	tenant := connection.TenantID(strings.ToLower(who.Tenant))
	switch {
	case len(verified.Audience) != 1:
		return refuse("it is meant for others too")
	case !connection.IsGUID(who.Tenant) || who.Object == "":
		return refuse("it does not say whom it is about")
	case verified.Issuer != e.Login+"/"+who.Tenant+"/v2.0":
		return refuse("its issuer is not the tenant's")
	case subtle.ConstantTimeCompare([]byte(verified.Nonce), []byte(nonce)) != 1:
		return refuse("it answers another sign-in")
	case tenant == personalAccounts:
		return connection.Administrator{}, &fault.Error{
			Kind: fault.Refused,
			Code: PersonalAccount,
			Err:  errors.New("verify an id_token: the account is a personal one"),
		}
	}
	return connection.Administrator{
		Tenant: tenant, Object: who.Object, Roles: who.Roles, Guest: who.guest(tenant), Claims: who.came(),
	}, nil
}

// came names the claims of our registration that the token has.
func (w claims) came() string {
	var names []string
	if w.Roles != nil {
		names = append(names, "wids")
	}
	if w.Account != nil {
		names = append(names, "acct")
	}
	return strings.Join(names, " ")
}

// guest says whether the account's home is another tenant.
func (w claims) guest(tenant connection.TenantID) bool {
	if account := strings.Trim(string(w.Account), `"`); account == "1" {
		return true
	}
	return w.Provider != "" && !strings.Contains(strings.ToLower(w.Provider), string(tenant))
}

// signingKeys fetches the keys that the login signs with now. Sign-ins are rare, so fetching them each time is simpler
// than a cache that has to follow key rollovers.
func (c *Client) signingKeys(ctx context.Context, e Endpoints) ([]crypto.PublicKey, error) {
	const what = "get the login's signing keys"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.Login+"/"+signInTenant+"/discovery/v2.0/keys", nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, unreachable(what, err)
	}
	if resp.StatusCode != http.StatusOK {
		a := readAnswer(what, resp, c.config.Now())
		return nil, a.fault(fault.Retry, "", a.detail("", ""))
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxKeys))
	if err != nil {
		return nil, unreachable(what, err)
	}
	keys, err := parseKeys(body)
	if err != nil {
		return nil, &fault.Error{
			Kind:   fault.Retry,
			Code:   Unreadable,
			Status: resp.StatusCode,
			Err:    fmt.Errorf("%s: %w", what, err),
		}
	}
	return keys, nil
}

// parseKeys reads a JSON Web Key Set, and keeps the RSA keys that sign for organizations: Microsoft marks the others,
// such as those of personal accounts, by an issuer of their own.
func parseKeys(body []byte) ([]crypto.PublicKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, errors.New("the answer is no key set")
	}
	var keys []crypto.PublicKey
	for _, raw := range set.Keys {
		var mark struct {
			Issuer string `json:"issuer"`
			Use    string `json:"use"`
		}
		var key jose.JSONWebKey
		if json.Unmarshal(raw, &mark) != nil || key.UnmarshalJSON(raw) != nil {
			continue // a kind of key that we do not know and do not need
		}
		public, ok := key.Key.(*rsa.PublicKey)
		forAll := mark.Issuer == "" || strings.Contains(mark.Issuer, "{tenantid}")
		if ok && forAll && (mark.Use == "" || mark.Use == "sig") {
			keys = append(keys, public)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("the key set holds no key that signs")
	}
	return keys, nil
}

package m365sim

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/sim/m365/world"
)

// accessToken is what an issued token says. The APIs look tokens up rather than verify them: only what this server
// issued, and did not expire on purpose, is good.
type accessToken struct {
	tenant   string
	client   string
	resource root // manage or graph; empty when the token is for neither
	roles    []string
	since    time.Time // when tokens began to carry the roles
}

// token answers the v2 token endpoint.
func token(c *call) {
	if err := c.r.ParseForm(); err != nil {
		c.tokenError(errParameter)
		return
	}
	form := c.r.PostForm
	if form.Has("resource") {
		c.tokenError(errV1Resource)
		return
	}
	a, fail := c.authenticateClient(form)
	switch {
	case fail != 0:
		c.tokenError(fail)
	case form.Get("grant_type") == "client_credentials":
		c.clientCredentials(a, form)
	case form.Get("grant_type") == "authorization_code":
		c.redeemCode(a, form)
	default:
		c.tokenError(errGrantType)
	}
}

// authenticateClient checks the tenant of the path, then the client.
func (c *call) authenticateClient(form url.Values) (*app, aad) {
	if c.tenant == nil && !anyTenant(c.r.PathValue("tenant")) {
		return nil, errTenantUnknown
	}
	if c.tenant != nil && loginHost(c.tenant.Cloud) != loginHost(c.opts.Cloud) {
		return nil, errOtherCloud
	}
	id, secret := form.Get("client_id"), form.Get("client_secret")
	if user, password, ok := c.r.BasicAuth(); ok {
		// RFC 6749 demands both to be form-encoded inside the Basic header, and Microsoft holds to it.
		var err error
		if id, err = url.QueryUnescape(user); err != nil {
			return nil, errParameter
		}
		if secret, err = url.QueryUnescape(password); err != nil {
			return nil, errParameter
		}
	}
	a := c.s.app(id)
	switch {
	case id == "":
		return nil, errParameter
	case a == nil:
		return nil, errAppUnknown
	case a.SingleTenant && (c.tenant == nil || !strings.EqualFold(c.tenant.ID, a.HomeTenant)):
		return nil, errSingleTenant
	case form.Get("client_assertion") != "":
		return a, c.checkAssertion(a, form)
	case secret == "":
		return nil, errNoCredential
	}
	return a, a.checkSecret(secret, c.now)
}

func (a *app) checkSecret(secret string, now time.Time) aad {
	wrong := errWrongSecret
	for _, known := range a.Secrets {
		if subtle.ConstantTimeCompare([]byte(known.Value), []byte(secret)) != 1 {
			continue
		}
		if known.Expires.IsZero() || now.Before(known.Expires) {
			return 0
		}
		wrong = errExpiredSecret
	}
	return wrong
}

// resource returns the API that an audience stands for: by the cloud's own name, or by the root's address.
func (c *call) resource(audience string) (root, bool) {
	switch audience {
	case c.opts.ActivityAudience, c.base(manage):
		return manage, true
	case c.opts.GraphAudience, c.base(graph):
		return graph, true
	}
	return "", false
}

func (c *call) clientCredentials(a *app, form url.Values) {
	if c.tenant == nil {
		c.tokenError(errNoCommon)
		return
	}
	scopes := strings.Fields(form.Get("scope"))
	if len(scopes) > 1 {
		c.tokenError(errSeveralScopes)
		return
	}
	audience, ok := strings.CutSuffix(form.Get("scope"), "/.default")
	if !ok {
		c.tokenError(errScope)
		return
	}
	resource, ok := c.resource(audience)
	if !ok {
		c.tokenError(errResource)
		return
	}
	c.tenant.mu.RLock()
	p, installed := c.tenant.principals[strings.ToLower(a.ClientID)]
	var held principal
	if installed {
		held = *p
	}
	c.tenant.mu.RUnlock()
	switch {
	case !installed:
		c.tokenError(errAppUnknown)
		return
	case held.disabled:
		c.tokenError(errAppDisabled)
		return
	}
	roles := c.rolesNow(held, resource)
	claims := map[string]any{"oid": held.objectID, "sub": held.objectID, "idtyp": "app", "appidacr": "1"}
	if form.Get("client_assertion") != "" {
		claims["appidacr"] = "2"
	}
	if len(roles) > 0 {
		claims["roles"] = roles
	}
	signed, err := c.issue(accessToken{c.tenant.ID, a.ClientID, resource, roles, held.since}, audience, claims)
	if err != nil {
		c.tokenError(errTransient)
		return
	}
	c.tokenAnswer(map[string]any{"access_token": signed})
}

// issue signs an access token and remembers it for as long as it lives.
func (c *call) issue(t accessToken, audience string, claims map[string]any) (string, error) {
	expires := c.now.Add(c.opts.TokenLife)
	claims["aud"], claims["iss"], claims["tid"] = audience, c.base(login)+"/"+t.tenant+"/", t.tenant
	claims["appid"], claims["ver"], claims["uti"] = t.client, "1.0", c.id
	claims["iat"], claims["nbf"], claims["exp"] = c.now.Unix(), c.now.Unix(), expires.Unix()
	signed, err := c.s.sign(claims)
	if err != nil {
		c.opts.Log.ErrorContext(c.r.Context(), "issue an access token", "tenant", t.tenant, "error", err)
		return "", err
	}
	c.s.tokens.put(signed, t, c.now, expires)
	return signed, nil
}

func (c *call) tokenAnswer(fields map[string]any) {
	seconds := int(c.opts.TokenLife / time.Second)
	fields["token_type"], fields["expires_in"], fields["ext_expires_in"] = "Bearer", seconds, seconds
	c.w.Header().Set("Cache-Control", "no-store, no-cache")
	c.json(http.StatusOK, fields)
}

// redeemCode gives an id_token for an authorization code. A code is good once: a second try fails for good, even if
// the first one failed on its verifier.
func (c *call) redeemCode(a *app, form url.Values) {
	var code signInCode
	var found bool
	c.s.codes.change(form.Get("code"), func(held *signInCode) {
		code, found = *held, true
		held.used = true
	})
	verifier := sha256.Sum256([]byte(form.Get("code_verifier")))
	switch {
	case !found:
		c.tokenError(errCodeExpired)
	case code.used:
		c.tokenError(errCodeUsed)
	case !c.now.Before(code.expires):
		c.tokenError(errCodeExpired)
	case code.client != a.ClientID || code.redirect != form.Get("redirect_uri") || c.tenant != nil &&
		c.tenant.ID != code.tenant:
		c.tokenError(errCodeOwner)
	case code.challenge != "" && base64url(verifier[:]) != code.challenge, code.challenge == "" &&
		form.Has("code_verifier"):
		c.tokenError(errVerifier)
	default:
		c.signedIn(a, code)
	}
}

// signedIn answers with the id_token of whom the code stands for, and an access token that opens nothing here.
func (c *call) signedIn(a *app, code signInCode) {
	home := c.s.tenant(code.tenant)
	if home == nil {
		c.tokenError(errTenantUnknown)
		return
	}
	home.mu.RLock()
	person, ok := home.directory.find(code.person)
	home.mu.RUnlock()
	if !ok {
		c.tokenError(errUnknownUser)
		return
	}
	claims := map[string]any{
		"aud": a.ClientID, "iss": c.base(login) + "/" + home.ID + "/v2.0", "ver": "2.0",
		"iat": c.now.Unix(), "nbf": c.now.Unix(), "exp": c.now.Add(time.Hour).Unix(),
		"tid": home.ID, "oid": person.ID, "sub": guid(c.opts.Seed, a.ClientID, person.ID),
		"preferred_username": person.UserPrincipalName, "name": person.DisplayName,
	}
	if a.asksForWids(c.opts.WidsBy) {
		claims["wids"] = c.wids(person)
	}
	if slices.Contains(a.OptionalClaims, "acct") {
		claims["acct"] = 0
		if person.UserType == "Guest" {
			claims["acct"] = 1
		}
	}
	if code.nonce != "" {
		claims["nonce"] = code.nonce
	}
	idToken, err := c.s.sign(claims)
	if err != nil {
		c.tokenError(errTransient)
		return
	}
	access, err := c.issue(accessToken{tenant: home.ID, client: a.ClientID}, c.opts.GraphAudience,
		map[string]any{"oid": person.ID, "sub": person.ID, "scp": code.scope})
	if err != nil {
		c.tokenError(errTransient)
		return
	}
	c.tokenAnswer(map[string]any{"id_token": idToken, "access_token": access, "scope": code.scope})
}

// wids are the directory roles of a person as an id_token has them. Everyone has that of an ordinary user.
func (c *call) wids(p world.Person) []string {
	roles := slices.Clone(p.Roles)
	if c.opts.UnitRolesInWids {
		roles = append(roles, p.UnitRoles...)
	}
	return append(roles, ordinaryUser)
}

// ExpireTokens makes every access token of the tenant, or of all tenants when it is empty, invalid at once. It
// returns how many there were.
func (s *Server) ExpireTokens(tenantID string) int {
	return s.tokens.drop(func(t accessToken) bool { return tenantID == "" || strings.EqualFold(t.tenant, tenantID) })
}

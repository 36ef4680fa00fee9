package m365sim

import (
	"crypto/rand"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/sim/m365/world"
)

// session is a browser that signed in.
type session struct {
	tenant string
	person string // person id
}

const (
	sessionCookie = "m365sim_session"
	sessionLife   = time.Hour
)

// anyTenant reports whether the tenant of the path stands for all of them.
func anyTenant(name string) bool {
	return strings.EqualFold(name, "organizations") || strings.EqualFold(name, "common")
}

// discovery answers with the OpenID provider metadata. For organizations and common the issuer is a template.
func discovery(c *call) {
	name := c.r.PathValue("tenant")
	if c.tenant == nil && !anyTenant(name) {
		c.tokenError(errTenantUnknown)
		return
	}
	issued := "{tenantid}"
	if c.tenant != nil {
		issued = c.tenant.ID
	}
	here := c.base(login) + "/" + name
	region, subScope, instance := regionOf(c.opts.Cloud)
	if c.tenant != nil {
		region, subScope, instance = regionOf(c.tenant.Cloud)
	}
	document := map[string]any{
		"tenant_region_scope":                   region,
		"cloud_instance_name":                   instance,
		"issuer":                                c.base(login) + "/" + issued + "/v2.0",
		"authorization_endpoint":                here + "/oauth2/v2.0/authorize",
		"token_endpoint":                        here + "/oauth2/v2.0/token",
		"jwks_uri":                              here + "/discovery/v2.0/keys",
		"response_types_supported":              []string{"code"},
		"response_modes_supported":              []string{"query", "form_post"},
		"subject_types_supported":               []string{"pairwise"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
		"scopes_supported":                      []string{"openid", "profile", "email"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_post", "private_key_jwt",
			"client_secret_basic"},
		"claims_supported": []string{"sub", "iss", "aud", "exp", "iat", "nonce",
			"preferred_username", "name", "tid", "oid", "wids", "ver"},
	}
	if subScope != "" {
		document["tenant_region_sub_scope"] = subScope
	}
	c.json(http.StatusOK, document)
}

// regionOf is what the discovery document says of where a tenant of the cloud lives.
func regionOf(cloud string) (region, subScope, instance string) {
	switch cloud {
	case "gcc":
		return "NA", "GCC", "microsoftonline.com"
	case "gcchigh":
		return "USGov", "DODCON", "microsoftonline.us"
	case "dod":
		return "USGov", "DOD", "microsoftonline.us"
	}
	return "EU", "", "microsoftonline.com"
}

// signInForm checks who signs in: the account and password of the form, or the browser's session when the form names
// no account. The account's tenant must be the one of the path, unless the path stands for all.
func (c *call) signInForm() (*tenant, world.Person, aad) {
	account := strings.TrimSpace(c.r.PostFormValue("account"))
	if account == "" {
		return c.fromSession()
	}
	_, domain, _ := strings.Cut(account, "@")
	home := c.s.tenant(domain)
	if home == nil {
		return nil, world.Person{}, errUnknownUser
	}
	home.mu.RLock()
	person, ok := home.directory.find(account)
	home.mu.RUnlock()
	switch {
	case !ok:
		return nil, world.Person{}, errUnknownUser
	case person.Password == "" || person.Password != c.r.PostFormValue("password"):
		return nil, world.Person{}, errWrongPassword
	case !person.Enabled:
		return nil, world.Person{}, errUserDisabled
	case c.tenant != nil && c.tenant != home:
		return nil, world.Person{}, errForeignAccount
	}
	c.startSession(home, person)
	return home, person, 0
}

func (c *call) startSession(home *tenant, person world.Person) {
	key := rand.Text()
	c.s.sessions.put(key, session{home.ID, person.ID}, c.now, c.now.Add(sessionLife))
	http.SetCookie(c.w, &http.Cookie{Name: sessionCookie, Value: key, Path: "/login", HttpOnly: true,
		SameSite: http.SameSiteLaxMode})
}

// fromSession returns the person who signed in before in this browser.
func (c *call) fromSession() (*tenant, world.Person, aad) {
	cookie, err := c.r.Cookie(sessionCookie)
	if err != nil {
		return nil, world.Person{}, errUnknownUser
	}
	held, ok := c.s.sessions.get(cookie.Value, c.now)
	home := c.s.tenant(held.tenant)
	if !ok || home == nil {
		return nil, world.Person{}, errUnknownUser
	}
	home.mu.RLock()
	person, ok := home.directory.find(held.person)
	home.mu.RUnlock()
	switch {
	case !ok || !person.Enabled:
		return nil, world.Person{}, errUnknownUser
	case c.tenant != nil && c.tenant != home:
		return nil, world.Person{}, errForeignAccount
	}
	return home, person, 0
}

// hints are a few accounts to sign in with; those that may consent come first. Only a simulation would show them.
func (c *call) hints() []world.Person {
	c.s.mu.RLock()
	var tenants []*tenant
	for _, t := range c.s.tenants {
		if c.tenant == nil || c.tenant == t {
			tenants = append(tenants, t)
		}
	}
	c.s.mu.RUnlock()
	slices.SortFunc(tenants, func(a, b *tenant) int { return strings.Compare(a.DefaultDomain, b.DefaultDomain) })
	const perTenant, most = 3, 12
	var found []world.Person
	for _, t := range tenants {
		found = append(found, t.someAccounts(perTenant)...)
		if len(found) >= most {
			return found[:most]
		}
	}
	return found
}

// someAccounts gives up to n people who can sign in: an administrator first when there is one.
func (t *tenant) someAccounts(n int) []world.Person {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var admins, others []world.Person
	for _, e := range t.directory.entries {
		switch p := e.person; {
		case e.removed || !p.Enabled || p.Password == "":
		case mayConsent(p) && len(admins) < n-1:
			admins = append(admins, p)
		case !mayConsent(p) && len(others) < n:
			others = append(others, p)
		}
	}
	all := append(admins, others...)
	return all[:min(n, len(all))]
}

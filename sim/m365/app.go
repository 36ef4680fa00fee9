package m365sim

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"
)

// App is the registration of a multi-tenant application.
type App struct {
	ClientID      string
	DisplayName   string
	HomeTenant    string // GUID of the vendor's own tenant
	SingleTenant  bool   // only the home tenant may use it
	Secrets       []Secret
	Certificates  []*x509.Certificate // their private halves sign client assertions
	RedirectURIs  []string
	ActivityRoles []string // required application permissions of the activity API, e.g. ActivityFeed.Read
	GraphRoles    []string // required application permissions of Graph, e.g. Mail.Read

	GroupMembershipClaims string   // DirectoryRole or All for wids in id_tokens; see Options.WidsBy
	OptionalClaims        []string // of id_tokens: wids, acct
}

// Secret is one client secret. A zero Expires never comes.
type Secret struct {
	Value   string
	Expires time.Time
}

// app is a registration as the server holds it. It is replaced, never changed in place.
type app struct{ App }

// principal is an app's service principal in one tenant: that it may ask for tokens there, and what they carry.
type principal struct {
	objectID string
	disabled bool
	granted  bool      // an administrator consented, and nobody revoked it
	since    time.Time // when tokens begin to carry the roles
	roles    map[root][]string
}

// AddApp registers an application. One with the same client id is replaced.
func (s *Server) AddApp(a App) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.apps[strings.ToLower(a.ClientID)] = &app{a}
}

func (s *Server) app(clientID string) *app {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.apps[strings.ToLower(clientID)]
}

// ExpireSecrets makes every secret of the app expired from now on.
func (s *Server) ExpireSecrets(clientID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.apps[strings.ToLower(clientID)]
	if old == nil {
		return fmt.Errorf("app %q is not registered", clientID)
	}
	changed := *old
	changed.Secrets = slices.Clone(old.Secrets)
	for i := range changed.Secrets {
		changed.Secrets[i].Expires = s.Now()
	}
	s.apps[strings.ToLower(clientID)] = &changed
	return nil
}

// longAgo is when whatever Grant grants was granted.
const longAgo = 30 * 24 * time.Hour

// SetClaims changes what the app's registration asks for in id_tokens.
func (s *Server) SetClaims(clientID, groupMembership string, optional ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.apps[strings.ToLower(clientID)]
	if old == nil {
		return fmt.Errorf("app %q is not registered", clientID)
	}
	changed := *old
	changed.GroupMembershipClaims, changed.OptionalClaims = groupMembership, optional
	s.apps[strings.ToLower(clientID)] = &changed
	return nil
}

// asksForWids reports whether an id_token for the app holds wids.
func (a *app) asksForWids(by string) bool {
	group := strings.EqualFold(a.GroupMembershipClaims, "DirectoryRole") || strings.EqualFold(a.GroupMembershipClaims,
		"All")
	optional := slices.Contains(a.OptionalClaims, "wids")
	switch by {
	case "group":
		return group
	case "optional":
		return optional
	case "either":
		return group || optional
	}
	return true
}

// Grant consents to the app in the tenant as if it had happened long ago: the next token carries the roles.
func (s *Server) Grant(tenantID, clientID string) error {
	return s.consent(tenantID, clientID, s.Now().Add(-longAgo))
}

// Consent is what an administrator's Accept does: the roles are granted, and tokens carry them after RolePropagation.
func (s *Server) Consent(tenantID, clientID string) error {
	return s.consent(tenantID, clientID, s.Now().Add(s.options().RolePropagation))
}

func (s *Server) consent(tenantID, clientID string, since time.Time) error {
	a := s.app(clientID)
	if a == nil {
		return fmt.Errorf("app %q is not registered", clientID)
	}
	return s.onPrincipal(tenantID, clientID, func(p *principal) {
		p.granted, p.since, p.disabled = true, since, false
		p.roles = map[root][]string{manage: a.ActivityRoles, graph: a.GraphRoles}
	})
}

// Revoke takes the app's roles away and keeps its service principal: tokens are still issued, without roles.
func (s *Server) Revoke(tenantID, clientID string) error {
	return s.onPrincipal(tenantID, clientID, func(p *principal) { p.granted = false })
}

// DisablePrincipal makes the tenant's administrator switch the app off or on: AADSTS7000112 for new tokens.
func (s *Server) DisablePrincipal(tenantID, clientID string, disabled bool) error {
	return s.onPrincipal(tenantID, clientID, func(p *principal) { p.disabled = disabled })
}

// DeletePrincipal removes the app from the tenant's enterprise applications: AADSTS700016 for new tokens. Tokens
// that exist keep working until they expire.
func (s *Server) DeletePrincipal(tenantID, clientID string) error {
	t, err := s.known(tenantID)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.principals, strings.ToLower(clientID))
	return nil
}

// onPrincipal changes the app's service principal in the tenant, and makes it first when there is none.
func (s *Server) onPrincipal(tenantID, clientID string, change func(*principal)) error {
	t, err := s.known(tenantID)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	key := strings.ToLower(clientID)
	p := t.principals[key]
	if p == nil {
		p = &principal{objectID: guid(s.options().Seed, t.ID, key)}
		t.principals[key] = p
	}
	change(p)
	return nil
}

// rolesNow are the roles of one resource that a token issued now carries. While permissions spread, some of the
// servers that issue tokens do not know of them yet.
func (c *call) rolesNow(p principal, resource root) []string {
	spreading := c.now.Before(p.since.Add(c.opts.RoleFlicker))
	switch {
	case !p.granted, c.now.Before(p.since):
		return nil
	case spreading && c.s.dice.happens("roles|"+p.objectID+string(resource), 0.5):
		return nil
	}
	return p.roles[resource]
}

// carries reports whether the call's token has one of the roles, and whether its API honours it already.
func (c *call) carries(roles ...string) bool {
	return !c.now.Before(c.token.since.Add(c.opts.PermissionLag)) &&
		slices.ContainsFunc(roles, func(role string) bool { return slices.Contains(c.token.roles, role) })
}

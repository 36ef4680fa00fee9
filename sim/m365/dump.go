package m365sim

import (
	"slices"
	"strings"
	"time"
)

// TenantState is what the control door shows of one tenant.
type TenantState struct {
	ID            string            `json:"id"`
	DisplayName   string            `json:"displayName"`
	Domain        string            `json:"domain"`
	AuditOff      bool              `json:"auditOff"`
	Consents      []ConsentState    `json:"consents"`
	Subscriptions map[string]string `json:"subscriptions"` // content type to enabled, stopped or disabled
	People        int               `json:"people"`
	Messages      int               `json:"messages"`
	Blobs         int               `json:"blobs"`
}

// ConsentState is one app's service principal in a tenant.
type ConsentState struct {
	App      string    `json:"app"`
	Granted  bool      `json:"granted"`
	Disabled bool      `json:"disabled"`
	Since    time.Time `json:"since"` // when tokens begin to carry the roles
}

// BlobState is one blob of a tenant.
type BlobState struct {
	ContentID   string    `json:"contentId"`
	ContentType string    `json:"contentType"`
	Created     time.Time `json:"contentCreated"`
	Expires     time.Time `json:"contentExpiration"`
	Visible     time.Time `json:"visible"` // when it is first listed
	Lost        bool      `json:"lost"`    // came while the subscription was stopped
	Bytes       int       `json:"bytes"`   // 0 for a body that is written when asked for
}

// State shows every tenant, by domain.
func (s *Server) State() []TenantState {
	s.mu.RLock()
	tenants := make([]*tenant, 0, len(s.tenants))
	for _, t := range s.tenants {
		tenants = append(tenants, t)
	}
	s.mu.RUnlock()
	states := make([]TenantState, 0, len(tenants))
	for _, t := range tenants {
		states = append(states, t.state())
	}
	slices.SortFunc(states, func(a, b TenantState) int { return strings.Compare(a.Domain, b.Domain) })
	return states
}

func (t *tenant) state() TenantState {
	t.mu.RLock()
	defer t.mu.RUnlock()
	state := TenantState{
		ID: t.ID, DisplayName: t.DisplayName, Domain: t.DefaultDomain, AuditOff: t.auditOff,
		Consents: []ConsentState{}, Subscriptions: map[string]string{}, Blobs: len(t.content),
	}
	for id, p := range t.principals {
		state.Consents = append(state.Consents, ConsentState{App: id, Granted: p.granted, Disabled: p.disabled,
			Since: p.since})
	}
	slices.SortFunc(state.Consents, func(a, b ConsentState) int { return strings.Compare(a.App, b.App) })
	for contentType, f := range t.feeds {
		if f.state != never {
			state.Subscriptions[contentType] = f.state.String()
		}
	}
	for _, e := range t.directory.entries {
		if !e.removed {
			state.People++
		}
	}
	for _, box := range t.mailboxes {
		state.Messages += len(box.messages)
	}
	return state
}

// Blobs shows every blob of a tenant, those not listed yet included, by content type and then in the order of
// their listing.
func (s *Server) Blobs(tenantID string) ([]BlobState, error) {
	t, err := s.known(tenantID)
	if err != nil {
		return nil, err
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	states := []BlobState{}
	for _, contentType := range contentTypes() {
		for _, b := range t.feeds[contentType].blobs {
			states = append(states, BlobState{
				ContentID: b.id, ContentType: contentType, Created: b.Created, Expires: b.Expires,
				Visible: b.visible, Lost: b.lost, Bytes: len(b.Body),
			})
		}
	}
	return states, nil
}

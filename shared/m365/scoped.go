package m365

import (
	"errors"
	"net/http"
	"slices"
	"sync"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
)

// scoped remembers tenants in which a permission works that the token does not carry: it was given in Exchange, for some of the
// mailboxes (RBAC for Applications). There a refusal is about one mailbox. In any other tenant a refusal without the permission in
// the token is about the permission. It is safe for concurrent use, and forgets some tenants when there are very many.
type scoped struct {
	mu      sync.Mutex
	tenants map[connection.Tenant]bool
}

// allowed learns from a call that succeeded.
func (s *scoped) allowed(c call, tok token) {
	if c.role == "" || slices.Contains(tok.roles(), c.role) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tenants == nil || len(s.tenants) >= maxTokens {
		s.tenants = make(map[connection.Tenant]bool)
	}
	s.tenants[c.tenant] = true
}

// refused gives a refusal for want of the permission the code NotPermitted; any other error is returned as it is.
func (s *scoped) refused(c call, tok token, err error) error {
	f := new(fault.Error)
	if c.role == "" || !errors.As(err, &f) || f.Status != http.StatusForbidden || slices.Contains(tok.roles(), c.role) {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tenants[c.tenant] {
		return err
	}
	changed := *f
	changed.Code = NotPermitted
	return &changed
}

package m365

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
)

// Permissions are the application permissions (app roles) that the product needs, by the resource that defines them.
type Permissions struct {
	Activity []string // of the Office 365 Management APIs
	Graph    []string // of Microsoft Graph
}

// RequiredPermissions are those of the whole product: to follow the audit log, to read recipients and attachments, and
// to know who is in the tenant.
func RequiredPermissions() Permissions {
	return Permissions{Activity: []string{"ActivityFeed.Read"}, Graph: []string{"Mail.Read", "User.Read.All"}}
}

func (p Permissions) empty() bool { return len(p.Activity) == 0 && len(p.Graph) == 0 }

// MissingPermissions lists the needed permissions that fresh tokens for the tenant lack, in the order of the
// configuration. It drops cached tokens first, because a token keeps the permissions that it was issued with.
func (c *Client) MissingPermissions(ctx context.Context, t connection.Tenant) ([]string, error) {
	c.Forget(t)
	var missing []string
	for _, need := range []struct {
		resource resource
		roles    []string
	}{{activity, c.config.Permissions.Activity}, {graph, c.config.Permissions.Graph}} {
		if len(need.roles) == 0 {
			continue
		}
		granted, err := c.granted(ctx, tokenKey{t, need.resource})
		if err != nil {
			return nil, fmt.Errorf("list missing permissions: %w", err)
		}
		for _, role := range need.roles {
			if !slices.Contains(granted, role) {
				missing = append(missing, role)
			}
		}
	}
	return missing, nil
}

// Forget drops the tokens that are cached for the tenant.
func (c *Client) Forget(t connection.Tenant) { c.tokens.forget(t) }

// granted reads the roles from our own token. It does not verify the token: that is the resource's part.
func (c *Client) granted(ctx context.Context, key tokenKey) ([]string, error) {
	what := fmt.Sprintf("read the permissions for the %s of tenant %s", key.resource, key.tenant.ID)
	tok, err := c.tokens.get(ctx, key)
	if err != nil {
		return nil, tokenFailure(what, err)
	}
	roles, ok := rolesOf(tok.value)
	if !ok {
		return nil, &fault.Error{
			Kind: fault.Retry,
			Code: Unreadable,
			Err:  fmt.Errorf("%s: the token is not one that can be read", what),
		}
	}
	return roles, nil
}

// roles returns the application permissions that the token carries, and none if it cannot be read.
func (t token) roles() []string {
	roles, _ := rolesOf(t.value)
	return roles
}

// rolesOf reads the claim roles of a token.
func rolesOf(value string) (roles []string, ok bool) {
	var said struct {
		Roles []string `json:"roles"`
	}
	parts := strings.Split(value, ".")
	if len(parts) != 3 {
		return nil, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(payload, &said) != nil {
		return nil, false
	}
	return said.Roles, true
}

// scoped remembers tenants in which a permission works that the token does not carry, because it was granted in
// Exchange for some of the mailboxes (RBAC for Applications). In such a tenant a refusal concerns one mailbox. In any
// other tenant a refusal without the permission in the token concerns the permission. It is safe for concurrent use,
// and forgets tenants when there are very many.
type scoped struct {
	mu      sync.Mutex
	tenants map[connection.Tenant]bool
}

// allowed records a call that succeeded.
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

// refused gives the code NotPermitted to a refusal for lack of the permission, and returns any other error unchanged.
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

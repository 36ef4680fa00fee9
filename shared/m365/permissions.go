package m365

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
)

// Permissions are the application permissions (app roles) that the product needs, by the resource that defines them.
type Permissions struct {
	Activity []string // of the Office 365 Management APIs
	Graph    []string // of Microsoft Graph
}

// RequiredPermissions are those of the whole product: to follow the audit log, to read recipients and attachments, and to
// know who is in the tenant.
func RequiredPermissions() Permissions {
	return Permissions{Activity: []string{"ActivityFeed.Read"}, Graph: []string{"Mail.Read", "User.Read.All"}}
}

func (p Permissions) empty() bool { return len(p.Activity) == 0 && len(p.Graph) == 0 }

// MissingPermissions lists the needed permissions that fresh tokens for the tenant lack, in the order of the configuration.
// Tokens that were cached before are dropped, for a token keeps the permissions that it was issued with.
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

// granted reads the roles out of our own token. The resource is the one to verify it; to us they are information.
func (c *Client) granted(ctx context.Context, key tokenKey) ([]string, error) {
	what := fmt.Sprintf("read the permissions for the %s of tenant %s", key.resource, key.tenant.ID)
	tok, err := c.tokens.get(ctx, key)
	if err != nil {
		return nil, tokenFailure(what, err)
	}
	roles, ok := rolesOf(tok.value)
	if !ok {
		return nil, &fault.Error{Kind: fault.Retry, Code: Unreadable, Err: fmt.Errorf("%s: the token is not one that can be read", what)}
	}
	return roles, nil
}

// roles are the application permissions that the token carries; none when it cannot be read.
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

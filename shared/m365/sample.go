package m365

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/doctor"
)

var _ doctor.Microsoft = (*Client)(nil)

// Roles returns the permissions that our tokens for the tenant carry, by the name of the resource, in order.
func (c *Client) Roles(ctx context.Context, t connection.Tenant) (map[string][]string, error) {
	all := make(map[string][]string)
	for _, r := range []resource{activity, graph} {
		roles, err := c.granted(ctx, tokenKey{t, r})
		if err != nil {
			return nil, fmt.Errorf("list permissions: %w", err)
		}
		all[string(r)] = slices.Sorted(slices.Values(roles))
	}
	return all, nil
}

// SamplePeople reads the first page of the tenant's people ("List users"), and measures it. It keeps nobody.
func (c *Client) SamplePeople(ctx context.Context, t connection.Tenant, size int) (doctor.Sample, error) {
	what := fmt.Sprintf("measure a page of the people of tenant %s", t.ID)
	u, err := c.graphURL(t, "/users", url.Values{"$select": {userFields}, "$top": {strconv.Itoa(size)}})
	if err != nil {
		return doctor.Sample{}, fmt.Errorf("%s: %w", what, err)
	}
	var said struct {
		Value []json.RawMessage `json:"value"`
		Next  string            `json:"@odata.nextLink"`
	}
	if err := c.graphJSON(ctx, call{what: what, tenant: t, url: u}, &said); err != nil {
		return doctor.Sample{}, resync(err, false)
	}
	s := doctor.Sample{People: len(said.Value), More: said.Next != "", Returned: make(map[string]int)}
	asked := strings.Split(userFields, ",")
	for _, name := range asked {
		s.Returned[name] = 0
	}
	for _, raw := range said.Value {
		var properties map[string]json.RawMessage
		var plans struct {
			Plans []plan `json:"assignedPlans"`
		}
		if json.Unmarshal(raw, &properties) != nil || json.Unmarshal(raw, &plans) != nil {
			return doctor.Sample{}, unreadable(what, "the page holds what is no person")
		}
		s.Bytes += len(raw)
		s.Plans += len(plans.Plans)
		for _, name := range asked {
			if _, ok := properties[name]; ok {
				s.Returned[name]++
			}
		}
	}
	return s, nil
}

package m365

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
)

const maxDiscovery = 256 << 10

// CloudOf asks the login of the connection's cloud where the tenant really lives. Its discovery document is public
// ("OpenID Connect on the Microsoft identity platform"), and describes tenants of other clouds too: by the sub-scope of
// their region, and by the name of the login's instance. An error means that the cloud could not be found out.
func (c *Client) CloudOf(ctx context.Context, t connection.Tenant) (connection.Cloud, error) {
	what := fmt.Sprintf("find out the cloud of tenant %s", t.ID)
	if _, err := c.endpointsOf(t); err != nil {
		return "", fmt.Errorf("%s: %w", what, err)
	}
	body, err := c.discovery(ctx, what, t.Cloud, string(t.ID))
	if err != nil {
		return "", err
	}
	if cloud := parseDiscovery(body); cloud != "" {
		return cloud, nil
	}
	return "", unreadable(what, "the discovery document does not say")
}

// TenantOf asks the login of a cloud which tenant a domain belongs to: the issuer in its discovery document is the
// tenant's. An unknown domain is fault.Refused with the code AADSTS90002.
func (c *Client) TenantOf(ctx context.Context, cloud connection.Cloud, domain string) (connection.TenantID, error) {
	what := fmt.Sprintf("find out the tenant of domain %s", domain)
	body, err := c.discovery(ctx, what, cloud, domain)
	if err != nil {
		return "", err
	}
	var said struct {
		Issuer string `json:"issuer"`
	}
	if json.Unmarshal(body, &said) == nil {
		path := strings.Split(strings.TrimSuffix(said.Issuer, "/v2.0"), "/")
		if id := path[len(path)-1]; connection.IsGUID(id) {
			return connection.TenantID(strings.ToLower(id)), nil
		}
	}
	return "", unreadable(what, "the discovery document names no tenant")
}

// discovery returns the discovery document of a tenant, which is named by its id or by a domain.
func (c *Client) discovery(ctx context.Context, what string, cloud connection.Cloud, tenant string) ([]byte, error) {
	e, err := c.endpoints(cloud)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	ctx, cancel := brief(ctx)
	defer cancel()
	address := e.Login + "/" + url.PathEscape(tenant) + "/v2.0/.well-known/openid-configuration"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, unreachable(what, err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, readAnswer(what, resp, c.config.Now()).loginError()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxDiscovery))
	if err != nil {
		return nil, unreachable(what, err)
	}
	return body, nil
}

// parseDiscovery reads the cloud from a discovery document; "" if it is none that we know.
func parseDiscovery(body []byte) connection.Cloud {
	var said struct {
		SubScope string `json:"tenant_region_sub_scope"`
		Instance string `json:"cloud_instance_name"`
	}
	if json.Unmarshal(body, &said) != nil {
		return ""
	}
	switch said.SubScope {
	case "GCC":
		return connection.GCC
	case "DODCON":
		return connection.GCCHigh
	case "DOD":
		return connection.DoD
	case "":
		if said.Instance == "microsoftonline.com" {
			return connection.Commercial
		}
	}
	return ""
}

// naming adds the cloud that the tenant lives in to an error that may come from looking for the tenant in the wrong
// one.
func (c *Client) naming(ctx context.Context, t connection.Tenant, err error) error {
	var f *fault.Error
	if !errors.As(err, &f) {
		return err
	}
	switch f.Code {
	case "AF20011", "AF20052", "AADSTS90002", "AADSTS90038", "AADSTS900382", "AADSTS900432":
	default:
		return err
	}
	cloud, failed := c.CloudOf(ctx, t)
	if failed != nil || cloud == t.Cloud {
		return err // we know no more than the code says
	}
	return &fault.Error{
		Kind: fault.Refused, Code: connection.OtherCloud + string(cloud), Status: f.Status,
		Err: errors.New(err.Error() + "; the tenant lives in the cloud " + cloud.Title()),
	}
}

package m365

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
)

const maxDiscovery = 256 << 10

// CloudOf asks the login of the connection's cloud where the tenant really lives. Its discovery document is public
// ("OpenID Connect on the Microsoft identity platform"), and describes tenants of other clouds too: by the sub-scope of
// their region, and by the name of the login's instance. An error means that the cloud could not be found out.
func (c *Client) CloudOf(ctx context.Context, t connection.Tenant) (connection.Cloud, error) {
	what := fmt.Sprintf("find out the cloud of tenant %s", t.ID)
	e, err := c.endpointsOf(t)
	if err != nil {
		return "", fmt.Errorf("%s: %w", what, err)
	}
	ctx, cancel := brief(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(
		ctx,
		http.MethodGet,
		e.Login+"/"+string(t.ID)+"/v2.0/.well-known/openid-configuration",
		nil,
	)
	if err != nil {
		return "", fmt.Errorf("%s: %w", what, err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return "", unreachable(what, err)
	}
	if resp.StatusCode != http.StatusOK {
		return "", readAnswer(what, resp, c.config.Now()).loginError()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxDiscovery))
	if err != nil {
		return "", unreachable(what, err)
	}
	if cloud := parseDiscovery(body); cloud != "" {
		return cloud, nil
	}
	return "", unreadable(what, "the discovery document does not tell")
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
	case "AF20011", "AADSTS90002", "AADSTS90038", "AADSTS900382", "AADSTS900432":
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

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
)

// maxAnswer bounds an answer of Graph that is taken into memory. A page of 999 people with their plans is about 4 MB.
const maxAnswer = 16 << 20

// graphURL is the address of a path of Graph v1.0; the path must be escaped. A space in the query is written as %20,
// because OData does not promise to read "+" as a space.
func (c *Client) graphURL(t connection.Tenant, path string, query url.Values) (*url.URL, error) {
	e, err := c.endpointsOf(t)
	if err != nil {
		return nil, err
	}
	address := e.Graph + "/v1.0" + path
	if len(query) > 0 {
		address += "?" + strings.ReplaceAll(query.Encode(), "+", "%20")
	}
	return url.Parse(address)
}

// graphLink parses an @odata.nextLink or @odata.deltaLink, and checks that it belongs to the tenant's Graph. It is
// followed as it is.
func (c *Client) graphLink(t connection.Tenant, link string) (*url.URL, error) {
	e, err := c.endpointsOf(t)
	if err != nil {
		return nil, err
	}
	return pin(e.Graph, "/v1", link)
}

// errTooLarge means that an answer is larger than is taken into memory.
var errTooLarge = errors.New("too large")

// graphJSON makes a call of Graph whose answer is one JSON value of at most maxAnswer bytes, and reads it into v.
func (c *Client) graphJSON(ctx context.Context, call call, v any) error {
	ctx, cancel := brief(ctx)
	defer cancel()
	call.resource = graph
	if call.method == "" {
		call.method = http.MethodGet
	}
	resp, err := c.send(ctx, call)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return err
	case len(body) > maxAnswer:
		return fmt.Errorf("%w: %w", unreadable(call.what, "the answer is larger than 16 MiB"), errTooLarge)
	case json.Unmarshal(body, v) != nil:
		return unreadable(call.what, "the answer is not the JSON that was asked for")
	}
	return nil
}

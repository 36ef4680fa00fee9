package m365

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
)

const (
	// maxListing bounds one page of a listing. An entry takes about 500 bytes, and a page usually has some hundreds of
	// them.
	maxListing = 8 << 20
	// retention is how long Microsoft keeps a blob if its entry does not say.
	retention = 7 * 24 * time.Hour
	// listingTime is how the API writes the times of a window: in UTC, without a zone.
	listingTime = "2006-01-02T15:04:05"
)

// Subscribe makes sure that the tenant's subscription to a content type is enabled (Office 365 Management Activity API
// reference, "Start a subscription"). It is idempotent: AF20024 says that it was enabled before. Microsoft wants 15
// minutes between two starts, so call it only when a listing returns audit.ErrNotSubscribed.
func (c *Client) Subscribe(ctx context.Context, t connection.Tenant, ct audit.ContentType) error {
	what := fmt.Sprintf("subscribe to %s of tenant %s", ct, t.ID)
	ctx, cancel := brief(ctx)
	defer cancel()
	u, err := c.feed(t, "start", url.Values{"contentType": {string(ct)}})
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	resp, err := c.send(ctx, call{what: what, tenant: t, resource: activity, method: http.MethodPost, url: u, once: true})
	if fault.Code(err) == "AF20024" {
		return nil
	}
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// Unsubscribe stops the tenant's subscription to a content type ("Stop a subscription"), and drops the tokens that are
// cached for the tenant. It also succeeds when there is no subscription (AF20022) or somebody has disabled it
// (AF20023).
func (c *Client) Unsubscribe(ctx context.Context, t connection.Tenant, ct audit.ContentType) error {
	what := fmt.Sprintf("unsubscribe from %s of tenant %s", ct, t.ID)
	ctx, cancel := brief(ctx)
	defer cancel()
	defer c.Forget(t)
	u, err := c.feed(t, "stop", url.Values{"contentType": {string(ct)}})
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	resp, err := c.send(ctx, call{what: what, resource: activity, tenant: t, method: http.MethodPost, url: u, raw: true})
	if errors.Is(err, audit.ErrNotSubscribed) {
		return nil
	}
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// Subscriptions lists the tenant's subscriptions with their status ("List current subscriptions"). It starts none.
func (c *Client) Subscriptions(ctx context.Context, t connection.Tenant) (map[audit.ContentType]string, error) {
	what := fmt.Sprintf("list the subscriptions of tenant %s", t.ID)
	ctx, cancel := brief(ctx)
	defer cancel()
	u, err := c.feed(t, "list", nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	resp, err := c.send(ctx, call{what: what, tenant: t, resource: activity, method: http.MethodGet, url: u})
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var said []struct {
		Type   audit.ContentType `json:"contentType"`
		Status string            `json:"status"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxListing)).Decode(&said); err != nil {
		return nil, unreadable(what, "the answer is no list of subscriptions")
	}
	all := make(map[audit.ContentType]string, len(said))
	for _, s := range said {
		all[s.Type] = s.Status
	}
	return all, nil
}

// List returns one page of the blobs that became available in [from, to) ("List available content"). page is "", or a
// former Page's Next, which holds its own window. Both times are cut to whole seconds; the caller keeps the window
// within 24 hours and 7 days back. audit.ErrNotSubscribed and audit.ErrPage are found in what it returns.
func (c *Client) List(
	ctx context.Context,
	t connection.Tenant,
	ct audit.ContentType,
	from, to time.Time,
	page string,
) (audit.Page, error) {
	what := fmt.Sprintf("list %s of tenant %s", ct, t.ID)
	ctx, cancel := brief(ctx)
	defer cancel()
	u, err := c.listing(t, ct, from, to, page)
	if err != nil {
		return audit.Page{}, foreign(what, fault.Retry, err)
	}
	resp, err := c.send(ctx, call{what: what, tenant: t, resource: activity, method: http.MethodGet, url: u})
	if err != nil {
		return audit.Page{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxListing+1))
	if err != nil {
		return audit.Page{}, err
	}
	if len(body) > maxListing {
		return audit.Page{}, unreadable(what, "the page is larger than 8 MiB")
	}
	blobs, err := parseListing(body)
	if err != nil {
		return audit.Page{}, unreadable(what, err.Error())
	}
	// Get canonicalizes the name, so the header is found in whatever letter case it came.
	return audit.Page{Blobs: blobs, Next: resp.Header.Get("NextPageUri")}, nil
}

func (c *Client) listing(t connection.Tenant, ct audit.ContentType, from, to time.Time, page string) (*url.URL, error) {
	if page == "" {
		return c.feed(t, "content", url.Values{
			"contentType": {string(ct)},
			"startTime":   {from.UTC().Format(listingTime)},
			"endTime":     {to.UTC().Format(listingTime)},
		})
	}
	return c.pinned(t, page)
}

// Open returns a content blob as a stream of JSON ("Retrieve content"); the caller closes it. The stream may take any
// time, but not fall silent for longer than patience. A blob that no longer exists is audit.ErrGone, and a URI outside
// the tenant's cloud is fault.Poison with the code ForeignURI. Reading fails with fault.Retry when the answer breaks
// off.
func (c *Client) Open(ctx context.Context, t connection.Tenant, uri string) (io.ReadCloser, error) {
	what := fmt.Sprintf("open a content blob of tenant %s", t.ID)
	u, err := c.pinned(t, uri)
	if err != nil {
		return nil, foreign(what, fault.Poison, err)
	}
	resp, err := c.send(ctx, call{what: what, tenant: t, resource: activity, method: http.MethodGet, url: u, blob: true})
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

// feed returns the address of an operation on subscriptions.
func (c *Client) feed(t connection.Tenant, operation string, query url.Values) (*url.URL, error) {
	e, err := c.endpointsOf(t)
	if err != nil {
		return nil, err
	}
	return url.Parse(
		e.Activity + "/api/v1.0/" + string(t.ID) + "/activity/feed/subscriptions/" + operation + "?" + query.Encode(),
	)
}

// pinned parses a URI from an answer of Microsoft's, and checks that it belongs to the tenant's cloud.
func (c *Client) pinned(t connection.Tenant, uri string) (*url.URL, error) {
	e, err := c.endpointsOf(t)
	if err != nil {
		return nil, err
	}
	return pin(e.Activity, "/api/v1", uri)
}

// foreign marks an address that cannot be used. For a listing the kind is Retry, since the next listing may return
// another address.
func foreign(what string, kind, err error) error {
	if err != errForeign {
		return fmt.Errorf("%s: %w", what, err)
	}
	return &fault.Error{Kind: kind, Code: ForeignURI, Err: fmt.Errorf("%s: %w", what, err)}
}

// parseListing reads all entries or none: a skipped entry would be a gap that nobody sees.
func parseListing(body []byte) ([]audit.Listed, error) {
	var entries []struct {
		Type    audit.ContentType `json:"contentType"`
		ID      audit.ContentID   `json:"contentId"`
		URI     string            `json:"contentUri"`
		Created string            `json:"contentCreated"`
		Expires string            `json:"contentExpiration"`
	}
	if err := json.Unmarshal(body, &entries); err != nil {
		return nil, errors.New("the listing is no array of blobs")
	}
	blobs := make([]audit.Listed, 0, len(entries))
	for _, e := range entries {
		created, err := parseTime(e.Created)
		if e.ID == "" || e.URI == "" || err != nil {
			return nil, errors.New("the listing holds a blob without id, address or time")
		}
		expires, err := parseTime(e.Expires)
		if err != nil {
			expires = created.Add(retention)
		}
		blobs = append(blobs, audit.Listed{ID: e.ID, URI: e.URI, Type: e.Type, Created: created, Expires: expires})
	}
	return blobs, nil
}

// parseTime reads a time without a zone as UTC, which is what Microsoft means.
func parseTime(s string) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t.UTC(), nil
	}
	return time.Parse(listingTime, s)
}

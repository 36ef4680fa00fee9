package m365

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/enrich"
	"github.com/mailtrail/mailtrail/shared/fault"
)

// filesRole is the permission that the files behind references need.
const filesRole = "Files.Read.All"

// Source returns the address of a reference attachment. Version 1.0 does not return it ("referenceAttachment resource
// type"), the beta does; where the beta is not served, or does not return the address, it is "".
func (c *Client) Source(ctx context.Context, t connection.Tenant, mailbox, message, attachment string) (string, error) {
	what := fmt.Sprintf("ask where a reference attachment of tenant %s leads to", t.ID)
	u, err := c.graphURL(t, attachmentPath(mailbox, message, attachment), nil)
	if err != nil {
		return "", fmt.Errorf("%s: %w", what, err)
	}
	if u, err = url.Parse(strings.Replace(u.String(), "/v1.0/", "/beta/", 1)); err != nil {
		return "", fmt.Errorf("%s: %w", what, err)
	}
	var answer struct {
		Source string `json:"sourceUrl"`
	}
	if err := c.graphJSON(ctx, mailCall(what, t, u), &answer); err != nil {
		return "", mailFailure(err)
	}
	return answer.Source, nil
}

// ResolveShared resolves the address of a shared file ("Access shared items": shares/{encoded sharing URL}). The
// address travels as a part of Graph's own path: nothing is sent to the host that it names.
func (c *Client) ResolveShared(ctx context.Context, t connection.Tenant, address string) (enrich.SharedFile, error) {
	what := fmt.Sprintf("find the file behind a reference attachment of tenant %s", t.ID)
	share := "u!" + base64.RawURLEncoding.EncodeToString([]byte(address))
	u, err := c.graphURL(t, "/shares/"+share+"/driveItem", url.Values{"$select": {"id,size,file,folder,parentReference"}})
	if err != nil {
		return enrich.SharedFile{}, fmt.Errorf("%s: %w", what, err)
	}
	var item struct {
		ID     string    `json:"id"`
		Size   *int64    `json:"size"`
		Folder *struct{} `json:"folder"`
		File   struct {
			Hashes struct {
				QuickXor string `json:"quickXorHash"`
			} `json:"hashes"`
		} `json:"file"`
		Parent struct {
			Drive string `json:"driveId"`
		} `json:"parentReference"`
	}
	if err := c.graphJSON(ctx, fileCall(what, t, u), &item); err != nil {
		return enrich.SharedFile{}, mailFailure(err)
	}
	if item.ID == "" || item.Parent.Drive == "" {
		return enrich.SharedFile{}, unreadable(what, "the file has no id or no drive")
	}
	f := enrich.SharedFile{
		Drive:    item.Parent.Drive,
		ID:       item.ID,
		Size:     -1,
		QuickXor: item.File.Hashes.QuickXor,
		Folder:   item.Folder != nil,
	}
	if item.Size != nil && *item.Size >= 0 {
		f.Size = *item.Size
	}
	return f, nil
}

func fileCall(what string, t connection.Tenant, u *url.URL) call {
	return call{what: what, resource: graph, tenant: t, method: http.MethodGet, url: u, role: filesRole}
}

// OpenShared streams a file of OneDrive or SharePoint ("Download the contents of a driveItem"). Graph answers with a
// redirect to an address on a host of SharePoint's that is good by itself for a short time. It is followed once,
// without the token, and only to a host of the cloud's own (Endpoints.Files); any other redirect fails with the code
// Redirect.
func (c *Client) OpenShared(
	ctx context.Context,
	t connection.Tenant,
	f enrich.SharedFile,
) (io.ReadCloser, string, error) {
	what := fmt.Sprintf("open the file behind a reference attachment of tenant %s", t.ID)
	u, err := c.graphURL(t, "/drives/"+url.PathEscape(f.Drive)+"/items/"+url.PathEscape(f.ID)+"/content", nil)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", what, err)
	}
	call := fileCall(what, t, u)
	call.raw, call.download = true, true
	resp, err := c.send(ctx, call)
	if err != nil {
		return nil, "", mailFailure(err)
	}
	if redirected(resp.StatusCode) {
		if resp, err = c.download(ctx, call, resp); err != nil {
			return nil, "", err
		}
	}
	return resp.Body, mediaType(resp.Header), nil
}

// download follows the redirect of a file's content.
func (c *Client) download(ctx context.Context, call call, redirect *http.Response) (*http.Response, error) {
	a := readAnswer(call.what, redirect, c.config.Now())
	e, err := c.endpointsOf(call.tenant)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(a.header.Get("Location"))
	if err != nil || !e.serves(u) { // where a file lies does not change, so asking again is useless
		return nil, a.fault(fault.Poison, Redirect, errors.New("the file lies on a host that is not the cloud's"))
	}
	call.url, call.public, call.download = u, true, false
	resp, err := c.carry(ctx, call, token{})
	if err != nil {
		return nil, unreachable(call.what, err, u.RawQuery)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, downloadFailure(readAnswer(call.what, resp, c.config.Now(), u.RawQuery))
	}
	return resp, nil
}

// downloadFailure classifies an answer of the host that serves files: a page for people, from which no code can be
// read. The address was good for a short time only, so all but "not there" may pass.
func downloadFailure(a answer) error {
	switch {
	case redirected(a.status):
		return a.redirect()
	case a.status == http.StatusTooManyRequests:
		return a.throttled("", a.detail("", ""))
	case a.status == http.StatusNotFound || a.status == http.StatusGone:
		return fmt.Errorf("%w: %w", enrich.ErrGone, a.fault(fault.Poison, "", a.detail("", "")))
	}
	return a.fault(fault.Retry, "", a.detail("", ""))
}

// serves reports whether files may be downloaded from an address: of the scheme of the cloud's Graph, on a host of the
// cloud's domain of files.
func (e Endpoints) serves(u *url.URL) bool {
	root, err := url.Parse(e.Graph)
	if err != nil || e.Files == "" || u.Scheme != root.Scheme || u.User != nil {
		return false
	}
	host, domain := strings.ToLower(u.Hostname()), strings.ToLower(e.Files)
	return host == domain || strings.HasSuffix(host, "."+domain)
}

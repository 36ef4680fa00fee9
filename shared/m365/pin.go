package m365

import (
	"errors"
	"net/url"
	"strings"

	"github.com/mailtrail/mailtrail/shared/connection"
)

// maxURI bounds a URI that Microsoft hands us.
const maxURI = 8 << 10

// errForeign means that a URI does not belong to the cloud. The URI is not quoted, because we do not know who wrote it.
var errForeign = errors.New("the URI is not one of the tenant's cloud")

// pin parses a URI from Microsoft's answer (NextPageUri, contentUri, @odata.nextLink, @odata.deltaLink), and accepts it
// only if a token may be sent there: its scheme, host and port are those of the root, and its path is a plain path of
// the API version that base begins. It returns the root's own scheme and host, and leaves the query as it is.
func pin(root, base, uri string) (*url.URL, error) {
	r, err := url.Parse(root)
	if err != nil {
		return nil, errForeign
	}
	u, err := url.Parse(uri)
	switch {
	case err != nil || len(uri) > maxURI:
		return nil, errForeign
	case u.User != nil || u.Opaque != "" || u.Fragment != "" || strings.Contains(uri, "#"):
		return nil, errForeign
	case u.Scheme != r.Scheme || !strings.EqualFold(u.Hostname(), r.Hostname()) || port(u) != port(r):
		return nil, errForeign
	case !plain(u.EscapedPath()):
		return nil, errForeign
	}
	// The reference writes /api/v1.0/ everywhere but in its sample of NextPageUri, which has /api/v1/.
	rest, ok := strings.CutPrefix(u.EscapedPath(), r.EscapedPath()+base)
	if !ok || !strings.HasPrefix(rest, "/") && !strings.HasPrefix(rest, ".0/") {
		return nil, errForeign
	}
	u.Scheme, u.Host = r.Scheme, r.Host
	return u, nil
}

func port(u *url.URL) string {
	switch p := u.Port(); {
	case p != "":
		return p
	case u.Scheme == "http":
		return "80"
	default:
		return "443"
	}
}

// plain says whether every segment of a path means itself, before and after decoding: none is empty, a dot or two, or
// hides a slash.
func plain(path string) bool {
	path, ok := strings.CutPrefix(path, "/")
	if !ok {
		return false
	}
	for segment := range strings.SplitSeq(path, "/") {
		decoded, err := url.PathUnescape(segment)
		if err != nil || decoded == "" || decoded == "." || decoded == ".." || strings.ContainsAny(decoded, `/\`) {
			return false
		}
	}
	return true
}

// identified adds the PublisherIdentifier of the tenant's cloud, which Microsoft wants on every call, to a URI that
// lacks it. It leaves the rest of the query as it is, letter by letter.
func (c *Client) identified(cloud connection.Cloud, u *url.URL) *url.URL {
	const name = "PublisherIdentifier="
	for pair := range strings.SplitSeq(u.RawQuery, "&") {
		if len(pair) >= len(name) && strings.EqualFold(pair[:len(name)], name) {
			return u
		}
	}
	with := *u
	if with.RawQuery != "" {
		with.RawQuery += "&"
	}
	with.RawQuery += name + url.QueryEscape(c.applications[cloud].Publisher)
	return &with
}

package m365

import (
	"errors"
	"net/url"
	"strings"

	"github.com/mailtrail/mailtrail/shared/connection"
)

// maxURI bounds a URI that Microsoft hands us.
const maxURI = 8 << 10

// errForeign says that a URI does not belong to the cloud; the URI is not quoted, for whoever wrote it is not known.
var errForeign = errors.New("the URI is not one of the tenant's cloud")

// pin reads a URI out of Microsoft's answer (NextPageUri, contentUri; @odata.nextLink, @odata.deltaLink), and takes it only when a
// token may be sent there: the scheme, host and port are those of the root, and the path is a plain one of its API, in the version
// that base begins. The scheme and host that it returns are the root's own. The query stays as it is.
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

// plain tells whether every segment of a path means itself, before decoding and after: no empty one, no dots, no slash in disguise.
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

// identified adds the PublisherIdentifier of the tenant's cloud, which Microsoft wants on every call, to a URI that lacks it; what the
// query holds stays as it is, letter by letter.
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

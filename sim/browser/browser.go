// Package browser is an administrator's browser, as far as a consent needs one: it follows redirects, keeps cookies,
// and fills in the one form that each page has.
package browser

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"golang.org/x/net/html"
)

// Browser is one browser, with its cookies.
type Browser struct {
	client *http.Client
}

// New returns a browser without cookies. It reaches the world by way; nil is http.DefaultTransport.
func New(way http.RoundTripper) *Browser {
	return &Browser{client: &http.Client{Jar: &jar{}, Transport: way}}
}

// maxForms is how many forms a consent may have: our page, sign-in, consent, and what may be asked twice.
const maxForms = 8

// Walk opens an address and fills in forms until a page has none, which is returned as text, with its status. fill
// has values by the names of fields and buttons; pages that have no such name do without.
func (b *Browser) Walk(ctx context.Context, address string, fill map[string]string) (status int, text string,
	err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, "", err
	}
	for range maxForms {
		p, err := b.open(req)
		if err != nil {
			return 0, "", err
		}
		if p.action == nil || p.status != http.StatusOK {
			return p.status, p.text, nil
		}
		for name, value := range fill {
			if p.names[name] {
				p.fields.Set(name, value)
			}
		}
		req, err = http.NewRequestWithContext(ctx, http.MethodPost, p.action.String(),
			strings.NewReader(p.fields.Encode()))
		if err != nil {
			return 0, "", err
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return 0, "", errors.New("the consent asks for ever more forms")
}

// page is what a browser sees of an answer.
type page struct {
	status int
	text   string
	action *url.URL // of its form; nil when it has none
	fields url.Values
	names  map[string]bool // of all its fields and buttons
}

func (b *Browser) open(req *http.Request) (page, error) {
	resp, err := b.client.Do(req)
	if err != nil {
		return page{}, fmt.Errorf("open a page of the consent: %w", err)
	}
	defer resp.Body.Close()
	root, err := html.Parse(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return page{}, fmt.Errorf("read a page of the consent: %w", err)
	}
	p := page{status: resp.StatusCode, fields: url.Values{}, names: map[string]bool{}}
	var words []string
	for n := range root.Descendants() {
		switch {
		case n.Type == html.TextNode && n.Parent.Data != "style" && n.Parent.Data != "script":
			words = append(words, strings.Fields(n.Data)...)
		case n.Type != html.ElementNode:
		case n.Data == "form":
			if p.action, err = resp.Request.URL.Parse(attribute(n, "action")); err != nil {
				return page{}, fmt.Errorf("read the form of a page of the consent: %w", err)
			}
		case n.Data == "input" || n.Data == "button":
			p.names[attribute(n, "name")] = true
			if n.Data == "input" {
				p.fields.Set(attribute(n, "name"), attribute(n, "value"))
			}
		}
	}
	p.text = strings.Join(words, " ")
	return p, nil
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// jar keeps cookies by host, those marked Secure too: as browsers do, it trusts this machine's own addresses without
// TLS, which the standard library's jar does not.
type jar struct {
	mu      sync.Mutex
	cookies map[string]map[string]*http.Cookie
}

func (j *jar) SetCookies(u *url.URL, cookies []*http.Cookie) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.cookies == nil {
		j.cookies = map[string]map[string]*http.Cookie{}
	}
	if j.cookies[u.Host] == nil {
		j.cookies[u.Host] = map[string]*http.Cookie{}
	}
	for _, c := range cookies {
		if c.MaxAge < 0 {
			delete(j.cookies[u.Host], c.Name)
			continue
		}
		j.cookies[u.Host][c.Name] = &http.Cookie{Name: c.Name, Value: c.Value}
	}
}

func (j *jar) Cookies(u *url.URL) []*http.Cookie {
	j.mu.Lock()
	defer j.mu.Unlock()
	var all []*http.Cookie
	for _, c := range j.cookies[u.Host] {
		all = append(all, c)
	}
	return all
}

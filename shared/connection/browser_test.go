package connection_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mailtrail/mailtrail/shared/connection"
)

// browser keeps cookies and follows no redirect.
type browser struct {
	t    testing.TB
	base string
	http *http.Client
}

func (o *office) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		o.t.Fatal(err)
	}
	return &browser{t: o.t, base: o.server.URL, http: &http.Client{
		Transport:     o.server.Client().Transport,
		Jar:           jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func mustURL(s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil {
		panic(err)
	}
	return u
}

// page is an answer.
type page struct {
	status   int
	header   http.Header
	body     string
	location *url.URL
}

func (b *browser) read(resp *http.Response, err error) page {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	location, _ := resp.Location()
	return page{resp.StatusCode, resp.Header, string(body), location}
}

func (b *browser) open(link string) page {
	b.t.Helper()
	return b.read(b.http.Get(b.base + connection.BeginPath + "?" + url.Values{"link": {link}}.Encode()))
}

var regexpReference = regexp.MustCompile(`Reference <code>([0-9a-f]{12})</code>`)

var hidden = regexp.MustCompile(`<input type="hidden" name="(\w+)" value="([^"]*)">`)

// press opens the link and posts its form.
func (b *browser) press(link string) page {
	b.t.Helper()
	return b.post(b.form(link))
}

// form opens the link and fills in the form, as a browser does.
func (b *browser) form(link string) url.Values {
	b.t.Helper()
	form := url.Values{}
	for _, field := range hidden.FindAllStringSubmatch(b.open(link).body, -1) {
		form.Set(field[1], field[2])
	}
	return form
}

func (b *browser) post(form url.Values) page {
	b.t.Helper()
	return b.read(b.http.PostForm(b.base+connection.BeginPath, form))
}

// signIn opens the link and goes as far as Microsoft's sign-in; it returns the state.
func (b *browser) signIn(link string) string {
	b.t.Helper()
	return b.state(b.press(link))
}

// state is the state of a redirect to Microsoft.
func (b *browser) state(p page) string {
	b.t.Helper()
	if p.status != http.StatusSeeOther || p.location == nil {
		b.t.Fatalf("status %d instead of a redirect to Microsoft: %s", p.status, p.body)
	}
	return p.location.Query().Get("state")
}

// callback comes back from Microsoft; pairs are names and values.
func (b *browser) callback(pairs ...string) page {
	b.t.Helper()
	var query []string
	for pair := range slices.Chunk(pairs, 2) {
		query = append(query, url.QueryEscape(pair[0])+"="+url.QueryEscape(pair[1]))
	}
	return b.raw(strings.Join(query, "&"))
}

func (b *browser) raw(query string) page {
	b.t.Helper()
	return b.read(b.http.Get(b.base + "/consent/callback?" + query))
}

// consent opens the link and goes as far as Microsoft's consent; it returns the state.
func (b *browser) consent(link string) string {
	b.t.Helper()
	return b.state(b.callback("code", "good", "state", b.signIn(link)))
}

// authorize goes all the way.
func (b *browser) authorize(link string, t connection.TenantID) page {
	b.t.Helper()
	return b.callback("admin_consent", "True", "tenant", string(t), "state", b.consent(link))
}

// refused fails the test unless the page says no with the status, in a way that helps and gives nothing away.
func (p page) refused(t testing.TB, status int) {
	t.Helper()
	if p.status != status {
		t.Errorf("status %d, want %d: %s", p.status, status, p.body)
	}
	if !strings.Contains(p.body, "<h1>") || !strings.Contains(p.body, "Reference <code>") {
		t.Errorf("the page does not tell what to do, or has no reference: %s", p.body)
	}
	p.safe(t)
}

// safe fails the test unless the page has all that keeps it from being abused.
func (p page) safe(t testing.TB) {
	t.Helper()
	for name, want := range map[string]string{
		"Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
	} {
		if got := p.header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	policy := p.header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action "} {
		if !strings.Contains(policy, want) {
			t.Errorf("the content security policy %q lacks %s", policy, want)
		}
	}
}

func decodeJSON[T any](t testing.TB, text string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

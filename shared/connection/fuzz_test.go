package connection_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/mailtrail/mailtrail/shared/access"
	"github.com/mailtrail/mailtrail/shared/connection"
)

// Whatever an attacker writes into the callback's query, even with a state and the cookie of a sign-in under way: it
// answers with a page, and nothing is connected.
func FuzzCallback(f *testing.F) {
	for _, seed := range []string{
		"", "state=STATE", "code=bad&state=STATE", "admin_consent=True&tenant=11111111-2222-3333-4444-555555555555&state=STATE",
		"error=access_denied&error_description=AADSTS65004%3A+no&admin_consent=True&state=STATE", "state=STATE&state=STATE", "state=%00", "a;b", "%",
		"error_description=AADSTS&state=STATE", "code=&tenant=&state=STATE",
	} {
		f.Add(seed)
	}
	o := newOffice(f)
	o.login.err = refusedBy("AADSTS70008") // the attacker has no good code
	id, _ := o.add("Acme")
	b := o.browser()
	f.Fuzz(func(t *testing.T, query string) {
		o.t, b.t = t, t
		link, err := o.registry.NewLink(t.Context(), id, "key-1")
		if err != nil {
			t.Fatal(err)
		}
		query = strings.ReplaceAll(query, "STATE", b.signIn(link))
		r := httptest.NewRequest(http.MethodGet, "/consent/callback", nil)
		r.URL.RawQuery = query
		for _, cookie := range b.http.Jar.Cookies(mustURL(b.base)) {
			r.AddCookie(cookie)
		}
		w := httptest.NewRecorder()
		o.server.Config.Handler.ServeHTTP(w, r)
		if w.Code < 400 || w.Code > 503 {
			t.Errorf("status %d for %q", w.Code, query)
		}
		o.nothingConnected()
	})
}

// A display name that is accepted is clean, and taken from then on, in any letter case.
func FuzzDisplayName(f *testing.F) {
	for _, seed := range []string{"Acme", " a  b ", "İstanbul", "ǅ", "ſ", "\u212a", "a\u0301", "\xff", "\u200b", strings.Repeat("x", 101), "\u1e9e"} {
		f.Add(seed)
	}
	o := newOffice(f)
	f.Fuzz(func(t *testing.T, name string) {
		c, _, err := o.registry.Add(t.Context(), name, connection.Commercial, "key-1")
		var invalid *access.Refused
		switch {
		case errors.As(err, &invalid), errors.Is(err, connection.ErrName):
			return
		case err != nil:
			t.Fatalf("%q: %v", name, err)
		}
		if n := utf8.RuneCountInString(c.DisplayName); n < 1 || n > connection.MaxName ||
			strings.TrimSpace(c.DisplayName) != c.DisplayName ||
			!utf8.ValidString(c.DisplayName) {
			t.Errorf("%q became %q", name, c.DisplayName)
		}
		for _, other := range []string{c.DisplayName, strings.ToUpper(c.DisplayName), strings.ToLower(c.DisplayName), "\t" + name + " "} {
			_, _, err := o.registry.Add(t.Context(), other, connection.Commercial, "key-1")
			if same := strings.EqualFold(
				strings.Join(strings.Fields(other), " "),
				c.DisplayName,
			); same &&
				!errors.Is(err, connection.ErrName) {
				t.Errorf("%q beside %q: %v", other, c.DisplayName, err)
			}
		}
	})
}

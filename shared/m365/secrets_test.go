package m365_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/m365"
)

const (
	authCode = "0.AX code/with+odd=characters"
	verifier = "verifier-verifier-verifier-verifier-verifier-1"
)

// echo answers with all that was asked, in every place that an error may quote.
func echo(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		said := r.Header.Get("Authorization")
		for _, values := range r.PostForm {
			said += " " + strings.Join(values, " ") + " " + url.QueryEscape(strings.Join(values, " "))
		}
		w.Header().Set("Location", "https://"+url.PathEscape(said)+"/")
		answer(w, status, map[string]any{
			"error": said, "error_description": "AADSTS700016: " + said, "Message": said, "error_uri": said,
		})
	}
}

func echoActivity(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		refuse(w, status, r.Header.Get("Authorization"), "You sent "+r.Header.Get("Authorization"))
	}
}

// gossip is a transport that fails, and puts everything into its error.
type gossip struct{}

func (gossip) RoundTrip(r *http.Request) (*http.Response, error) {
	dump, err := httputil.DumpRequestOut(r, true)
	if err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("sent %s", strings.ReplaceAll(string(dump), "\r\n", " "))
}

// betray is a transport that takes login as it is, and fails at the rest with everything in its error.
type betray struct{ http.RoundTripper }

func (b betray) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasPrefix(r.URL.Path, "/login/") {
		return b.RoundTripper.RoundTrip(r)
	}
	return gossip{}.RoundTrip(r)
}

func TestNoErrorHoldsASecret(t *testing.T) {
	certificate := newCertificate(t)
	for name, arrange := range map[string]func(*microsoft, *m365.Config){
		"login echoes 400":    func(m *microsoft, _ *m365.Config) { m.login = echo(400) },
		"login echoes 401":    func(m *microsoft, _ *m365.Config) { m.login = echo(401) },
		"login echoes 200":    func(m *microsoft, _ *m365.Config) { m.login = echo(200) },
		"login echoes 302":    func(m *microsoft, _ *m365.Config) { m.login = echo(302) },
		"api echoes 400":      func(m *microsoft, _ *m365.Config) { m.manage = echoActivity(400) },
		"api echoes 403":      func(m *microsoft, _ *m365.Config) { m.manage = echo(403) },
		"api echoes 302":      func(m *microsoft, _ *m365.Config) { m.manage = echo(302) },
		"the login's network": func(_ *microsoft, c *m365.Config) { c.HTTP = &http.Client{Transport: gossip{}} },
		"the api's network":   func(_ *microsoft, c *m365.Config) { c.HTTP = &http.Client{Transport: betray{http.DefaultTransport}} },
		"with a certificate":  func(m *microsoft, c *m365.Config) { c.Secret, c.Certificate, m.login = "", certificate, echo(401) },
		"certificate, network": func(_ *microsoft, c *m365.Config) {
			c.Secret, c.Certificate, c.HTTP = "", certificate, &http.Client{Transport: gossip{}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMicrosoft(t, emptyPage)
			c := m.client(t, func(c *m365.Config) { arrange(m, c) })
			ctx := context.Background()
			_, listing := list(c)
			_, opening := c.Open(ctx, contoso(), m.URL+"/manage/api/v1.0/"+tenantID+"/activity/feed/audit/x")
			_, redeeming := c.Redeem(
				ctx,
				connection.Commercial,
				authCode,
				connection.Challenge{State: "s", Nonce: "n", Verifier: verifier},
			)
			_, asking := c.MissingPermissions(ctx, contoso())
			failed := 0
			for _, err := range []error{listing, opening, redeeming, asking, c.Subscribe(ctx, contoso(), audit.Exchange)} {
				if err != nil {
					failed++
					walk(t, err)
				}
			}
			if failed == 0 {
				t.Fatal("nothing failed, so nothing was looked at")
			}
		})
	}
}

// walk looks at every error of a tree, in every form that it may be printed in.
func walk(t *testing.T, err error) {
	t.Helper()
	for _, text := range []string{err.Error(), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err.Error())} {
		for _, s := range []string{secret, authCode, verifier, url.QueryEscape(secret), url.QueryEscape(authCode), roleToken(1), roleToken(2), "eyJhbGciOiJQUzI1NiI"} {
			if strings.Contains(text, s) || strings.Contains(strings.ToLower(text), strings.ToLower(s)) {
				t.Errorf("%T holds %.12q…: %q", err, s, text)
			}
		}
		if len(text) > 600 {
			t.Errorf("%T is %d characters long: %.100q", err, len(text), text)
		}
	}
	switch u := err.(type) {
	case interface{ Unwrap() []error }:
		for _, e := range u.Unwrap() {
			walk(t, e)
		}
	case interface{ Unwrap() error }:
		if next := errors.Unwrap(err); next != nil {
			walk(t, next)
		}
	}
}

func TestLongMessagesAreCut(t *testing.T) {
	m := newMicrosoft(t, func(w http.ResponseWriter, _ *http.Request) {
		refuse(
			w,
			400,
			"AF20002",
			"The value\x00 is\twrong.\r\n   at Microsoft.Office.Stack.Frame()"+strings.Repeat("é", 1000),
		)
	})
	_, err := list(m.client(t))
	if want := "list Audit.Exchange of tenant " + tenantID + ": HTTP 400 AF20002: The value is wrong."; err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
	long := newMicrosoft(
		t,
		func(w http.ResponseWriter, _ *http.Request) { refuse(w, 400, "AF20002", strings.Repeat("é", 1000)) },
	)
	_, err = long.client(t).List(context.Background(), contoso(), audit.Exchange, time.Time{}, time.Time{}, "")
	if got := strings.Count(err.Error(), "é"); got != 199 {
		t.Errorf("%d characters of the message are quoted, want 199 and an ellipsis", got)
	}
}

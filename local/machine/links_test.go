package machine_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/access"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/sim/browser"
	m365sim "github.com/mailtrail/mailtrail/sim/m365"
	"github.com/mailtrail/mailtrail/sim/m365/company"
)

// If two administrators of Mailtrail want the same name, or two links are used for the same tenant, exactly one wins.
func TestOneOfTwoAdministratorsGetsTheNameAndOneTheTenant(t *testing.T) {
	w := start(t, m365sim.Options{Seed: 1, StrictPublisher: true})
	c := company.New(company.Options{Seed: 1})
	w.sim.AddTenant(c.Tenant(), c.People())
	tokens := []string{w.login(access.Admin), w.login(access.Admin)}
	post := func(token, path, body string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.base+path, strings.NewReader(body))
		if err != nil {
			t.Error(err)
			return 0
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Error(err)
			return 0
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	race := func(what string, do func(i int) int, wins, loses int) {
		t.Helper()
		var both sync.WaitGroup
		var got [2]int
		for i := range got {
			both.Go(func() { got[i] = do(i) })
		}
		both.Wait()
		if got != [2]int{wins, loses} && got != [2]int{loses, wins} {
			t.Errorf("%s: %v, want one %d and one %d", what, got, wins, loses)
		}
	}
	race("one name", func(i int) int { return post(tokens[i], "/v1/connections", `{"displayName":"Fernhill"}`) },
		http.StatusCreated, http.StatusConflict)

	links := []string{w.add("A").AuthorizeURL, w.add("B").AuthorizeURL}
	race("one tenant", func(i int) int { status, _ := w.consent(links[i], c); return status }, http.StatusOK,
		http.StatusConflict)
	var third administered = w.add("C")
	if status, page := w.consent(third.AuthorizeURL, c); status != http.StatusConflict ||
		!strings.Contains(page, "The tenant is already registered") {
		t.Errorf("the same tenant a third time: %d %s", status, page)
	}
	if got := w.details(third.ID); got.TenantID != nil {
		t.Errorf("the third connection has the tenant: %+v", got)
	}
}

func TestALinkIsGoodOnceForADayAndInOneBrowser(t *testing.T) {
	w := start(t, m365sim.Options{Seed: 1, StrictPublisher: true}, simulatedTime)
	c := company.New(company.Options{Seed: 1})
	w.sim.AddTenant(c.Tenant(), c.People())

	once := w.add("Once")
	if status, page := w.consent(once.AuthorizeURL, c); status != http.StatusOK {
		t.Fatalf("%d %s", status, page)
	}
	if status, page := w.consent(once.AuthorizeURL, c); status != http.StatusGone ||
		!strings.Contains(page, "This link is no longer valid") {
		t.Errorf("a link used twice: %d %s", status, page)
	}

	late := w.add("Late")
	w.sim.Advance(24*time.Hour + time.Second)
	if status, page := w.consent(late.AuthorizeURL, c); status != http.StatusGone ||
		!strings.Contains(page, "This link is no longer valid") {
		t.Errorf("an expired link: %d %s", status, page)
	}

	// Somebody who sees the address to which Microsoft sends the administrator back cannot use it in another browser.
	other := w.add("Other")
	back := w.wayBack(other.AuthorizeURL, c)
	status, page, err := browser.New(nil).Walk(t.Context(), back, nil)
	if err != nil || status != http.StatusForbidden || !strings.Contains(page, "Another browser began this") {
		t.Errorf("another browser: %d %s, %v", status, page, err)
	}
	if got := w.details(other.ID); got.Status != "Initializing" || got.TenantID != nil {
		t.Errorf("the connection is %+v", got)
	}
}

// wayBack follows a consent in a browser that stops before it comes back from the sign-in, and returns the address to
// which it would have gone.
func (w *world) wayBack(link string, c *company.Company) string {
	w.t.Helper()
	way := &stopped{at: connection.CallbackPath}
	who := c.People()[0]
	_, _, err := browser.New(way).Walk(w.t.Context(), link, map[string]string{
		"account": who.UserPrincipalName, "password": who.Password, "decision": "accept",
	})
	if way.address == nil {
		w.t.Fatalf("the browser never came back: %v", err)
	}
	return way.address.String()
}

// stopped is a transport that stops at requests whose path begins so.
type stopped struct {
	at      string
	address *url.URL
}

func (s *stopped) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path == s.at {
		s.address = r.URL
		return nil, fmt.Errorf("stopped at %s", s.at)
	}
	return http.DefaultTransport.RoundTrip(r)
}

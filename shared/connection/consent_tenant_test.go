package connection_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/mailtrail/mailtrail/shared/connection"
	m365sim "github.com/mailtrail/mailtrail/sim/m365"
)

// Microsoft puts wids into an id_token for groupMembershipClaims, for the optional claim, or for either. A registration
// that asks for both gets it from each Microsoft, and one that asks for neither is distinguished from a user without a
// role.
func TestARegistrationWithoutWidsIsToldApartFromAUserWithoutARole(t *testing.T) {
	const (
		unseen = "Mailtrail cannot see your roles"
		needed = "An administrator is needed"
	)
	for _, step := range []struct {
		by, group string
		optional  []string
		who       string
		title     string // "" when the consent goes on
	}{
		{"group", "DirectoryRole", []string{"wids", "acct"}, boss, ""},
		{"optional", "DirectoryRole", []string{"wids", "acct"}, boss, ""},
		{"either", "DirectoryRole", []string{"wids", "acct"}, clerk, needed},
		{"group", "", []string{"wids", "acct"}, boss, unseen},
		{"optional", "DirectoryRole", nil, boss, unseen},
		{"either", "", nil, clerk, unseen},
	} {
		k := newCampus(t, nil)
		k.sim.Change(func(o *m365sim.Options) { o.WidsBy = step.by })
		if err := k.sim.SetClaims(appID, step.group, step.optional...); err != nil {
			t.Fatal(err)
		}
		id, link := k.addIn(connection.Commercial)
		b := k.browser()
		answer := b.follow(b.at(b.press(link).location, step.who, acme, "accept"))
		if step.title != "" {
			if answer.status != http.StatusForbidden || !strings.Contains(answer.body, step.title) {
				t.Errorf("%+v: %d %s", step, answer.status, answer.body)
			}
			k.nothingConnected()
			continue
		}
		done := b.follow(b.at(answer.location, step.who, acme, "accept"))
		if got := k.get(id); done.status != http.StatusOK || got.Claims != "wids acct" {
			t.Errorf("%+v: %d, claims %q", step, done.status, got.Claims)
		}
	}
}

func TestAConnectionForOneTenantTakesNoOther(t *testing.T) {
	domain := func(tenant connection.TenantID) string { return string(tenant[:8]) + ".example" }
	for name, step := range map[string]struct {
		tenant string
		status int
		title  string
	}{
		"by its id":         {string(acme), http.StatusOK, "may now read"},
		"by its domain":     {" " + strings.ToUpper(domain(acme)), http.StatusOK, "may now read"},
		"another id":        {string(globex), http.StatusForbidden, "for another tenant"},
		"another domain":    {domain(globex), http.StatusForbidden, "for another tenant"},
		"an unknown domain": {"nowhere.example", http.StatusForbidden, "Microsoft did not let you in"},
	} {
		t.Run(name, func(t *testing.T) {
			k := newCampus(t, nil)
			c, link, err := k.registry.AddFor(t.Context(), "Acme", connection.Commercial, step.tenant, "key-1")
			if err != nil || c.Wanted != strings.ToLower(strings.TrimSpace(step.tenant)) {
				t.Fatal(c.Wanted, err)
			}
			b := k.browser()
			answer := b.follow(b.at(b.press(link).location, boss, acme, "accept"))
			if answer.location != nil {
				answer = b.follow(b.at(answer.location, boss, acme, "accept"))
			}
			if answer.status != step.status || !strings.Contains(answer.body, step.title) {
				t.Errorf("%d %s", answer.status, answer.body)
			}
			if step.status != http.StatusOK {
				k.nothingConnected()
			}
		})
	}
	r, _ := newRegistry(t)
	for _, bad := range []string{"acme", "https://acme.example", "acme..example", "-a.example", "a b.example", strings.Repeat("a.", 130) + "b"} {
		if _, _, err := r.AddFor(t.Context(), "Acme", connection.Commercial, bad, "key-1"); err == nil {
			t.Errorf("tenant %q was accepted", bad)
		}
	}
}

// A link that was sent to the wrong person is void when a new one is made, also if that person has begun already.
func TestANewLinkVoidsWhatWasBegunWithTheOldOne(t *testing.T) {
	for _, consenting := range []bool{false, true} {
		k := newCampus(t, nil)
		id, link := k.addIn(connection.Commercial)
		b := k.browser()
		back := b.at(b.press(link).location, boss, acme, "accept")
		if consenting {
			back = b.at(b.follow(back).location, boss, acme, "accept")
		}
		fresh, err := k.registry.NewLink(t.Context(), id, "key-1")
		if err != nil {
			t.Fatal(err)
		}
		b.follow(back).refused(t, http.StatusGone)
		k.nothingConnected()
		other := k.browser()
		done := other.follow(other.at(other.follow(other.at(other.press(fresh).location, boss, acme, "accept")).location,
			boss, acme, "accept"))
		if done.status != http.StatusOK {
			t.Errorf("the new link: %d %s", done.status, done.body)
		}
	}
}

// Scanners of links ask with HEAD, before the browser does.
func TestHEADUsesNoStateUp(t *testing.T) {
	k := newCampus(t, nil)
	_, link := k.addIn(connection.Commercial)
	b := k.browser()
	for range 2 {
		if p := b.read(b.http.Head("https://" + k.server.Listener.Addr().String() + connection.BeginPath + "?link=" + link)); p.status != http.StatusOK {
			t.Fatalf("the link: %d", p.status)
		}
	}
	scanned := func(p page) page {
		head := b.read(b.http.Head(p.location.String()))
		if head.status != http.StatusOK || head.location != nil {
			t.Errorf("HEAD: %d", head.status)
		}
		return b.follow(p)
	}
	consent := scanned(b.at(b.press(link).location, boss, acme, "accept"))
	if done := scanned(b.at(consent.location, boss, acme, "accept")); done.status != http.StatusOK {
		t.Errorf("%d %s", done.status, done.body)
	}
}

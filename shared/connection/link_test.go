package connection_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
)

func TestPrefetchUsesNothingUp(t *testing.T) {
	o := newOffice(t)
	_, link := o.add("Acme")
	for range 3 {
		o.browser().open(link) // a mail scanner, another one, a chat's preview
	}
	o.browser().signIn(link)
}

func TestLinkUsedTwice(t *testing.T) {
	o := newOffice(t)
	_, link := o.add("Acme")
	b := o.browser()
	form := b.form(link)
	b.state(b.post(form))
	b.post(form).refused(t, http.StatusGone)
	b.open(link).refused(t, http.StatusGone)
	o.browser().open(link).refused(t, http.StatusGone)
}

func TestLinkUsedTwiceAtOnce(t *testing.T) {
	o := newOffice(t)
	_, link := o.add("Acme")
	b := o.browser()
	form := b.form(link)
	pages := make(chan page, 8)
	for range cap(pages) {
		go func() { pages <- b.post(form) }()
	}
	redirects := 0
	for range cap(pages) {
		if p := <-pages; p.status == http.StatusSeeOther {
			redirects++
		} else if p.status != http.StatusGone {
			t.Errorf("status %d", p.status)
		}
	}
	if redirects != 1 {
		t.Errorf("the link was good %d times", redirects)
	}
}

func TestExpiredLink(t *testing.T) {
	o := newOffice(t)
	_, link := o.add("Acme")
	o.clock.advance(24*time.Hour - time.Second)
	if p := o.browser().open(link); p.status != http.StatusOK {
		t.Errorf("a second before it expires: %d", p.status)
	}
	o.clock.advance(time.Second)
	o.browser().open(link).refused(t, http.StatusGone)
}

func TestLinkThatExpiresWhileItsPageIsOpen(t *testing.T) {
	o := newOffice(t)
	_, link := o.add("Acme")
	b := o.browser()
	form := b.form(link)
	o.clock.advance(24 * time.Hour)
	b.post(form).refused(t, http.StatusGone)
}

func TestNewLinkClosesTheOldOne(t *testing.T) {
	o := newOffice(t)
	id, old := o.add("Acme")
	fresh, err := o.registry.NewLink(t.Context(), id, "key-1")
	if err != nil {
		t.Fatal(err)
	}
	o.browser().open(old).refused(t, http.StatusGone)
	o.browser().signIn(fresh)
}

func TestDeauthorizingClosesTheLink(t *testing.T) {
	o := newOffice(t)
	id, link := o.add("Acme")
	if _, err := o.registry.Deauthorize(t.Context(), id, "key-1"); err != nil {
		t.Fatal(err)
	}
	o.browser().open(link).refused(t, http.StatusGone)
}

func TestLinksThatAreNone(t *testing.T) {
	o := newOffice(t)
	id, link := o.add("Acme")
	for _, bad := range []string{"", ".", string(id), string(id) + ".", string(id) + "." + strings.Repeat("A", 43), "aaaaaaaaaaaa" + link[12:], link + "A", link[:len(link)-1], "\x00", "|" + link} {
		o.browser().open(bad).refused(t, http.StatusGone)
	}
	b := o.browser()
	b.read(b.http.Get(b.base+connection.BeginPath+"?link="+link+"&link="+link)).refused(t, http.StatusGone)
}

func TestFormOfAnotherBrowser(t *testing.T) {
	o := newOffice(t)
	_, link := o.add("Acme")
	form := o.browser().form(link)
	o.browser().post(form).refused(t, http.StatusForbidden) // posted by another site: without the cookie
	victim := o.browser()
	victim.open(link)
	victim.post(form).refused(t, http.StatusForbidden) // with a cookie, and the attacker's token
	form.Del("token")
	victim.post(form).refused(t, http.StatusForbidden)
	victim.signIn(link) // nothing of that used the link up
}

// A consent that is under way must not undo the deauthorizing.
func TestDeauthorizedDuringTheConsent(t *testing.T) {
	o := newOffice(t)
	id, link := o.add("Acme")
	b := o.browser()
	state := b.consent(link)
	if _, err := o.registry.Deauthorize(t.Context(), id, "key-1"); err != nil {
		t.Fatal(err)
	}
	b.callback("admin_consent", "True", "tenant", string(acme), "state", state).refused(t, http.StatusConflict)
	o.nothingConnected()
	if got := o.get(id); got.Status != connection.Deauthorized {
		t.Errorf("the connection is %s", got.Status)
	}
}

package connection_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
)

func TestNoAdministrator(t *testing.T) {
	for _, roles := range [][]string{nil, {""}, {applicationAdministrator}} {
		o := newOffice(t)
		_, link := o.add("Acme")
		o.login.who.Roles = roles
		b := o.browser()
		b.callback("code", "good", "state", b.signIn(link)).refused(t, http.StatusForbidden)
		o.nothingConnected()
	}
}

func TestGuest(t *testing.T) {
	o := newOffice(t)
	_, link := o.add("Acme")
	o.login.who.Guest = true // with the role
	b := o.browser()
	b.callback("code", "good", "state", b.signIn(link)).refused(t, http.StatusForbidden)
	o.nothingConnected()
}

func TestSignInWithoutTenant(t *testing.T) {
	for _, tenant := range []connection.TenantID{"", "common", "not-a-guid"} {
		o := newOffice(t)
		_, link := o.add("Acme")
		o.login.who.Tenant = tenant
		b := o.browser()
		b.callback("code", "good", "state", b.signIn(link)).refused(t, http.StatusForbidden)
		o.nothingConnected()
	}
}

func TestTenantOfAnotherConnection(t *testing.T) {
	o := newOffice(t)
	_, first := o.add("Acme")
	o.browser().authorize(first, acme)
	id, second := o.add("Acme again")
	b := o.browser()
	b.callback("code", "good", "state", b.signIn(second)).refused(t, http.StatusConflict)
	if got := o.get(id); got.Tenant.ID != "" {
		t.Errorf("connected: %+v", got)
	}
}

func TestTenantThatWasTakenMeanwhile(t *testing.T) {
	o := newOffice(t)
	_, first := o.add("Acme")
	id, second := o.add("Acme again")
	b := o.browser()
	state := b.consent(second)
	o.browser().authorize(first, acme)
	b.callback("admin_consent", "True", "tenant", string(acme), "state", state).refused(t, http.StatusConflict)
	if got := o.get(id); got.Tenant.ID != "" {
		t.Errorf("connected: %+v", got)
	}
}

func TestConnectionOfAnotherTenant(t *testing.T) {
	o := newOffice(t)
	id, link := o.add("Acme")
	o.browser().authorize(link, acme)
	link, err := o.registry.NewLink(t.Context(), id, "key-1")
	if err != nil {
		t.Fatal(err)
	}
	o.login.who.Tenant = globex
	b := o.browser()
	b.callback("code", "good", "state", b.signIn(link)).refused(t, http.StatusConflict)
	if got := o.get(id); got.Tenant.ID != acme {
		t.Errorf("the connection moved to %s", got.Tenant.ID)
	}
}

func TestCodeThatMicrosoftRefuses(t *testing.T) {
	for name, step := range map[string]struct {
		err    error
		status int
	}{
		"refused":            {refusedBy("AADSTS70008"), http.StatusForbidden},
		"Microsoft is away":  {&fault.Error{Kind: fault.Retry, Err: errors.New("time-out")}, http.StatusServiceUnavailable},
		"our own credential": {&fault.Error{Kind: fault.Ours, Err: errors.New("secret expired")}, http.StatusInternalServerError},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t)
			_, link := o.add("Acme")
			o.login.err = step.err
			b := o.browser()
			p := b.callback("code", "good", "state", b.signIn(link))
			p.refused(t, step.status)
			if !strings.Contains(o.log.String(), step.err.Error()) || strings.Contains(p.body, step.err.Error()) {
				t.Errorf("the cause belongs into the log and not onto the page:\n%s\n%s", o.log, p.body)
			}
			reference := regexpReference.FindStringSubmatch(p.body)
			if len(reference) != 2 || strings.Count(o.log.String(), reference[1]) != 1 {
				t.Errorf("the page's reference %v stands not once in the log:\n%s", reference, o.log)
			}
			o.nothingConnected()
		})
	}
}

// A tenant of another cloud is recognized by what Microsoft publishes about it, before it is bound to a connection that
// could never read it.
func TestTenantOfAnotherCloud(t *testing.T) {
	o := newOffice(t)
	o.login.cloud = connection.GCC
	_, link := o.add("Acme")
	b := o.browser()
	p := b.callback("code", "good", "state", b.signIn(link))
	p.refused(t, http.StatusForbidden)
	if !strings.Contains(p.body, "lives in the cloud GCC") || !strings.Contains(p.body, "with the cloud gcc") {
		t.Errorf("the page does not name the cloud: %s", p.body)
	}
	o.nothingConnected()
}

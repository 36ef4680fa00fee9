package connection_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
)

func TestForgedTenant(t *testing.T) {
	o := newOffice(t)
	_, link := o.add("Acme")
	b := o.browser()
	state := b.consent(link) // signed in at acme, with a state of one's own
	b.callback("admin_consent", "True", "tenant", string(globex), "state", state).refused(t, http.StatusForbidden)
	o.nothingConnected()
}

func TestForgedConsentWithoutSignIn(t *testing.T) {
	o := newOffice(t)
	_, link := o.add("Acme")
	b := o.browser()
	b.callback("admin_consent", "True", "tenant", string(globex), "state", b.signIn(link)).
		refused(t, http.StatusBadRequest)
	o.nothingConnected()
}

func TestMissingTenant(t *testing.T) {
	o := newOffice(t)
	_, link := o.add("Acme")
	b := o.browser()
	b.callback("admin_consent", "True", "state", b.consent(link)).refused(t, http.StatusForbidden)
	o.nothingConnected()
}

func TestReplayedStateOfSignIn(t *testing.T) {
	o := newOffice(t)
	_, link := o.add("Acme")
	b := o.browser()
	state := b.signIn(link)
	b.state(b.callback("code", "good", "state", state))
	b.callback("code", "good", "state", state).refused(t, http.StatusGone)
	o.nothingConnected()
}

func TestReplayedStateOfConsent(t *testing.T) {
	o := newOffice(t)
	id, link := o.add("Acme")
	b := o.browser()
	state := b.consent(link)
	b.callback("admin_consent", "True", "tenant", string(acme), "state", state)
	if _, err := o.registry.Deauthorize(t.Context(), id, "key-1"); err != nil {
		t.Fatal(err)
	}
	b.callback("admin_consent", "True", "tenant", string(acme), "state", state).refused(t, http.StatusGone)
	if got := o.get(id); got.Status != connection.Deauthorized {
		t.Errorf("a replayed consent made the connection %s", got.Status)
	}
}

func TestStateIsUsedUpByAnyAnswer(t *testing.T) {
	for _, first := range [][]string{{"error", "server_error"}, {"tenant", string(acme)}, {"code", ""}, {}} {
		o := newOffice(t)
		_, link := o.add("Acme")
		b := o.browser()
		state := b.signIn(link)
		b.callback(append(first, "state", state)...)
		b.callback("code", "good", "state", state).refused(t, http.StatusGone)
	}
}

func TestStatesThatAreNone(t *testing.T) {
	o := newOffice(t)
	_, link := o.add("Acme")
	b := o.browser()
	state := b.signIn(link)
	for name, query := range map[string]string{
		"missing":        "code=good",
		"empty":          "code=good&state=",
		"twice":          "code=good&state=" + state + "&state=" + state,
		"too short":      "code=good&state=" + state[1:],
		"too long":       "code=good&state=" + state + "A",
		"oversized":      "code=good&state=" + state + "&session_state=" + strings.Repeat("a", 20<<10),
		"odd last digit": "code=good&state=" + strings.Repeat("_", 43), // not canonical base64
		"a second code":  "code=good&code=good&state=" + state,
		"a semicolon":    "code=good;state=" + state,
		"a bad escape":   "code=%zz&state=" + state,
	} {
		t.Run(name, func(t *testing.T) { b.raw(query).refused(t, http.StatusBadRequest) })
	}
	// of our shape, and unknown
	b.callback("code", "good", "state", strings.Repeat("A", 43)).refused(t, http.StatusGone)
	o.nothingConnected()
	b.state(b.callback("code", "good", "state", state)) // none of them used the state up
}

func TestExpiredState(t *testing.T) {
	for _, stage := range []string{"sign-in", "consent"} {
		t.Run(stage, func(t *testing.T) {
			o := newOffice(t)
			_, link := o.add("Acme")
			b := o.browser()
			answer := []string{"code", "good", "state"}
			state := ""
			if stage == "sign-in" {
				state = b.signIn(link)
			} else {
				state = b.consent(link)
				answer = []string{"admin_consent", "True", "tenant", string(acme), "state"}
			}
			o.clock.advance(15 * time.Minute)
			b.callback(append(answer, state)...).refused(t, http.StatusGone)
			o.nothingConnected()
		})
	}
}

func TestOtherBrowser(t *testing.T) {
	for name, prepare := range map[string]func(o *office, b *browser){
		"no cookie":      func(*office, *browser) {},
		"another cookie": func(o *office, b *browser) { _, link := o.add("Another"); b.signIn(link) },
	} {
		t.Run("sign-in, "+name, func(t *testing.T) {
			o := newOffice(t)
			_, link := o.add("Acme")
			state := o.browser().signIn(link)
			other := o.browser()
			prepare(o, other)
			other.callback("code", "good", "state", state).refused(t, http.StatusForbidden)
			o.nothingConnected()
		})
		t.Run("consent, "+name, func(t *testing.T) {
			o := newOffice(t)
			_, link := o.add("Acme")
			state := o.browser().consent(link)
			other := o.browser()
			prepare(o, other)
			other.callback("admin_consent", "True", "tenant", string(acme), "state", state).refused(t, http.StatusForbidden)
			o.nothingConnected()
		})
	}
}

func TestMixUp(t *testing.T) {
	for name, mixed := range map[string]struct {
		consent bool
		pairs   []string
	}{
		"consent's values at the sign-in":    {false, []string{"admin_consent", "True", "tenant", string(acme)}},
		"both values at the sign-in":         {false, []string{"code", "good", "admin_consent", "True", "tenant", string(acme)}},
		"an empty tenant at the sign-in":     {false, []string{"code", "good", "tenant", ""}},
		"an empty code at the sign-in":       {false, []string{"code", ""}},
		"nothing at the sign-in":             {false, nil},
		"the sign-in's values at consent":    {true, []string{"code", "good"}},
		"both values at the consent":         {true, []string{"code", "good", "admin_consent", "True", "tenant", string(acme)}},
		"an empty code at the consent":       {true, []string{"code", "", "admin_consent", "True", "tenant", string(acme)}},
		"nothing at the consent":             {true, nil},
		"a code that is of no sign-in, late": {true, []string{"code", "other"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t)
			_, link := o.add("Acme")
			b := o.browser()
			state := ""
			if mixed.consent {
				state = b.consent(link)
			} else {
				state = b.signIn(link)
			}
			b.callback(append(mixed.pairs, "state", state)...).refused(t, http.StatusBadRequest)
			o.nothingConnected()
		})
	}
}

func TestStateOfAnotherConnection(t *testing.T) {
	o := newOffice(t)
	idA, linkA := o.add("Acme")
	idB, linkB := o.add("Globex")
	b := o.browser()
	stateA := b.consent(linkA)
	o.login.who.Tenant = globex
	stateB := b.consent(linkB)
	b.callback("admin_consent", "True", "tenant", string(acme), "state", stateB).refused(t, http.StatusForbidden)
	b.callback("admin_consent", "True", "tenant", string(globex), "state", stateA).refused(t, http.StatusForbidden)
	for _, id := range []connection.ID{idA, idB} {
		if got := o.get(id); got.Tenant.ID != "" {
			t.Errorf("connected: %+v", got)
		}
	}
}

func TestCancelledConsentSaysTrue(t *testing.T) {
	for name, pairs := range map[string][]string{
		"declined":                  {"error", "access_denied", "error_description", "AADSTS65004: User declined to consent to access the app."},
		"of another tenant":         {"error", "access_denied", "error_description", "AADSTS50020: User account does not exist in tenant."},
		"permission denied":         {"error", "permission_denied", "error_description", "The admin canceled the request"},
		"an empty error":            {"error", ""},
		"a description alone":       {"error_description", "something"},
		"with the tenant, as asked": {"error", "access_denied", "tenant", string(acme)},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t)
			_, link := o.add("Acme")
			b := o.browser()
			all := append([]string{"admin_consent", "True", "state", b.consent(link)}, pairs...)
			if !strings.Contains(strings.Join(all, " "), string(acme)) {
				all = append(all, "tenant", string(acme))
			}
			p := b.callback(all...)
			p.refused(t, http.StatusForbidden)
			if strings.Contains(p.body, "User declined") || strings.Contains(p.body, "canceled the request") {
				t.Errorf("the page repeats what came in the address: %s", p.body)
			}
			o.nothingConnected()
		})
	}
}

func TestConsentThatIsNotTrue(t *testing.T) {
	for _, value := range []string{"False", "", "yes"} {
		o := newOffice(t)
		_, link := o.add("Acme")
		b := o.browser()
		b.callback("admin_consent", value, "tenant", string(acme), "state", b.consent(link)).
			refused(t, http.StatusForbidden)
		o.nothingConnected()
	}
}

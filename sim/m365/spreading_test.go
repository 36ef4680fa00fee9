package m365sim_test

import (
	"strings"
	"testing"
	"time"

	m365sim "github.com/mailtrail/mailtrail/sim/m365"
)

const startExchange = "subscriptions/start?contentType=" + exchange

func TestASecondStartMustWait(t *testing.T) {
	for _, c := range []struct {
		name    string
		options m365sim.Options
		status  int
		last    string // the wait of a third start, after 7m46s more
	}{
		{"403", m365sim.Options{StartSpacing: 15 * time.Minute}, 403, ""},
		{"429", m365sim.Options{StartSpacing: 15 * time.Minute, StartSpacingStatus: 429}, 429, ""},
		{"anew", m365sim.Options{StartSpacing: 15 * time.Minute, RefusedStartsCount: true}, 403, "7m 14s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := start(t, c.options)
			if err := m.Grant(contoso, clientID); err != nil {
				t.Fatal(err)
			}
			token := m.token(contoso, "manage")
			if a := m.feed("POST", startExchange, token); a.status != 200 {
				t.Fatalf("the first start: %d %s", a.status, a.body)
			}
			if a := m.feed("POST", "subscriptions/start?contentType=Audit.General", token); a.status != 200 {
				t.Errorf("a start of another content type: %d %s", a.status, a.body)
			}
			m.feed("POST", "subscriptions/stop?contentType="+exchange, token)
			m.Advance(7*time.Minute + 14*time.Second)
			a := m.feed("POST", startExchange, token)
			want := "Too many frequent subscription start requests. Please retry again after 7m 46s."
			if a.status != c.status || a.code() != "429" || !strings.Contains(a.body, want) {
				t.Errorf("the second start: %d %s", a.status, a.body)
			}
			m.Advance(7*time.Minute + 46*time.Second)
			switch a := m.feed("POST", startExchange, token); {
			case c.last == "" && a.status != 200, c.last != "" && !strings.Contains(a.body, c.last):
				t.Errorf("the third start: %d %s", a.status, a.body)
			}
		})
	}
}

func TestAStartOfARunningSubscriptionCountsToo(t *testing.T) {
	m := consented(t, m365sim.Options{StartSpacing: 15 * time.Minute})
	token := m.token(contoso, "manage")
	m.Advance(15 * time.Minute)
	if a := m.feed("POST", startExchange, token); a.code() != "AF20024" {
		t.Fatalf("a start after 15 minutes: %s", a.body)
	}
	m.Advance(14*time.Minute + 15*time.Second)
	if a := m.feed("POST", startExchange, token); !strings.Contains(a.body, "after 45s.") {
		t.Errorf("a start 14m15s later: %s", a.body)
	}
}

func TestAStuckSubscription(t *testing.T) {
	m := consented(t, m365sim.Options{})
	id, token := m.publish(noon.Add(-time.Hour), "[]"), m.token(contoso, "manage")
	if err := m.StickSubscription(contoso, exchange, true); err != nil {
		t.Fatal(err)
	}
	list := func() reply { return m.feed("GET", "subscriptions/content?contentType="+exchange, token) }
	for _, path := range []string{"subscriptions/stop?contentType=" + exchange, startExchange} {
		if a := m.feed("POST", path, token); a.status != 200 {
			t.Fatalf("%s: %d %s", path, a.status, a.body)
		}
	}
	if a := list(); a.code() != "AF20023" {
		t.Errorf("content after stop and start: %s", a.body)
	}
	if a := m.feed("GET", "audit/"+id, token); a.code() != "AF20023" {
		t.Errorf("a blob after stop and start: %s", a.body)
	}
	if a := m.feed("GET", "subscriptions/list", token); !strings.Contains(a.body, `"enabled"`) {
		t.Errorf("subscriptions: %s", a.body)
	}
	if r := m.control()("POST", "/subscription/stuck", `{"tenant":"`+contoso+`","contentType":"Audit.Exchange","on":false}`); r.status != 200 {
		t.Fatalf("the lever: %s", r.body)
	}
	if a := list(); a.status != 200 {
		t.Errorf("content once it is no longer stuck: %s", a.body)
	}
}

func TestPermissionsSpreadLate(t *testing.T) {
	m := start(t, m365sim.Options{RolePropagation: time.Minute, RoleFlicker: 10 * time.Minute,
		PermissionLag: 20 * time.Minute})
	if err := m.Consent(contoso, clientID); err != nil {
		t.Fatal(err)
	}
	// try counts, of twenty fresh tokens, those that carry the role and those that the APIs take.
	try := func() (carry, taken int) {
		for range 20 {
			token := m.token(contoso, "manage")
			a := m.feed("GET", "subscriptions/list", token)
			if m.verifiedClaims(token)["roles"] != nil {
				carry++
			}
			if a.status == 200 {
				taken++
			} else if a.code() != "AF10001" {
				t.Fatalf("refused otherwise: %s", a.body)
			}
		}
		return carry, taken
	}
	if carry, taken := try(); carry != 0 || taken != 0 {
		t.Errorf("at the consent: %d tokens carry the role, %d are taken", carry, taken)
	}
	m.Advance(time.Minute)
	if carry, taken := try(); carry < 4 || carry > 16 || taken != 0 {
		t.Errorf("while roles flicker: %d tokens carry the role, %d are taken", carry, taken)
	}
	m.Advance(10 * time.Minute)
	if carry, taken := try(); carry != 20 || taken != 0 {
		t.Errorf("while the APIs do not know: %d tokens carry the role, %d are taken", carry, taken)
	}
	token := m.token(contoso, "graph")
	if a := m.do("GET", "/graph/v1.0/users", bearer(token), nil); a.status != 403 ||
		a.code() != "Authorization_RequestDenied" {
		t.Errorf("Graph, while it does not know: %d %s", a.status, a.body)
	}
	m.Advance(10 * time.Minute)
	if carry, taken := try(); carry != 20 || taken != 20 {
		t.Errorf("in the end: %d tokens carry the role, %d are taken", carry, taken)
	}
	if a := m.do("GET", "/graph/v1.0/users", bearer(token), nil); a.status != 200 {
		t.Errorf("Graph in the end, with the same token: %d %s", a.status, a.body)
	}
}

func TestKnobsTurnWhileItRuns(t *testing.T) {
	m := consented(t, m365sim.Options{Seed: 7, PageSize: 2})
	pull, token := m.control(), m.token(contoso, "manage")
	for i := range 3 {
		m.publish(noon.Add(-time.Duration(i+1)*time.Minute), "[]")
	}
	list := func() int {
		return strings.Count(m.feed("GET", "subscriptions/content?contentType="+exchange, token).body, `"contentId"`)
	}
	if n := list(); n != 2 {
		t.Fatalf("a page of %d", n)
	}
	shown := into[map[string]any](t, pull("POST", "/options",
		`{"pageSize":3,"startSpacing":"15m","refusedStartsCount":true,"lateRate":0.5}`))
	if n := list(); n != 3 || shown["startSpacing"] != "15m0s" || shown["pageSize"] != 3.0 || shown["lateRate"] != 0.5 {
		t.Errorf("a page of %d, knobs %v", n, shown)
	}
	if _, there := shown["seed"]; there {
		t.Error("the seed is a knob")
	}
	for _, wrong := range []string{`{"pageSize":1,"startSpace":"15m"}`, `{"startSpacing":15}`, `{"pageSize":"many"}`,
		`{"seed":1}`} {
		if r := pull("POST", "/options", wrong); r.status != 400 {
			t.Errorf("%s: %d %s", wrong, r.status, r.body)
		}
	}
	if n := list(); n != 3 {
		t.Errorf("a refused order turned a knob: a page of %d", n)
	}
	m.Change(func(o *m365sim.Options) { o.PageSize, o.Seed, o.Now = 0, 8, nil })
	if shown := into[map[string]any](t, pull("GET", "/options", "")); shown["pageSize"] != 3.0 || !m.Now().Equal(noon) {
		t.Errorf("after Change: %v, at %s", shown["pageSize"], m.Now())
	}
}

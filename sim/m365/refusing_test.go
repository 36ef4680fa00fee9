package m365sim_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	m365sim "github.com/mailtrail/mailtrail/sim/m365"
)

const adasMessages = "/graph/v1.0/users/ada@contoso.test/messages"

// A living mailbox refuses by turns, for hours, and then is well.
func TestRefusalsOfAMailboxPass(t *testing.T) {
	m := mailed(t, m365sim.Options{})
	turns := []string{"ResourceNotFound", "MailboxNotEnabledForRESTAPI", "ErrorInvalidUser"}
	m.Fault(m365sim.Fault{Tenant: contoso, Mailbox: "BEN@contoso.test", Codes: turns, For: 5 * time.Hour})
	byID := "/graph/v1.0/users/" + ben + "/messages"
	for _, path := range []string{messageOf, byID} {
		for _, code := range turns {
			if r := m.graph(path); r.status != 404 || r.code() != code {
				t.Errorf("%s: %d %s, want 404 %s", path, r.status, r.body, code)
			}
		}
	}
	if r := m.graph(adasMessages); r.status != 200 {
		t.Errorf("another mailbox: %d %s", r.status, r.body)
	}
	if r := m.graph("/graph/v1.0/users/ben@contoso.test"); r.status != 200 {
		t.Errorf("the person in the directory: %d %s", r.status, r.body)
	}
	m.Advance(5*time.Hour - time.Second)
	if r := m.graph(messageOf); r.status != 404 || len(m.Faults()) != 1 {
		t.Errorf("a second before it ends: %d", r.status)
	}
	m.Advance(time.Second)
	if r := m.graph(messageOf); r.status != 200 || len(m.Faults()) != 0 {
		t.Errorf("once it has ended: %d %s", r.status, r.body)
	}
}

func TestAMailboxIsFoundByItsIDAlone(t *testing.T) {
	m := mailed(t, m365sim.Options{})
	m.Fault(m365sim.Fault{Mailbox: ben, ByName: true, Code: "ResourceNotFound"})
	if r := m.graph(messageOf); r.status != 404 || r.code() != "ResourceNotFound" || !strings.Contains(r.body,
		"could not be discovered") {
		t.Errorf("by name: %d %s", r.status, r.body)
	}
	if r := m.graph("/graph/v1.0/users/" + ben + "/messages"); r.status != 200 {
		t.Errorf("by id: %d %s", r.status, r.body)
	}
	if r := m.graph(adasMessages); r.status != 200 {
		t.Errorf("another mailbox by name: %d %s", r.status, r.body)
	}
	m.Fault(m365sim.Fault{Mailbox: "*", ByName: true, Code: "ErrorInvalidUser"})
	if r := m.graph(adasMessages); r.code() != "ErrorInvalidUser" {
		t.Errorf("another mailbox, once it is all: %d %s", r.status, r.body)
	}
}

func TestPoliciesTakeTheirTime(t *testing.T) {
	m := mailed(t, m365sim.Options{PolicyLag: 45 * time.Minute})
	reads := func(want int) {
		t.Helper()
		if r := m.graph(messageOf); r.status != want || want == 403 && r.code() != "ErrorAccessDenied" {
			t.Errorf("got %d %s, want %d", r.status, r.body, want)
		}
	}
	m.must(m.BlockMailbox(contoso, ben, true))
	reads(200)
	m.Advance(45 * time.Minute)
	reads(403)
	m.must(m.BlockMailbox(contoso, ben, false))
	m.Advance(44 * time.Minute)
	reads(403)
	m.Advance(time.Minute)
	reads(200)
}

func TestAGrantInExchangeTakesItsTime(t *testing.T) {
	m := mailed(t, m365sim.Options{PolicyLag: time.Hour})
	m.AddApp(m365sim.App{ClientID: clientID, Secrets: []m365sim.Secret{{Value: secret}},
		ActivityRoles: []string{"ActivityFeed.Read"}})
	m.must(m.Grant(contoso, clientID))
	m.must(m.GrantMailbox(contoso, ben, clientID))
	for _, want := range []int{403, 200} {
		if r := m.graph(messageOf); r.status != want {
			t.Errorf("got %d %s, want %d", r.status, r.body, want)
		}
		m.Advance(time.Hour)
	}
}

func TestAnOutageOfThreeHours(t *testing.T) {
	m := mailed(t, m365sim.Options{})
	token := m.token(contoso, "manage")
	m.Fault(m365sim.Fault{Op: "graph", Status: http.StatusServiceUnavailable, For: 3 * time.Hour})
	for range 3 {
		if r := m.graph(messageOf); r.status != 503 || r.code() != "ServiceUnavailable" {
			t.Errorf("during the outage: %d %s", r.status, r.body)
		}
		if a := m.feed("GET", "subscriptions/list", token); a.status != 200 {
			t.Errorf("another service during the outage: %d", a.status)
		}
		m.Advance(time.Hour)
		token = m.token(contoso, "manage")
	}
	if r := m.graph(messageOf); r.status != 200 {
		t.Errorf("after the outage: %d %s", r.status, r.body)
	}
}

// A blob is refused by turns for a while, or every blob is, as when the caller is wrong about tenant or cloud.
func TestRefusalsOfABlobPass(t *testing.T) {
	m := consented(t, m365sim.Options{Seed: 3})
	good, bad := m.publish(noon.Add(-time.Hour), "[1]"), m.publish(noon.Add(-2*time.Hour), "[2]")
	token := m.token(contoso, "manage")
	m.Fault(m365sim.Fault{Op: "feed.blob", Path: bad, Codes: []string{"AF20050", "AF20051", "AF20052", "404"},
		For: 30 * time.Minute})
	for _, want := range []string{"400 AF20050", "400 AF20051", "400 AF20052", "404 "} {
		a := m.feed("GET", "audit/"+bad, token)
		if got := fmt.Sprint(a.status, " ", a.code()); got != want || want[:3] == "400" && !strings.Contains(a.body,
			bad) {
			t.Errorf("got %s: %s, want %s", got, a.body, want)
		}
	}
	if a := m.feed("GET", "audit/"+good, token); a.status != 200 {
		t.Errorf("the other blob: %d %s", a.status, a.body)
	}
	m.Advance(30 * time.Minute)
	if a := m.feed("GET", "audit/"+bad, token); a.status != 200 {
		t.Errorf("half an hour later: %d %s", a.status, a.body)
	}

	all := m.Fault(m365sim.Fault{Tenant: contoso, Op: "feed.blob", Code: "AF20052"})
	for _, id := range []string{good, bad} {
		if a := m.feed("GET", "audit/"+id, token); a.status != 400 || a.code() != "AF20052" {
			t.Errorf("every blob: %d %s", a.status, a.body)
		}
	}
	m.ClearFaults(all)
}

func TestAFaultBefallsAShare(t *testing.T) {
	m := consented(t, m365sim.Options{Seed: 3})
	token := m.token(contoso, "manage")
	var ids []string
	for i := range 40 {
		ids = append(ids, m.publish(noon.Add(-time.Duration(i)*time.Minute), "[]"))
	}
	m.Fault(m365sim.Fault{Op: "feed.blob", Share: 0.5, Code: "AF20050"})
	refused := func() (which []int) {
		for i, id := range ids {
			if m.feed("GET", "audit/"+id, token).status != 200 {
				which = append(which, i)
			}
		}
		return which
	}
	first := refused()
	if n := len(first); n < 10 || n > 30 || !slices.Equal(first, refused()) {
		t.Errorf("first %v, then %v", first, refused())
	}
}

func TestTheControlDoorTakesEveryPartOfAFault(t *testing.T) {
	m := mailed(t, m365sim.Options{})
	pull := m.control()
	made := pull(
		"POST",
		"/faults",
		`{"mailbox":"ben@contoso.test","byName":true,"share":0.999999,"codes":["ErrorInvalidUser"],"for":"1h"}`,
	)
	if made.status != 200 {
		t.Fatal(made.body)
	}
	if r := m.graph(messageOf); r.code() != "ErrorInvalidUser" {
		t.Errorf("by name: %d %s", r.status, r.body)
	}
	shown := pull("GET", "/faults", "").body
	for _, part := range []string{`"mailbox": "ben@contoso.test"`, `"byName": true`, `"for": "1h0m0s"`,
		`"until": "2026-05-04T13:00:00Z"`, `"ErrorInvalidUser"`} {
		if !strings.Contains(shown, part) {
			t.Errorf("%s is missing in %s", part, shown)
		}
	}
}

package m365sim_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	m365sim "github.com/mailtrail/mailtrail/sim/m365"
)

// control opens the control door and gives a function that pulls its levers.
func (m *microsoft) control() func(method, path, body string) reply {
	m.t.Helper()
	door := httptest.NewServer(m.Control())
	m.t.Cleanup(door.Close)
	return func(method, path, body string) reply {
		m.t.Helper()
		return m.do(method, door.URL+path, nil, strings.NewReader(body))
	}
}

func TestEveryLeverDoesWhatItSays(t *testing.T) {
	m := consented(t, m365sim.Options{RolePropagation: time.Minute})
	id := m.publish(noon, "[]")
	pull := m.control()
	list := func() string {
		r := m.tokenReply(contoso, "manage")
		token, _ := into[map[string]any](t, r)["access_token"].(string)
		if token == "" {
			return r.body
		}
		return m.feed("GET", "subscriptions/content?contentType="+exchange, token).body
	}
	tenantApp := `{"tenant":"` + contoso + `","app":"` + clientID + `"`
	steps := []struct{ lever, body, seen string }{
		{"/revoke", tenantApp + "}", "AF10001"},
		{"/consent", tenantApp + "}", "AF10001"},
		{"/clock", `{"advance":"1m"}`, `"contentId"`},
		{"/principal/enabled", tenantApp + `,"on":false}`, "AADSTS7000112"},
		{"/principal/enabled", tenantApp + `,"on":true}`, `"contentId"`},
		{"/principal/delete", tenantApp + "}", "AADSTS700016"},
		{"/grant", tenantApp + "}", `"contentId"`},
		{"/audit", `{"tenant":"contoso.test","on":false}`, "DataServiceException"},
		{"/audit", `{"tenant":"contoso.test","on":true}`, `"contentId"`},
		{"/subscription", `{"tenant":"contoso.test","contentType":"Audit.Exchange","on":false}`, "AF20023"},
		{"/subscription", `{"tenant":"contoso.test","contentType":"Audit.Exchange","on":true}`, `"contentId"`},
		{
			"/faults",
			`{"tenant":"` + contoso + `","op":"feed.content","status":403,"code":"AF429","retryAfter":"2s","delay":"1ms","times":1}`,
			"AF429",
		},
		{"/expire/secrets", `{"app":"` + clientID + `"}`, "AADSTS7000222"},
	}
	for _, step := range steps {
		if r := pull("POST", step.lever, step.body); r.status != 200 {
			t.Fatalf("%s %s: %d %s", step.lever, step.body, r.status, r.body)
		}
		if seen := list(); !strings.Contains(seen, step.seen) {
			t.Fatalf("after %s %s: %s", step.lever, step.body, seen)
		}
	}
	if r := pull("POST", "/expire/tokens", `{}`); strings.Contains(r.body, `"expired": 0`) {
		t.Errorf("expire tokens: %s", r.body)
	}
	if r := pull("POST", "/expire/blob", `{"tenant":"contoso.test","contentId":"`+id+`"}`); r.status != 200 {
		t.Errorf("expire a blob: %s", r.body)
	}
	if r := pull("POST", "/tenant/delete", `{"tenant":"fabrikam.test"}`); r.status != 200 {
		t.Errorf("delete a tenant: %s", r.body)
	}
	if r := m.tokenReply(fabrikam, "manage"); !strings.Contains(r.body, "AADSTS90002") {
		t.Errorf("a token of a deleted tenant: %s", r.body)
	}
	if r := pull("POST", "/mailbox", `{"tenant":"contoso.test","user":"ben@contoso.test","on":false}`); r.status != 200 {
		t.Errorf("close a mailbox: %s", r.body)
	}
}

func TestBlobsArePublishedAndShown(t *testing.T) {
	m := consented(t, m365sim.Options{})
	pull := m.control()
	made := pull(
		"POST",
		"/publish",
		`{"tenant":"contoso.test","contentType":"Audit.Exchange","created":"2026-05-04T11:30:00Z","visible":"2026-05-04T11:45:00Z","records":[{"Id":"1"},{"Id":"2"}]}`,
	)
	id := into[struct{ ContentID string }](t, made).ContentID
	if a := m.feed("GET", "audit/"+id, m.token(contoso, "manage")); a.body != `[{"Id":"1"},{"Id":"2"}]` {
		t.Errorf("the blob: %d %s", a.status, a.body)
	}
	shown := into[[]m365sim.BlobState](t, pull("GET", "/blobs?tenant=contoso.test", ""))
	if len(shown) != 1 || shown[0].ContentID != id || shown[0].Visible != noon.Add(-15*time.Minute) ||
		shown[0].Bytes != 23 {
		t.Errorf("shown: %+v", shown)
	}
	states := into[[]m365sim.TenantState](t, pull("GET", "/tenants", ""))
	if len(states) != 2 || states[0].Blobs != 1 || states[0].People != 3 ||
		states[0].Subscriptions[exchange] != "enabled" || len(states[0].Consents) != 1 {
		t.Errorf("tenants: %+v", states)
	}
	if r := pull("POST", "/publish", `{"tenant":"contoso.test","contentType":"Audit.Exchange","body":"W3sidG9ybg=="}`); r.status != 200 {
		t.Errorf("a damaged body: %d %s", r.status, r.body)
	}
}

func TestHistoryNeverHoldsCredentials(t *testing.T) {
	m := consented(t, m365sim.Options{})
	token := m.token(contoso, "manage")
	m.do("POST", "/login/"+contoso+"/oauth2/v2.0/token?client_secret="+"leak", nil, nil)
	m.feed("GET", "subscriptions/list", token)
	pull := m.control()
	r := pull("GET", "/history", "")
	for _, hidden := range []string{token, secret, "leak", "Bearer"} {
		if strings.Contains(r.body, hidden) {
			t.Errorf("the history holds %q", hidden)
		}
	}
	calls := into[[]m365sim.Request](t, pull("GET", "/history?tenant=contoso.test&op=feed.list&status=200", ""))
	if len(calls) != 0 {
		t.Errorf("a domain is not what the history writes: %v", calls)
	}
	calls = into[[]m365sim.Request](t, pull("GET", "/history?tenant="+contoso+"&op=feed&status=200&path=list", ""))
	if len(calls) != 1 || calls[0].Client != clientID || !strings.Contains(calls[0].Query, publisher) ||
		calls[0].ID == "" {
		t.Errorf("filtered: %+v", calls)
	}
	last := calls[0].Number
	pull("DELETE", "/history", "")
	m.feed("GET", "subscriptions/list", token)
	if calls := m.History(m365sim.Filter{}); len(calls) != 1 || calls[0].Number != last+1 {
		t.Errorf("after a reset: %+v", calls)
	}
}

func TestHistoryIsBounded(t *testing.T) {
	m := start(t, m365sim.Options{HistorySize: 3})
	for range 5 {
		m.do("GET", "/login/common/discovery/v2.0/keys", nil, nil)
	}
	if calls := m.History(m365sim.Filter{}); len(calls) != 3 || calls[0].Number != 3 || calls[2].Number != 5 {
		t.Errorf("history: %+v", calls)
	}
}

func TestWrongOrdersAreRefused(t *testing.T) {
	m := start(t, m365sim.Options{})
	pull := m.control()
	for _, c := range [][3]string{
		{"POST", "/grant", `{"tenant":"` + nobody + `","app":"` + clientID + `"}`},
		{"POST", "/grant", `{"tenant":"` + contoso + `","app":"unknown"}`},
		{"POST", "/audit", `{"tenant":"` + contoso + `","of":true}`},
		{"POST", "/faults", `{"delay":"soon"}`},
		{"POST", "/clock", `{"advance":"-1h"}`},
		{"POST", "/expire/blob", `{"tenant":"` + contoso + `","contentId":"x"}`},
		{"POST", "/expire/secrets", `{"app":"unknown"}`},
		{"POST", "/mailbox", `{"tenant":"` + contoso + `","user":"unknown"}`},
		{"GET", "/history?status=ok", ""},
		{"GET", "/blobs?tenant=unknown", ""},
		{"GET", "/truth?tenant=" + contoso, ""},
		{"GET", "/truth?tenant=" + contoso + "&from=yesterday", ""},
	} {
		if r := pull(c[0], c[1], c[2]); r.status != 400 || !strings.Contains(r.body, `"error"`) {
			t.Errorf("%v: %d %s", c, r.status, r.body)
		}
	}
	index := into[map[string]string](t, pull("GET", "/", ""))
	if len(index) < 20 || index["POST /faults"] == "" {
		t.Errorf("index: %v", index)
	}
	id := into[struct{ ID string }](t, pull("POST", "/faults", `{"status":500,"delay":"1m30s"}`)).ID
	if r := pull("GET", "/faults", ""); !strings.Contains(r.body, `"1m30s"`) {
		t.Errorf("faults: %s", r.body)
	}
	if r := pull("DELETE", "/faults/"+id, ""); r.status != 200 || len(m.Faults()) != 0 {
		t.Errorf("after ending it: %d %v", r.status, m.Faults())
	}
}

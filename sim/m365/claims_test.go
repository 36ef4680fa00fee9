package m365sim_test

import (
	"slices"
	"testing"

	m365sim "github.com/mailtrail/mailtrail/sim/m365"
)

// idToken signs somebody in and gives the claims of the id_token.
func (m *microsoft) idToken(account, password string) map[string]any {
	m.t.Helper()
	b := m.browser()
	page := b.open("/login/organizations/oauth2/v2.0/authorize", signInQuery())
	result := landed(m.t, b.submit(page, "accept", account, password))
	answer := into[struct {
		IDToken string `json:"id_token"`
	}](m.t, m.form("/login/organizations/oauth2/v2.0/token", redeem(result.Get("code"))))
	return m.verifiedClaims(answer.IDToken)
}

func TestWidsComeAsTheRegistrationAsks(t *testing.T) {
	for _, c := range []struct {
		by, group string
		optional  []string
		want      bool
	}{
		{"", "", nil, true},
		{"group", "", nil, false},
		{"group", "", []string{"wids"}, false},
		{"group", "DirectoryRole", nil, true},
		{"group", "All", nil, true},
		{"group", "SecurityGroup", nil, false},
		{"optional", "All", nil, false},
		{"optional", "", []string{"acct", "wids"}, true},
		{"either", "", []string{"wids"}, true},
		{"either", "All", nil, true},
		{"either", "", []string{"acct"}, false},
	} {
		m := start(t, m365sim.Options{WidsBy: c.by})
		m.must(m.SetClaims(clientID, c.group, c.optional...))
		claims := m.idToken("ada@contoso.test", "pass-ada")
		_, wids := claims["wids"]
		acct, known := claims["acct"]
		if wids != c.want || known != slices.Contains(c.optional, "acct") || known && acct != 0.0 {
			t.Errorf("%+v: wids %v, acct %v", c, claims["wids"], acct)
		}
	}
}

func TestRolesOfAnAdministrativeUnit(t *testing.T) {
	m := start(t, m365sim.Options{})
	pull := m.control()
	for _, body := range []string{`"roles":[]}`, `"unit":true,"roles":["` + adminRole + `"]}`} {
		if r := pull("POST", "/person/roles", `{"tenant":"contoso.test","user":"ada@contoso.test",`+body); r.status != 200 {
			t.Fatal(r.body)
		}
	}
	if r := pull("POST", "/app/claims", `{"app":"`+clientID+`","groups":"All","claims":["acct"]}`); r.status != 200 {
		t.Fatal(r.body)
	}
	has := func() bool {
		wids, _ := m.idToken("ada@contoso.test", "pass-ada")["wids"].([]any)
		return slices.Contains(wids, any(adminRole))
	}
	if has() {
		t.Error("a role of a unit is among wids")
	}
	m.Change(func(o *m365sim.Options) { o.UnitRolesInWids = true })
	if !has() {
		t.Error("a role of a unit is not among wids, although it is wanted")
	}
}

package m365sim_test

import (
	"net/http"
	"strings"
	"testing"

	m365sim "github.com/mailtrail/mailtrail/sim/m365"
	"github.com/mailtrail/mailtrail/sim/m365/world"
)

const (
	staff = "a1000000-0000-4000-8000-000000000001"
	team  = "a1000000-0000-4000-8000-000000000002"
)

// members asks for the people of a group as an advanced query.
func (m *microsoft) members(path string) reply {
	m.t.Helper()
	header := http.Header{"Authorization": {"Bearer " + m.token(contoso, "graph")}, "Consistencylevel": {"eventual"}}
	return m.do("GET", path, header, nil)
}

func TestGroupsAreExpandedEachPersonOnce(t *testing.T) {
	m := start(t, m365sim.Options{GraphPageSize: 2})
	m.AddApp(m365sim.App{
		ClientID: clientID, HomeTenant: vendor, Secrets: []m365sim.Secret{{Value: secret}},
		GraphRoles: []string{"User.Read.All", "GroupMember.Read.All"},
	})
	m.must(m.Grant(contoso, clientID))
	m.must(m.AddGroups(contoso,
		world.Group{ID: staff, Members: []string{team, ben, "c0000000-0000-4000-8000-000000000001"}},
		world.Group{ID: team, Members: []string{staff, "C0000000-0000-4000-8000-000000000003", ben, "gone"}}))
	path := "/graph/v1.0/groups/" + staff + "/transitiveMembers/microsoft.graph.user?$select=id&$count=true"
	first := into[values](t, m.members(path))
	if len(first.Value) != 2 || first.NextLink == "" {
		t.Fatalf("first page: %+v", first)
	}
	second := into[values](t, m.members(first.NextLink))
	if len(second.Value) != 1 || second.NextLink != "" {
		t.Errorf("second page: %+v", second)
	}
	if r := m.graph(path); r.status != 400 {
		t.Errorf("without the header: %d %s", r.status, r.body)
	}
	if r := m.members(strings.Replace(path, "&$count=true", "", 1)); r.status != 400 {
		t.Errorf("without the count: %d %s", r.status, r.body)
	}
	m.must(m.RemoveGroups(contoso, staff))
	if r := m.members(path); r.status != 404 || r.code() != "Request_ResourceNotFound" {
		t.Errorf("a group that is gone: %d %s", r.status, r.body)
	}
}

func TestGroupsNeedARoleOfTheirOwn(t *testing.T) {
	m := consented(t, m365sim.Options{})
	m.must(m.AddGroups(contoso, world.Group{ID: staff, Members: []string{ben}}))
	r := m.members("/graph/v1.0/groups/" + staff + "/transitiveMembers/microsoft.graph.user?$count=true")
	if r.status != 403 || r.code() != "Authorization_RequestDenied" {
		t.Errorf("%d %s", r.status, r.body)
	}
}

func TestPeopleAreFoundByProxyAddress(t *testing.T) {
	m := consented(t, m365sim.Options{})
	m.must(m.AddPeople(contoso, world.Person{
		ID: ben, UserPrincipalName: "ben@contoso.test", ProxyAddresses: []string{"SMTP:Ben@contoso.test",
			"smtp:b.o'hara@contoso.test"},
	}))
	for filter, want := range map[string]int{
		"proxyAddresses/any(p:p+eq+'smtp:B.O''Hara@contoso.test')":                                                       1,
		"proxyAddresses/any(p:p+eq+'smtp:ben@contoso.test')":                                                             0,
		"proxyAddresses/any(p:p+eq+'smtp:ben@contoso.test')+or+proxyAddresses/any(q:q+eq+'SMTP:ben@contoso.test')":       1,
		"proxyAddresses/any(p:p+eq+'smtp:b.o''hara@contoso.test')+or+proxyAddresses/any(q:q+eq+'SMTP:ben@contoso.test')": 1,
	} {
		if got := into[values](t, m.graph("/graph/v1.0/users?$filter="+filter)); len(got.Value) != want {
			t.Errorf("%s gave %d, want %d", filter, len(got.Value), want)
		}
	}
	for _, filter := range []string{"proxyAddresses/any(p:q+eq+'x')", "proxyAddresses/any(p:p+eq+'x'",
		"proxyAddresses/any(p:p+eq+'x')+and+mail+eq+'y'", "proxyAddresses/any(p:p+eq+x)"} {
		if r := m.graph("/graph/v1.0/users?$filter=" + filter); r.status != 400 {
			t.Errorf("%s gave %d %s", filter, r.status, r.body)
		}
	}
	m.must(m.AddPeople(contoso, world.Person{ID: ben, UserPrincipalName: "ben@contoso.test"}))
	if got := into[values](t, m.graph("/graph/v1.0/users?$filter=proxyAddresses/any(q:q+eq+'SMTP:ben@contoso.test')")); len(
		got.Value,
	) != 0 {
		t.Errorf("an alias that was taken away is found: %v", got.Value)
	}
}

func TestDeltaTellsNoMoreThanItMust(t *testing.T) {
	m := consented(t, m365sim.Options{})
	from := into[values](t, m.graph("/graph/v1.0/users/delta?$select=displayName,mail,accountEnabled&$deltatoken=latest"))
	if len(from.Value) != 0 || from.DeltaLink == "" {
		t.Fatalf("the latest token: %+v", from)
	}
	m.must(m.AddPeople(contoso, world.Person{ID: ben, DisplayName: "Ben Worker", UserPrincipalName: "ben@contoso.test",
		Mail: "ben@contoso.test"}))
	once, _ := m.follow(from.DeltaLink)
	if len(once.Value) != 1 || len(once.Value[0]) != 2 || once.Value[0]["accountEnabled"] != false {
		t.Errorf("one change gave %v", once.Value)
	}
	m.must(m.AddPeople(contoso, world.Person{ID: ben, DisplayName: "Ben Boss", UserPrincipalName: "ben@contoso.test"}))
	both, _ := m.follow(from.DeltaLink)
	if len(both.Value) != 1 || both.Value[0]["displayName"] != "Ben Boss" || both.Value[0]["accountEnabled"] != false {
		t.Errorf("two changes gave %v", both.Value)
	}
}

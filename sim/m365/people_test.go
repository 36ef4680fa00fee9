package m365sim_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	m365sim "github.com/mailtrail/mailtrail/sim/m365"
	"github.com/mailtrail/mailtrail/sim/m365/world"
)

const usersWithPlans = "/graph/v1.0/users?$select=id,assignedPlans"

// licensed are people with so many plans each.
func licensed(count, plans int) []world.Person {
	made := people(0, count)
	for i := range made {
		for n := range plans {
			made[i].Plans = append(made[i].Plans, world.Plan{ID: fmt.Sprintf("f1110000-0000-4000-8000-%012d", n),
				Service: "exchange", CapabilityStatus: "Enabled"})
		}
	}
	return made
}

func TestPagesThatAreTooLarge(t *testing.T) {
	m := consented(t, m365sim.Options{PeoplePageBytes: 1 << 20})
	m.must(m.AddPeople(contoso, licensed(300, 111)...))
	if r := m.graph(usersWithPlans + "&$top=100"); r.status != 504 || r.code() != "UnknownError" {
		t.Errorf("a page of 100 people with 111 plans: %d %.100s", r.status, r.body)
	}
	all, pages := m.follow(usersWithPlans + "&$top=40")
	if len(all.Value) != 303 || pages != 8 {
		t.Errorf("%d people on %d pages of 40", len(all.Value), pages)
	}
	if r := m.graph("/graph/v1.0/users/delta?$select=id,assignedPlans&$top=999"); r.status != 504 {
		t.Errorf("a page of a delta: %d", r.status)
	}
}

func TestLargePagesTimeOut(t *testing.T) {
	m := consented(t, m365sim.Options{LargeTop: 200})
	if r := m.graph("/graph/v1.0/users?$top=201"); r.status != 504 {
		t.Errorf("$top=201: %d", r.status)
	}
	if r := m.graph("/graph/v1.0/users?$top=200"); r.status != 200 {
		t.Errorf("$top=200: %d %s", r.status, r.body)
	}
	m.Change(func(o *m365sim.Options) { o.LargeTopHangs = true })
	ctx, giveUp := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, "GET", m.base+"/graph/v1.0/users?$top=999", nil)
	m.must(err)
	request.Header = bearer(m.token(contoso, "graph"))
	ended := make(chan error)
	go func() {
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			err = errors.Join(errors.New(response.Status), response.Body.Close())
		}
		ended <- err
	}()
	for len(m.History(m365sim.Filter{Op: "graph.users"})) < 3 {
		time.Sleep(time.Millisecond)
	}
	giveUp()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("$top=999, when it hangs: %v", err)
	}
}

func TestLinksOfMembersGoInACircle(t *testing.T) {
	m := consented(t, m365sim.Options{MembersCycle: true})
	m.AddApp(m365sim.App{ClientID: clientID, Secrets: []m365sim.Secret{{Value: secret}},
		GraphRoles: []string{"GroupMember.Read.All"}})
	m.must(m.Grant(contoso, clientID))
	m.must(m.AddPeople(contoso, people(0, 5)...))
	group := world.Group{ID: "e0000000-0000-4000-8000-000000000001"}
	for _, p := range people(0, 5) {
		group.Members = append(group.Members, p.ID)
	}
	m.must(m.AddGroups(contoso, group))
	path := "/graph/v1.0/groups/" + group.ID + "/transitiveMembers/microsoft.graph.user?$count=true&$select=id&$top=2"
	header := bearer(m.token(contoso, "graph"))
	header.Set("ConsistencyLevel", "eventual")
	links, met := map[string]int{}, map[any]bool{}
	for range 6 {
		page := into[values](t, m.do("GET", path, header, nil))
		for _, id := range page.field("id") {
			met[id] = true
		}
		path = page.NextLink
		links[path]++
	}
	if len(met) != 5 || len(links) != 3 || links[""] > 0 {
		t.Errorf("met %d people by the links %v", len(met), links)
	}
}

func TestADeltaMayNotListWhoWasRestored(t *testing.T) {
	m := consented(t, m365sim.Options{DeltaHidesRestored: true})
	pull := m.control()
	read := func(link string) (string, string) {
		t.Helper()
		r := m.graph(link)
		return r.body, into[values](t, r).DeltaLink
	}
	for i, c := range []struct {
		path  string
		shown bool
	}{{"/graph/v1.0/users/delta?$select=id,displayName", false}, {"/graph/v1.0/users/delta", true}} {
		_, link := read(c.path)
		who := `{"tenant":"contoso.test","user":"` + ben + `"}`
		if r := pull("POST", "/person/remove", who); r.status != 200 {
			t.Fatal(r.body)
		}
		body, link := read(link)
		if !strings.Contains(body, "@removed") {
			t.Errorf("the removal: %s", body)
		}
		if r := pull("POST", "/person/restore", who); r.status != 200 {
			t.Fatal(r.body)
		}
		body, link = read(link)
		if strings.Contains(body, ben) != c.shown {
			t.Errorf("%s: the restoring: %s", c.path, body)
		}
		if r := m.graph("/graph/v1.0/users/" + ben); r.status != 200 {
			t.Errorf("who was restored: %d %s", r.status, r.body)
		}
		m.must(m.AddPeople(contoso, world.Person{ID: ben, DisplayName: fmt.Sprint("Ben Changed ", i),
			UserPrincipalName: "ben@contoso.test", Mail: "ben@contoso.test", Enabled: true, UserType: "Member",
			Password: "pass-ben"}))
		if body, _ := read(link); !strings.Contains(body, "Ben Changed") {
			t.Errorf("a later change: %s", body)
		}
	}
	if err := m.RestorePerson(contoso, ben); err == nil {
		t.Error("somebody who was not removed was restored")
	}
}

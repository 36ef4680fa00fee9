package m365sim_test

import (
	"fmt"
	"testing"
	"time"

	m365sim "github.com/mailtrail/mailtrail/sim/m365"
	"github.com/mailtrail/mailtrail/sim/m365/world"
)

// follow reads every page from an address on.
func (m *microsoft) follow(path string) (all values, pages int) {
	m.t.Helper()
	for path != "" {
		page := into[values](m.t, m.graph(path))
		all.Value = append(all.Value, page.Value...)
		all.DeltaLink = page.DeltaLink
		path = page.NextLink
		pages++
	}
	return all, pages
}

func people(from, to int) []world.Person {
	var made []world.Person
	for i := from; i < to; i++ {
		made = append(made, world.Person{ID: fmt.Sprintf("d0000000-0000-4000-8000-%012d", i),
			UserPrincipalName: fmt.Sprintf("p%d@contoso.test", i), Enabled: true})
	}
	return made
}

func TestUsersComeByPages(t *testing.T) {
	m := consented(t, m365sim.Options{GraphPageSize: 4})
	m.must(m.AddPeople(contoso, people(0, 10)...))
	all, pages := m.follow("/graph/v1.0/users?$select=id,userPrincipalName&$top=999")
	different := map[any]bool{}
	for _, id := range all.field("id") {
		different[id] = true
	}
	if len(different) != 13 || len(all.Value) != 13 || pages != 4 || len(all.Value[0]) != 2 {
		t.Errorf("%d people, %d different, on %d pages, the first is %v", len(all.Value), len(different), pages,
			all.Value[0])
	}
	if one := into[values](t, m.graph("/graph/v1.0/users?$top=2")); len(one.Value) != 2 || one.NextLink == "" {
		t.Errorf("$top=2 gave %d", len(one.Value))
	}
}

func TestUsersAreFiltered(t *testing.T) {
	m := consented(t, m365sim.Options{})
	for filter, want := range map[string]int{
		"accountEnabled+eq+true": 2,
		"assignedPlans/any(p:p/servicePlanId+eq+2f442157-a11c-46b9-ae5b-6e39ff4e5849+and+p/capabilityStatus+eq+'Enabled')":                                             1,
		"accountEnabled+eq+true+and+assignedPlans/any(x:x/capabilityStatus+eq+'Suspended')":                                                                            0,
		"accountEnabled+eq+false+and+userPrincipalName+eq+'cleo@contoso.test'":                                                                                         1,
		"assignedPlans/any(p:p/service+eq+'exchange')+and+assignedPlans/any(q:q/servicePlanId+eq+2f442157-a11c-46b9-ae5b-6e39ff4e5849)+and+mail+eq+'ben@contoso.test'": 1,
	} {
		if got := into[values](t, m.graph("/graph/v1.0/users?$filter="+filter)); len(got.Value) != want {
			t.Errorf("%s gave %d, want %d", filter, len(got.Value), want)
		}
	}
	for _, filter := range []string{"assignedPlans/any(p:p/servicePlanId", "assignedPlans/any(p:q/service+eq+'x')",
		"mail+eq+'open", "mail+eq+'a'+or+mail+eq+'b'", "mail"} {
		if r := m.graph("/graph/v1.0/users?$filter=" + filter); r.status != 400 {
			t.Errorf("%s gave %d %s", filter, r.status, r.body)
		}
	}
}

func TestPlansComeOnlyWhenSelected(t *testing.T) {
	m := consented(t, m365sim.Options{})
	if usual := into[map[string]any](t, m.graph("/graph/v1.0/users/ben@contoso.test")); usual["assignedPlans"] != nil ||
		usual["mail"] != "ben@contoso.test" {
		t.Errorf("usual properties: %v", usual)
	}
	plans := into[struct {
		AssignedPlans []struct{ ServicePlanID, CapabilityStatus string }
	}](t, m.graph("/graph/v1.0/users/"+ben+"?$select=assignedPlans"))
	if len(plans.AssignedPlans) != 1 || plans.AssignedPlans[0].CapabilityStatus != "Enabled" {
		t.Errorf("plans: %+v", plans)
	}
}

func TestDeltaTellsWhatChanged(t *testing.T) {
	m := consented(t, m365sim.Options{GraphPageSize: 2})
	first, pages := m.follow("/graph/v1.0/users/delta?$select=displayName")
	if len(first.Value) != 3 || pages != 2 || first.DeltaLink == "" || len(first.Value[0]) != 2 {
		t.Fatalf("first round: %v on %d pages", first, pages)
	}
	nothing, _ := m.follow(first.DeltaLink)
	if len(nothing.Value) != 0 {
		t.Errorf("nothing changed, but: %v", nothing.Value)
	}
	m.must(m.AddPeople(contoso, world.Person{ID: ben, DisplayName: "Ben Boss", UserPrincipalName: "boss@contoso.test"},
		people(0, 1)[0]))
	m.must(m.RemovePeople(contoso, "c0000000-0000-4000-8000-000000000001"))
	changed, _ := m.follow(nothing.DeltaLink)
	if len(changed.Value) != 3 || changed.Value[0]["@removed"] == nil || changed.Value[1]["displayName"] != "Ben Boss" {
		t.Errorf("changes: %v", changed.Value)
	}
	m.Advance(7*24*time.Hour + time.Second)
	if r := m.graph(changed.DeltaLink); r.status != 410 || r.code() != "syncStateNotFound" {
		t.Errorf("an old token: %d %s", r.status, r.body)
	}
	if r := m.graph("/graph/v1.0/users/delta?$deltatoken=x"); r.status != 400 {
		t.Errorf("a token that is none: %d %s", r.status, r.body)
	}
}

func TestChangesDuringARoundAreLeftForTheNext(t *testing.T) {
	m := consented(t, m365sim.Options{GraphPageSize: 2})
	first := into[values](t, m.graph("/graph/v1.0/users/delta?$select=displayName"))
	m.must(m.AddPeople(contoso, world.Person{ID: "c0000000-0000-4000-8000-000000000003", DisplayName: "Cleo Changed",
		UserPrincipalName: "cleo@contoso.test"}))
	rest, _ := m.follow(first.NextLink)
	if len(rest.Value) != 0 {
		t.Errorf("the rest of the round: %v", rest.Value)
	}
	if next, _ := m.follow(rest.DeltaLink); len(next.Value) != 1 || next.Value[0]["displayName"] != "Cleo Changed" {
		t.Errorf("the next round: %v", next.Value)
	}
}

func TestOrganizationIsTheTenant(t *testing.T) {
	m := consented(t, m365sim.Options{})
	got := into[values](t, m.graph("/graph/v1.0/organization?$select=id,verifiedDomains"))
	if len(got.Value) != 1 || got.Value[0]["id"] != contoso || len(got.Value[0]["verifiedDomains"].([]any)) != 2 ||
		got.Value[0]["displayName"] != nil {
		t.Errorf("organization: %v", got.Value)
	}
}

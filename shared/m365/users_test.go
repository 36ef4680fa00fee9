package m365_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/m365"
	"github.com/mailtrail/mailtrail/shared/people"
	m365sim "github.com/mailtrail/mailtrail/sim/m365"
	"github.com/mailtrail/mailtrail/sim/m365/world"
)

const (
	benID   = "55555555-5555-4555-8555-555555555555"
	inner   = "66666666-6666-4666-8666-666666666661"
	outer   = "66666666-6666-4666-8666-666666666662"
	auditor = people.AdvancedAuditing
)

// ben has an apostrophe in his name and in an alias, and the plan twice.
func ben() world.Person {
	return world.Person{
		ID:                benID,
		DisplayName:       "Ben O'Hara",
		UserPrincipalName: "Ben.O'Hara@contoso.test",
		Mail:              "Ben.O'Hara@contoso.test",
		UserType:          "Member",
		Enabled:           true,
		ProxyAddresses: []string{
			"SMTP:Ben.O'Hara@contoso.test",
			"smtp:b.o'hara@contoso.onmicrosoft.com",
			"X500:/o=First/cn=ben",
			"SIP:ben@contoso.test",
		},
		Plans: []world.Plan{
			{ID: auditor, CapabilityStatus: "Deleted"},
			{ID: "other", CapabilityStatus: "Enabled"},
			{ID: auditor, CapabilityStatus: "Warning"},
		},
	}
}

// directory is a simulated tenant with Ben and 2,500 more people, whose administrator has consented.
func directory(t *testing.T) (*m365sim.Server, *m365.Client) {
	t.Helper()
	s, c := simulated(t, m365sim.Options{GraphPageSize: 700})
	must(t, s.Grant(tenantID, clientID))
	crowd := []world.Person{ben()}
	for i := range 2500 {
		name := fmt.Sprintf("p%d@contoso.test", i)
		crowd = append(
			crowd,
			world.Person{
				ID:                fmt.Sprintf("d0000000-0000-4000-8000-%012d", i),
				UserPrincipalName: name,
				Mail:              name,
				UserType:          "Member",
				Enabled:           true,
			},
		)
	}
	must(t, s.AddPeople(tenantID, crowd...))
	return s, c
}

func sweep(t *testing.T, c *m365.Client) (all []people.Change, pages int) {
	t.Helper()
	for link := ""; ; {
		page, err := c.Users(t.Context(), contoso(), link, 200)
		must(t, err)
		all = append(all, page.Changes...)
		if pages++; page.Next == "" {
			return all, pages
		}
		link = page.Next
	}
}

func TestUsersAreReadPageByPage(t *testing.T) {
	_, c := directory(t)
	all, pages := sweep(t, c)
	if len(all) != 2502 || pages != 13 {
		t.Fatalf("%d people on %d pages", len(all), pages)
	}
	want := people.Person{
		ID: benID, Principal: "Ben.O'Hara@contoso.test", Name: "Ben O'Hara",
		Addresses: []string{"ben.o'hara@contoso.test", "b.o'hara@contoso.onmicrosoft.com"},
		Facts:     people.Facts{Enabled: true, Mailbox: true, Plan: "Warning"},
	}
	if got := all[1]; fmt.Sprint(got.Person) != fmt.Sprint(want) || got.Removed || got.Partial {
		t.Errorf("read %+v\nwant %+v", got, want)
	}
}

func TestChangesTellOfWhoChangedAndWhoLeft(t *testing.T) {
	s, c := directory(t)
	start, err := c.Changes(t.Context(), contoso(), "", 200)
	must(t, err)
	if len(start.Changes) != 0 || start.Next != "" || start.Delta == "" {
		t.Fatalf("the first link comes with %d changes and %q", len(start.Changes), start.Next)
	}
	disabled := ben()
	disabled.Enabled = false
	must(t, s.AddPeople(tenantID, disabled))
	must(t, s.RemovePeople(tenantID, "d0000000-0000-4000-8000-000000000007"))
	page, err := c.Changes(t.Context(), contoso(), start.Delta, 200)
	must(t, err)
	if len(page.Changes) != 2 || page.Changes[0].ID != benID || !page.Changes[0].Partial || page.Changes[0].Enabled ||
		!page.Changes[1].Removed {
		t.Errorf("changes: %+v", page.Changes)
	}
	s.Advance(8 * 24 * time.Hour)
	_, err = c.Changes(t.Context(), contoso(), page.Delta, 200)
	isError(t, err, people.ErrResync)
}

func TestAUserIsFoundByIdNameAndAlias(t *testing.T) {
	_, c := directory(t)
	for _, name := range []string{benID, "ben.o'hara@CONTOSO.test", "B.O'Hara@contoso.onmicrosoft.com", " ben.o'hara@contoso.test "} {
		p, err := c.User(t.Context(), contoso(), name)
		must(t, err)
		if p.ID != benID || !p.Licensed() || p.Name != "Ben O'Hara" {
			t.Errorf("%s is %+v", name, p)
		}
	}
	for _, name := range []string{"", "S-1-5-18", "nobody@contoso.test", "$nobody@contoso.test", "a/../b@contoso.test", "77777777-7777-4777-8777-777777777777", "x500:/o=first/cn=ben"} {
		_, err := c.User(t.Context(), contoso(), name)
		isError(t, err, people.ErrUnknown)
	}
}

func TestMembersOfNestedGroupsComeOnce(t *testing.T) {
	s, c := directory(t)
	must(t, s.AddGroups(tenantID,
		world.Group{ID: outer, Members: []string{inner, "d0000000-0000-4000-8000-000000000001"}},
		world.Group{ID: inner, Members: []string{outer, benID, "d0000000-0000-4000-8000-000000000001"}}))
	_, err := c.Members(t.Context(), contoso(), outer, "", 200)
	check(t, err, fault.Refused, connection.GroupsDenied, 403)

	s.AddApp(m365sim.App{
		ClientID:   clientID,
		HomeTenant: publisher,
		Secrets:    []m365sim.Secret{{Value: secret}},
		ActivityRoles: []string{
			"ActivityFeed.Read",
		},
		GraphRoles: []string{"Mail.Read", "User.Read.All", "GroupMember.Read.All"},
	})
	must(t, s.Grant(tenantID, clientID))
	c.Forget(contoso())
	members, err := c.Members(t.Context(), contoso(), outer, "", 200)
	must(t, err)
	slices.Sort(members.IDs)
	if want := []people.ObjectID{
		benID,
		"d0000000-0000-4000-8000-000000000001",
	}; !slices.Equal(members.IDs, want) ||
		members.Next != "" {
		t.Errorf("members %v, want %v", members.IDs, want)
	}
	_, err = c.Members(t.Context(), contoso(), "77777777-7777-4777-8777-777777777777", "", 200)
	isError(t, err, people.ErrUnknown)
	_, err = c.Members(t.Context(), contoso(), "../users", "", 200)
	isError(t, err, people.ErrUnknown)
}

func TestDomainsAreTheVerifiedOnes(t *testing.T) {
	_, c := directory(t)
	got, err := c.Domains(t.Context(), contoso())
	must(t, err)
	if !slices.Equal(got, []string{"contoso.test"}) {
		t.Errorf("domains %v", got)
	}
}

// No request leaves for where a forged link of the directory points.
func TestForeignLinksOfTheDirectoryAreNotFollowed(t *testing.T) {
	asked := 0
	foreign := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer foreign.Close()
	_, c := directory(t)
	ctx, link := t.Context(), foreign.URL+"/graph/v1.0/users"
	_, err := c.Users(ctx, contoso(), link, 200)
	check(t, err, fault.Retry, m365.ForeignURI, 0)
	_, err = c.Changes(ctx, contoso(), link, 200)
	check(t, err, fault.Retry, m365.ForeignURI, 0)
	_, err = c.Members(ctx, contoso(), inner, link, 200)
	check(t, err, fault.Retry, m365.ForeignURI, 0)
	if asked != 0 {
		t.Errorf("%d requests left", asked)
	}
}

func TestWhatGraphRefuses(t *testing.T) {
	s, c := directory(t)
	for _, tc := range []struct {
		fault m365sim.Fault
		kind  error
		code  string
	}{
		{m365sim.Fault{Status: 429, RetryAfter: 7 * time.Second}, fault.Retry, "TooManyRequests"},
		{m365sim.Fault{Status: 503}, fault.Retry, "ServiceUnavailable"},
		{m365sim.Fault{Code: "Authorization_RequestDenied"}, fault.Refused, "Authorization_RequestDenied"},
		{m365sim.Fault{Code: "ErrorAccessDenied"}, fault.Refused, "ErrorAccessDenied"},
		{m365sim.Fault{Code: "syncStateNotFound"}, fault.Poison, "syncStateNotFound"},
	} {
		tc.fault.Op = "graph"
		id := s.Fault(tc.fault)
		_, err := c.Users(t.Context(), contoso(), "", 200)
		check(t, err, tc.kind, tc.code, usualStatus(tc.fault))
		if fault.Wait(err) != tc.fault.RetryAfter {
			t.Errorf("%s: wait %v", tc.code, fault.Wait(err))
		}
		s.ClearFaults(id)
	}
	_, err := c.Users(t.Context(), connection.Tenant{ID: "x", Cloud: connection.Commercial}, "", 200)
	if err == nil {
		t.Error("a tenant without a GUID was asked for")
	}
}

func isError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%v, want %v", err, want)
	}
}

func usualStatus(f m365sim.Fault) int {
	switch f.Code {
	case "Authorization_RequestDenied", "ErrorAccessDenied":
		return 403
	case "syncStateNotFound":
		return 410
	}
	return f.Status
}

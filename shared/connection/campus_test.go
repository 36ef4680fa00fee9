package connection_test

import (
	"context"
	"html"
	"net/url"
	"regexp"
	"testing"

	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/m365"
	m365sim "github.com/mailtrail/mailtrail/sim/m365"
	"github.com/mailtrail/mailtrail/sim/m365/world"
)

const (
	appID     = "0a0a0a0a-1111-4111-8111-111111111111"
	appSecret = "the-secret-of-our-application"
	publisher = "0b0b0b0b-2222-4222-8222-222222222222"
)

// The people who sign in, by name, at either tenant.
const (
	boss   = "boss"   // Global Administrator
	clerk  = "clerk"  // nobody special
	helper = "helper" // Application Administrator
)

// campus is an office at the simulated Microsoft, through the real client.
type campus struct {
	*office
	sim    *m365sim.Server
	client *m365.Client
}

// newCampus has the tenants acme and globex in the commercial cloud. front, if not nil, changes the address of the
// commercial login; GCC High is another simulation, with a tenant of its own.
func newCampus(t *testing.T, front func(login string) string) *campus {
	t.Helper()
	c := newClock()
	k := &campus{office: bareOffice(t, c, newTable(t, c))}
	callback := "https://" + k.server.Listener.Addr().String() + "/consent/callback"

	var commercial, high *m365sim.Doors
	k.sim, commercial = microsoft(t, c, "commercial", callback, acme, globex)
	_, high = microsoft(t, c, "gcchigh", callback, acme)
	endpoints := map[connection.Cloud]m365.Endpoints{
		connection.Commercial: {
			Login: commercial.Login, Activity: commercial.Manage, Graph: commercial.Graph,
			ActivityScope: "https://manage.office.com/.default", GraphScope: "https://graph.microsoft.com/.default",
		},
		connection.GCCHigh: {
			Login: high.Login, Activity: high.Manage, Graph: high.Graph,
			ActivityScope: "https://manage.office365.us/.default", GraphScope: "https://graph.microsoft.us/.default",
		},
	}
	if front != nil {
		e := endpoints[connection.Commercial]
		e.Login = front(e.Login)
		endpoints[connection.Commercial] = e
	}
	client, err := m365.New(m365.Config{
		ClientID: appID, Secret: appSecret, RedirectURL: callback, Publisher: publisher, Endpoints: endpoints, Now: c.now,
	})
	if err != nil {
		t.Fatal(err)
	}
	k.client = client
	k.serve(client, client, audit.Subscriber{Feed: client, Connections: k.registry, Now: c.now}.Ensure)
	return k
}

// microsoft starts a simulation of a cloud with our application and the tenants, each with the same people.
func microsoft(
	t *testing.T,
	c *clock,
	cloud, callback string,
	tenants ...connection.TenantID,
) (*m365sim.Server, *m365sim.Doors) {
	t.Helper()
	sim := m365sim.New(m365sim.Options{Seed: 1, Now: c.now, Cloud: cloud})
	sim.AddApp(m365sim.App{
		ClientID:    appID,
		DisplayName: "Mailtrail",
		HomeTenant:  publisher,
		Secrets:     []m365sim.Secret{{Value: appSecret}},
		RedirectURIs: []string{
			callback,
		},
		ActivityRoles: []string{"ActivityFeed.Read"},
		GraphRoles:    []string{"Mail.Read", "User.Read.All"},
	})
	for _, tenant := range tenants {
		domain := string(tenant[:8]) + ".example"
		var people []world.Person
		for i, who := range []struct{ name, role string }{
			{boss, globalAdministrator}, {clerk, ""}, {helper, applicationAdministrator},
		} {
			p := world.Person{
				ID: "0000000" + string(
					rune('1'+i),
				) + string(tenant[8:]),
				DisplayName:       who.name,
				UserPrincipalName: who.name + "@" + domain,
				UserType:          "Member",
				Enabled:           true,
				Password:          "password-of-" + who.name,
			}
			if who.role != "" {
				p.Roles = []string{who.role}
			}
			people = append(people, p)
		}
		sim.AddTenant(world.Tenant{
			ID: string(tenant), DisplayName: domain, DefaultDomain: domain, Domains: []string{domain}, Cloud: cloud,
		}, people)
	}
	doors, err := sim.Start(context.Background(), "127.0.0.1:0", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := doors.Close(); err != nil {
			t.Error(err)
		}
	})
	return sim, doors
}

var (
	microsoftAction = regexp.MustCompile(`<form method="post" action="([^"]*)"`)
	microsoftHidden = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
)

// at fills in Microsoft's page at the address, as a person of a tenant, and returns where it sends the browser.
func (b *browser) at(address *url.URL, name string, tenant connection.TenantID, button string) page {
	b.t.Helper()
	shown := b.read(b.http.Get(address.String()))
	action := microsoftAction.FindStringSubmatch(shown.body)
	if action == nil {
		b.t.Fatalf("Microsoft shows no form: %d %s", shown.status, shown.body)
	}
	form := url.Values{
		"account":  {name + "@" + string(tenant[:8]) + ".example"},
		"password": {"password-of-" + name},
		"action":   {button},
	}
	for _, field := range microsoftHidden.FindAllStringSubmatch(shown.body, -1) {
		form.Set(html.UnescapeString(field[1]), html.UnescapeString(field[2]))
	}
	return b.read(b.http.PostForm(address.ResolveReference(mustURL(html.UnescapeString(action[1]))).String(), form))
}

// follow goes where the page sends the browser.
func (b *browser) follow(p page) page {
	b.t.Helper()
	if p.location == nil {
		b.t.Fatalf("no redirect: %d %s", p.status, p.body)
	}
	return b.read(b.http.Get(p.location.String()))
}

func (k *campus) addIn(cloud connection.Cloud) (connection.ID, string) {
	k.t.Helper()
	c, link, err := k.registry.Add(k.t.Context(), "Acme in "+string(cloud), cloud, "key-1")
	if err != nil {
		k.t.Fatal(err)
	}
	return c.ID, link
}

package m365_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/m365"
	m365sim "github.com/mailtrail/mailtrail/sim/m365"
	"github.com/mailtrail/mailtrail/sim/m365/world"
)

// Pain 13: the wrong cloud is recognised by its error and named, and what is no matter of clouds keeps its own.
func TestTheWrongCloudIsNamed(t *testing.T) {
	ids := map[connection.Cloud]connection.TenantID{
		connection.Commercial: "55555555-0000-4444-8444-000000000001",
		connection.GCC:        "55555555-0000-4444-8444-000000000002",
		connection.GCCHigh:    "55555555-0000-4444-8444-000000000003",
		connection.DoD:        "55555555-0000-4444-8444-000000000004",
	}
	for _, looked := range connection.Clouds() {
		s := m365sim.New(m365sim.Options{Cloud: string(looked)})
		s.AddApp(
			m365sim.App{
				ClientID:      clientID,
				HomeTenant:    publisher,
				Secrets:       []m365sim.Secret{{Value: secret}},
				ActivityRoles: []string{"ActivityFeed.Read"},
			},
		)
		for cloud, id := range ids {
			s.AddTenant(world.Tenant{ID: string(id), Cloud: string(cloud), DefaultDomain: string(cloud) + ".test"}, nil)
			must(t, s.Grant(string(id), clientID))
		}
		server := httptest.NewServer(s.Handler())
		t.Cleanup(server.Close)
		real := m365.Clouds()[looked]
		c, err := m365.New(m365.Config{
			ClientID:    clientID,
			Secret:      secret,
			RedirectURL: redirect,
			Publisher:   publisher,
			HTTP:        server.Client(),
			Now:         s.Now,
			Endpoints: map[connection.Cloud]m365.Endpoints{looked: {
				Login: server.URL + "/login", Activity: server.URL + "/manage", Graph: server.URL + "/graph", Files: real.Files,
				ActivityScope: real.ActivityScope, GraphScope: real.GraphScope,
			}},
		})
		if err != nil {
			t.Fatal(err)
		}
		for lives, id := range ids {
			tenant := connection.Tenant{ID: id, Cloud: looked}
			if got, err := c.CloudOf(t.Context(), tenant); got != lives || err != nil {
				t.Errorf("a tenant of %s, asked for at the login of %s, lives in %q, %v", lives, looked, got, err)
			}
			err := c.Subscribe(t.Context(), tenant, audit.Exchange)
			if lives == looked {
				must(t, err)
				continue
			}
			if code := fault.Code(err); !errors.Is(err, fault.Refused) || code != connection.OtherCloud+string(lives) {
				t.Errorf("a tenant of %s, looked for in %s: %v (%s)", lives, looked, err, code)
			}
			if reason := connection.CauseOf(fault.Code(err)).
				Reason("Acme"); !strings.Contains(reason, "lives in the cloud "+lives.Title()) ||
				!strings.Contains(reason, "the cloud "+string(lives)+".") {
				t.Errorf("the administrator reads %q", reason)
			}
		}
		nobody := connection.Tenant{ID: "55555555-0000-4444-8444-00000000dead", Cloud: looked}
		check(t, c.Subscribe(t.Context(), nobody, audit.Exchange), fault.Refused, "AADSTS90002", 400)
	}
}

func TestDiscoveryThatDoesNotTellChangesNothing(t *testing.T) {
	for name, discovery := range map[string]http.HandlerFunc{
		"a page":          always(200, page, "<html>"),
		"nothing":         always(200, "application/json", `{"issuer":"x"}`),
		"another country": always(200, "application/json", `{"cloud_instance_name":"partner.microsoftonline.cn"}`),
		"a new sub-scope": always(200, "application/json", `{"tenant_region_sub_scope":"NEW","cloud_instance_name":"microsoftonline.com"}`),
		"a refusal":       always(400, "application/json", `{"error":"invalid_tenant"}`),
		"the same cloud":  always(200, "application/json", `{"cloud_instance_name":"microsoftonline.com"}`),
	} {
		m := newMicrosoft(t, always(400, "application/json", af("AF20011")))
		m.login = func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "openid-configuration") {
				discovery(w, r)
				return
			}
			m.grant(w, time.Hour)
		}
		t.Run(name, func(t *testing.T) { check(t, listOnly(m.client(t)), fault.Refused, "AF20011", 400) })
	}
}

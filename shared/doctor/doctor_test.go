package doctor_test

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/doctor"
	"github.com/mailtrail/mailtrail/shared/m365"
	m365sim "github.com/mailtrail/mailtrail/sim/m365"
	"github.com/mailtrail/mailtrail/sim/m365/company"
)

const (
	appID     = "0a0a0a0a-1111-4111-8111-111111111111"
	publisher = "0b0b0b0b-2222-4222-8222-222222222222"
)

// tenant is a simulated company with an hour of mail in its audit log, and our client for it.
func tenant(t *testing.T) (*m365sim.Server, *m365.Client, connection.Tenant) {
	t.Helper()
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	sim := m365sim.New(m365sim.Options{Seed: 1, Now: func() time.Time { return now }})
	sim.AddApp(m365sim.App{
		ClientID: appID, HomeTenant: publisher, Secrets: []m365sim.Secret{{Value: "secret"}},
		ActivityRoles: []string{"ActivityFeed.Read"}, GraphRoles: []string{"Mail.Read", "User.Read.All"},
	})
	c := company.New(company.Options{Seed: 1, MailsPerHour: 60})
	sim.AddTenant(c.Tenant(), c.People())
	slice := c.Between(now.Add(-2*time.Hour), now.Add(-time.Hour))
	for _, records := range company.Blobs(slice.Records, 1, 60) {
		if _, err := sim.Publish(c.Tenant().ID, string(audit.Exchange), now.Add(-10*time.Minute), records); err != nil {
			t.Fatal(err)
		}
	}
	server := httptest.NewServer(sim.Handler())
	t.Cleanup(server.Close)
	client, err := m365.New(m365.Config{
		ClientID: appID, Secret: "secret", Publisher: publisher, RedirectURL: "https://mailtrail.example/consent/callback",
		HTTP: server.Client(), Now: sim.Now,
		Endpoints: map[connection.Cloud]m365.Endpoints{connection.Commercial: {
			Login: server.URL + "/login", Activity: server.URL + "/manage", Graph: server.URL + "/graph",
			ActivityScope: "https://manage.office.com/.default", GraphScope: "https://graph.microsoft.com/.default",
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return sim, client, connection.Tenant{ID: connection.TenantID(c.Tenant().ID), Cloud: connection.Commercial}
}

func TestTheDoctorSaysWhatHolds(t *testing.T) {
	const (
		tokens     = "tokens come, with the permissions that we need"
		subscribed = "the audit log of mail is subscribed"
		read       = "a blob can be read to its end"
	)
	for name, c := range map[string]struct {
		spoil func(*m365sim.Server, *m365.Client, connection.Tenant) error
		want  map[string]doctor.Verdict // "" is no finding
	}{
		"before the consent": {
			func(*m365sim.Server, *m365.Client, connection.Tenant) error { return nil },
			map[string]doctor.Verdict{tokens: doctor.Fails, subscribed: "", read: ""},
		},
		"not subscribed": {
			func(s *m365sim.Server, _ *m365.Client, tenant connection.Tenant) error {
				return s.Grant(string(tenant.ID), appID)
			},
			map[string]doctor.Verdict{tokens: doctor.Holds, subscribed: doctor.Fails, read: ""},
		},
		"well": {
			func(s *m365sim.Server, c *m365.Client, tenant connection.Tenant) error {
				if err := s.Grant(string(tenant.ID), appID); err != nil {
					return err
				}
				return c.Subscribe(t.Context(), tenant, audit.Exchange)
			},
			map[string]doctor.Verdict{
				tokens: doctor.Holds, subscribed: doctor.Holds, read: doctor.Holds, "blobs can be had for 7 days": doctor.Holds,
				"sends name their attachments": doctor.Holds, "sends name their message id": doctor.Holds,
				"records are ready within 24 hours": doctor.Holds, "the tenant lives in the cloud that we ask": doctor.Holds,
			},
		},
		"blobs are refused": {
			func(s *m365sim.Server, c *m365.Client, tenant connection.Tenant) error {
				s.Fault(m365sim.Fault{Op: "feed.blob", Code: "AF20052"})
				if err := s.Grant(string(tenant.ID), appID); err != nil {
					return err
				}
				return c.Subscribe(t.Context(), tenant, audit.Exchange)
			},
			map[string]doctor.Verdict{subscribed: doctor.Holds, read: doctor.NotSeen},
		},
	} {
		t.Run(name, func(t *testing.T) {
			sim, client, tenant := tenant(t)
			if err := c.spoil(sim, client, tenant); err != nil {
				t.Fatal(err)
			}
			starts := len(sim.History(m365sim.Filter{Op: "feed.start"}))
			r := doctor.Examine(t.Context(), client, tenant, sim.Now())
			got := map[string]doctor.Verdict{}
			for _, f := range r.Findings {
				got[f.Assumption] = f.Verdict
			}
			var text bytes.Buffer
			if err := r.WriteText(&text); err != nil {
				t.Fatal(err)
			}
			t.Log(text.String())
			for assumption, want := range c.want {
				if got[assumption] != want {
					t.Errorf("%s: %q, want %q", assumption, got[assumption], want)
				}
			}
			if n := len(sim.History(m365sim.Filter{Op: "feed.start"})); n != starts {
				t.Errorf("the doctor started a subscription")
			}
			wire, err := json.Marshal(r)
			if err != nil || strings.Contains(string(wire)+text.String(), "@") {
				t.Errorf("an address is in the report (%v):\n%s", err, wire)
			}
		})
	}
}

package main

import (
	"encoding/json"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/local/operator"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/doctor"
	m365sim "github.com/mailtrail/mailtrail/sim/m365"
	"github.com/mailtrail/mailtrail/sim/m365/company"
)

// TestDoctorExaminesATenant: by its domain or its id, as text and as JSON, with no data folder at hand.
func TestDoctorExaminesATenant(t *testing.T) {
	sim := m365sim.New(m365sim.Options{Seed: 1, Now: time.Now})
	sim.AddApp(m365sim.App{
		ClientID: someID, HomeTenant: someID, Secrets: []m365sim.Secret{{Value: "s"}},
		ActivityRoles: []string{"ActivityFeed.Read"}, GraphRoles: []string{"Mail.Read", "User.Read.All"},
	})
	c := company.New(company.Options{Seed: 1})
	sim.AddTenant(c.Tenant(), c.People())
	if err := sim.Grant(c.Tenant().ID, someID); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(sim.Handler())
	t.Cleanup(server.Close)
	data := filepath.Join(t.TempDir(), "data")
	env := ours + " MAILTRAIL_CLIENT_SECRET=s DATA=" + data + ` MAILTRAIL_ENDPOINTS={"commercial":{"login":"` +
		server.URL + `/login","activity":"` + server.URL + `/manage","graph":"` + server.URL + `/graph"}}`

	code, text, errs := mailtrail(t, env, "doctor", c.Tenant().ID)
	if code != exitDone || errs != "" || !strings.HasPrefix(text, "Tenant "+c.Tenant().ID) ||
		!strings.Contains(text, "does not hold  the audit log of mail is subscribed\n") ||
		!strings.Contains(text, "holds          the directory can be read\n") {
		t.Errorf("it ends with %d and prints\n%s%s", code, text, errs)
	}
	code, wire, errs := mailtrail(t, env, "doctor", c.Tenant().DefaultDomain, "--json")
	var report doctor.Report
	if err := json.Unmarshal([]byte(wire), &report); err != nil || code != exitDone || errs != "" {
		t.Fatalf("it ends with %d (%v) and prints\n%s%s", code, err, wire, errs)
	}
	if string(report.Tenant) != c.Tenant().ID || len(report.Findings) != strings.Count(text, "\n\n") {
		t.Errorf("the report of %s has %d findings, and the text is\n%s", report.Tenant, len(report.Findings), text)
	}
	for _, op := range []string{"feed.start", "feed.stop"} {
		if len(sim.History(m365sim.Filter{Op: op})) > 0 {
			t.Errorf("it calls %s", op)
		}
	}
	if strings.Contains(text+wire, "@") {
		t.Error("it prints an address")
	}
	if code, _, errs := mailtrail(t, env, "doctor"); code != exitUsage {
		t.Errorf("without a tenant it ends with %d: %s", code, errs)
	}
}

// TestTheDataFolderKeepsWhichClaimsCame: of the consent that the simulated administrator gave, whether Mailtrail runs
// or not. Of another tenant it knows nothing.
func TestTheDataFolderKeepsWhichClaimsCame(t *testing.T) {
	t.Parallel()
	twice(t, func(t *testing.T, s *site) {
		p := program{environ: strings.Fields(s.env)}
		var all struct{ Connections []struct{ TenantID string } }
		err := p.at(t.Context(), func(d *operator.Desk) error {
			return d.Ask(t.Context(), "GET", "/v1/connections", nil, &all)
		})
		if err != nil || len(all.Connections) != 1 {
			t.Fatalf("%+v, %v", all, err)
		}
		got := p.consentOf(t.Context(), connection.TenantID(all.Connections[0].TenantID))
		if got == nil || !got.Given || !strings.Contains(got.Claims, "wids") {
			t.Errorf("of its tenant it keeps %+v", got)
		}
		if got := p.consentOf(t.Context(), someID); got != nil {
			t.Errorf("of another tenant it keeps %+v", got)
		}
	})
}

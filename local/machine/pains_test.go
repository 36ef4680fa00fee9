package machine_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	m365sim "github.com/mailtrail/mailtrail/sim/m365"
	"github.com/mailtrail/mailtrail/sim/m365/company"
)

// Pain 5: "Tenant ... does not exist" really means that the audit log is off. The connection says that, and what to
// do, and shows nothing of Microsoft's exception. It recovers by itself.
func TestATenantThatDoesNotExistIsOneWhoseAuditLogIsOff(t *testing.T) {
	w := start(t, m365sim.Options{Seed: 1, StrictPublisher: true}, simulatedTime)
	c := company.New(company.Options{Seed: 1})
	w.sim.AddTenant(c.Tenant(), c.People())
	must(t, w.sim.AuditOff(c.Tenant().ID, true))
	id := string(w.connect(c))
	d := w.becomes(id, "Error",
		"The Microsoft 365 audit log is inaccessible. Turn auditing on in the Microsoft Purview portal")
	if w.stop(); strings.Contains(d.Reason+w.log.String(), "DataServiceException") || strings.Contains(d.Reason, "exist") {
		t.Errorf("Microsoft's exception is told: %s", d.Reason)
	}
}

// Pain 6: connected, but no data, and nobody says why.
func TestAConnectionThatGetsNothingSaysSinceWhenItWaitsAndForWhat(t *testing.T) {
	w := start(t, m365sim.Options{Seed: 1, StrictPublisher: true}, simulatedTime)
	c := company.New(company.Options{Seed: 1, MailsPerHour: 60})
	w.sim.AddTenant(c.Tenant(), c.People())
	id := string(w.connect(c))
	w.becomes(id, "Monitoring", "")
	waits := func(part string) {
		t.Helper()
		w.wait(part, func() bool { d := w.details(id); return d.WaitingFor != nil && strings.Contains(*d.WaitingFor, part) })
	}
	waits("Microsoft has not offered anything yet")
	if d := w.details(id); d.Subscribed == nil || d.LastPoll == nil || d.LastBlob != nil || d.LastSend != nil {
		t.Errorf("%+v", d)
	}
	if _, err := w.sim.PublishRaw(c.Tenant().ID, contentType, w.sim.Now(),
		[]byte(`[{"Id":"1","Operation":"MailItemsAccessed"}]`)); err != nil {
		t.Fatal(err)
	}
	w.sim.Advance(time.Second)
	waits("none of them reports a sent mail with attachments")
	n := w.day(c, morning, morning.Add(time.Hour))
	w.sim.Advance(time.Hour)
	w.wait("mail", func() bool {
		d := w.details(id)
		return d.Ledger.Settled > n && d.WaitingFor == nil && d.LastSend != nil && d.LastBlob != nil && d.LagSeconds != nil
	})
	w.sim.Advance(25 * time.Hour)
	waits("nothing new since")
}

// Pain 8: a collector that silently stops. Tokens that expire in the middle of the work stop nothing. A credential
// that has expired raises the operator's alarm and is no tenant's error. The details of every connection say so, and
// once it is renewed everything goes on.
func TestNothingStopsInSilence(t *testing.T) {
	w := start(t, m365sim.Options{Seed: 1, PageSize: 2, TokenLife: 10 * time.Minute, StrictPublisher: true}, simulatedTime)
	c := company.New(company.Options{Seed: 1, MailsPerHour: 120})
	w.sim.AddTenant(c.Tenant(), c.People())
	n := w.day(c, morning, morning.Add(time.Hour))
	id := string(w.connect(c))
	ended, last := 0, int64(-1)
	w.wait("all blobs, with tokens that end on the way", func() bool {
		d := w.details(id)
		if done := d.Ledger.Settled + d.Ledger.Listed; done > last && ended < 5 {
			ended += min(1, w.sim.ExpireTokens(""))
			last = done
		}
		return d.Ledger.Settled >= n && d.Ledger.Open == 0
	})
	if ended == 0 {
		t.Error("no token ended on the way")
	}
	w.becomes(id, "Monitoring", "")

	must(t, w.sim.ExpireSecrets(clientID))
	w.sim.ExpireTokens("")
	w.wait("the operator's alarm", func() bool {
		return strings.Contains(w.log.String(), `level=ERROR msg="polling failed by our own fault"`) &&
			strings.Contains(w.log.String(), "code=AADSTS7000222")
	})
	w.sim.Advance(20 * time.Minute)
	w.wait("the connection to say that nothing comes", func() bool {
		d := w.details(id)
		return d.Status == "Monitoring" && d.WaitingFor != nil && strings.Contains(*d.WaitingFor,
			"Nothing could be listed since")
	})
	w.sim.AddApp(m365sim.App{
		ClientID: clientID, HomeTenant: publisher, Secrets: []m365sim.Secret{{Value: clientSecret}},
		ActivityRoles: []string{"ActivityFeed.Read"},
	})
	w.sim.Advance(11 * time.Minute)
	w.wait("polls that succeed", func() bool {
		d := w.details(id)
		return d.WaitingFor == nil &&
			d.Status == "Monitoring"
	})
}

// Pain 19: a change leaves pending work stuck. Blobs that are listed and not read when a connection is deauthorized
// are visibly parked. They put nothing into the table, and are read when the connection is resumed.
func TestPendingWorkOfADeauthorizedConnectionIsParkedInSightAndReadAfterwards(t *testing.T) {
	w := start(t, m365sim.Options{Seed: 1, StrictPublisher: true}, simulatedTime)
	c := company.New(company.Options{Seed: 1, MailsPerHour: 60})
	w.sim.AddTenant(c.Tenant(), c.People())
	w.sim.Fault(m365sim.Fault{Op: "feed.blob", Status: http.StatusServiceUnavailable})
	id := string(w.connect(c))
	n := w.day(c, morning, morning.Add(time.Hour))
	w.sim.Advance(time.Hour)
	w.wait("the blobs to be listed", func() bool { return w.details(id).Ledger.Open >= n })

	w.ask(http.MethodPost, "/v1/connections/"+id+"/deauthorize", "", http.StatusOK, nil)
	w.sim.ClearFaults()
	w.wait("the work to be parked", func() bool {
		w.sim.Advance(time.Minute) // what was hidden after a failure comes back
		return int64(strings.Count(w.log.String(), "blob is parked")) >= n
	})
	d := w.details(id)
	if d.ParkedBlobs < n || d.Ledger.Open != d.ParkedBlobs || d.Ledger.Settled != 0 || d.WaitingFor == nil ||
		!strings.Contains(*d.WaitingFor, "parked") {
		t.Errorf("%+v", d)
	}
	w.sim.Advance(15 * time.Minute) // Microsoft accepts no start sooner
	w.ask(http.MethodPost, "/v1/connections/"+id+"/resume", "", http.StatusOK, nil)
	w.wait("the parked blobs to be read", func() bool {
		d := w.details(id)
		return d.ParkedBlobs == 0 && d.Ledger.Open == 0 && d.Ledger.Settled >= n
	})
	w.token = w.login("admin", "analyst")
	if got := len(w.search(everything, "@timestamp", 500)); got == 0 {
		t.Error("nothing is found")
	}
}

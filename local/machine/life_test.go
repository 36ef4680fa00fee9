package machine_test

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/local/machine"
	"github.com/mailtrail/mailtrail/shared/access"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/sim/browser"
	m365sim "github.com/mailtrail/mailtrail/sim/m365"
	"github.com/mailtrail/mailtrail/sim/m365/company"
	microsoft "github.com/mailtrail/mailtrail/sim/m365/world"
)

// simulatedTime makes the machine read the simulation's clock, which a test can move.
func simulatedTime(w *world, c *machine.Config) { c.Now = w.sim.Now }

// administered is what these tests read of a connection as the API shows it.
type administered struct {
	ID               string
	DisplayName      string
	Status           string
	Reason           string
	TenantID         *string
	AuthorizeURL     string
	WaitingFor       *string
	ParkedBlobs      int64
	LagSeconds       *int64
	LastPoll         *time.Time
	LastBlob         *time.Time
	LastSend         *time.Time
	Subscribed       *time.Time
	DirectoryProblem *string
	Purge            *struct{ DeletedItems int64 }
	History          []struct{ Status, By string }
	Ledger           struct{ Listed, Settled, Lost, Open int64 }
}

// ask sends a request to the API as an administrator. It takes a new token each time, because the clock of these
// tests runs fast.
func (w *world) ask(method, path, body string, want int, into any) {
	w.t.Helper()
	w.token = ""
	w.token = w.login(access.Admin, access.Analyst)
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.base+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	w.do(req, want, into)
}

func (w *world) details(id string) administered {
	w.t.Helper()
	var c administered
	w.ask(http.MethodGet, "/v1/connections/"+id, "", http.StatusOK, &c)
	return c
}

// add adds a connection, and returns it with the link to authorize it.
func (w *world) add(name string) administered {
	w.t.Helper()
	var c administered
	w.ask(http.MethodPost, "/v1/connections", fmt.Sprintf(`{"displayName":%q}`, name), http.StatusCreated, &c)
	return c
}

// consent follows a link as the tenant's administrator does, in a browser of their own.
func (w *world) consent(link string, c *company.Company) (status int, page string) {
	w.t.Helper()
	who := c.People()[0]
	status, page, err := browser.New(nil).Walk(w.t.Context(), link, map[string]string{
		"account": who.UserPrincipalName, "password": who.Password, "decision": "accept",
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return status, page
}

// becomes waits until the connection has the status, with a reason that contains the text.
func (w *world) becomes(id, status, reason string) administered {
	w.t.Helper()
	var c administered
	w.wait(status+" "+reason, func() bool {
		c = w.details(id)
		return c.Status == status && strings.Contains(c.Reason, reason)
	})
	w.t.Logf("%s  %-13s %.100s", w.sim.Now().Format("15:04:05"), c.Status, c.Reason)
	return c
}

// TestTheWholeLifeOfAConnection goes through the life of a connection, step by step over HTTP.
func TestTheWholeLifeOfAConnection(t *testing.T) {
	w := start(t, m365sim.Options{Seed: 3, PageSize: 3, StrictPublisher: true, RolePropagation: 40 * time.Minute},
		simulatedTime)
	c := company.New(company.Options{Seed: 3, MailsPerHour: 120, Noise: 3})
	w.sim.AddTenant(c.Tenant(), c.People())
	tenant := c.Tenant().ID
	found := func() int {
		w.token = w.login(access.Admin, access.Analyst)
		return len(w.search(everything, "@timestamp", 500))
	}

	t.Log("add, and hand the link on: nobody has consented yet")
	added := w.add("Fernhill")
	w.set(connection.ID(added.ID), `{"kind":"all","gate":"premium"}`) // what is kept then depends on the directory
	w.becomes(added.ID, "Initializing", "Waiting for an administrator")
	if d := w.details(added.ID); d.TenantID != nil || d.WaitingFor == nil || !strings.Contains(*d.WaitingFor, "consent") {
		t.Errorf("%+v", d)
	}

	t.Log("consent: the permissions spread for 40 minutes")
	if status, page := w.consent(added.AuthorizeURL, c); status != http.StatusOK {
		t.Fatalf("the consent ended with %d: %s", status, page)
	}
	w.becomes(added.ID, "Initializing", "still spreading")
	w.sim.Advance(41 * time.Minute)
	w.becomes(added.ID, "Monitoring", "")

	t.Log("mail is found")
	n := w.day(c, morning, morning.Add(time.Hour))
	w.sim.Advance(time.Hour) // a sweep finds what became available in the last hour
	w.wait("all blobs to be read", func() bool {
		d := w.details(added.ID)
		return d.Ledger.Listed >= n &&
			d.Ledger.Open == 0
	})
	all := found()
	d := w.details(added.ID)
	if all == 0 || d.LastSend == nil || d.LastBlob == nil || d.LastPoll == nil || d.Subscribed == nil ||
		d.LagSeconds == nil || d.WaitingFor != nil {
		t.Errorf("%d events are found; %+v", all, d)
	}
	if l := d.Ledger; l.Listed != l.Settled+l.Open+l.Lost || l.Listed < n {
		t.Errorf("the ledger does not add up: %+v", l)
	}

	t.Log("auditing is turned off, and on again")
	must(t, w.sim.AuditOff(tenant, true))
	w.becomes(added.ID, "Error", "audit log is inaccessible. Turn auditing on")
	must(t, w.sim.AuditOff(tenant, false))
	w.sim.Advance(11 * time.Minute) // the longest that a tenant in trouble is left alone
	w.becomes(added.ID, "Monitoring", "")

	t.Log("a permission is taken away, of which the audit log needs nothing, and granted again")
	w.register("Mail.Read", "Files.Read.All", "GroupMember.Read.All")
	must(t, w.sim.Grant(tenant, clientID))
	w.sim.ExpireTokens(tenant)
	files := w.hired(c) // somebody whom the last census has not seen
	d = w.becomes(added.ID, "Error", "without User.Read.All we cannot tell whose mail is to be recorded")
	if d.DirectoryProblem == nil || !strings.Contains(*d.DirectoryProblem, "grant admin consent") || d.Ledger.Open == 0 {
		t.Errorf("%+v", d)
	}
	w.register("Mail.Read", "Files.Read.All", "User.Read.All", "GroupMember.Read.All")
	must(t, w.sim.Grant(tenant, clientID))
	w.sim.ExpireTokens(tenant)
	w.sim.Advance(6 * time.Minute) // the longest that a directory that was refused is left alone
	if d = w.becomes(added.ID, "Monitoring", ""); d.DirectoryProblem != nil {
		t.Errorf("%+v", d)
	}
	w.wait("the mail of meanwhile to be found", func() bool { return w.details(added.ID).Ledger.Open == 0 })
	if all += files; found() != all {
		t.Errorf("%d events are found, want %d", found(), all)
	}

	t.Log("the application is deleted in the tenant, and consented to again")
	must(t, w.sim.DeletePrincipal(tenant, clientID))
	w.sim.ExpireTokens(tenant)
	w.becomes(added.ID, "Error", "has been deleted from the tenant")
	if again := found(); again != all {
		t.Errorf("in Error %d events are found, want %d", again, all)
	}
	var link struct{ AuthorizeURL string }
	w.ask(http.MethodPost, "/v1/connections/"+added.ID+"/link", "", http.StatusCreated, &link)
	if status, page := w.consent(link.AuthorizeURL, c); status != http.StatusOK {
		t.Fatalf("the second consent ended with %d: %s\n%s", status, page, tail(w.log.String()))
	}
	w.sim.Advance(41 * time.Minute)
	w.becomes(added.ID, "Monitoring", "")

	t.Log("deauthorize: nothing of it is found, and Microsoft is told")
	w.ask(http.MethodPost, "/v1/connections/"+added.ID+"/deauthorize", "", http.StatusOK, nil)
	if again := found(); again != 0 {
		t.Errorf("%d events of a deauthorized connection are found", again)
	}
	w.wait("the subscription to be stopped", func() bool {
		return len(w.sim.History(m365sim.Filter{Op: "feed.stop",
			Status: 200})) == 1
	})
	w.wait("nothing to be waited for", func() bool { return w.details(added.ID).WaitingFor == nil })

	t.Log("resume: all of it is found again, and the subscription is started as soon as Microsoft allows it")
	w.sim.Advance(15 * time.Minute)
	w.ask(http.MethodPost, "/v1/connections/"+added.ID+"/resume", "", http.StatusOK, nil)
	if again := found(); again != all {
		t.Errorf("%d events are found again, want %d", again, all)
	}
	w.becomes(added.ID, "Monitoring", "")

	t.Log("rename, and purge: refused while it is followed")
	var renamed administered
	w.ask(http.MethodPatch, "/v1/connections/"+added.ID, `{"displayName":"Fernhill Ltd"}`, http.StatusOK, &renamed)
	w.ask(http.MethodDelete, "/v1/connections/"+added.ID, "", http.StatusConflict, nil)
	w.ask(http.MethodPost, "/v1/connections/"+added.ID+"/deauthorize", "", http.StatusOK, nil)
	w.ask(http.MethodDelete, "/v1/connections/"+added.ID, "", http.StatusAccepted, nil)
	d = w.becomes(added.ID, "Deauthorized", "is being deleted")
	if d.Purge == nil || d.WaitingFor == nil || !strings.Contains(*d.WaitingFor, "The deletion begins at") ||
		d.DisplayName != "Fernhill Ltd" {
		t.Errorf("%+v", d)
	}
	for _, h := range d.History {
		t.Logf("history: %s by %.8s", h.Status, h.By)
	}
	w.ask(http.MethodPost, "/v1/connections/"+added.ID+"/resume", "", http.StatusConflict, nil)
	w.sim.Advance(17 * time.Minute)
	w.wait("the connection to be gone", func() bool {
		return w.status(http.MethodGet, "/v1/connections/"+added.ID, "Bearer "+w.login(access.Admin)) == http.StatusNotFound
	})

	t.Log("name and tenant are free")
	second := w.add("Fernhill Ltd")
	if status, page := w.consent(second.AuthorizeURL, c); status != http.StatusOK {
		t.Fatalf("the consent of the second connection ended with %d: %s", status, page)
	}
	w.sim.Advance(41 * time.Minute)
	w.becomes(second.ID, "Monitoring", "")
	if second.ID == added.ID || found() != 0 && w.details(second.ID).Ledger.Listed == 0 {
		t.Error("something of the first connection is left")
	}
}

// hired adds somebody to a company, publishes a mail of theirs, and returns how many files it had.
func (w *world) hired(c *company.Company) (files int) {
	w.t.Helper()
	slice := c.Between(morning.Add(2*time.Hour), morning.Add(3*time.Hour))
	for _, sent := range slice.Truth {
		if sent.Noise || !sent.Premium || len(sent.Files) == 0 || sent.Actor != sent.Sender {
			continue
		}
		who := c.People()[slices.IndexFunc(c.People(),
			func(p microsoft.Person) bool { return p.UserPrincipalName == sent.Actor })]
		who.ID, who.UserPrincipalName = "99999999-9999-4999-8999-999999999999", "new."+who.UserPrincipalName
		who.ProxyAddresses = nil
		who.Mail = who.UserPrincipalName
		must(w.t, w.sim.AddPeople(c.Tenant().ID, who))
		record := slice.Records[slices.IndexFunc(slice.Records,
			func(r microsoft.Record) bool { return r.ID == sent.RecordID })]
		record.JSON = bytes.ReplaceAll(record.JSON, []byte(sent.Actor), []byte(who.UserPrincipalName))
		_, err := w.sim.Publish(c.Tenant().ID, contentType, w.sim.Now(), []microsoft.Record{record})
		must(w.t, err)
		return len(sent.Files)
	}
	w.t.Fatal("nobody sent anything")
	return 0
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

package machine_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/access"
	"github.com/mailtrail/mailtrail/shared/connection"
	m365sim "github.com/mailtrail/mailtrail/sim/m365"
	"github.com/mailtrail/mailtrail/sim/m365/company"
)

// morning begins a working day of the invented companies.
var morning = time.Date(2026, 11, 16, 9, 0, 0, 0, time.UTC)

// truth is what a company really sent, one line for each attachment, and how often.
func truth(c *company.Company, from, to time.Time) map[string]int { return lined(c.Between(from, to)) }

// lined returns the truth of a slice.
func lined(slice company.Slice) map[string]int {
	lines := map[string]int{}
	for _, sent := range slice.Truth {
		if sent.Noise {
			continue
		}
		for _, f := range sent.Files {
			lines[line(sent.Observed, sent.Actor, sent.Sender, sent.From, sent.Subject, f.Name, f.Stored)]++
		}
	}
	return lines
}

func line(at time.Time, actor, sender, from, subject, name string, size int64) string {
	// Addresses are kept as Microsoft wrote them, in whatever case.
	people := strings.ToLower(actor + " | " + sender + " | " + from)
	return fmt.Sprintf("%s | %s | %s | %s | %d", at.UTC().Format(time.RFC3339), people, subject, name, size)
}

func shown(events []found) map[string]int {
	lines := map[string]int{}
	for _, e := range events {
		size := int64(-1)
		if e.File.SizeInBytes != nil {
			size = *e.File.SizeInBytes
		}
		lines[line(e.Timestamp, e.User.Email, e.Source.Email.Sender, e.Source.Email.From, e.Destination.Email.Subject,
			e.File.Name, size)]++
	}
	return lines
}

// same reports the first differences between what was sent and what was found.
func same(t *testing.T, got, want map[string]int) {
	t.Helper()
	keys := slices.Sorted(maps.Keys(want))
	for k := range got {
		if _, ok := want[k]; !ok {
			keys = append(keys, k)
		}
	}
	shown := 0
	for _, k := range keys {
		if got[k] != want[k] && shown < 10 {
			shown++
			t.Errorf("found %d times, sent %d times: %s", got[k], want[k], k)
		}
	}
}

// TestEverythingThatWasSentIsFoundOnceInAHostileWorld covers the whole flow, with small shuffled pages that contain
// duplicates, refusals, bodies that break off, late blobs, tokens that expire between requests, and records that
// Microsoft repeats.
func TestEverythingThatWasSentIsFoundOnceInAHostileWorld(t *testing.T) {
	opts := m365sim.Hostile(7)
	opts.RolePropagation, opts.LateBy, opts.TokenLife = 300*time.Millisecond, time.Second, 2*time.Second
	w := start(t, opts)
	c := company.New(company.Options{Seed: 7, MailsPerHour: 150, Noise: 10})
	w.sim.AddTenant(c.Tenant(), c.People())
	n := w.day(c, morning, morning.Add(2*time.Hour))
	id := w.connect(c)
	w.ended(id, n)

	want := truth(c, morning, morning.Add(2*time.Hour))
	if len(want) < 50 {
		t.Fatalf("the company sent only %d files: nothing is shown by this test", len(want))
	}
	for _, key := range []string{"@timestamp", "event.id", "file.name"} {
		w.wait("the watermark to pass", func() bool { return len(w.search(everything, key, 37)) >= total(want) })
		events := w.search(everything, key, 37)
		same(t, shown(events), want)
		seen := map[string]bool{}
		for _, e := range events {
			if seen[e.Event.ID] {
				t.Errorf("event %s was found twice by %s", e.Event.ID, key)
			}
			seen[e.Event.ID] = true
		}
	}
	sums, err := w.machine.Ledger.Sums(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if sums.Listed != n || sums.Settled != n || sums.Lost != 0 || sums.Tally.Events != int64(total(want)) ||
		sums.Tally.Repeated == 0 {
		t.Errorf("%d blobs were published; the ledger says %+v", n, sums)
	}
	w.stop()
	for _, secret := range []string{clientSecret, w.token, "eyJ", "Bearer "} {
		if strings.Contains(w.log.String(), secret) {
			t.Errorf("the log holds a credential (%.6s…)", secret)
		}
	}
}

func total(lines map[string]int) int {
	n := 0
	for _, times := range lines {
		n += times
	}
	return n
}

// TestABlobThatCannotBeHadStopsNothing publishes, among good blobs, some that are refused, damaged for good, or contain
// elements that are no records. What is refused stays open until it expires.
func TestABlobThatCannotBeHadStopsNothing(t *testing.T) {
	w := start(t, m365sim.Options{Seed: 1, PageSize: 2, StrictPublisher: true})
	c := company.New(company.Options{Seed: 1, MailsPerHour: 60, Noise: 5})
	w.sim.AddTenant(c.Tenant(), c.People())
	created := w.sim.Now().Add(-10 * time.Minute)
	raw := func(body string) string {
		t.Helper()
		id, err := w.sim.PublishRaw(c.Tenant().ID, contentType, created, []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	send := string(company.SendRecords(3, 1, 1300)[0].JSON)
	var record struct {
		User string `json:"UserId"`
	}
	if err := json.Unmarshal([]byte(send), &record); err != nil {
		t.Fatal(err)
	}
	sender := c.People()[0]
	sender.ID, sender.UserPrincipalName, sender.ProxyAddresses = "5e4de500-0000-4000-8000-000000000001", record.User, nil
	if err := w.sim.AddPeople(c.Tenant().ID, sender); err != nil {
		t.Fatal(err)
	}
	torn := raw("[" + send + `,{"Id":"half a rec`)
	raw(`[{"Id":"1","Operation":"Create"}] and then some`)
	raw(`<html>the gateway is busy</html>`)
	raw(`[42,"text",null,{"Operation":"Send","Item":{"Attachments":"no id.txt (1b)"}}]`)
	gone := raw(`[]`)
	w.sim.Fault(m365sim.Fault{Op: "feed.blob", Path: gone, Code: "AF20050"})

	n := w.day(c, morning, morning.Add(30*time.Minute))
	id := w.connect(c)
	w.wait("all blobs but one to end", func() bool {
		sums, err := w.machine.Ledger.Sums(t.Context(), id)
		return err == nil && sums.Listed >= n+5 && sums.Open() == 1
	})
	w.wait("the good events", func() bool {
		return len(w.search(everything, "@timestamp", 100)) > total(truth(c, morning, morning.Add(30*time.Minute)))
	})

	sums, err := w.machine.Ledger.Sums(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if sums.Lost != 3 || sums.Settled != n+1 || sums.Tally.Unreadable != 4 {
		t.Errorf("ledger: %+v; want 3 lost (torn, trailing bytes, no array), 1 open (refused), %d settled, "+
			"4 unreadable elements", sums, n+1)
	}
	for what, content := range map[string]string{"torn": torn, "refused": gone} {
		e, err := w.machine.Ledger.Find(t.Context(), id, auditID(content))
		if err != nil || e.Reason == "" && e.Refusal == "" {
			t.Errorf("the %s blob is in the ledger as %+v, err %v: want a reason", what, e, err)
		}
	}
	if got := len(w.search(everything+`,{"term":"user.email","operator":"IS","value":"*@load.example"}`, "@timestamp",
		10)); got != 1 {
		t.Errorf("%d events of the torn blob's readable part, want 1", got)
	}
}

// TestATenantInTroubleDelaysNoOther has one tenant that throttles (403, with AF429), one that hangs, one that
// refuses, and a healthy one.
func TestATenantInTroubleDelaysNoOther(t *testing.T) {
	w := start(t, m365sim.Options{Seed: 1, PageSize: 3, StrictPublisher: true})
	var ids []connection.ID
	var tenants []*company.Company
	var blobs []int64
	for seed := range uint64(4) {
		c := company.New(company.Options{Seed: seed + 1, TenantID: fmt.Sprintf("%08d-1111-4222-8333-444444444444", seed),
			MailsPerHour: 60, Noise: 3})
		tenants = append(tenants, c)
		w.sim.AddTenant(c.Tenant(), c.People())
		blobs = append(blobs, w.day(c, morning, morning.Add(20*time.Minute)))
	}
	w.sim.Fault(m365sim.Fault{Tenant: tenants[0].Tenant().ID, Op: "feed", Status: http.StatusForbidden, Code: "AF429"})
	w.sim.Fault(m365sim.Fault{Tenant: tenants[1].Tenant().ID, Op: "feed", Hang: true})
	if err := w.sim.AuditOff(tenants[2].Tenant().ID, true); err != nil {
		t.Fatal(err)
	}
	for _, c := range tenants {
		ids = append(ids, w.connect(c))
	}
	w.ended(ids[3], blobs[3])
	same(t, shown(w.search(everything, "@timestamp", 50)), truth(tenants[3], morning, morning.Add(20*time.Minute)))
	w.wait("the refusing tenant's connection to say so", func() bool {
		c, err := w.machine.Registry.Get(t.Context(), ids[2])
		return err == nil && c.Status == connection.Error && c.Reason != ""
	})
	if !strings.Contains(w.log.String(), `level=WARN msg="a connection changed its status"`) {
		t.Error("nobody is told that the connection is in Error")
	}

	// When the trouble ends, everything recovers by itself: the throttled tenant catches up, and the connection of
	// the other is Monitoring again.
	w.sim.ClearFaults()
	if err := w.sim.AuditOff(tenants[2].Tenant().ID, false); err != nil {
		t.Fatal(err)
	}
	w.ended(ids[0], blobs[0])
	w.ended(ids[2], blobs[2])
	w.wait("Monitoring", func() bool {
		c, err := w.machine.Registry.Get(t.Context(), ids[2])
		return err == nil && c.Status == connection.Monitoring
	})
}

// TestOnlyTheListedRoutesAnswerWithoutACredential requests every route of the machine.
func TestOnlyTheListedRoutesAnswerWithoutACredential(t *testing.T) {
	public := []string{"GET /{$}", "GET /healthz", "GET /v1/openapi.json", "POST /v1/oauth", "GET /consent/begin",
		"POST /consent/begin", "GET /consent/callback", "GET /consent/style.css"}
	w := start(t, m365sim.Options{Seed: 1})
	analyst := w.login(access.Analyst)
	var open []string
	for _, r := range w.machine.Routes {
		method, path, _ := strings.Cut(r.Pattern, " ")
		if r.Public {
			open = append(open, r.Pattern)
			continue
		}
		for _, credential := range []string{"", "Bearer nonsense", "Basic a2V5OnNlY3JldA==", "Bearer"} {
			if status := w.status(method, path, credential); status != http.StatusUnauthorized {
				t.Errorf("%s answers %d to the credential %q, want 401", r.Pattern, status, credential)
			}
		}
		want := 0
		if !slices.Contains(r.Roles, access.Analyst) {
			want = http.StatusForbidden
		}
		if status := w.status(method, path, "Bearer "+analyst); (want != 0 && status != want) ||
			status == http.StatusUnauthorized {
			t.Errorf("%s answers %d to an analyst", r.Pattern, status)
		}
	}
	slices.Sort(open)
	slices.Sort(public)
	if !slices.Equal(open, public) {
		t.Errorf("public routes are %q, want %q", open, public)
	}
	for _, stray := range []string{"/v1/", "/v2/anything", "/metrics", "/debug/pprof/", "/run.json"} {
		if status := w.status(http.MethodGet, stray, ""); status != http.StatusNotFound {
			t.Errorf("GET %s answers %d, want 404", stray, status)
		}
	}
}

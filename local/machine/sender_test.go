package machine_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/local/machine"
	"github.com/mailtrail/mailtrail/shared/settings"
	m365sim "github.com/mailtrail/mailtrail/sim/m365"
	"github.com/mailtrail/mailtrail/sim/m365/company"
	real "github.com/mailtrail/mailtrail/sim/m365/world"
)

// In a company where applications and services send too, each event says who it was, as the tenant knows it. And where
// the audit log leaves out the attachments of one client, the connection says so.
func TestEachEventSaysWhoSentItAndTheConnectionWhatIsLeftOut(t *testing.T) {
	opts := m365sim.Hostile(7)
	opts.RolePropagation, opts.LateBy, opts.SentLag = 300*time.Millisecond, time.Second, 0
	w := startWith(t, opts, machine.Config{Settings: settings.Settings{EnrichFor: 5 * time.Second, CheckSends: 1}})
	c := company.New(company.Options{
		Seed: 7, MailsPerHour: 200, Noise: 5,
		Field: company.Field{Applications: true, Facts: true, Listless: "Client=WebServices"},
	})
	w.sim.AddTenant(c.Tenant(), c.People())
	w.sim.AddGroups(c.Tenant().ID, c.Groups()...)
	from, to := morning, morning.Add(2*time.Hour)
	blobs := w.day(c, from, to)
	id := w.connect(c)
	w.set(id, `{"kind": "all", "gate": "any"}`)
	w.ended(id, blobs)

	truth := map[string]real.Truth{}
	for _, sent := range c.Between(from, to).Truth {
		truth[strings.ToLower(sent.RecordID)] = sent
	}
	byApplication, byPeople := 0, 0
	for _, e := range w.senders(everything) {
		sent, ok := truth[e.Event.RecordID]
		if !ok {
			t.Fatalf("event of record %s, which nobody sent", e.Event.RecordID)
		}
		if e.Event.Operation != sent.Operation || e.Source.Mailbox != sent.Mailbox || e.Source.Client != sent.Client ||
			!e.Timestamp.Equal(sent.Observed) {
			t.Errorf("%+v\nwas sent as %+v", e, sent)
		}
		if sent.Application == "" {
			byPeople++
			if e.User.Type == "application" || strings.HasPrefix(e.Event.SentBy, "application") {
				t.Errorf("a person's mail reads as %q, user type %s", e.Event.SentBy, e.User.Type)
			}
			continue
		}
		byApplication++
		if e.User.Type != "application" || e.Source.Application.ID != sent.Application || e.User.Email != sent.Actor ||
			!strings.HasPrefix(e.Event.SentBy, "application ") || !strings.HasSuffix(e.Event.SentBy, sent.Mailbox+"'s mailbox") {
			t.Errorf("%+v\nwas sent by an application: %+v", e, sent)
		}
	}
	found := len(w.senders(`{"term":"user.type","operator":"IS","value":"application"}`))
	if byApplication == 0 || byPeople == 0 || found != byApplication {
		t.Errorf("%d events of applications, %d of people; asked for, %d are of applications", byApplication, byPeople, found)
	}

	w.wait("a warning about the client whose attachments are left out", func() bool {
		var details struct{ Warnings []string }
		w.ask(http.MethodGet, "/v1/connections/"+string(id), "", http.StatusOK, &details)
		return len(details.Warnings) == 1 && strings.Contains(details.Warnings[0], "the client WebServices")
	})
}

// sender is what an event says of who sent it.
type sender struct {
	Timestamp time.Time `json:"@timestamp"`
	Event     struct{ RecordID, Operation, SentBy string }
	User      struct{ Email, Type string }
	Source    struct {
		Mailbox, Client string
		Application     struct{ ID string }
	}
}

func (w *world) senders(filters string) (all []sender) {
	w.t.Helper()
	for page := 1; ; page++ {
		body := fmt.Sprintf(`{"groups":[{"filters":[%s]}],"pgSize":500,"pgNum":%d}`, filters, page)
		var answer struct{ FileEvents []json.RawMessage }
		w.ask(http.MethodPost, "/v2/file-events", body, http.StatusOK, &answer)
		for _, raw := range answer.FileEvents {
			var s sender
			if err := json.Unmarshal(raw, &s); err != nil {
				w.t.Fatal(err)
			}
			all = append(all, s)
		}
		if len(answer.FileEvents) < 500 {
			return all
		}
	}
}

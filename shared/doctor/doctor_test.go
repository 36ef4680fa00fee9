package doctor_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/doctor"
	"github.com/mailtrail/mailtrail/shared/enrich"
	"github.com/mailtrail/mailtrail/shared/m365"
	m365sim "github.com/mailtrail/mailtrail/sim/m365"
	"github.com/mailtrail/mailtrail/sim/m365/company"
)

const (
	appID     = "0a0a0a0a-1111-4111-8111-111111111111"
	publisher = "0b0b0b0b-2222-4222-8222-222222222222"
)

// tenant is a simulated company with an hour of mail in its audit log, and our client for it.
func tenant(t *testing.T, field company.Field) (*m365sim.Server, *m365.Client, connection.Tenant) {
	t.Helper()
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	sim := m365sim.New(m365sim.Options{Seed: 1, Now: func() time.Time { return now }})
	sim.AddApp(m365sim.App{
		ClientID: appID, HomeTenant: publisher, Secrets: []m365sim.Secret{{Value: "secret"}},
		ActivityRoles: []string{"ActivityFeed.Read"}, GraphRoles: []string{"Mail.Read", "User.Read.All"},
	})
	c := company.New(company.Options{Seed: 1, MailsPerHour: 60, Field: field})
	sim.AddTenant(c.Tenant(), c.People())
	if err := sim.AddGroups(c.Tenant().ID, c.Groups()...); err != nil {
		t.Fatal(err)
	}
	slice := c.Between(now.Add(-2*time.Hour), now.Add(-time.Hour))
	if err := sim.AddMessages(c.Tenant().ID, slice.Messages...); err != nil {
		t.Fatal(err)
	}
	for _, records := range company.Blobs(slice.Records, 1, 300) {
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

const (
	tokens     = "tokens come, with the permissions that we need"
	subscribed = "the audit log of mail is subscribed"
	read       = "a blob can be read to its end"
	directory  = "the directory can be read"
	pages      = "a page of the directory holds as many people as were asked for"
	selected   = "$select returns every property that was asked for"
	known      = "the directory knows who sends"
	boxes      = "mailboxes can be read by object id"
	ids        = "the copy of a send has the record's message id"
	attached   = "the copy of a send has the attachments that the record names"
	blank      = "a record without attachments is of a mail without attachments"
	deleted    = "Recoverable Items can be read"
	wids       = "the id_token of a consent has the claim wids"
	acct       = "the id_token of a consent has the claim acct"
)

func TestTheDoctorSaysWhatHolds(t *testing.T) {
	type spoiler func(*m365sim.Server, connection.Tenant)
	nothing := func(*m365sim.Server, connection.Tenant) {}
	options := func(turn func(*m365sim.Options)) spoiler {
		return func(s *m365sim.Server, _ connection.Tenant) { s.Change(turn) }
	}
	fault := func(f m365sim.Fault) spoiler {
		return func(s *m365sim.Server, t connection.Tenant) { f.Tenant = string(t.ID); s.Fault(f) }
	}
	for name, c := range map[string]struct {
		before  bool // the consent
		off     bool // not subscribed
		field   company.Field
		consent *doctor.Consent
		spoil   spoiler
		want    map[string]doctor.Verdict
	}{
		"before the consent": {
			before: true, spoil: nothing, consent: &doctor.Consent{},
			want: map[string]doctor.Verdict{
				tokens: doctor.Fails, subscribed: doctor.NotSeen, read: doctor.NotSeen, directory: doctor.NotSeen,
				ids: doctor.NotSeen, wids: doctor.NotSeen,
			},
		},
		"not subscribed": {
			off: true, spoil: nothing,
			want: map[string]doctor.Verdict{
				tokens: doctor.Holds, directory: doctor.Holds, subscribed: doctor.Fails, wids: doctor.NotSeen,
			},
		},
		"well": {
			spoil: nothing, consent: &doctor.Consent{Given: true, Claims: "wids"},
			want: map[string]doctor.Verdict{
				tokens: doctor.Holds, subscribed: doctor.Holds, read: doctor.Holds, "blobs can be had for 7 days": doctor.Holds,
				"sends name their attachments": doctor.Holds, "sends name their message id": doctor.Holds,
				"sends name their recipients": doctor.Holds, "every record can be read": doctor.Holds,
				"records are ready within 24 hours": doctor.Holds, "the tenant lives in the cloud that we ask": doctor.Holds,
				directory: doctor.Holds, pages: doctor.NotSeen, selected: doctor.Holds, boxes: doctor.Holds, ids: doctor.Holds,
				blank: doctor.Holds, deleted: doctor.Holds, wids: doctor.Holds, acct: doctor.Fails,
			},
		},
		"blobs are refused": {
			spoil: fault(m365sim.Fault{Op: "feed.blob", Code: "AF20052"}),
			want: map[string]doctor.Verdict{
				subscribed: doctor.Holds, read: doctor.NotSeen, directory: doctor.Holds, ids: doctor.NotSeen,
			},
		},
		"all that field reports show": {
			field: company.EveryField(), spoil: nothing,
			want: map[string]doctor.Verdict{read: doctor.Holds, ids: doctor.Fails, blank: doctor.Fails, directory: doctor.Holds,
				pages: doctor.Holds,
			},
		},
		"mailboxes are kept from us": {
			spoil: fault(m365sim.Fault{Mailbox: "*", Code: "ErrorAccessDenied"}),
			want:  map[string]doctor.Verdict{boxes: doctor.Fails, ids: doctor.NotSeen, deleted: doctor.Fails},
		},
		"an outage of Graph": {
			spoil: fault(m365sim.Fault{Op: "graph", Status: 503, For: time.Hour}),
			want: map[string]doctor.Verdict{
				directory: doctor.NotSeen, read: doctor.Holds, boxes: doctor.NotSeen, ids: doctor.NotSeen,
				deleted: doctor.NotSeen,
			},
		},
		"large pages time out": {
			spoil: options(func(o *m365sim.Options) { o.LargeTop = 200 }),
			want:  map[string]doctor.Verdict{directory: doctor.Holds, pages: doctor.Fails, selected: doctor.Holds},
		},
		"mailboxes do not answer to names": {
			spoil: fault(m365sim.Fault{Mailbox: "*", ByName: true, Code: "ResourceNotFound"}),
			want:  map[string]doctor.Verdict{boxes: doctor.Holds, ids: doctor.Holds, attached: doctor.Holds},
		},
		"somebody disabled the subscription": {
			spoil: func(s *m365sim.Server, t connection.Tenant) {
				_ = s.DisableSubscription(string(t.ID), string(audit.Exchange), true)
			},
			want: map[string]doctor.Verdict{
				subscribed: doctor.Fails, "a day can be listed": doctor.Fails, directory: doctor.Holds, read: doctor.NotSeen,
			},
		},
		"people have left": {
			spoil: func(s *m365sim.Server, t connection.Tenant) {
				var leaving []string
				for _, p := range company.New(company.Options{Seed: 1, MailsPerHour: 60}).People() {
					leaving = append(leaving, p.ID)
				}
				_ = s.RemovePeople(string(t.ID), leaving[:len(leaving)/2]...)
			},
			want: map[string]doctor.Verdict{known: doctor.Fails},
		},
	} {
		t.Run(name, func(t *testing.T) {
			sim, client, tenant := tenant(t, c.field)
			if !c.before {
				if err := sim.Grant(string(tenant.ID), appID); err != nil {
					t.Fatal(err)
				}
			}
			if !c.before && !c.off {
				if err := client.Subscribe(t.Context(), tenant, audit.Exchange); err != nil {
					t.Fatal(err)
				}
			}
			c.spoil(sim, tenant)
			sim.ResetHistory()
			r := doctor.Examine(t.Context(), client, tenant, c.consent, sim.Now())
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
			for _, op := range []string{"feed.start", "feed.stop"} {
				if n := len(sim.History(m365sim.Filter{Op: op})); n > 0 {
					t.Errorf("the doctor makes %d calls of %s", n, op)
				}
			}
			calls := len(sim.History(m365sim.Filter{}))
			t.Logf("%d calls", calls)
			if calls > 3300 {
				t.Errorf("it makes %d calls", calls)
			}
			wire, err := json.Marshal(r)
			if err != nil || strings.Contains(string(wire)+text.String(), "@") {
				t.Errorf("an address is in the report (%v):\n%s", err, wire)
			}
		})
	}
}

// named is a Microsoft whose mailboxes answer only to names.
type named struct{ *m365.Client }

func (n named) FindSent(ctx context.Context, t connection.Tenant, mailbox, id string) ([]enrich.Mail, error) {
	if connection.IsGUID(mailbox) {
		return nil, enrich.ErrNoMailbox
	}
	return n.Client.FindSent(ctx, t, mailbox, id)
}

// TestTheDoctorSaysWhereMailIs: which mailboxes answer only to names, and in which folder the copies lie.
func TestTheDoctorSaysWhereMailIs(t *testing.T) {
	sim, client, tenant := tenant(t, company.Field{})
	if err := sim.Grant(string(tenant.ID), appID); err != nil {
		t.Fatal(err)
	}
	if err := client.Subscribe(t.Context(), tenant, audit.Exchange); err != nil {
		t.Fatal(err)
	}
	c := company.New(company.Options{Seed: 1, MailsPerHour: 60})
	sent := c.Between(sim.Now().Add(-2*time.Hour), sim.Now().Add(-time.Hour)).Truth
	gone := 0
	for _, truth := range sent {
		if len(truth.Copies) == 1 && gone < 3 {
			copied := truth.Copies[0]
			if err := sim.DeleteForGood(string(tenant.ID), copied.Mailbox, copied.InternetMessageID); err == nil {
				gone++
			}
		}
	}
	r := doctor.Examine(t.Context(), named{client}, tenant, nil, sim.Now())
	places := 0
	for _, f := range r.Findings {
		switch f.Assumption {
		case boxes:
			if f.Verdict != doctor.Fails || strings.Contains(f.Found, ", 0 are from mailboxes that can be read only by name") {
				t.Errorf("%+v", f)
			}
		case ids:
			for name, n := range f.Counts {
				if strings.HasSuffix(name, "Recoverable Items") {
					places += n
				}
			}
		}
	}
	if gone == 0 || places != gone {
		t.Errorf("%d copies were deleted for good, and %d are found there", gone, places)
	}
}

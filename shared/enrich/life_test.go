package enrich_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/enrich"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/forensic"
	m365sim "github.com/mailtrail/mailtrail/sim/m365"
	"github.com/mailtrail/mailtrail/sim/m365/world"
)

// Pain 20: a Graph look-up that fails must be tried again, and must cost the event nothing but what could not
// be found.
func TestAFailedLookUpIsTriedAgainAndThenKeptWithItsReason(t *testing.T) {
	st := newStage(t, m365sim.Options{}, staff(), mailRead())
	a := file(1, "q3.pdf", 1000)
	st.put(mail(a))
	st.sim.Fault(m365sim.Fault{Op: "graph.attachments", Code: "ErrorItemNotFound", Times: 4})
	hashed(t, st.finding(told(a)).Files[0], a)

	never := newStage(t, m365sim.Options{}, staff(), mailRead())
	never.put(mail(a))
	never.sim.Fault(m365sim.Fault{Op: "graph.attachments", Code: "ErrorItemNotFound"})
	if f := never.finding(told(a)); f.Files[0].NoHash != forensic.NotFound || len(f.Recipients) != 1 {
		t.Errorf("%+v: the message was found, and what is attached to it was not", f)
	}

	nowhere := newStage(t, m365sim.Options{}, staff(), mailRead())
	nowhere.sim.Fault(m365sim.Fault{Op: "graph.messages", Code: "ErrorItemNotFound"})
	if f := nowhere.finding(told(a)); f.Reason != forensic.NotFound {
		t.Errorf("%+v", f)
	}
}

func TestMailboxesThatRefuseAreWaitedForUntilTheDeadline(t *testing.T) {
	for _, tc := range []struct {
		name    string
		mailbox string
		arrange func(*stage) error
		want    forensic.Reason
	}{
		{"an application access policy", "ada@fernhill.example",
			func(st *stage) error { return st.sim.BlockMailbox(tenantID, ada, true) }, forensic.MailboxDenied},
		{"no mailbox", "nobox@fernhill.example", nil, forensic.NoMailbox},
		{"nobody", "ghost@fernhill.example", nil, forensic.NoMailbox},
		{"the system", "S-1-5-18", nil, forensic.NoMailbox},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			st := newStage(t, m365sim.Options{}, staff(), mailRead())
			if tc.arrange != nil {
				if err := tc.arrange(st); err != nil {
					t.Fatal(err)
				}
			}
			a := file(1, "q3.pdf", 1000)
			st.put(mail(a))
			record := told(a)
			record.Mailbox, record.Actor = tc.mailbox, tc.mailbox
			if f := st.finding(record); f.Reason != tc.want {
				t.Errorf("%+v", f)
			}
			waited := st.sim.Now().Sub(noon)
			if tc.mailbox == "S-1-5-18" && waited > 0 || tc.mailbox != "S-1-5-18" && waited < 30*time.Minute {
				t.Errorf("it was waited for %s", waited)
			}
		})
	}
}

func TestAGrantOfSingleMailboxesIsNotAMissingPermission(t *testing.T) {
	st := newStage(t, m365sim.Options{}, staff(), nil)
	if err := st.sim.GrantMailbox(tenantID, ada, clientID); err != nil {
		t.Fatal(err)
	}
	a := file(1, "q3.pdf", 1000)
	st.put(mail(a))
	hashed(t, st.finding(told(a)).Files[0], a)
	other := told(a)
	other.Record, other.Mailbox, other.Actor = "aaaaaaaa-0000-4000-8000-000000000002", "ben@fernhill.example",
		"ben@fernhill.example"
	if f := st.finding(other); f.Reason != forensic.MailboxDenied {
		t.Errorf("%+v", f)
	}
}

func TestAMissingPermissionIsWaitedForUntilTheDeadline(t *testing.T) {
	a := file(1, "q3.pdf", 1000)
	st := newStage(t, m365sim.Options{}, staff(), nil)
	st.put(mail(a))
	if f := st.finding(told(a)); f.Reason != forensic.NoPermission || st.sim.Now().Sub(noon) < 30*time.Minute {
		t.Errorf("%+v after %s", f, st.sim.Now().Sub(noon))
	}
	// The same, but the administrator consents anew in time.
	late := newStage(t, m365sim.Options{}, staff(), mailRead())
	if err := late.sim.Revoke(tenantID, clientID); err != nil {
		t.Fatal(err)
	}
	late.put(mail(a))
	record := told(a)
	late.add(record)
	if err := late.once(record.Record); !errors.Is(err, fault.Retry) || fault.Wait(err) <= 0 {
		t.Fatalf("without the permission: %v", err)
	}
	if err := late.sim.Grant(tenantID, clientID); err != nil {
		t.Fatal(err)
	}
	late.settle(1, record.Record)
	f, _ := late.shelf.found(record.Record)
	hashed(t, f.Files[0], a)
}

func TestADeauthorizedConnectionParksItsWork(t *testing.T) {
	st := newStage(t, m365sim.Options{}, staff(), mailRead())
	a := file(1, "q3.pdf", 1000)
	st.put(mail(a))
	record := told(a)
	st.add(record)
	st.shelf.status = connection.Deauthorized
	if err := st.once(record.Record); err != nil {
		t.Fatal(err)
	}
	if _, settled := st.shelf.found(record.Record); settled || len(st.sim.History(m365sim.Filter{})) > 0 {
		t.Error("Microsoft was asked for a connection that is deauthorized")
	}
	st.shelf.status = connection.Error
	hashed(t, st.finding(record).Files[0], a)
}

func TestEnrichingTwiceIsOnce(t *testing.T) {
	st := newStage(t, m365sim.Options{}, staff(), mailRead())
	a := file(1, "q3.pdf", 1000)
	st.put(mail(a))
	record := told(a)
	st.add(record)
	// Done, but reported as failed: the message comes back, and there is nothing more to do.
	st.shelf.failing = errors.New("the table is busy")
	if err := st.once(record.Record); err == nil {
		t.Fatal("the failure to settle is lost")
	}
	asked := len(st.sim.History(m365sim.Filter{}))
	if err := st.once(record.Record); err != nil || len(st.sim.History(m365sim.Filter{})) != asked {
		t.Errorf("%v after %d further requests", err, len(st.sim.History(m365sim.Filter{}))-asked)
	}
}

func TestAShutdownSettlesNothing(t *testing.T) {
	st := newStage(t, m365sim.Options{}, staff(), mailRead())
	st.sim.Fault(m365sim.Fault{Op: "graph.messages", Hang: true})
	record := told(file(1, "q3.pdf", 1000))
	record.Stored = noon.Add(-time.Hour) // the last attempt
	st.add(record)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- st.agent.Enrich(ctx, fmt.Appendf(nil, `{"connection":%q,"record":%q}`, fernhill, record.Record))
	}()
	for len(st.sim.History(m365sim.Filter{Op: "graph.messages"})) == 0 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if f, settled := st.shelf.found(record.Record); settled {
		t.Errorf("settled with %+v", f)
	}
}

// A stream that trickles must not keep a message, or its worker, for ever.
func TestAnAttemptThatTakesTooLongEnds(t *testing.T) {
	st := newStage(t, m365sim.Options{}, staff(), mailRead(),
		func(c *enrich.Config) { c.Attempt = 300 * time.Millisecond })
	bad, good := file(1, "bad.pdf", 30_000), file(2, "good.pdf", 30_000)
	st.put(mail(bad, good))
	st.sim.Fault(m365sim.Fault{Op: "graph.value", Path: "/att1", Hang: true})
	record := told(bad, good)
	st.add(record)
	if err := st.once(record.Record); !errors.Is(err, fault.Retry) || fault.Wait(err) <= 0 {
		t.Fatalf("%v", err)
	}
	st.sim.Advance(time.Hour)
	if err := st.once(record.Record); err != nil {
		t.Fatal(err)
	}
	f, _ := st.shelf.found(record.Record)
	if f.Files[0].NoHash != forensic.OutOfTime {
		t.Errorf("%+v", f.Files[0])
	}
	hashed(t, f.Files[1], good)
}

// A function is stopped at its end: what was found until then is stored before.
func TestTheLastAttemptEndsBeforeItsContext(t *testing.T) {
	st := newStage(t, m365sim.Options{}, staff(), mailRead())
	st.sim.Fault(m365sim.Fault{Op: "graph.messages", Hang: true})
	record := told(file(1, "q3.pdf", 1000))
	record.Stored = noon.Add(-time.Hour)
	st.add(record)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	err := st.agent.Enrich(ctx, fmt.Appendf(nil, `{"connection":%q,"record":%q}`, fernhill, record.Record))
	if f, settled := st.shelf.found(record.Record); err != nil || !settled || f.Reason != forensic.OutOfTime {
		t.Errorf("%v, %t, %+v", err, settled, f)
	}
}

func TestSettings(t *testing.T) {
	inside, outside := []world.Address{{Address: "ben@Fernhill.example"}, {Address: "x@subsidiary.example"}},
		[]world.Address{{Address: "ben@fernhill.example"}, {Address: "me@gmail.com"}}
	for _, tc := range []struct {
		setting enrich.Setting
		to      []world.Address
		own     domains
		want    forensic.Reason
	}{
		{enrich.All, inside, nil, ""},
		{enrich.None, outside, nil, forensic.HashingOff},
		{enrich.Outgoing, outside, nil, ""},
		{enrich.Outgoing, inside, nil, ""}, // who does not know the subsidiary takes it for another company
		{enrich.Outgoing, inside, domains{"fernhill.example", "subsidiary.example"}, forensic.InternalOnly},
		{enrich.Outgoing, inside[:1], nil, forensic.InternalOnly},
		{enrich.Outgoing, nil, nil, ""},
	} {
		t.Run(fmt.Sprintf("%s to %v", tc.setting, tc.to), func(t *testing.T) {
			t.Parallel()
			st := newStage(t, m365sim.Options{}, staff(), mailRead(), func(c *enrich.Config) {
				c.Hashes = tc.setting
				if tc.own != nil {
					c.Domains = tc.own
				}
			})
			a := file(1, "q3.pdf", 1000)
			m := mail(a)
			m.To = tc.to
			st.put(m)
			f := st.finding(told(a))
			if f.Files[0].NoHash != tc.want {
				t.Errorf("%+v", f.Files[0])
			}
			if len(f.Recipients) != len(tc.to) || f.Files[0].ID == "" {
				t.Errorf("%+v: the setting is about hashes only", f)
			}
		})
	}
	for _, s := range []string{"some", "ALL"} {
		if _, err := enrich.ParseSetting(s); err == nil {
			t.Errorf("%q is taken for a setting", s)
		}
	}
}

type domains []string

func (d domains) Domains(context.Context, connection.ID) ([]string, error) { return d, nil }

func TestACopyThatWasReceivedIsCompletedFromTheRecord(t *testing.T) {
	st := newStage(t, m365sim.Options{}, staff(), mailRead())
	a := file(1, "q3.pdf", 1000)
	m, record := mail(a), told(a)
	m.Folder = "inbox"
	record.Recipients = []string{"OUT@partner.example", "hidden@partner.example"}
	st.put(m)
	f := st.finding(record)
	if len(f.Recipients) != 2 || f.Recipients[1] != (forensic.Recipient{Address: "hidden@partner.example"}) {
		t.Errorf("recipients %+v", f.Recipients)
	}
}

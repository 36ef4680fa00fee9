package machine_test

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/local/machine"
	"github.com/mailtrail/mailtrail/shared/settings"
	m365sim "github.com/mailtrail/mailtrail/sim/m365"
	"github.com/mailtrail/mailtrail/sim/m365/company"
	real "github.com/mailtrail/mailtrail/sim/m365/world"
)

// TestRecipientsAndHashesOfAllThatWasSentAreFoundInAHostileWorld compares every event with what was really sent: its
// recipients and its hashes, or the reason why there are none. Every tenth request is refused, bodies break off,
// tokens expire. Meanwhile a client reads on from its last event, in the order of ids: it sees each event once,
// whole.
func TestRecipientsAndHashesOfAllThatWasSentAreFoundInAHostileWorld(t *testing.T) {
	opts := m365sim.Hostile(5)
	opts.RolePropagation, opts.LateBy, opts.TokenLife = 300*time.Millisecond, time.Second, 2*time.Second
	opts.RefuseRate, opts.SentLag = 0.1, 0
	w := startWith(t, opts, machine.Config{Settings: settings.Settings{EnrichFor: 20 * time.Second}})
	c := company.New(company.Options{Seed: 5, MailsPerHour: 100, Noise: 5})
	w.sim.AddTenant(c.Tenant(), c.People())
	from, to := morning, morning.Add(2*time.Hour)
	blobs := w.day(c, from, to)
	id := w.connect(c)

	reader := &checkpoint{w: w, seen: map[string]int{}}
	w.wait("all blobs to end", func() bool {
		reader.read()
		sums, err := w.machine.Ledger.Sums(t.Context(), id)
		return err == nil && sums.Listed >= blobs && sums.Open() == 0
	})
	w.wait("no message to wait any more", func() bool {
		reader.read()
		waiting, err := w.machine.Desk.Waiting(t.Context(), id, 1)
		return err == nil && waiting == 0
	})
	all := w.search(everything, "@timestamp", 100)
	w.wait("the client to see all", func() bool {
		reader.read()
		return len(reader.seen) >= len(all)
	})
	for _, e := range all {
		if reader.seen[e.Event.ID] != 1 {
			t.Errorf("the client that goes on from its last event saw %s %d times", e.Event.ID, reader.seen[e.Event.ID])
		}
	}

	slice := c.Between(from, to)
	compareWithTruth(t, c, slice, byMessage(all))
	w.stop()
	for _, private := range privateTexts(slice) {
		if log := w.log.String(); strings.Contains(log, private) {
			at := strings.Index(log, private)
			t.Fatalf("the log holds %q: %s", private, log[max(0, at-200):min(len(log), at+100)])
		}
	}
}

// checkpoint is a client that keeps the id of the last event that it saw, and asks for the events after it.
type checkpoint struct {
	w    *world
	last string
	seen map[string]int
}

func (c *checkpoint) read() {
	c.w.t.Helper()
	for _, e := range c.w.searchAfter(everything, "event.id", 50, c.last) {
		c.seen[e.Event.ID]++
		c.last = e.Event.ID
		if e.Event.Enriched == nil || e.File.Hash.SHA256 == nil && e.File.Hash.SHA256Error == nil {
			c.w.t.Errorf("the client that goes on from its last event saw %s before it was enriched", e.Event.ID)
		}
	}
}

func byMessage(events []found) map[string][]found {
	by := map[string][]found{}
	for _, e := range events {
		by[e.Source.Email.MessageID] = append(by[e.Source.Email.MessageID], e)
	}
	return by
}

// compareWithTruth compares each message's events with what was sent: none is missing, and none is too many.
func compareWithTruth(t *testing.T, c *company.Company, slice company.Slice, got map[string][]found) {
	t.Helper()
	kept, linked := map[string]bool{}, map[string]real.Attachment{}
	for _, m := range slice.Messages {
		for _, a := range m.Attachments {
			if a.Kind == "reference" && a.SourceURL != "" {
				linked[m.InternetMessageID+a.Name] = a
			}
		}
		kept[m.InternetMessageID] = kept[m.InternetMessageID] || !m.Draft
	}
	messages, hashes, reasons, unkept := 0, 0, map[string]int{}, 0
	for _, sent := range slice.Truth {
		if sent.Noise || len(sent.Files) == 0 {
			continue
		}
		messages++
		if err := c.Hash(&sent); err != nil {
			t.Fatal(err)
		}
		events := got[sent.InternetMessageID]
		delete(got, sent.InternetMessageID)
		if !kept[sent.InternetMessageID] {
			unkept++
			requireReason(t, sent, events, "in no mailbox")
			continue
		}
		requireRecipients(t, sent, events)
		var want, have []string
		for _, f := range sent.Files {
			if a, ok := linked[sent.InternetMessageID+f.Name]; ok {
				f.Length, f.MD5, f.SHA256 = a.Length, sumOf(t, a, md5.New()), sumOf(t, a, sha256.New())
			}
			want = append(want, describe(f.Name, f.Length, f.MD5, f.SHA256))
		}
		for _, e := range events {
			short, long := "", ""
			if e.File.Hash.SHA256 != nil && e.File.Hash.MD5 != nil {
				short, long = *e.File.Hash.MD5, *e.File.Hash.SHA256
				hashes++
			} else {
				reasons[*e.File.Hash.SHA256Error]++
			}
			have = append(have, describe(e.File.Name, *e.File.SizeInBytes, short, long))
		}
		slices.Sort(want)
		slices.Sort(have)
		if !slices.Equal(have, want) {
			t.Errorf("message %s of %s has\n%q, and sent were\n%q", sent.RecordID, sent.Observed, have, want)
		}
	}
	for id, events := range got {
		t.Errorf("%d events of message %s, which nobody sent", len(events), id)
	}
	t.Logf("%d messages, %d hashes, %d messages in no mailbox, reasons %v", messages, hashes, unkept, reasons)
	if messages < 50 || hashes < 50 || unkept == 0 {
		t.Errorf("only %d messages with %d hashes, %d that were not kept: nothing is shown by this test", messages, hashes,
			unkept)
	}
	for reason := range maps.Keys(reasons) {
		if strings.Contains(reason, "until the deadline") || strings.Contains(reason, "not been read") {
			t.Errorf("%d files say: %s", reasons[reason], reason)
		}
	}
}

// sumOf returns the hash of the file behind a link, which the company's truth does not contain.
func sumOf(t *testing.T, a real.Attachment, h hash.Hash) string {
	t.Helper()
	if _, err := io.Copy(h, a.Reader()); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// describe describes one file. The size of a file without hashes is not known.
func describe(name string, length int64, short, long string) string {
	if long == "" {
		return name + " without hash"
	}
	return fmt.Sprint(name, " ", length, " ", short, " ", long)
}

func requireRecipients(t *testing.T, sent real.Truth, events []found) {
	t.Helper()
	want := lowered(sent.Recipients)
	for _, e := range events {
		if have := lowered(e.Destination.Email.Recipients); !slices.Equal(have, want) ||
			e.Destination.Email.RecipientsError != nil {
			t.Errorf("message %s went to %q, and the event says %q", sent.RecordID, want, have)
		}
	}
}

func requireReason(t *testing.T, sent real.Truth, events []found, reason string) {
	t.Helper()
	if len(events) != len(sent.Files) {
		t.Errorf("message %s has %d events, want %d", sent.RecordID, len(events), len(sent.Files))
	}
	for _, e := range events {
		if e.File.Hash.SHA256Error == nil || !strings.Contains(*e.File.Hash.SHA256Error, reason) ||
			e.Destination.Email.RecipientsError == nil {
			t.Errorf("message %s is in no mailbox, and its event says %v", sent.RecordID, e.File.Hash)
		}
	}
}

// lowered returns the distinct addresses, in lower case and sorted.
func lowered(addresses []string) []string {
	var all []string
	for _, a := range addresses {
		all = append(all, strings.ToLower(a))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// privateTexts returns the addresses, subjects and file names of a slice that are too long to occur by chance.
func privateTexts(slice company.Slice) []string {
	texts := map[string]bool{}
	for _, sent := range slice.Truth {
		for _, s := range append(append([]string{sent.Subject, sent.Actor}, sent.From), sent.Recipients...) {
			texts[s] = true
		}
		for _, f := range sent.Files {
			texts[f.Name] = true
		}
	}
	maps.DeleteFunc(texts, func(s string, _ bool) bool { return len(s) < 12 })
	return slices.Collect(maps.Keys(texts))
}

// TestMessagesOfADeauthorizedConnectionAreParkedUntilItIsResumed deauthorizes a connection while its mailboxes cannot
// be read. Its messages wait, and do not hold back the order of ids of other connections. Once it is resumed, they
// are enriched.
func TestMessagesOfADeauthorizedConnectionAreParkedUntilItIsResumed(t *testing.T) {
	w := startWith(t, m365sim.Options{Seed: 1, PageSize: 50, StrictPublisher: true}, machine.Config{Everybody: true})
	trouble := company.New(company.Options{Seed: 1, TenantID: "11111111-1111-4222-8333-444444444444", MailsPerHour: 60,
		Noise: 3})
	healthy := company.New(company.Options{Seed: 2, TenantID: "22222222-1111-4222-8333-444444444444", MailsPerHour: 60,
		Noise: 3})
	for _, c := range []*company.Company{trouble, healthy} {
		w.sim.AddTenant(c.Tenant(), c.People())
	}
	w.sim.Fault(m365sim.Fault{Tenant: trouble.Tenant().ID, Op: "graph", Status: 503})
	few, more := w.day(trouble, morning, morning.Add(20*time.Minute)), w.day(healthy, morning, morning.Add(20*time.Minute))
	id, other := w.connect(trouble), w.connect(healthy)
	w.ended(id, few)
	w.ended(other, more)
	waiting := func() int {
		n, err := w.machine.Desk.Waiting(t.Context(), id, 1000)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	parked := waiting()
	if parked == 0 {
		t.Fatal("nothing waits: nothing is shown by this test")
	}
	if _, err := w.machine.Registry.Deauthorize(t.Context(), id, "test"); err != nil {
		t.Fatal(err)
	}
	w.wait("the other connection's events in the order of their ids", func() bool {
		return len(w.search(everything+`,{"term":"event.enriched","operator":"EXISTS"}`, "event.id", 50)) > 0
	})
	w.sim.ClearFaults()
	for _, sent := range trouble.Between(morning, morning.Add(20*time.Minute)).Truth {
		body := fmt.Sprintf(`{"connection":%q,"record":%q}`, id, strings.ToLower(sent.RecordID))
		if err := w.machine.Enricher.Enrich(t.Context(), []byte(body)); err != nil {
			t.Errorf("a message of a deauthorized connection is not parked: %v", err)
		}
	}
	if n := waiting(); n != parked {
		t.Errorf("%d messages wait while the connection is deauthorized, want %d", n, parked)
	}

	if _, err := w.machine.Registry.Resume(t.Context(), id, "test"); err != nil {
		t.Fatal(err)
	}
	patient := *w.machine.Desk
	patient.Patience = 0 // in a test nobody waits for the deadline
	if n, err := patient.Sweep(t.Context(), id); err != nil || n != parked {
		t.Errorf("the sweep sends %d messages, want %d: %v", n, parked, err)
	}
	unkept := unkeptOf(trouble.Between(morning, morning.Add(20*time.Minute)))
	w.wait("what was parked to be enriched", func() bool { return waiting() == unkept })
}

// unkeptOf returns how many messages with files are in no mailbox, and are looked for until the deadline.
func unkeptOf(slice company.Slice) (n int) {
	kept := map[string]bool{}
	for _, m := range slice.Messages {
		kept[m.InternetMessageID] = kept[m.InternetMessageID] || !m.Draft
	}
	for _, sent := range slice.Truth {
		if !sent.Noise && len(sent.Files) > 0 && !kept[sent.InternetMessageID] {
			n++
		}
	}
	return n
}

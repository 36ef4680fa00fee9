package forensic_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/embedded"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/forensic"
	"github.com/mailtrail/mailtrail/shared/table"
)

const contoso connection.ID = "c0ffee000001"

var now = time.Date(2026, 4, 2, 8, 0, 0, 0, time.UTC)

// world is a tenant's feed, and the tables in one folder.
type world struct {
	feed   feed
	store  *embedded.Store
	events table.Table
	blobs  table.Table
}

func newWorld(t testing.TB) *world {
	store, err := embedded.Open(t.TempDir(), embedded.Options{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return &world{feed: feed{}, store: store, events: store.Table("events"), blobs: store.Table("blobs")}
}

// ingester is one process: it remembers nothing of the one before.
func (w *world) ingester() *forensic.Ingester {
	return &forensic.Ingester{
		Feed:      w.feed,
		Ledger:    w.ledger(),
		Events:    w.events,
		Now:       func() time.Time { return now },
		Retention: 90 * 24 * time.Hour,
		Log:       slog.New(slog.DiscardHandler),
	}
}

func (w *world) ledger() *audit.Ledger {
	return &audit.Ledger{Table: w.blobs, Now: func() time.Time { return now }}
}

// add offers a blob and returns what the queue says of it.
func (w *world) add(id string, arrival time.Time, content func() io.Reader) []byte {
	uri := "https://manage.office.com/" + id
	w.feed[uri] = content
	body, err := json.Marshal(audit.Blob{
		Connection: contoso, Tenant: connection.Tenant{ID: "7b1c3f9e-1111-4a5b-9c60-6a7b8c9d0e1f", Cloud: connection.Commercial},
		Type: audit.Exchange, ID: audit.ContentID(id), URI: uri, Created: arrival, Expires: arrival.Add(7 * 24 * time.Hour), Arrival: arrival,
	})
	if err != nil {
		panic(err)
	}
	return body
}

func (w *world) entry(t *testing.T, id string) audit.Entry {
	t.Helper()
	e, err := w.ledger().Find(context.Background(), contoso, audit.ContentID(id))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// feed has the content of blobs by their URI.
type feed map[string]func() io.Reader

func (f feed) Open(_ context.Context, _ connection.Tenant, uri string) (io.ReadCloser, error) {
	open, ok := f[uri]
	if !ok {
		return nil, fmt.Errorf("fetch %s: %w: %w", uri, audit.ErrGone, fault.Poison)
	}
	return io.NopCloser(open()), nil
}

func text(s string) func() io.Reader { return func() io.Reader { return strings.NewReader(s) } }

// array is a blob of these records.
func array(records ...string) func() io.Reader { return text("[" + strings.Join(records, ",\n") + "]") }

// send is the record of a mail with these attachments, observed n minutes before now.
func send(n int, attachments string) string {
	return fmt.Sprintf(`{"CreationTime":"%s","Id":"4F2C1E1A-93C7-4B1D-8E44-%012X","Operation":"Send","OrganizationId":"7b1c3f9e-1111-4a5b-9c60-6a7b8c9d0e1f",`+
		`"RecordType":2,"ResultStatus":"Succeeded","UserKey":"1003200126677019","UserType":0,"Version":1,"Workload":"Exchange","ClientIP":"20.190.160.96",`+
		`"UserId":"user%d@contoso.onmicrosoft.com","AppId":"00000003-0000-0000-c000-000000000000","ClientAppId":"9199bf20-a13f-4107-85dc-02114787ef48",`+
		`"ClientIPAddress":"20.190.160.96","ClientInfoString":"Client=REST;;","ExternalAccess":false,"InternalLogonType":0,"LogonType":0,`+
		`"LogonUserSid":"S-1-5-21-3623811015-3361044348-30300820-1013","MailboxGuid":"0d5c7a0e-2222-4c3d-8e9f-a0b1c2d3e4f5",`+
		`"MailboxOwnerSid":"S-1-5-21-3623811015-3361044348-30300820-1013","MailboxOwnerUPN":"user%d@contoso.onmicrosoft.com",`+
		`"OrganizationName":"contoso.onmicrosoft.com","OriginatingServer":"DB8PR04MB6875 (15.20.4042.018)\r\n","SessionId":"1d2ef24c-0c8e-4f5b-8d1d-93c74b1d8e44",`+
		`"Item":{"Attachments":%q,"Id":"RgAAAAD4Y0kZb2ZcS4VqPjW4XnqpBwAoQ1cV3w2uRoZx7mY4rJkKAAAAAAEPAAAoQ1cV3w2uRoZx7mY4rJkKAAAhVd0AAAAJ",`+
		`"InternetMessageId":"<DB8PR04MB6875%012X@DB8PR04MB6875.eurprd04.prod.outlook.com>",`+
		`"ParentFolder":{"Id":"LgAAAAD4Y0kZb2ZcS4VqPjW4XnqpAQAoQ1cV3w2uRoZx7mY4rJkKAAAAAAEPAAAB","Path":"\\Drafts"},"SizeInBytes":48201,"Subject":"project details %d"}}`,
		now.Add(-time.Duration(n)*time.Minute).Format("2006-01-02T15:04:05"), n, n%50, n%50, attachments, n, n)
}

func id(n int) forensic.RecordID {
	return forensic.RecordID(fmt.Sprintf("4f2c1e1a-93c7-4b1d-8e44-%012x", n))
}

// retry brings a body back until it is done with, as the queue does.
func retry(t *testing.T, w *world, body []byte) {
	t.Helper()
	for range 5 {
		err := w.ingester().Ingest(context.Background(), body)
		if err == nil {
			return
		}
		if errors.Is(err, fault.Poison) {
			t.Fatalf("the queue would give up: %v", err)
		}
	}
	t.Fatal("not done with after five attempts")
}

// shown is what a search without a filter finds: the messages that the days' postings lead to, by record.
func shown(t *testing.T, events table.Table) map[forensic.RecordID]forensic.Message {
	t.Helper()
	ctx := context.Background()
	found := make(map[forensic.RecordID]forensic.Message)
	for _, sort := range sorts(t, events, forensic.DaysPartition(contoso)) {
		name, ok := strings.CutPrefix(sort, forensic.DaysObserved)
		if !ok {
			continue
		}
		day, err := time.Parse("2006-01-02", name)
		if err != nil {
			t.Fatal(err)
		}
		var ids []forensic.RecordID
		for item, err := range events.Query(ctx, table.Query{Partition: forensic.DayPartition(contoso, day)}) {
			if err != nil {
				t.Fatal(err)
			}
			p, err := forensic.ReadDay(item)
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, p.Record)
		}
		messages, err := forensic.Load(ctx, events, contoso, ids)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range messages {
			if _, twice := found[m.Record]; twice {
				t.Errorf("message %s is shown twice", m.Record)
			}
			found[m.Record] = m
		}
	}
	return found
}

func sorts(t *testing.T, events table.Table, partition string) []string {
	t.Helper()
	var all []string
	for item, err := range events.Query(context.Background(), table.Query{Partition: partition}) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, item.Sort)
	}
	return all
}

// requireFound makes sure that every index leads to the message.
func requireFound(t *testing.T, events table.Table, m forensic.Message) {
	t.Helper()
	at := forensic.TimeSort(m.Observed, m.Record)
	want := map[string]string{
		forensic.DayPartition(contoso, m.Observed):    at,
		forensic.ArrivalPartition(contoso, m.Arrival): m.EventID(0).ArrivalSort(),
	}
	for partition, sort := range want {
		requirePosting(t, events, partition, sort)
	}
	for _, term := range m.Terms() {
		partition := forensic.TermPartition(contoso, term.Field, m.Observed, forensic.Bucket(term.Value))
		requirePosting(t, events, partition, forensic.TermPrefix(term.Value)+at)
	}
	days := forensic.DaysPartition(contoso)
	requirePosting(t, events, days, forensic.DaysObserved+m.Observed.Format("2006-01-02"))
	requirePosting(t, events, days, forensic.DaysArrival+m.Arrival.Format("2006-01-02"))
}

func requirePosting(t *testing.T, events table.Table, partition, sort string) {
	t.Helper()
	if _, err := events.Get(context.Background(), table.Key{Partition: partition, Sort: sort}); err != nil {
		t.Errorf("a message is stored that its posting %q %q does not lead to: %v", partition, sort, err)
	}
}

func TestReplayedAndShuffledDataGivesEachEventOnce(t *testing.T) {
	w := newWorld(t)
	const messages = 300
	var records []string
	want := make(map[forensic.RecordID]int)
	for n := range messages {
		records = append(records, send(n*30, strings.Repeat("logo.png (99b); ", n%3)+fmt.Sprintf("file %d.pdf (1b)", n)))
		want[id(n*30)] = n%3 + 1
	}

	shuffle := rand.New(rand.NewPCG(1, 2))
	var bodies [][]byte
	for replay := range 2 {
		twice := append(slices.Clone(records), records[:messages/2]...)
		shuffle.Shuffle(len(twice), func(i, j int) { twice[i], twice[j] = twice[j], twice[i] })
		for i, part := range slices.Collect(slices.Chunk(twice, 90)) {
			bodies = append(bodies, w.add(fmt.Sprintf("blob-%d-%d", replay, i), now.Add(time.Duration(replay)*time.Second), array(part...)))
		}
	}
	in := w.ingester()
	var wg sync.WaitGroup
	for _, body := range append(bodies, bodies...) {
		wg.Go(func() {
			for {
				err := in.Ingest(context.Background(), body)
				if err == nil {
					return
				}
				if !errors.Is(err, fault.Retry) {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()

	got := make(map[forensic.RecordID]int)
	for record, m := range shown(t, w.events) {
		got[record] = len(m.Files)
		requireFound(t, w.events, m)
	}
	if !maps.Equal(got, want) {
		t.Errorf("%d messages are shown, want %d, each with its files", len(got), len(want))
	}
	sums, err := w.ledger().Sums(context.Background(), contoso)
	if err != nil {
		t.Fatal(err)
	}
	tally := sums.Tally
	if tally.Sends != tally.Messages+tally.Repeated+tally.Noise+tally.Failed || tally.Messages > messages || sums.Settled != int64(len(bodies)) {
		t.Errorf("sums do not add up: %+v", sums)
	}
}

func TestBlobIsTalliedAndItsUnreadableElementsAreKept(t *testing.T) {
	w := newWorld(t)
	noise := strings.NewReplacer("00000003-0000-0000-c000-000000000000", "3138fe80-4087-4b04-80a6-8866c738028a", "<DB8", "<odspmicro-").Replace(send(3, "AttachedImage (1b)"))
	body := w.add("blob", now, array(
		send(1, "a.pdf (1b); b.pdf (2b)"),
		send(1, "a.pdf (1b); b.pdf (2b)"),
		send(2, "c (3b)"),
		noise,
		strings.Replace(send(4, "d (1b)"), "Succeeded", "Failed", 1),
		`{"Operation":"Send","Item":{"Attachments":"no id (1b)"}}`,
		`"no record"`,
		`{"Operation":"MailItemsAccessed","Id":"x"}`,
	))
	if err := w.ingester().Ingest(context.Background(), body); err != nil {
		t.Fatal(err)
	}
	e := w.entry(t, "blob")
	want := audit.Tally{Records: 8, Sends: 5, Noise: 1, Failed: 1, Messages: 2, Repeated: 1, Events: 3, Unreadable: 2}
	if e.State != audit.Settled || e.Tally != want {
		t.Errorf("blob is %s with %+v, want settled with %+v", e.State, e.Tally, want)
	}
}

func TestLateEventsLandAtTheirObservedTime(t *testing.T) {
	w := newWorld(t)
	const sixDays = 6 * 24 * 60
	retry(t, w, w.add("today", now, array(send(5, "a (1b)"))))
	retry(t, w, w.add("late", now.Add(time.Hour), array(send(sixDays, "b (1b)"))))

	late := shown(t, w.events)[id(sixDays)]
	if want := now.Add(-sixDays * time.Minute); !late.Observed.Equal(want) || !late.Arrival.Equal(now.Add(time.Hour)) {
		t.Errorf("late event was observed at %s and arrived at %s, want %s and an hour after now", late.Observed, late.Arrival, want)
	}
	requireFound(t, w.events, late)
	day := sorts(t, w.events, forensic.DayPartition(contoso, late.Observed))
	if len(day) != 1 {
		t.Errorf("the day it was observed has postings %q, want one", day)
	}
	if late.EventID(0).String() <= shown(t, w.events)[id(5)].EventID(0).String() {
		t.Error("the event that arrived late does not sort after what had arrived before")
	}
}

func TestOneBadBlobHoldsNothingUp(t *testing.T) {
	whole := "[" + send(1, "a (1b)") + "," + send(2, "b (1b)") + "]"
	for name, c := range map[string]struct {
		content func() io.Reader
		state   audit.State
		shown   int
		reason  string
	}{
		"gone":                 {nil, audit.Lost, 0, "gone"},
		"garbage in the array": {text(strings.Replace(whole, "},{", "} {", 1)), audit.Lost, 1, "malformed at byte"},
		"no array":             {text(`{"error":{"code":"AF50000"}}`), audit.Lost, 0, "malformed at byte 0"},
		"bytes after it":       {text(whole + "x"), audit.Lost, 2, "malformed at byte"},
		"torn at first":        {onceTorn(whole), audit.Settled, 2, ""},
		"empty":                {text("[]"), audit.Settled, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			body := w.add("bad", now, c.content)
			if c.content == nil {
				clear(w.feed)
				begin(t, w, body)
			}
			retry(t, w, body)
			retry(t, w, body) // the queue may bring it once more
			retry(t, w, w.add("good", now, array(send(9, "c (1b)"))))

			e := w.entry(t, "bad")
			if e.State != c.state || !strings.Contains(e.Reason, c.reason) {
				t.Errorf("blob is %s, %q, want %s, %q", e.State, e.Reason, c.state, c.reason)
			}
			if got := len(shown(t, w.events)); got != c.shown+1 {
				t.Errorf("%d messages are shown, want %d of the bad blob and one of the good one", got, c.shown)
			}
		})
	}
}

// begin has the ledger know a blob, as the poller does before it is gone.
func begin(t *testing.T, w *world, body []byte) {
	t.Helper()
	var b audit.Blob
	if err := json.Unmarshal(body, &b); err != nil {
		t.Fatal(err)
	}
	if _, err := w.ledger().Begin(context.Background(), b); err != nil {
		t.Fatal(err)
	}
}

// onceTorn ends early at the first reading.
func onceTorn(s string) func() io.Reader {
	torn := false
	return func() io.Reader {
		if torn {
			return strings.NewReader(s)
		}
		torn = true
		return strings.NewReader(s[:len(s)-9])
	}
}

func TestWhatTheTenantRefusesComesBack(t *testing.T) {
	for _, kind := range []error{fault.Retry, fault.Refused, errors.New("connection reset")} {
		w := newWorld(t)
		body := w.add("blob", now, array(send(1, "a (1b)")))
		in := w.ingester()
		in.Feed = refusing{kind}
		if err := in.Ingest(context.Background(), body); !errors.Is(err, kind) {
			t.Errorf("ingest says %v, want %v", err, kind)
		}
		in.Feed = w.feed
		w.feed["https://manage.office.com/blob"] = func() io.Reader {
			return io.MultiReader(strings.NewReader("["+send(1, "a (1b)")), failing{kind})
		}
		if err := in.Ingest(context.Background(), body); !errors.Is(err, kind) {
			t.Errorf("a stream that breaks: ingest says %v, want %v", err, kind)
		}
	}
}

type refusing struct{ err error }

func (r refusing) Open(context.Context, connection.Tenant, string) (io.ReadCloser, error) {
	return nil, r.err
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestBodiesThatAreNoBlobsArePoison(t *testing.T) {
	w := newWorld(t)
	good := w.add("blob", now, array())
	for _, body := range [][]byte{
		nil, []byte("{"), []byte("[]"), []byte("{}"),
		bytes.Replace(good, []byte(`"contentUri"`), []byte(`"other"`), 1),
		bytes.Replace(good, []byte(`"arrival"`), []byte(`"other"`), 1),
		bytes.Replace(good, []byte(`"connection"`), []byte(`"other"`), 1),
	} {
		if err := w.ingester().Ingest(context.Background(), body); !errors.Is(err, fault.Poison) {
			t.Errorf("body %s: %v, want poison", body, err)
		}
	}
}

package forensic_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/embedded"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/forensic"
	"github.com/mailtrail/mailtrail/shared/queue"
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
	queue  queue.Sender // of messages to be enriched; nil: none are
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
		Queue:     w.queue,
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
		Connection: contoso, Tenant: connection.Tenant{ID: "7b1c3f9e-1111-4a5b-9c60-6a7b8c9d0e1f",
			Cloud: connection.Commercial},
		Type: audit.Exchange, ID: audit.ContentID(id), URI: uri, Created: arrival, Expires: arrival.Add(7 * 24 * time.Hour),
		Arrival: arrival,
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
	return fmt.Sprintf(
		`{"CreationTime":"%s","Id":"4F2C1E1A-93C7-4B1D-8E44-%012X","Operation":"Send","OrganizationId":"7b1c3f9e-1111-4a5b-9c60-6a7b8c9d0e1f",`+
			`"RecordType":2,"ResultStatus":"Succeeded","UserKey":"1003200126677019","UserType":0,"Version":1,"Workload":"Exchange","ClientIP":"20.190.160.96",`+
			`"UserId":"user%d@contoso.onmicrosoft.com","AppId":"00000003-0000-0000-c000-000000000000","ClientAppId":"9199bf20-a13f-4107-85dc-02114787ef48",`+
			`"ClientIPAddress":"20.190.160.96","ClientInfoString":"Client=REST;;","ExternalAccess":false,"InternalLogonType":0,"LogonType":0,`+
			`"LogonUserSid":"S-1-5-21-3623811015-3361044348-30300820-1013","MailboxGuid":"0d5c7a0e-2222-4c3d-8e9f-a0b1c2d3e4f5",`+
			`"MailboxOwnerSid":"S-1-5-21-3623811015-3361044348-30300820-1013","MailboxOwnerUPN":"user%d@contoso.onmicrosoft.com",`+
			`"OrganizationName":"contoso.onmicrosoft.com","OriginatingServer":"DB8PR04MB6875 (15.20.4042.018)\r\n","SessionId":"1d2ef24c-0c8e-4f5b-8d1d-93c74b1d8e44",`+
			`"Item":{"Attachments":%q,"Id":"RgAAAAD4Y0kZb2ZcS4VqPjW4XnqpBwAoQ1cV3w2uRoZx7mY4rJkKAAAAAAEPAAAoQ1cV3w2uRoZx7mY4rJkKAAAhVd0AAAAJ",`+
			`"InternetMessageId":"<DB8PR04MB6875%012X@DB8PR04MB6875.eurprd04.prod.outlook.com>",`+
			`"ParentFolder":{"Id":"LgAAAAD4Y0kZb2ZcS4VqPjW4XnqpAQAoQ1cV3w2uRoZx7mY4rJkKAAAAAAEPAAAB","Path":"\\Drafts"},"SizeInBytes":48201,"Subject":"project details %d"}}`,
		now.Add(-time.Duration(n)*time.Minute).Format("2006-01-02T15:04:05"),
		n,
		n%50,
		n%50,
		attachments,
		n,
		n,
	)
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

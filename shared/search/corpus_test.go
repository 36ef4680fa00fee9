package search

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/access"
	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/embedded"
	"github.com/mailtrail/mailtrail/shared/forensic"
	"github.com/mailtrail/mailtrail/shared/table"
)

// mail is a sent mail as a test describes it.
type mail struct {
	conn       int // index in office.conns
	record     string
	at         time.Time
	operation  string // Send if empty
	user       string
	owner      string // the mailbox's; user if empty
	onBehalf   string // SendOnBehalfOfUserSmtp
	subject    string
	messageID  string
	ip         string
	recipients []string
	files      string         // as Item.Attachments
	facts      map[string]any // further members of the record
}

// office is a table with connections and mails, and a search over them. Mails come in by the ingester, as in the
// product.
type office struct {
	t         testing.TB
	table     *counting
	search    *Search
	ingester  *forensic.Ingester
	desk      *forensic.Desk
	found     func(forensic.Message) *forensic.Finding // the finding about a stored message; nil: it still waits
	conns     []connection.Connection
	now       time.Time
	watermark time.Time
	trail     []access.Entry
	trailErr  error
	blobs     map[string][]byte
	mails     []mail
	events    []event // all that were stored, in no order
	log       bytes.Buffer
}

var start = time.Date(2026, 10, 20, 12, 0, 0, 0, time.UTC)

func newOffice(t testing.TB) *office {
	t.Helper()
	store, err := embedded.Open(t.TempDir(), embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	o := &office{t: t, table: &counting{Table: store.Table("events")}, now: start, watermark: start.AddDate(1, 0, 0),
		blobs: make(map[string][]byte)}
	for i, name := range []string{"Corp", "Büro Süd", "Rival Labs"} {
		o.conns = append(o.conns, connection.Connection{
			ID: connection.ID(strings.Repeat(string(rune('a'+i)), 12)), DisplayName: name,
			Tenant: connection.Tenant{ID: connection.TenantID(name)}, Status: connection.Monitoring,
		})
	}
	log := slog.New(slog.NewTextHandler(&o.log, nil))
	o.ingester = &forensic.Ingester{Queue: discarding{}, Feed: o, Ledger: o, Events: store.Table("events"),
		Now: func() time.Time { return o.now }, Log: log}
	o.desk = &forensic.Desk{Events: store.Table("events"), Queue: discarding{}, Now: func() time.Time { return o.now },
		Log: log, Patience: time.Hour}
	o.search = &Search{Events: o.table, Connections: o, Watermarks: o, Domains: o, Trail: o,
		Now: func() time.Time { return o.now }, Log: log}
	return o
}

func (o *office) Followed(context.Context) ([]connection.Connection, error) {
	return slices.DeleteFunc(slices.Clone(o.conns), func(c connection.Connection) bool { return !c.Followed() }), nil
}

func (o *office) Watermark(context.Context, connection.ID) (time.Time, error) {
	return o.watermark, nil
}

func (o *office) Record(_ context.Context, e access.Entry) error {
	if o.trailErr == nil {
		o.trail = append(o.trail, e)
	}
	return o.trailErr
}

func (o *office) Open(_ context.Context, _ connection.Tenant, uri string) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(o.blobs[uri])), nil
}

func (o *office) Ended(context.Context, audit.Blob) (bool, error) { return false, nil }

func (o *office) Begin(_ context.Context, b audit.Blob) (audit.Blob, error) { return b, nil }
func (o *office) Return(context.Context, audit.Blob) error                  { return nil }

func (o *office) Settle(context.Context, audit.Blob, audit.Tally) error { return nil }

func (o *office) Refuse(_ context.Context, b audit.Blob, why string) (int64, error) {
	return 0, fmt.Errorf("blob %s is refused: %s", b.ID, why)
}

func (o *office) Lose(_ context.Context, b audit.Blob, reason string, _ audit.Tally) error {
	return fmt.Errorf("blob %s is lost: %s", b.ID, reason)
}

func (o *office) Keep(_ context.Context, _ audit.Blob, unreadable []audit.Unreadable) error {
	return fmt.Errorf("unreadable: %v", unreadable)
}

// deliver stores mails, in one blob for each connection, which arrives now. The clock moves on.
func (o *office) deliver(mails ...mail) {
	o.t.Helper()
	for i, c := range o.conns {
		var records []any
		var ids []forensic.RecordID
		for _, m := range mails {
			if m.conn == i {
				records = append(records, m.json())
				ids = append(ids, forensic.RecordID(m.record))
			}
		}
		if len(records) == 0 {
			continue
		}
		uri := fmt.Sprint("blob", len(o.blobs))
		o.blobs[uri] = must(json.Marshal(records))
		blob := audit.Blob{Connection: c.ID, Tenant: c.Tenant, ID: audit.ContentID(uri), URI: uri, Arrival: o.now}
		if err := o.ingester.Ingest(context.Background(), must(json.Marshal(blob))); err != nil {
			o.t.Fatal(err)
		}
		o.remember(i, ids)
	}
	o.now = o.now.Add(time.Minute)
}

// remember loads what was stored, for the oracle.
func (o *office) remember(conn int, ids []forensic.RecordID) {
	if o.found != nil {
		o.settle(conn, ids)
	}
	messages, err := forensic.Load(context.Background(), o.ingester.Events, o.conns[conn].ID, ids)
	if err != nil || len(messages) != len(ids) {
		o.t.Fatalf("loaded %d of %d messages: %v", len(messages), len(ids), err)
	}
	own, _ := o.Domains(context.Background(), o.conns[conn].ID)
	for i := range messages {
		for file := range messages[i].Files {
			o.events = append(o.events, event{message: &messages[i], file: file, conn: &o.conns[conn], own: own})
		}
	}
}

func (m mail) json() map[string]any {
	recipients := []map[string]string{}
	for _, r := range m.recipients {
		recipients = append(recipients, map[string]string{"Address": r})
	}
	r := map[string]any{
		"Id": m.record, "RecordType": 2, "CreationTime": m.at.Format("2006-01-02T15:04:05"), "Operation": first(m.operation,
			"Send"),
		"UserId": m.user, "MailboxOwnerUPN": first(m.owner,
			m.user), "SendOnBehalfOfUserSmtp": m.onBehalf, "SendAsUserSmtp": m.onBehalf,
		"ResultStatus": "Succeeded", "Workload": "Exchange", "ClientIPAddress": m.ip, "RecipientList": recipients,
		"Item": map[string]any{"Subject": m.subject, "InternetMessageId": m.messageID, "Attachments": m.files},
	}
	maps.Copy(r, m.facts)
	return r
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// page is an answer as a client decodes it.
type page struct {
	TotalCount  int               `json:"totalCount"`
	FileEvents  []json.RawMessage `json:"fileEvents"`
	NextPgToken *string           `json:"nextPgToken"`
	Problems    []Problem         `json:"problems"`
}

func (p page) ids() []string {
	ids := []string{}
	for _, e := range p.FileEvents {
		var doc struct{ Event struct{ ID string } }
		if err := json.Unmarshal(e, &doc); err != nil {
			panic(err)
		}
		ids = append(ids, doc.Event.ID)
	}
	return ids
}

// post sends a query as a client does.
func (o *office) post(query string) *httptest.ResponseRecorder {
	o.t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/v2/file-events", strings.NewReader(query))
	r.Header.Set("Content-Type", "application/json")
	r = r.WithContext(access.With(r.Context(), access.Caller{ID: "key-analyst", Roles: []access.Role{access.Analyst}}))
	w := httptest.NewRecorder()
	o.search.Routes()[0].Handler.ServeHTTP(w, r)
	return w
}

// ask sends a query that must be answered.
func (o *office) ask(query string) page {
	o.t.Helper()
	w := o.post(query)
	var p page
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != http.StatusOK {
		o.t.Fatalf("%s\nanswered %d %s", query, w.Code, w.Body)
	}
	return p
}

// counting counts the items that are read of a table, and the queries.
type counting struct {
	table.Table
	mu      sync.Mutex
	items   int
	queries int
	open    int    // queries under way
	most    int    // of them at once
	opening func() // called in each query, while it is under way
}

func (c *counting) add(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.items += n
}

// reads is how many items f reads.
func (c *counting) reads(f func()) int {
	before := c.items
	f()
	return c.items - before
}

func (c *counting) begin() {
	c.mu.Lock()
	c.queries++
	c.open++
	c.most = max(c.most, c.open)
	c.mu.Unlock()
	if c.opening != nil {
		c.opening()
	}
}

func (c *counting) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open--
}

func (c *counting) Get(ctx context.Context, key table.Key) (table.Item, error) {
	c.add(1)
	return c.Table.Get(ctx, key)
}

func (c *counting) GetMany(ctx context.Context, keys []table.Key) ([]table.Item, error) {
	c.add(len(keys))
	return c.Table.GetMany(ctx, keys)
}

func (c *counting) Query(ctx context.Context, q table.Query) iter.Seq2[table.Item, error] {
	return func(yield func(table.Item, error) bool) {
		c.begin()
		defer c.end()
		for item, err := range c.Table.Query(ctx, q) {
			c.add(1)
			if !yield(item, err) {
				return
			}
		}
	}
}

// randomMails are n mails over 70 days before now, of few enough people and names that values and times repeat.
func (o *office) randomMails(rng *rand.Rand, n int) []mail {
	users := []string{"alice@corp.example", "Bob@Corp.example", "çağla@büro.example", "dave@rival.example",
		"eve@corp.example"}
	outside := []string{"x@rival.example", "Y@RIVAL.example", "z@partner.example", "alice@corp.example",
		"ünal@büro.example", "nodomain"}
	names := []string{"plan.pdf", "Plan.PDF", "planning.docx", "Größe.xlsx", "budget 2026.xlsx", "a*b?.txt", "noext",
		".hidden", "x.tar.gz", "日本.zip", "back\\slash.c", "image001.png"}
	pick := func(list []string) string { return list[rng.IntN(len(list))] }
	mails := make([]mail, n)
	for i := range mails {
		m := mail{
			conn: rng.IntN(len(o.conns)), record: fmt.Sprintf("%08x-%04d", rng.Uint32(), len(o.mails)+i),
			at:   o.now.Truncate(time.Hour).Add(-time.Duration(rng.IntN(70*24)) * time.Hour),
			user: pick(users), subject: pick([]string{"", "Plans", "RE: plans", "Ärger",
				"Q3 \"numbers\""}), ip: pick([]string{"", "203.0.113.7", "[2001:db8::1]:443"}),
			messageID: fmt.Sprintf("<%d@mail.example>", rng.IntN(40)),
		}
		if rng.IntN(4) == 0 {
			m.operation, m.onBehalf, m.owner = pick([]string{"SendAs", "SendOnBehalf"}), pick(users), pick(users)
		}
		for range rng.IntN(4) {
			m.recipients = append(m.recipients, pick(outside))
		}
		for j := range 1 + rng.IntN(3) {
			if j > 0 {
				m.files += "; "
			}
			m.files += fmt.Sprintf("%s (%db)", pick(names), rng.IntN(5)*1000)
		}
		if rng.IntN(15) == 0 {
			m.files = "no size told.doc"
		}
		if rng.IntN(2) == 0 {
			m.facts = map[string]any{
				"UserType": rng.IntN(7), "LogonType": rng.IntN(3), "ExternalAccess": rng.IntN(2) == 0,
				"UserKey": pick([]string{"1003200126677019",
					"7df0a125-d3be-4c96-aa54-591f83ff541c"}), "ClientInfoString": "Client=REST;;",
				"AppId": pick([]string{"00000002-0000-0ff1-ce00-000000000000", "c8b1d3f2-5555-4e6f-8a9b-0c1d2e3f4a5b"}),
			}
		}
		mails[i] = m
	}
	o.mails = append(o.mails, mails...)
	return mails
}

// fill delivers n random mails in blobs of different sizes.
func (o *office) fill(rng *rand.Rand, n int) {
	o.t.Helper()
	mails := o.randomMails(rng, n)
	for len(mails) > 0 {
		size := min(1+rng.IntN(60), len(mails))
		o.deliver(mails[:size]...)
		mails = mails[size:]
	}
}

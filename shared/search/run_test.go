package search

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/forensic"
	"github.com/mailtrail/mailtrail/shared/table"
)

// TestOracle asks random queries of random mails, and compares every page with what filtering and sorting all events
// gives.
func TestOracle(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			o := newOffice(t)
			o.found = o.findings(rng)
			o.fill(rng, 120*int(1+seed))
			docs := documentsOf(o.events)
			g := generator{Rand: rng, docs: docs, office: o}
			for range 40 {
				o.judge(g.query(), docs, rng)
			}
		})
	}
}

// judge asks a query in pages by number and by token, and compares with what filtering and sorting all events gives.
func (o *office) judge(q oracleQuery, docs []document, rng *rand.Rand) {
	o.t.Helper()
	want := q.answer(docs, o.now)
	q.PgSize = 1 + len(want)/5 + rng.IntN(1+len(want)/2)
	if got := o.byNumber(q); !slices.Equal(got, want) {
		o.t.Fatalf("by page number: %s\n got %d %v\nwant %d %v", q.json(), len(got), got, len(want), want)
	}
	if got := o.byToken(q); !slices.Equal(got, want) {
		o.t.Fatalf("by token: %s\n got %d %v\nwant %d %v", q.json(), len(got), got, len(want), want)
	}
	if got := o.ask(q.json()).TotalCount; got != len(want) {
		o.t.Fatalf("%s: total %d, want %d", q.json(), got, len(want))
	}
}

// byNumber reads all pages by their numbers.
func (o *office) byNumber(q oracleQuery) []string {
	ids := []string{}
	for q.PgNum = 1; ; q.PgNum++ {
		p := o.ask(q.json())
		if p.NextPgToken != nil {
			o.t.Fatalf("%s: a token where none was asked for", q.json())
		}
		ids = append(ids, p.ids()...)
		if len(p.FileEvents) < q.PgSize {
			return ids
		}
	}
}

// byToken reads all pages as the official clients do.
func (o *office) byToken(q oracleQuery) []string {
	ids, token := []string{}, ""
	for q.PgToken = &token; ; {
		p := o.ask(q.json())
		ids = append(ids, p.ids()...)
		if p.NextPgToken == nil {
			return ids
		}
		if len(p.FileEvents) != q.PgSize || *p.NextPgToken != ids[len(ids)-1] {
			o.t.Fatalf("%s: the token is not the last id of a full page", q.json())
		}
		token = *p.NextPgToken
	}
}

// generator makes queries of which many match something.
type generator struct {
	*rand.Rand
	docs   []document
	office *office
}

func (g generator) pick(list ...string) string { return list[g.IntN(len(list))] }

func (g generator) query() oracleQuery {
	q := oracleQuery{
		GroupClause: g.pick("AND", "OR", ""), SrtDir: g.pick("asc", "desc", ""),
		SrtKey: g.pick("", "", "@timestamp", "event.id", "event.id", "event.ingested", "event.inserted", "file.name",
			"file.sizeInBytes",
			"destination.email.recipients", "user.email", "risk.score", "file.owner", "event.detectorDisplayName",
			"risk.trusted", "file.acquiredFrom.md5",
			"file.hash.sha256", "destination.email.bcc", "destination.email.webmail", "event.enriched",
			"risk.untrustedValues.domains", "file.attachment.isInline", "file.category"),
	}
	for range 1 + g.IntN(2) {
		q.Groups = append(q.Groups, g.group(1))
	}
	return q
}

func (g generator) group(depth int) oracleGroup {
	if depth < 3 && g.IntN(4) == 0 {
		out := oracleGroup{SubgroupClause: g.pick("AND", "OR")}
		for range 1 + g.IntN(2) {
			out.Subgroups = append(out.Subgroups, g.group(depth+1))
		}
		return out
	}
	out := oracleGroup{FilterClause: g.pick("AND", "OR", "")}
	for range 1 + g.IntN(3) {
		out.Filters = append(out.Filters, g.filter())
	}
	return out
}

func (g generator) filter() oracleFilter {
	switch g.IntN(12) {
	case 0:
		return oracleFilter{g.pick("@timestamp", "event.ingested", "event.inserted"), "WITHIN_THE_LAST",
			fmt.Sprintf("P%dD", g.IntN(90))}
	case 1, 2:
		f := oracleFilter{Term: g.pick("@timestamp", "@timestamp", "event.ingested", "event.inserted"),
			Operator: g.pick("ON", "ON_OR_AFTER", "ON_OR_BEFORE")}
		f.Value = g.docs[g.IntN(len(g.docs))].values(f.Term)[0]
		return f
	case 3:
		return oracleFilter{g.pick("file.sizeInBytes", "risk.score", "risk.indicators.weight", "report.count"),
			g.pick("IS", "IS_NOT", "GREATER_THAN", "LESS_THAN"), g.IntN(5) * 1000}
	case 4:
		return oracleFilter{g.pick("risk.trusted", "file.passwordProtected", "file.attachment.isInline",
			"source.externalAccess"), g.pick("IS", "IS_NOT"), g.pick("TRUE", "FALSE", "true")}
	}
	terms := []string{
		"file.name", "file.name", "source.email.sender", "source.email.from", "user.email", "destination.email.recipients",
		"risk.untrustedValues.domains",
		"source.email.messageId", "destination.email.subject", "event.id", "event.detectorDisplayName", "file.category",
		"file.mimeTypeByExtension",
		"risk.indicators.name", "risk.severity", "event.observer", "user.id", "file.hash.md5", "source.ip",
		"file.acquiredFrom.md5", "source.tabs.url",
		"file.hash.md5", "file.hash.sha256", "file.hash.sha256", "file.hash.md5Error", "destination.email.to",
		"destination.email.cc", "destination.email.bcc", "destination.email.external", "destination.email.webmail",
		"destination.email.recipientsError", "file.mimeType", "file.mimeTypeByBytes", "file.categoryByBytes",
		"file.originalName", "file.id", "file.attachment.kind",
		"file.attachment.missing", "file.category", "risk.untrustedValues.domains", "event.operation", "event.recordId",
		"event.matchedBy", "event.sentBy", "user.principal", "user.key", "user.type", "source.mailbox",
		"source.application.id",
		"source.application.name", "source.client", "source.logonType",
	}
	f := oracleFilter{Term: g.pick(terms...),
		Operator: g.pick("IS", "IS", "IS", "IS_NOT", "IS_ANY", "IS_NONE", "EXISTS", "DOES_NOT_EXIST")}
	switch f.Operator {
	case "IS", "IS_NOT":
		f.Value = g.value(f.Term)
	case "IS_ANY", "IS_NONE":
		var values []any
		for range 1 + g.IntN(3) {
			values = append(values, g.value(f.Term))
		}
		f.Value = values
	}
	return f
}

// value is a value of the term, often one that some event has, often with wildcards.
func (g generator) value(term string) string {
	s := "nothing has this"
	if values := g.docs[g.IntN(len(g.docs))].values(term); len(values) > 0 {
		s = values[g.IntN(len(values))].(string)
	}
	runes := []rune(s)
	cut := g.IntN(len(runes))
	switch g.IntN(8) {
	case 0:
		return string(runes[:cut]) + "*"
	case 1:
		return "*" + string(runes[cut:])
	case 2:
		return "*" + string(runes[cut]) + "*"
	case 3:
		return string(runes[:cut]) + "?" + string(runes[cut+1:])
	case 4:
		return string(runes[:cut]) + "*" + string(runes[len(runes)-min(3, len(runes)-cut):])
	case 5:
		return g.pick(`a\*b\?.txt`, `*\\*`, "*.pdf", "*.", "*@rival.example", "?*", "p*.D*", `back\slash.c`)
	}
	return s
}

// TestLateMail delivers mails between the pages of a client that goes on from its last event: in the order of ids it
// misses none and gets none twice, although the late mails were sent before those that it has seen.
func TestLateMail(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	o := newOffice(t)
	o.fill(rng, 100)
	token := ""
	q := oracleQuery{Groups: []oracleGroup{{Filters: []oracleFilter{{"event.id", "EXISTS", nil}}}}, PgSize: 40,
		PgToken: &token, SrtKey: "event.id", SrtDir: "asc"}
	got := []string{}
	for range 12 {
		p := o.ask(q.json())
		if ids := p.ids(); len(ids) > 0 {
			got, token = append(got, ids...), ids[len(ids)-1]
		}
		if len(o.mails) < 200 {
			o.fill(rng, 20)
		}
	}
	if want := q.answer(documentsOf(o.events), o.now); !slices.Equal(got, want) {
		t.Errorf("got %d events, want %d", len(got), len(want))
	}
}

// TestLateMailByTime finds a mail that arrived late among those of its time.
func TestLateMailByTime(t *testing.T) {
	o := newOffice(t)
	at := o.now.AddDate(0, 0, -3)
	o.deliver(mail{record: "early", at: at, user: "a@corp.example", files: "1 (1b)"},
		mail{record: "latest", at: at.Add(2 * time.Hour), user: "a@corp.example", files: "3 (1b)"})
	o.deliver(mail{record: "late", at: at.Add(time.Hour), user: "a@corp.example", files: "2 (1b)"})
	p := o.ask(`{"groups":[{"filters":[{"term":"user.email","value":"A@corp.example"}]}]}`)
	var names []string
	for _, e := range p.FileEvents {
		var doc struct{ File struct{ Name string } }
		if err := json.Unmarshal(e, &doc); err != nil {
			t.Fatal(err)
		}
		names = append(names, doc.File.Name)
	}
	if want := []string{"3", "2", "1"}; !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
}

// TestWildcardOfCommonValues finds all messages of a value that a wildcard matches, also where one read does not
// bring them all.
func TestWildcardOfCommonValues(t *testing.T) {
	o := newOffice(t)
	var mails []mail
	for i := range 3 * firstChunk {
		m := mail{record: fmt.Sprint(i), at: o.now.Add(-time.Duration(i) * time.Second), user: "a@corp.example",
			files: "budget (1b)"}
		if i%firstChunk == 0 {
			m.files = fmt.Sprintf("budget%d (1b)", i)
		}
		mails = append(mails, m)
	}
	o.deliver(mails...)
	docs := documentsOf(o.events)
	for _, direction := range []string{"asc", "desc"} {
		q := oracleQuery{Groups: []oracleGroup{{Filters: []oracleFilter{{"file.name", "IS", "bud*"}}}}, PgSize: 1000,
			SrtDir: direction}
		if got, want := o.ask(q.json()).ids(), q.answer(docs, o.now); !slices.Equal(got, want) {
			t.Errorf("%s: %d events, want %d, in order", direction, len(got), len(want))
		}
	}
}

// TestWatermark serves the orders of arrival only as far as all is settled, and the order of time as far as there is
// anything.
func TestWatermark(t *testing.T) {
	o := newOffice(t)
	rng := rand.New(rand.NewPCG(8, 8))
	o.fill(rng, 60)
	settled := len(o.events)
	o.watermark = o.now.Add(-time.Minute) // when the last blob arrived
	o.fill(rng, 60)
	for _, filter := range []oracleFilter{{"event.id", "EXISTS", nil}, {"source.email.messageId", "IS", "<*>"},
		{"user.email", "IS_NOT", "x"}} {
		for key, want := range map[string]int{"event.id": settled, "event.ingested": settled, "event.inserted": settled,
			"@timestamp": len(o.events), "file.name": len(o.events)} {
			q := oracleQuery{Groups: []oracleGroup{{Filters: []oracleFilter{filter}}}, PgSize: 1000, SrtKey: key}
			if p := o.ask(q.json()); len(p.FileEvents) != want || p.TotalCount != want {
				t.Errorf("%v by %s: %d events of %d, want %d", filter, key, len(p.FileEvents), p.TotalCount, want)
			}
		}
	}
	o.watermark = time.Time{}
	if p := o.ask(`{"groups":[{"filters":[{"term":"event.id","operator":"EXISTS"}]}],"srtKey":"event.id"}`); p.TotalCount != 0 {
		t.Errorf("%d events before anything is settled", p.TotalCount)
	}
}

// TestCheckpoint goes on from an id whose event is gone: in the order of ids that is fine, in others it is no token.
func TestCheckpoint(t *testing.T) {
	o := newOffice(t)
	rng := rand.New(rand.NewPCG(9, 9))
	o.fill(rng, 20)
	gone := fmt.Sprintf("%012x-%s-0123456789abcdef-0000", o.now.UnixMilli()-1, "zzzzzzzzzzzz")
	o.fill(rng, 20)
	query := `{"groups":[{"filters":[{"term":"event.id","operator":"EXISTS"}]}],"pgToken":%q,"srtKey":%q,"srtDir":"asc","pgSize":1000}`
	p := o.ask(fmt.Sprintf(query, gone, "event.id"))
	for _, id := range p.ids() {
		if id <= gone {
			t.Errorf("%s is not after %s", id, gone)
		}
	}
	if len(p.FileEvents) == 0 || len(p.FileEvents) >= p.TotalCount {
		t.Errorf("%d events of %d", len(p.FileEvents), p.TotalCount)
	}
	for _, token := range []string{gone, "nonsense", "01a1-2-3-4"} {
		for _, key := range []string{"@timestamp", "file.name", "event.inserted"} {
			wantProblem(t, o.post(fmt.Sprintf(query, token, key)), http.StatusBadRequest, InvalidPageToken)
		}
	}
}

// TestDeauthorized hides the events of a deauthorized connection at once, and shows them again.
func TestDeauthorized(t *testing.T) {
	o := newOffice(t)
	o.fill(rand.New(rand.NewPCG(10, 10)), 50)
	all := o.ask(anything).TotalCount
	o.conns[1].Status = connection.Deauthorized
	for i, query := range []string{anything,
		`{"groups":[{"filters":[{"term":"event.detectorDisplayName","value":"büro süd"}]}]}`} {
		if got := o.ask(query).TotalCount; got >= all || i == 1 && got != 0 {
			t.Errorf("%s: %d of %d events", query, got, all)
		}
	}
	o.conns[1].Status = connection.Monitoring
	if got := o.ask(anything).TotalCount; got != all {
		t.Errorf("%d of %d events are back", got, all)
	}
}

// TestUncommitted passes over postings whose message was never stored, and those of a repetition that arrived later.
func TestUncommitted(t *testing.T) {
	o := newOffice(t)
	m := mail{record: "twice", at: o.now.Add(-time.Hour), user: "a@corp.example", files: "1.pdf (1b)"}
	o.deliver(m)
	o.deliver(m) // leaves a posting of the second arrival
	o.events = o.events[:1]
	c := o.conns[0].ID
	at, lost := o.now.Add(-2*time.Hour), forensic.RecordID("lost")
	err := o.ingester.Events.Load(t.Context(),
		table.Item{Key: table.Key{Partition: forensic.DayPartition(c, at), Sort: forensic.TimeSort(at, lost)}},
		table.Item{Key: table.Key{Partition: forensic.TermPartition(c, forensic.ExtensionField, at, forensic.Bucket("pdf")),
			Sort: forensic.TermPrefix("pdf") + forensic.TimeSort(at, lost)}},
	)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"@timestamp", "event.id", "file.name"} {
		for _, filter := range []oracleFilter{{"event.id", "EXISTS", nil}, {"file.name", "IS", "*.pdf"},
			{"file.name", "IS_NOT", "x"}} {
			q := oracleQuery{Groups: []oracleGroup{{Filters: []oracleFilter{filter}}}, SrtKey: key}
			if got := o.ask(q.json()).ids(); len(got) != 1 || got[0] != o.events[0].id() {
				t.Errorf("%v by %s: %q", filter, key, got)
			}
		}
	}
}

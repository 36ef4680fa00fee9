package search

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/forensic"
)

// big delivers n mails of a larger company over 60 days: 200 senders, 5,000 file names, and five of each kind that
// stands out.
func big(t testing.TB, n int) *office {
	o := newOffice(t)
	o.found = func(m forensic.Message) *forensic.Finding {
		var i int
		if _, err := fmt.Sscanf(string(m.Record), "%08x", &i); err != nil || i%(n/5) != 10 {
			return nil
		}
		return &forensic.Finding{
			At: o.now, Recipients: []forensic.Recipient{{Address: "hidden@paper2.example", Role: forensic.Bcc}},
			Files: []forensic.Attachment{
				{Record: 0, Name: m.Files[0].Name, Size: 3, MD5: strings.Repeat("0a", 16), SHA256: strings.Repeat("0b", 32),
					ByBytes: "application/x-rar-compressed"},
				{Record: 1, Name: m.Files[1].Name, Size: 4, MD5: strings.Repeat("1a", 16), SHA256: fmt.Sprintf("%064x", i),
					ByBytes: "image/png"},
			},
		}
	}
	mails := make([]mail, 0, 5000)
	for i := range n {
		m := mail{
			record: fmt.Sprintf("%08x", i),
			at:     o.now.Truncate(time.Minute).Add(-time.Duration(i) * (60 * 24 * time.Hour / time.Duration(n))),
			user:   fmt.Sprintf("user%d@corp.example", i%200), subject: fmt.Sprintf("Subject %d",
				i), messageID: fmt.Sprintf("<%d@corp.example>", i),
			recipients: []string{fmt.Sprintf("contact%d@customer%d.example", i%3000, i%300)},
			files:      fmt.Sprintf("document %d.docx (20480b); image001.png (512b)", i%5000),
		}
		switch {
		case i%(n/5) == 7:
			m.user = "rare@corp.example"
		case i%(n/5) == 8:
			m.files = fmt.Sprintf("project merger %d.pdf (1024b)", i)
		case i%(n/5) == 9:
			m.recipients = append(m.recipients, "journalist@paper.example")
		}
		if mails = append(mails, m); len(mails) == cap(mails) || i == n-1 {
			o.deliver(mails...)
			mails = mails[:0]
		}
	}
	return o
}

// TestCostGrowsWithTheAnswer counts what searches read of a table of 12,000 messages and 84,000 postings: hardly more
// than they answer.
func TestCostGrowsWithTheAnswer(t *testing.T) {
	o := big(t, 12_000)
	and := func(filters ...string) string { return filtered(strings.Join(filters, ",")) }
	const (
		rare     = `{"term":"user.email","value":"rare@corp.example"}`
		common   = `{"term":"source.email.sender","value":"user3@corp.example"}`
		image    = `{"term":"file.name","value":"image001.png"}`
		merger   = `{"term":"file.name","value":"*merger*"}`
		project  = `{"term":"file.name","value":"project*"}`
		paper    = `{"term":"destination.email.recipients","value":"*@paper.example"}`
		newest   = `{"term":"@timestamp","operator":"WITHIN_THE_LAST","value":"P1D"}`
		observer = `{"term":"event.observer","value":"Office365"},{"term":"risk.score","operator":"GREATER_THAN","value":1}`
	)
	id := o.events[3].id()
	for _, c := range []struct {
		name  string
		query string
		want  int // events in all
		reads int // items at most
	}{
		{"a rare user", and(rare), 10, 200},
		{"a rare user in the order of ids", strings.TrimSuffix(and(rare),
			"}") + `,"srtKey":"event.id","srtDir":"asc","pgToken":"","pgSize":10000}`, 10, 200},
		{"a rare user among all images", and(image, rare, observer), 5, 400},
		{"images of a user", and(image, common), 60, 700},
		{"images of a user, oldest first", strings.TrimSuffix(and(image, common), "}") + `,"srtDir":"asc"}`, 60, 700},
		{"images of a user to a contact", strings.TrimSuffix(and(common,
			`{"term":"destination.email.recipients","value":"contact3@customer3.example"}`), "}") + `}`, 8, 300},
		{"either of two rare things",
			`{"groupClause":"OR","groups":[{"filters":[` + rare + `]},{"filterClause":"AND","filters":[` + image + `,` + paper + `]}]}`, 15, 600},
		{"a domain", and(paper), 10, 200},
		{"a beginning of names", and(project), 5, 500},
		{"a beginning and an end of names", and(`{"term":"file.name","value":"project*.pdf"}`), 5, 500},
		{"a part of names", and(merger), 5, 20_000},
		{"a part of names of a rare user", and(merger, rare), 0, 500},
		{"one message", and(`{"term":"source.email.messageId","value":"<77@corp.example>"}`), 2, 200},
		{"one event", and(`{"term":"event.id","value":"` + id + `"}`), 1, 200},
		{"a hash", and(`{"term":"file.hash.sha256","value":"` + strings.Repeat("0B", 32) + `"}`), 5, 100},
		{"another hash", and(`{"term":"file.hash.md5","value":"` + strings.Repeat("1a", 16) + `"}`), 5, 100},
		{"any of many hashes", and(`{"term":"file.hash.sha256","operator":"IS_ANY","value":` + numbered(500, "%064x") + `}`),
			1, 100},
		{"a hash that nothing has", and(`{"term":"file.hash.sha256","value":"` + strings.Repeat("ff", 32) + `"}`), 0, 100},
		{"a hidden recipient", and(`{"term":"destination.email.bcc","value":"hidden@paper2.example"}`), 10, 150},
		{"a type by bytes", and(`{"term":"file.mimeType","value":"application/vnd.rar"}`), 5, 150},
		{"a day", and(newest), 399, 900},
		{"nothing that mail can be", and(`{"term":"event.observer","value":"Endpoint"}`, image), 0, 0},
		{"a category", and(`{"term":"file.category","value":"Pdf"}`), 5, 200},
		{"all", and(observer), MaxRows, 7000},
	} {
		t.Run(c.name, func(t *testing.T) {
			var total int
			reads := o.table.reads(func() { total = o.ask(c.query).TotalCount })
			if total != c.want || reads > c.reads {
				t.Errorf("%d events with %d reads, want %d with at most %d", total, reads, c.want, c.reads)
			}
			t.Logf("%d events, %d reads", total, reads)
		})
	}
}

func BenchmarkSearch(b *testing.B) {
	o := big(b, 50_000)
	for _, c := range []struct{ name, query string }{
		{"rare term", filtered(`{"term":"user.email","value":"rare@corp.example"}`)},
		{"common term", filtered(`{"term":"file.name","value":"image001.png"}`)},
		{"sender", filtered(`{"term":"source.email.sender","value":"user3@corp.example"}`)},
		{"part of names", filtered(`{"term":"file.name","value":"*merger*"}`)},
		{"no filter", anything},
		{"10000 rows", with(`"pgSize":10000`)},
		{"10000 rows by id", with(`"pgSize":10000,"pgToken":"","srtKey":"event.id","srtDir":"asc"`)},
		{"by size", with(`"srtKey":"file.sizeInBytes"`)},
	} {
		b.Run(c.name, func(b *testing.B) {
			rows := 0
			reads := o.table.reads(func() {
				for b.Loop() {
					rows = len(o.ask(c.query).FileEvents)
				}
			})
			b.ReportMetric(float64(rows), "rows")
			b.ReportMetric(float64(reads)/float64(b.N), "reads/op")
		})
	}
}

func BenchmarkDocument(b *testing.B) {
	m := exampleMessages()["full"]
	e := event{message: &m, conn: &newOffice(b).conns[0]}
	documents := theSchema()
	var buf []byte
	for b.Loop() {
		buf = documents.appendDocument(buf[:0], &e)
	}
	b.SetBytes(int64(len(buf)))
}

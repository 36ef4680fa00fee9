package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/shared/access"
	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/embedded"
	"github.com/mailtrail/mailtrail/shared/forensic"
	"github.com/mailtrail/mailtrail/shared/search"
)

// searching measures typical queries over n file events of 90 days: each question from postings, and from segments with
// nothing in memory (cold) and with what it read before (warm). Where postings need more than the limit of a search it
// says so.
func searching(ctx context.Context, r *report, n int) error {
	dir, err := os.MkdirTemp("", "mailtrail-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	store, err := embedded.Open(dir, embedded.Options{Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	a := &archive{Rand: rand.New(rand.NewPCG(42, uint64(n))), events: store.Table("events"), n: n}
	a.zipf()
	err = errors.Join(a.measure(ctx, r), store.Close())
	return err
}

// archive is a connection with a history, and the parts of the product that the ingester, the packer and searches need.
type archive struct {
	*rand.Rand
	events            *embedded.Table
	n, made           int
	who, domains, ext *rand.Zipf
}

const (
	archiveID    = connection.ID("aaaaaaaaaaaa")
	archivePerB  = 1000
	searchBudget = 25 * time.Second
	asks         = 15
)

func (a *archive) zipf() {
	a.who, a.domains = rand.NewZipf(a.Rand, 1.2, 20, 4999), rand.NewZipf(a.Rand, 1.2, 8, 19_999)
	a.ext = rand.NewZipf(a.Rand, 1.3, 2, uint64(len(archiveExts())-1))
}

func archiveExts() []string {
	return strings.Fields("pdf docx xlsx png jpg pptx zip txt csv dwg msg html xml gif doc xls mp4 json log ics eml rtf")
}

func archiveWords() []string {
	return strings.Fields(
		"report budget invoice plan contract offer minutes roster draft summary forecast design review audit",
	)
}

func (a *archive) measure(ctx context.Context, r *report) error {
	ingester := &forensic.Ingester{
		Feed: a, Ledger: a, Events: a.events, Now: time.Now, Log: slog.New(slog.DiscardHandler),
	}
	start := time.Now()
	for blob := 0; a.made < a.n; blob++ {
		arrival := time.Now().Add(-time.Minute)
		body, err := json.Marshal(audit.Blob{
			Connection: archiveID, Tenant: connection.Tenant{ID: "t", Cloud: connection.Commercial},
			ID: audit.ContentID(fmt.Sprint("blob", blob)), URI: fmt.Sprint(blob), Arrival: arrival,
		})
		if err != nil {
			return err
		}
		if err := ingester.Ingest(ctx, body); err != nil {
			return err
		}
	}
	name := fmt.Sprintf("search.%d", a.n)
	if err := r.tell(name+".ingest", float64(a.n)/time.Since(start).Seconds(), "events/s"); err != nil {
		return err
	}
	before, err := used()
	if err != nil {
		return err
	}
	units := a.events.Units()
	packer := &search.Packer{Events: a.events, Connections: a, Watermarks: a, Now: time.Now, Rand: random{a.Rand}}
	outcome, err := packer.Run(ctx)
	if err != nil {
		return err
	}
	after, err := used()
	if err != nil {
		return err
	}
	packed := a.events.Units()
	err = errors.Join(
		r.tell(
			name+".pack",
			float64((after.cpu-before.cpu).Microseconds())/float64(a.n),
			"us of processor time an event, merges included",
		),
		r.tell(name+".pack.write_units", (packed.Write-units.Write)/float64(a.n), "write units an event"),
		r.tell(name+".pack.merges", float64(outcome.Merges), "merges"),
		r.tell(name+".peak", after.peak, "MB resident at the most"),
	)
	if err != nil {
		return err
	}
	for _, q := range questions() {
		if err := a.question(ctx, r, name+"."+q.name, q.body); err != nil {
			return err
		}
	}
	return nil
}

// question asks once from postings, once cold, and several times warm.
func (a *archive) question(ctx context.Context, r *report, name, body string) error {
	s := &search.Search{
		Events: a.events, Connections: a, Watermarks: a, Trail: a, Now: time.Now,
		Log: slog.New(slog.DiscardHandler), Limit: searchBudget,
	}
	postings, total, err := a.ask(ctx, s, body)
	if err != nil {
		return err
	}
	s.Packs = search.NewPacks(a.events, 128<<20)
	units := a.events.Units()
	cold, same, err := a.ask(ctx, s, body)
	if err != nil {
		return err
	}
	units.Read = a.events.Units().Read - units.Read
	if total >= 0 && total != same {
		return fmt.Errorf("%s: %d from postings, %d from segments", name, total, same)
	}
	if from, _ := s.Packs.Answered(); from == 0 {
		return fmt.Errorf("%s: not answered from segments", name)
	}
	warm := time.Duration(1 << 62)
	for range asks {
		took, _, err := a.ask(ctx, s, body)
		if err != nil {
			return err
		}
		warm = min(warm, took)
	}
	unit := "ms of processor time, of " + fmt.Sprint(same) + " events"
	if total < 0 {
		unit += "; it ran out of time"
	}
	return errors.Join(
		r.tell(name+".postings", postings.Seconds()*1000, unit),
		r.tell(name+".cold", cold.Seconds()*1000, "ms"),
		r.tell(name+".warm", warm.Seconds()*1000, "ms"),
		r.tell(name+".read_units", units.Read, "read units, cold"),
	)
}

// ask returns the processor time that a question took, and how many events match; -1 when it ran out of time.
func (a *archive) ask(ctx context.Context, s *search.Search, body string) (time.Duration, int, error) {
	request := httptest.NewRequestWithContext(ctx, http.MethodPost, "/v2/file-events", strings.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	caller := access.Caller{ID: "bench", Roles: []access.Role{access.Analyst}}
	request = request.WithContext(access.With(request.Context(), caller))
	before, err := used()
	if err != nil {
		return 0, 0, err
	}
	w := httptest.NewRecorder()
	s.Routes()[0].Handler.ServeHTTP(w, request)
	after, err := used()
	if err != nil {
		return 0, 0, err
	}
	var answer struct {
		TotalCount int `json:"totalCount"`
	}
	switch {
	case w.Code == http.StatusOK:
		err = json.Unmarshal(w.Body.Bytes(), &answer)
	case strings.Contains(w.Body.String(), "QUERY_TIMEOUT"):
		answer.TotalCount = -1
	default:
		err = fmt.Errorf("%s\nanswered %d %s", body, w.Code, w.Body)
	}
	return after.cpu - before.cpu, answer.TotalCount, err
}

type question struct{ name, body string }

func questions() []question {
	filter := func(term, value string) string {
		return fmt.Sprintf(`{"term":%q,"operator":"IS","value":%q}`, term, value)
	}
	ask := func(more string, filters ...string) string {
		return `{"groups":[{"filters":[` + strings.Join(filters, ",") + `]}],"pgSize":50,"pgNum":1` + more + `}`
	}
	const sender, name, domain = "source.email.sender", "file.name", "risk.untrustedValues.domains"
	all := `{"term":"event.id","operator":"EXISTS"}`
	return []question{
		{"sender_common", ask("", filter(sender, "person0000@corp.example"))},
		{"sender_rare", ask("", filter(sender, "person4500@corp.example"))},
		{"domain_common", ask("", filter(domain, "partner00000.example"))},
		{"name_pdf", ask("", filter(name, "*.pdf"))},
		{"name_prefix", ask("", filter(name, "budget*"))},
		{"name_part_common", ask("", filter(name, "*forecast*"))},
		{"name_part_rare", ask("", filter(name, "*cast 12345*"))},
		{"name_part_none", ask("", filter(name, "*qqqq*"))},
		{"name_part_4821", ask("", filter(name, "*4821*"))},
		{"name_part_ar", ask("", filter(name, "*ar*"))},
		{"common_and_common", ask("", filter(domain, "partner00000.example"), filter(name, "*.pdf"))},
		{"not_sender", ask("", `{"term":"source.email.sender","operator":"IS_NOT","value":"person0000@corp.example"}`)},
		{"newest", ask("", all)},
		{"by_size", ask(`,"srtKey":"file.sizeInBytes"`, all)},
		{"by_name", ask(`,"srtKey":"file.name","srtDir":"asc"`, all)},
		{
			"checkpoint",
			`{"groups":[{"filters":[` + all + `]}],"pgSize":1000,"pgToken":"","srtKey":"event.id","srtDir":"asc"}`,
		},
	}
}

// Open returns a blob of made-up sends.
func (a *archive) Open(context.Context, connection.Tenant, string) (io.ReadCloser, error) {
	records := make([]map[string]any, 0, archivePerB)
	exts, words := archiveExts(), archiveWords()
	word := func() string { return words[a.IntN(len(words))] }
	for range min(archivePerB, a.n-a.made) {
		sender := fmt.Sprintf("person%04d@corp.example", a.who.Uint64())
		to := []map[string]string{}
		for range 1 + min(a.IntN(4), a.IntN(4)) {
			domain := fmt.Sprintf("partner%05d.example", a.domains.Uint64())
			if a.IntN(2) == 0 {
				domain = "corp.example"
			}
			to = append(to, map[string]string{"Address": fmt.Sprintf("contact%02d@%s", a.IntN(40), domain)})
		}
		at := time.Now().Add(-90 * 24 * time.Hour * time.Duration(a.n-a.made) / time.Duration(a.n))
		file := fmt.Sprintf(
			"%s %s %d.%s (%db)",
			word(),
			word(),
			a.IntN(100_000),
			exts[a.ext.Uint64()],
			1000+a.IntN(2_000_000),
		)
		a.made++
		records = append(records, map[string]any{
			"Id": fmt.Sprintf("%08x-0000-4000-8000-%012x", a.Uint32(), a.made), "RecordType": 2,
			"CreationTime": at.UTC().
				Format("2006-01-02T15:04:05"),
			"Operation": "Send", "UserId": sender, "MailboxOwnerUPN": sender,
			"ResultStatus": "Succeeded", "Workload": "Exchange", "ClientIPAddress": "203.0.113.7", "RecipientList": to,
			"Item": map[string]any{
				"Subject": word() + " " + word(), "Attachments": file,
				"InternetMessageId": fmt.Sprintf("<%016x%06d@corp.example>", a.Uint64(), a.made),
			},
		})
	}
	b, err := json.Marshal(records)
	return io.NopCloser(bytes.NewReader(b)), err
}

func (a *archive) Ended(context.Context, audit.Blob) (bool, error)           { return false, nil }
func (a *archive) Begin(_ context.Context, b audit.Blob) (audit.Blob, error) { return b, nil }
func (a *archive) Return(context.Context, audit.Blob) error                  { return nil }
func (a *archive) Settle(context.Context, audit.Blob, audit.Tally) error     { return nil }
func (a *archive) Lose(_ context.Context, b audit.Blob, why string, _ audit.Tally) error {
	return fmt.Errorf("blob %s is lost: %s", b.ID, why)
}
func (a *archive) Refuse(_ context.Context, b audit.Blob, why string) (int64, error) {
	return 0, fmt.Errorf("blob %s is refused: %s", b.ID, why)
}
func (a *archive) Keep(context.Context, audit.Blob, []audit.Unreadable) error { return nil }
func (a *archive) Record(context.Context, access.Entry) error                 { return nil }

func (a *archive) Followed(context.Context) ([]connection.Connection, error) {
	return []connection.Connection{
		{ID: archiveID, DisplayName: "Archive", Tenant: connection.Tenant{ID: "t"}, Status: connection.Monitoring},
	}, nil
}

func (a *archive) Watermark(context.Context, connection.ID) (time.Time, error) {
	return time.Now(), nil
}

// random is a reader of seeded randomness.
type random struct{ *rand.Rand }

func (r random) Read(b []byte) (int, error) {
	for i := 0; i < len(b); i += 8 {
		var word [8]byte
		binary.LittleEndian.PutUint64(word[:], r.Uint64())
		copy(b[i:], word[:])
	}
	return len(b), nil
}

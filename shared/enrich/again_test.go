package enrich_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
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
	"github.com/mailtrail/mailtrail/shared/enrich"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/forensic"
	"github.com/mailtrail/mailtrail/shared/queue"
	"github.com/mailtrail/mailtrail/shared/table"
	m365sim "github.com/mailtrail/mailtrail/sim/m365"
	"github.com/mailtrail/mailtrail/sim/m365/world"
)

// office is a stage whose messages lie in a real table, with a queue and a clock that tests turn.
type office struct {
	*stage
	desk   *forensic.Desk
	events table.Table
	queue  *outbox
}

func newOffice(t *testing.T, options m365sim.Options, roles []string, changes ...func(*enrich.Config)) *office {
	t.Helper()
	o := &office{queue: &outbox{}}
	o.stage = newStage(t, options, staff(), roles, func(c *enrich.Config) {
		store, err := embedded.Open(t.TempDir(), embedded.Options{Now: c.Now})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close() })
		o.events = store.Table("events")
		o.desk = &forensic.Desk{
			Events: o.events, Queue: o.queue, Now: c.Now, Log: slog.New(slog.DiscardHandler), Patience: 35 * time.Minute,
		}
		c.Messages = o.desk
		for _, change := range changes {
			change(c)
		}
	})
	o.queue.now = o.sim.Now
	return o
}

// outbox is a queue whose messages a test takes when they are due.
type outbox struct {
	now  func() time.Time
	mu   sync.Mutex
	jobs []job
}

type job struct {
	body  []byte
	group string
	due   time.Time
	tries int
}

func (q *outbox) Send(_ context.Context, messages ...queue.Message) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, m := range messages {
		q.jobs = append(q.jobs, job{body: bytes.Clone(m.Body), group: m.Group, due: q.now()})
	}
	return nil
}

// take removes the jobs that are due, and returns when the next one is.
func (q *outbox) take() (due []job, next time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now()
	q.jobs = slices.DeleteFunc(q.jobs, func(j job) bool {
		if !j.due.After(now) {
			due = append(due, j)
			return true
		}
		if next.IsZero() || j.due.Before(next) {
			next = j.due
		}
		return false
	})
	return due, next
}

// live lets the office live for a while: the queue is worked on, and swept every ten minutes.
func (o *office) live(d time.Duration) {
	o.Helper()
	end := o.sim.Now().Add(d)
	sweep := o.sim.Now()
	for {
		if now := o.sim.Now(); !now.Before(sweep) {
			if _, err := o.desk.Sweep(o.Context(), fernhill); err != nil {
				o.Fatal(err)
			}
			sweep = now.Add(10 * time.Minute)
		}
		due, next := o.queue.take()
		for _, j := range due {
			err := o.agent.Enrich(o.Context(), j.body)
			if err == nil {
				continue
			}
			if j.tries++; !errors.Is(err, fault.Retry) || j.tries > 100 {
				o.Fatalf("attempt %d: %v", j.tries, err)
			}
			j.due = o.sim.Now().Add(max(fault.Wait(err), time.Second))
			o.queue.jobs = append(o.queue.jobs, j)
		}
		if len(due) > 0 {
			continue
		}
		now := o.sim.Now()
		if !now.Before(end) {
			return
		}
		to := end
		for _, at := range []time.Time{next, sweep} {
			if !at.IsZero() && at.Before(to) {
				to = at
			}
		}
		o.sim.Advance(max(to.Sub(now), time.Millisecond))
	}
}

// read stores records as ingest does, and queues their messages.
func (o *office) read(records ...string) {
	o.Helper()
	in := forensic.Ingester{
		Feed: array("[" + strings.Join(records, ",") + "]"), Ledger: open{}, Events: o.events, Queue: o.queue,
		Now: o.sim.Now,
		Log: slog.New(slog.DiscardHandler),
	}
	now := o.sim.Now()
	body, err := json.Marshal(audit.Blob{
		Connection: fernhill, Tenant: tenant(), Type: audit.Exchange, ID: audit.ContentID(fmt.Sprint(now.UnixNano())),
		URI: "https://manage.office.com/", Created: now, Arrival: now,
	})
	if err == nil {
		err = in.Ingest(o.Context(), body)
	}
	if err != nil {
		o.Fatal(err)
	}
}

type array string

func (a array) Open(context.Context, connection.Tenant, string) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(string(a))), nil
}

// open is a ledger to which every blob is new.
type open struct{}

func (open) Ended(context.Context, audit.Blob) (bool, error)             { return false, nil }
func (open) Begin(_ context.Context, b audit.Blob) (audit.Blob, error)   { b.Attempts = 1; return b, nil }
func (open) Return(context.Context, audit.Blob) error                    { return nil }
func (open) Settle(context.Context, audit.Blob, audit.Tally) error       { return nil }
func (open) Lose(context.Context, audit.Blob, string, audit.Tally) error { return nil }
func (open) Refuse(context.Context, audit.Blob, string) (int64, error)   { return 1, nil }
func (open) Keep(context.Context, audit.Blob, []audit.Unreadable) error  { return nil }

// record is the audit record of the n-th mail of somebody, sent at a time; id is what Microsoft calls the mail.
func record(n int, who string, at time.Time, id, subject string, files ...world.Attachment) string {
	var names []string
	for _, f := range files {
		names = append(names, fmt.Sprintf("%s (%db)", f.Name, f.StoredSize))
	}
	text, _ := json.Marshal(map[string]any{
		"Id": recordID(n), "CreationTime": at.UTC().Format("2006-01-02T15:04:05"), "Operation": "Send", "RecordType": 2,
		"Workload": "Exchange", "ResultStatus": "Succeeded", "UserId": who, "MailboxOwnerUPN": who,
		"Item": map[string]string{
			"InternetMessageId": id, "Subject": subject, "Attachments": strings.Join(names, "; "),
		},
	})
	return string(text)
}

func recordID(n int) forensic.RecordID {
	return forensic.RecordID(fmt.Sprintf("aaaaaaaa-0000-4000-8000-%012d", n))
}

// letter is the copy of such a mail in its sender's mailbox.
func letter(n int, owner, who string, at time.Time, id, subject string, files ...world.Attachment) world.Message {
	m := mail(files...)
	m.ID, m.ImmutableID, m.Mailbox = fmt.Sprint("store-", n), fmt.Sprint("lasting-", n), owner
	m.InternetMessageID, m.Subject, m.Sent = id, subject, at
	m.From, m.Sender = world.Address{Address: who}, world.Address{Address: who}
	return m
}

func (o *office) message(n int) forensic.Message {
	o.Helper()
	all, err := forensic.Load(o.Context(), o.events, fernhill, []forensic.RecordID{recordID(n)})
	if err != nil || len(all) != 1 {
		o.Fatalf("message %d: %d found, %v", n, len(all), err)
	}
	return all[0]
}

// whole fails unless a message was found with its hashes.
func (o *office) whole(n int, files ...world.Attachment) {
	o.Helper()
	m := o.message(n)
	if !m.Copy.Known() || len(m.Copy.Recipients) == 0 || len(m.Files) != len(files) {
		o.Errorf("message %d: %+v", n, m)
		return
	}
	for i, f := range files {
		hashed(o.T, m.Files[i].Attachment, f)
	}
}

const (
	adasMail = "ada@fernhill.example"
	bensMail = "ben@fernhill.example"
)

// A living mailbox refuses by turns for hours, an outage lasts three hours, a policy takes an hour: nothing of
// it is the truth for ever.
func TestWhatIsRefusedForHoursIsFoundInTheEnd(t *testing.T) {
	for name, trouble := range map[string]struct {
		fault  m365sim.Fault
		reason forensic.Reason
		answer string
	}{
		"a mailbox that refuses by turns": {m365sim.Fault{
			Mailbox: "*", Codes: []string{"ResourceNotFound", "MailboxNotEnabledForRESTAPI", "ErrorInvalidUser"},
			For: 5 * time.Hour,
		}, forensic.NoMailbox, "HTTP 404"},
		"a policy that works late": {m365sim.Fault{
			Mailbox: "*", Code: "ErrorAccessDenied", For: 61 * time.Minute,
		}, forensic.MailboxDenied, "HTTP 403 ErrorAccessDenied"},
		"an outage of three hours": {m365sim.Fault{Op: "graph", Status: 503, For: 3 * time.Hour}, forensic.OutOfTime,
			"HTTP 503"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOffice(t, m365sim.Options{}, mailRead(), func(c *enrich.Config) { c.Attempt = time.Second })
			a, b := file(1, "q3.pdf", 50_000), file(2, "q4.pdf", 20_000)
			at := noon.Add(-time.Minute)
			o.put(letter(1, ada, adasMail, at, "<1@x>", "One", a), letter(2, ada, adasMail, at, "<2@x>", "Two", b))
			o.sim.Fault(trouble.fault)
			o.read(record(1, adasMail, at, "<1@x>", "One", a))
			o.live(20 * time.Minute)
			if m := o.message(1); !m.Waiting || m.Copy.Looks < 2 || m.Copy.Answer == "" {
				t.Errorf("after 20 minutes: %+v", m.Copy)
			}
			o.live(20 * time.Minute)
			m := o.message(1)
			if m.Waiting || m.Copy.Reason != trouble.reason || !strings.HasPrefix(m.Copy.Answer, trouble.answer) ||
				m.Copy.Looks < 3 {
				t.Errorf("after 40 minutes: %+v", m.Copy)
			}
			settled := m.Copy.At
			o.read(record(2, adasMail, at, "<2@x>", "Two", b))
			o.live(12 * time.Hour)
			o.whole(1, a)
			o.whole(2, b)
			if m := o.message(1); !m.Copy.At.After(settled) || m.Copy.Answer != "" || !m.Copy.Next.IsZero() {
				t.Errorf("found late: %+v", m.Copy)
			}
			calls := len(o.sim.History(m365sim.Filter{}))
			o.live(48 * time.Hour)
			if more := len(o.sim.History(m365sim.Filter{})) - calls; more > 0 {
				t.Errorf("%d calls for what is found", more)
			}
		})
	}
}

// A tenant that keeps us out on purpose delays nobody: a mailbox that is known to refuse is asked once an hour,
// and its mails are settled at once. When it answers, all of them are looked for.
func TestAMailboxThatIsKnownToRefuseIsAskedOnceAnHour(t *testing.T) {
	o := newOffice(t, m365sim.Options{}, mailRead())
	if err := o.sim.BlockMailbox(tenantID, ada, true); err != nil {
		t.Fatal(err)
	}
	var files []world.Attachment
	send := func(n int) {
		a := file(n, fmt.Sprintf("%d.pdf", n), 1000+int64(n))
		files = append(files, a)
		at, id := o.sim.Now().Add(-time.Hour), fmt.Sprintf("<%d@x>", n)
		o.put(letter(n, ada, adasMail, at, id, "x", a))
		o.read(record(n, adasMail, at, id, "x", a))
	}
	send(0)
	o.live(31 * time.Minute)
	if m := o.message(0); m.Waiting || m.Copy.Reason != forensic.MailboxDenied || m.Copy.Refused == "" {
		t.Fatalf("after the deadline: %+v", m.Copy)
	}
	asked := len(o.sim.History(m365sim.Filter{Op: "graph.messages"}))
	begun := o.sim.Now()
	for n := 1; n <= 20; n++ {
		send(n)
		o.live(time.Second)
		if m := o.message(n); m.Waiting || m.Copy.Reason != forensic.MailboxDenied ||
			m.Copy.Answer != "HTTP 403 ErrorAccessDenied" {
			t.Fatalf("message %d is not settled at once: %+v", n, m)
		}
		o.live(15 * time.Minute)
	}
	hours := int(o.sim.Now().Sub(begun)/time.Hour) + 1
	if calls := len(o.sim.History(m365sim.Filter{Op: "graph.messages"})) - asked; calls > hours || calls < hours-2 {
		t.Errorf("%d calls to the mailbox in %d hours", calls, hours)
	}
	o.live(30 * 24 * time.Hour) // longer than anything is looked for by itself
	if err := o.sim.BlockMailbox(tenantID, ada, false); err != nil {
		t.Fatal(err)
	}
	o.live(2 * time.Hour)
	for n, a := range files {
		o.whole(n, a)
	}
}

// What is nowhere is looked for at growing distances, and no longer than 14 days.
func TestWhatIsNowhereIsLookedForAtGrowingDistances(t *testing.T) {
	o := newOffice(t, m365sim.Options{}, mailRead())
	a := file(1, "q3.pdf", 1000)
	o.read(record(1, adasMail, noon.Add(-time.Hour), "<1@x>", "x", a))
	o.live(40 * time.Minute)
	first := o.message(1).Copy
	o.live(20 * 24 * time.Hour)
	m := o.message(1)
	if looks := m.Copy.Looks - first.Looks; looks < 6 || looks > 12 || !m.Copy.Next.IsZero() ||
		!m.Copy.At.Equal(first.At) {
		t.Errorf("%d looks in 14 days: %+v", looks, m.Copy)
	}
	if since := m.Copy.Looked.Sub(m.Stored); since < 13*24*time.Hour || since > 15*24*time.Hour {
		t.Errorf("the last look is %s after the message was stored", since)
	}
	for range o.events.Query(t.Context(), table.Query{Partition: string(fernhill) + "|looks"}) {
		t.Error("a mark is left")
	}
}

// An operator who mended something asks again at once, by connection, reason and time, and sees how far it has come.
func TestAnOperatorAsksAgainAtOnce(t *testing.T) {
	o := newOffice(t, m365sim.Options{}, mailRead())
	store, err := embedded.Open(t.TempDir(), embedded.Options{Now: o.sim.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	o.desk.Requests = &forensic.Requests{Table: store.Table("connections"), Now: o.sim.Now, Rand: rand.Reader}
	log := slog.New(slog.DiscardHandler)
	api := &enrich.API{
		Requests: o.desk.Requests, Find: o.shelf.Get, Log: log,
		Trail: &access.Trail{Table: store.Table("connections"), Now: o.sim.Now, Rand: rand.Reader},
	}
	ask := func(method, path, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), method, "/v1/connections/"+path+"/enrich", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r = r.WithContext(access.With(r.Context(), access.Caller{ID: "key-1", Roles: []access.Role{access.Admin}}))
		mux := http.NewServeMux()
		for _, route := range api.Routes() {
			mux.Handle(route.Pattern, route.Handler)
		}
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		return w
	}
	for body, field := range map[string]string{
		`{"reasons":["TOO_LARGE"]}`:                                   "reasons[0]",
		`{"from":"2026-05-04T12:00:00Z","to":"2026-05-04T12:00:00Z"}`: "to",
		`{"from":"0001-01-01T00:00:00Z"}`:                             "from",
		`{"since":"2026-05-04T12:00:00Z"}`:                            "since",
	} {
		if w := ask("POST", string(fernhill), body); w.Code != http.StatusBadRequest ||
			!strings.Contains(w.Body.String(), fmt.Sprintf("%q", field)) {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
	}
	if w := ask("POST", "another", `{}`); w.Code != http.StatusNotFound {
		t.Errorf("another connection: %d", w.Code)
	}

	if err := o.sim.BlockMailbox(tenantID, ada, true); err != nil {
		t.Fatal(err)
	}
	var files []world.Attachment
	for n := range 3 {
		a := file(n, fmt.Sprintf("%d.pdf", n), 1000+int64(n))
		files = append(files, a)
		at := noon.Add(time.Duration(n-3) * time.Hour)
		o.put(letter(n, ada, adasMail, at, fmt.Sprintf("<%d@x>", n), "x", a))
		o.read(record(n, adasMail, at, fmt.Sprintf("<%d@x>", n), "x", a))
	}
	o.live(41 * time.Minute)
	if err := o.sim.BlockMailbox(tenantID, ada, false); err != nil {
		t.Fatal(err)
	}
	w := ask("POST", string(fernhill), fmt.Sprintf(`{"reasons":["MAILBOX_DENIED"],"from":%q}`,
		noon.Add(-150*time.Minute).Format(time.RFC3339)))
	if w.Code != http.StatusAccepted {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	// What the first of them learns holds for all that wait for the mailbox.
	o.live(20 * time.Minute)
	for n := range files {
		o.whole(n, files[n])
	}
	if w := ask("GET", string(fernhill), ""); !strings.Contains(w.Body.String(), `"seen":2,"sent":2,"done":"2026`) {
		t.Errorf("%s", w.Body)
	}
}

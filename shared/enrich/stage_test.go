package enrich_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/enrich"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/forensic"
	"github.com/mailtrail/mailtrail/shared/m365"
	m365sim "github.com/mailtrail/mailtrail/sim/m365"
	"github.com/mailtrail/mailtrail/sim/m365/world"
)

const (
	clientID  = "11111111-1111-4111-8111-111111111111"
	publisher = "22222222-2222-4222-8222-222222222222"
	secret    = "the-secret-of-the-application"
	fernhill  = connection.ID("fernhill0001")
	tenantID  = "33333333-3333-4333-8333-333333333333"
)

func tenant() connection.Tenant {
	return connection.Tenant{ID: tenantID, Cloud: connection.Commercial}
}

// noon is in office hours, on a Monday.
var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// signer is the simulation's key: making one takes longer than most tests here.
var signer = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// stage is a simulated Microsoft 365 with one tenant, the agent for it, and the messages that wait.
type stage struct {
	*testing.T
	sim   *m365sim.Server
	agent *enrich.Agent
	shelf *shelf
	log   *lines
}

// newStage opens a stage; the roles are those that the application was granted.
func newStage(t *testing.T, options m365sim.Options, people []world.Person, roles []string,
	changes ...func(*enrich.Config)) *stage {
	t.Helper()
	st := &stage{T: t, shelf: newShelf(), log: &lines{}}
	if options.Now == nil {
		options.Now = func() time.Time { return noon }
	}
	options.Key = signer()
	st.sim = m365sim.New(options)
	st.shelf.now = st.sim.Now
	st.sim.AddApp(m365sim.App{ClientID: clientID, HomeTenant: publisher, Secrets: []m365sim.Secret{{Value: secret}},
		GraphRoles: roles})
	st.sim.AddTenant(world.Tenant{ID: tenantID, DefaultDomain: "fernhill.onmicrosoft.com",
		Domains: []string{"fernhill.onmicrosoft.com", "fernhill.example"}}, people)
	if err := st.sim.Grant(tenantID, clientID); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(st.sim.Handler())
	t.Cleanup(server.Close)
	client, err := m365.New(m365.Config{
		ClientID: clientID, Secret: secret, RedirectURL: "https://mailtrail.example/consent/callback",
		Publisher: publisher, Now: st.sim.Now,
		Endpoints: map[connection.Cloud]m365.Endpoints{connection.Commercial: {
			Login: server.URL + "/login", Activity: server.URL + "/manage", Graph: server.URL + "/graph", Files: "localhost",
			ActivityScope: "https://manage.office.com/.default", GraphScope: "https://graph.microsoft.com/.default",
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	config := enrich.Config{Graph: client, Messages: st.shelf, Connections: st.shelf, Now: st.sim.Now}
	for _, change := range changes {
		change(&config)
	}
	st.agent = enrich.New(config)
	return st
}

// lines is a log that a test can read.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// shelf keeps messages and findings in memory, and one connection.
type shelf struct {
	mu       sync.Mutex
	messages map[forensic.RecordID]forensic.Message
	findings map[forensic.RecordID]forensic.Finding
	status   connection.Status
	refusals map[string]forensic.Refusal
	now      func() time.Time
	failing  error // of the next Settle; that one is done all the same
}

func newShelf() *shelf {
	return &shelf{
		messages: map[forensic.RecordID]forensic.Message{}, findings: map[forensic.RecordID]forensic.Finding{},
		status: connection.Monitoring, refusals: map[string]forensic.Refusal{},
		now: func() time.Time { return noon },
	}
}

func (s *shelf) Get(_ context.Context, id connection.ID) (connection.Connection, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id != fernhill {
		return connection.Connection{}, connection.ErrNotFound
	}
	return connection.Connection{ID: id, Tenant: tenant(), Status: s.status}, nil
}

func (s *shelf) Load(_ context.Context, _ connection.ID, r forensic.RecordID) (forensic.Message, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, ok := s.messages[r]
	_, settled := s.findings[r]
	return m, settled || !ok, nil
}

func (s *shelf) Settle(_ context.Context, m forensic.Message, f forensic.Finding) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, settled := s.findings[m.Record]; !settled {
		s.findings[m.Record] = f
	}
	err := s.failing
	s.failing = nil
	return err
}

// Tried, Refusal, Refused and Answered keep what is known of mailboxes in memory.
func (s *shelf) Tried(context.Context, forensic.Message, forensic.Finding) error { return nil }

func (s *shelf) Refusal(_ context.Context, _ connection.ID, mailbox string) (forensic.Refusal, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refusals[mailbox], nil
}

func (s *shelf) Refused(
	_ context.Context, _ connection.ID, mailbox string, why forensic.Reason, answer string,
) (forensic.Refusal, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, now := s.refusals[mailbox], s.now()
	if r.Since.IsZero() {
		r.Since = now
	}
	r.Probe, r.Reason, r.Answer = now.Add(time.Hour), why, answer
	s.refusals[mailbox] = r
	return r, nil
}

func (s *shelf) Answered(_ context.Context, _ connection.ID, mailbox string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.refusals, mailbox)
	return nil
}

func (s *shelf) Rival(context.Context, forensic.Message, string) (bool, error) { return false, nil }

func (s *shelf) found(r forensic.RecordID) (forensic.Finding, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, ok := s.findings[r]
	return f, ok
}

// record makes a message of an audit record, as ingest does, and stores it; ok is false when it is none.
func (st *stage) record(json []byte) (m forensic.Message, ok bool) {
	st.Helper()
	r, err := audit.Decode(json)
	if err != nil {
		return m, false
	}
	m, verdict, err := forensic.Derive(r, audit.Blob{Connection: fernhill, Tenant: tenant(), Arrival: st.sim.Now()})
	if err != nil || verdict != forensic.Sent {
		return m, false
	}
	m.Stored = st.sim.Now()
	st.add(m)
	return m, true
}

func (st *stage) add(m forensic.Message) {
	st.shelf.mu.Lock()
	defer st.shelf.mu.Unlock()
	st.shelf.messages[m.Record] = m
}

// once makes one attempt, and returns its error as the worker sees it.
func (st *stage) once(r forensic.RecordID) error {
	st.Helper()
	body, err := json.Marshal(forensic.Waiting{Connection: fernhill, Record: r})
	if err != nil {
		st.Fatal(err)
	}
	err = st.agent.Enrich(st.Context(), body)
	if err != nil {
		_, _ = fmt.Fprintf(st.log, "message %s: %v\n", r, err)
	}
	return err
}

// settle plays the queue: attempts are made when they are due, until every message is settled. It returns how
// many attempts the most often tried message took.
func (st *stage) settle(workers int, records ...forensic.RecordID) (most int) {
	st.Helper()
	type job struct {
		record forensic.RecordID
		tries  int
		due    time.Time
	}
	var waiting []job
	for _, r := range records {
		waiting = append(waiting, job{record: r})
	}
	var mu sync.Mutex
	for len(waiting) > 0 {
		now := st.sim.Now()
		var due, next []job
		soonest := now.Add(24 * time.Hour)
		for _, j := range waiting {
			if j.due.After(now) {
				next = append(next, j)
				if j.due.Before(soonest) {
					soonest = j.due
				}
			} else {
				due = append(due, j)
			}
		}
		if len(due) == 0 {
			st.sim.Advance(soonest.Sub(now))
			continue
		}
		var all sync.WaitGroup
		slots := make(chan struct{}, workers)
		for _, j := range due {
			slots <- struct{}{}
			all.Go(func() {
				defer func() { <-slots }()
				err := st.once(j.record)
				mu.Lock()
				defer mu.Unlock()
				j.tries++
				most = max(most, j.tries)
				if err == nil {
					return
				}
				if !errors.Is(err, fault.Retry) || fault.Wait(err) <= 0 || j.tries > 60 {
					st.Errorf("attempt %d: %v, to be tried again in %s", j.tries, err, fault.Wait(err))
					return
				}
				j.due = st.sim.Now().Add(fault.Wait(err))
				next = append(next, j)
			})
		}
		all.Wait()
		waiting = next
	}
	return most
}

// staff is a small company for tests of one mail.
func staff() []world.Person {
	person := func(n int, upn, mail string) world.Person {
		return world.Person{ID: fmt.Sprintf("44444444-4444-4444-8444-%012d", n), UserPrincipalName: upn, Mail: mail,
			UserType: "Member", Enabled: true}
	}
	return []world.Person{
		person(1, "ada@fernhill.example", "ada@fernhill.example"),
		person(2, "ben@fernhill.example", "ben@fernhill.example"),
		person(3, "sales@fernhill.example", "sales@fernhill.example"),
		person(4, "nobox@fernhill.example", ""),
		person(5, "o'brien+x#1@fernhill.example", "o'brien+x#1@fernhill.example"),
	}
}

const (
	ada   = "44444444-4444-4444-8444-000000000001"
	ben   = "44444444-4444-4444-8444-000000000002"
	sales = "44444444-4444-4444-8444-000000000003"
)

func file(n int, name string, length int64) world.Attachment {
	return world.Attachment{ID: fmt.Sprintf("att%d", n), Name: name, ContentType: "application/pdf", Kind: "file",
		Length: length, StoredSize: length + 200, Seed: uint64(n)}
}

// mail is the copy in ada's Sent Items of a mail that the audit log records, with these attachments.
func mail(attachments ...world.Attachment) world.Message {
	return world.Message{
		ID: "store-1", ImmutableID: "lasting-1", Mailbox: ada, Folder: "sentitems",
		InternetMessageID: "<one@fernhill.example>", Subject: "Figures for Q3",
		Sent: noon.Add(-time.Hour), From: world.Address{Name: "Ada", Address: "ada@fernhill.example"},
		Sender: world.Address{Name: "Ada", Address: "ada@fernhill.example"},
		To:     []world.Address{{Name: "Out", Address: "out@partner.example"}}, Attachments: attachments,
	}
}

// told is what the audit record says of such a mail.
func told(attachments ...world.Attachment) forensic.Message {
	m := forensic.Message{
		Connection: fernhill, Record: "aaaaaaaa-0000-4000-8000-000000000001", Observed: noon.Add(-time.Hour),
		Arrival: noon, Stored: noon, Operation: "Send",
		Actor: "ada@fernhill.example", Sender: "ada@fernhill.example", From: "ada@fernhill.example",
		Mailbox: "ada@fernhill.example",
		Subject: "Figures for Q3", InternetMessageID: "<one@fernhill.example>",
	}
	for _, a := range attachments {
		m.Files = append(m.Files, forensic.File{Name: a.Name, StoredSize: a.StoredSize})
	}
	return m
}

// put puts copies into mailboxes.
func (st *stage) put(messages ...world.Message) {
	st.Helper()
	if err := st.sim.AddMessages(tenantID, messages...); err != nil {
		st.Fatal(err)
	}
}

// finding settles one message and returns what was found.
func (st *stage) finding(m forensic.Message) forensic.Finding {
	st.Helper()
	st.add(m)
	st.settle(1, m.Record)
	f, ok := st.shelf.found(m.Record)
	if !ok {
		st.Fatal("the message is not settled")
	}
	return f
}

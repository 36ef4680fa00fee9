package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/enrich"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/forensic"
	"github.com/mailtrail/mailtrail/shared/m365"
	m365sim "github.com/mailtrail/mailtrail/sim/m365"
	"github.com/mailtrail/mailtrail/sim/m365/world"
)

// post is the amount of mail in the mailboxes of a simulated tenant. Each message has one attachment.
type post struct {
	Mailboxes, Messages int // messages in each
	Length              int64
	Latency             time.Duration // of every call of Graph
}

const mailTenant = "11111111-2222-4333-8444-555555555555"

// serveMail runs a simulated Microsoft 365 with the post until its input ends. It is a process of its own, so that
// making the files does not count as our processor time. It prints its addresses.
func serveMail(ctx context.Context, p post) error {
	sim := m365sim.New(m365sim.Options{Latency: p.Latency, HistorySize: 1})
	sim.AddApp(m365sim.App{ClientID: clientID, HomeTenant: publisher, Secrets: []m365sim.Secret{{Value: "bench-secret"}},
		GraphRoles: []string{"Mail.Read"}})
	people := make([]world.Person, p.Mailboxes)
	for i := range people {
		address := fmt.Sprintf("user%d@load.example", i)
		people[i] = world.Person{ID: fmt.Sprintf("44444444-4444-4444-8444-%012d", i), UserPrincipalName: address,
			Mail: address, UserType: "Member", Enabled: true}
	}
	sim.AddTenant(world.Tenant{ID: mailTenant, DefaultDomain: "load.example", Domains: []string{"load.example"}}, people)
	for n := range p.Messages * p.Mailboxes {
		file := p.file(n)
		m := world.Message{
			ID: fmt.Sprint("s", n), ImmutableID: fmt.Sprint("l", n), Mailbox: people[n%p.Mailboxes].ID, Folder: "sentitems",
			InternetMessageID: messageID(n),
			Sent:              sim.Now().Add(-time.Hour), To: []world.Address{{Address: "out@partner.example"}},
			Attachments: []world.Attachment{{ID: fmt.Sprint("a", n), Name: file.Name, ContentType: "application/zip",
				Kind: "file", Length: p.Length, StoredSize: file.StoredSize, Seed: uint64(n)}},
		}
		if err := sim.AddMessages(mailTenant, m); err != nil {
			return err
		}
	}
	if err := sim.Grant(mailTenant, clientID); err != nil {
		return err
	}
	doors, err := sim.Start(ctx, "127.0.0.1:0", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(m365.Endpoints{
		Login: doors.Login, Activity: doors.Manage, Graph: doors.Graph,
		ActivityScope: "https://manage.office.com/.default", GraphScope: "https://graph.microsoft.com/.default",
	}); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return errors.Join(err, doors.Close())
}

func (p post) file(n int) forensic.File {
	return forensic.File{Name: fmt.Sprintf("archive %d.zip", n), StoredSize: p.Length + 200}
}

func messageID(n int) string { return fmt.Sprintf("<%d@load.example>", n) }

// mailroom is the agent, and the post that it has to enrich.
type mailroom struct {
	post
	agent   *enrich.Agent
	wait    func() error
	mu      sync.Mutex
	settled int
	failed  error
	calls   stopwatch
	spans   map[int]*span // by mailbox
}

// stopwatch adds up how long calls take, from their start until their answer's body is closed.
type stopwatch struct {
	next http.RoundTripper
	sum  atomic.Int64 // nanoseconds
}

func (t *stopwatch) RoundTrip(req *http.Request) (*http.Response, error) {
	begun := time.Now()
	resp, err := t.next.RoundTrip(req)
	if err == nil {
		resp.Body = &timedCall{resp.Body, func() { t.sum.Add(int64(time.Since(begun))) }}
	}
	return resp, err
}

type timedCall struct {
	io.ReadCloser
	ended func()
}

func (b *timedCall) Close() error {
	b.ended()
	return b.ReadCloser.Close()
}

// span is from the first message of a mailbox to its last.
type span struct{ begun, ended time.Time }

// mailServer is the simulation in a child process.
type mailServer struct {
	doors m365.Endpoints
	stop  func() error
}

// startMail starts the simulation that is named as a child of this program.
func startMail(ctx context.Context, name string) (*mailServer, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	child := exec.CommandContext(ctx, self, "-child", name)
	child.Stderr = os.Stderr
	in, err := child.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := child.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := child.Start(); err != nil {
		return nil, err
	}
	s := &mailServer{stop: func() error { return errors.Join(in.Close(), child.Wait()) }}
	if err := json.NewDecoder(out).Decode(&s.doors); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// openMailroom starts a simulation, and an agent that calls it.
func openMailroom(ctx context.Context, name string, p post, workers int) (*mailroom, error) {
	server, err := startMail(ctx, name)
	if err != nil {
		return nil, err
	}
	room := &mailroom{post: p, calls: stopwatch{next: &http.Transport{MaxIdleConns: workers,
		MaxIdleConnsPerHost: workers}}, spans: make(map[int]*span), wait: server.stop}
	client, err := m365.New(m365.Config{
		ClientID: clientID, Secret: "bench-secret", Publisher: publisher,
		RedirectURL: "https://mailtrail.example/consent/callback",
		Endpoints:   map[connection.Cloud]m365.Endpoints{connection.Commercial: server.doors},
		// Graph speaks HTTP/2, where calls need no connection of their own; the simulation's HTTP/1.1 needs one for each.
		HTTP: &http.Client{Transport: &room.calls},
	})
	if err != nil {
		return nil, errors.Join(err, room.wait())
	}
	// Fetch the tenant's token before anything is measured.
	if _, err := client.FindSent(ctx, connection.Tenant{ID: mailTenant, Cloud: connection.Commercial},
		"user0@load.example", "<none>"); err != nil {
		return nil, errors.Join(err, room.wait())
	}
	room.agent = enrich.New(enrich.Config{Graph: client, Messages: room, Connections: room, Workers: 2 * workers})
	return room, nil
}

// run enriches the whole post with that many workers.
func (m *mailroom) run(ctx context.Context, workers int) error {
	work := make(chan int)
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for n := range work {
				body := fmt.Appendf(nil, `{"connection":"bench","record":"%d"}`, n)
				err := m.agent.Enrich(ctx, body)
				for errors.Is(err, fault.Retry) && ctx.Err() == nil {
					err = m.agent.Enrich(ctx, body)
				}
				m.keep(err)
			}
		})
	}
	m.feed(work)
	close(work)
	all.Wait()
	if m.settled != m.Messages*m.Mailboxes {
		m.keep(fmt.Errorf("%d of %d messages were settled", m.settled, m.Messages*m.Mailboxes))
	}
	return m.failed
}

// feed gives each mailbox in turn as many messages as it allows calls, over and over. It spreads the first ones over
// one call's latency. Otherwise all calls would stay in step, and the simulation would answer in bursts.
func (m *mailroom) feed(work chan<- int) {
	for first := 0; first < m.Messages; first += callsAtATime {
		for box := range m.Mailboxes {
			for k := first; k < min(first+callsAtATime, m.Messages); k++ {
				work <- k*m.Mailboxes + box
			}
			if first == 0 {
				time.Sleep(m.Latency / time.Duration(m.Mailboxes)) // spacing of the load, not waiting for anything
			}
		}
	}
}

func (m *mailroom) keep(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failed == nil {
		m.failed = err
	}
}

// Get, Load and Settle stand in for the tables, which this does not measure.
func (m *mailroom) Get(context.Context, connection.ID) (connection.Connection, error) {
	return connection.Connection{ID: "bench", Tenant: connection.Tenant{ID: mailTenant, Cloud: connection.Commercial},
		Status: connection.Monitoring}, nil
}

func (m *mailroom) Load(_ context.Context, c connection.ID, r forensic.RecordID) (forensic.Message, bool, error) {
	var n int
	if _, err := fmt.Sscan(string(r), &n); err != nil {
		return forensic.Message{}, false, err
	}
	box := n % m.Mailboxes
	m.mu.Lock()
	if m.spans[box] == nil {
		m.spans[box] = &span{begun: time.Now()}
	}
	m.mu.Unlock()
	who := fmt.Sprintf("user%d@load.example", box)
	return forensic.Message{
		Connection: c, Record: r, Observed: time.Now().Add(-time.Hour), Stored: time.Now(), Operation: "Send", Actor: who,
		Sender: who, From: who, Mailbox: who,
		InternetMessageID: messageID(n), Files: []forensic.File{m.file(n)},
	}, false, nil
}

func (m *mailroom) Settle(_ context.Context, message forensic.Message, f forensic.Finding) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f.Reason != "" || len(f.Files) != 1 || f.Files[0].Size != m.Length || f.Files[0].SHA256 == "" ||
		len(f.Recipients) != 1 {
		return fmt.Errorf("message %s: found %q, %d files", message.Record, f.Reason, len(f.Files))
	}
	m.settled++
	var n int
	_, err := fmt.Sscan(string(message.Record), &n)
	m.spans[n%m.Mailboxes].ended = time.Now()
	return err
}

// Tried, Refusal, Refused and Answered: no mailbox refuses here.
func (m *mailroom) Tried(context.Context, forensic.Message, forensic.Finding) error { return nil }

func (m *mailroom) Refusal(context.Context, connection.ID, string) (forensic.Refusal, error) {
	return forensic.Refusal{}, nil
}

func (m *mailroom) Refused(context.Context, connection.ID, string, forensic.Reason, string) (forensic.Refusal, error) {
	return forensic.Refusal{}, nil
}

func (m *mailroom) Answered(context.Context, connection.ID, string) error { return nil }

func (m *mailroom) Rival(context.Context, forensic.Message, string) (bool, error) { return false, nil }

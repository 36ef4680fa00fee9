package machine_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/local/machine"
	"github.com/mailtrail/mailtrail/shared/access"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/m365"
	m365sim "github.com/mailtrail/mailtrail/sim/m365"
	"github.com/mailtrail/mailtrail/sim/m365/company"
)

const (
	clientID     = "5f0d3d5c-0a51-4b3f-9a7e-6c8f1b2d4e60"
	clientSecret = "the-secret-of-the-application"
	publisher    = "0b8f6a52-9f57-4c35-8f0f-2a4d9c1e7b31"
	contentType  = "Audit.Exchange"
)

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

// world is a simulated Microsoft 365 and a machine that runs against it.
type world struct {
	t       *testing.T
	sim     *m365sim.Server
	doors   *m365sim.Doors
	machine *machine.Machine
	base    string
	log     *lines
	token   string
	stop    func()
}

// start runs a machine over a simulation with these options, without any tenant and without mailboxes. The changes
// apply to the configuration of the machine.
func start(t *testing.T, opts m365sim.Options, changes ...func(*world, *machine.Config)) *world {
	t.Helper()
	return startWith(t, opts, machine.Config{NoMailboxes: true}, changes...)
}

// startWith runs a machine with a configuration that these tests complete.
func startWith(t *testing.T, opts m365sim.Options, c machine.Config, changes ...func(*world, *machine.Config)) *world {
	t.Helper()
	w := &world{t: t, sim: m365sim.New(opts), log: &lines{}}
	var err error
	if w.doors, err = w.sim.Start(t.Context(), "127.0.0.1:0", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.base = "http://" + l.Addr().String()
	w.register("Mail.Read", "Files.Read.All", "User.Read.All", "GroupMember.Read.All")
	c.Dir, c.Base, c.First, c.Tick = t.TempDir(), w.base, 48*time.Hour, 100*time.Millisecond
	c.Census = 200 * time.Millisecond
	c.Log = slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	c.Microsoft = m365.Config{
		ClientID: clientID, Secret: clientSecret, Publisher: publisher,
		Endpoints: map[connection.Cloud]m365.Endpoints{connection.Commercial: {
			Login: w.doors.Login, Activity: w.doors.Manage, Graph: w.doors.Graph, Files: "localhost",
			ActivityScope: "https://manage.office.com/.default", GraphScope: "https://graph.microsoft.com/.default",
		}},
	}
	for _, change := range changes {
		change(w, &c)
	}
	if w.machine, err = machine.Open(c); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- w.machine.Run(ctx, l) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := w.doors.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(w.stop)
	w.token = w.login(access.Admin, access.Analyst)
	return w
}

// register registers our application, with these permissions of Graph.
func (w *world) register(roles ...string) {
	w.sim.AddApp(m365sim.App{
		ClientID: clientID, HomeTenant: publisher, Secrets: []m365sim.Secret{{Value: clientSecret}},
		RedirectURIs: []string{w.base + connection.CallbackPath}, ActivityRoles: []string{"ActivityFeed.Read"},
		GraphRoles: roles,
	})
}

// login makes an API client with the roles, and returns a token of it.
func (w *world) login(roles ...access.Role) string {
	w.t.Helper()
	return w.loginAs(access.NewClient{Name: "test", Roles: roles})
}

// loginAs creates the API client and returns a token of it.
func (w *world) loginAs(asked access.NewClient) string {
	w.t.Helper()
	client, secret, err := w.machine.Clients.Create(w.t.Context(), "test", asked)
	if err != nil {
		w.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.base+"/v1/oauth", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	req.SetBasicAuth(client.ID, secret)
	var answer struct {
		Token string `json:"access_token"`
	}
	w.do(req, http.StatusOK, &answer)
	return answer.Token
}

// day publishes what happens at a company in an interval, bundled as Microsoft does, and returns the number of blobs.
// They became available within the last ten minutes, so that a connection that was polled before still finds them.
func (w *world) day(c *company.Company, from, to time.Time) int64 {
	w.t.Helper()
	slice := c.Between(from, to)
	if err := w.sim.AddMessages(c.Tenant().ID, slice.Messages...); err != nil {
		w.t.Fatal(err)
	}
	blobs := company.Blobs(slice.Records, 1, 60)
	for i, records := range blobs {
		created := w.sim.Now().Add(-10*time.Minute + time.Duration(i)*100*time.Millisecond)
		if _, err := w.sim.Publish(c.Tenant().ID, contentType, created, records); err != nil {
			w.t.Fatal(err)
		}
	}
	return int64(len(blobs))
}

// ended waits until n blobs of a connection are listed and none of them is open.
func (w *world) ended(c connection.ID, n int64) {
	w.t.Helper()
	w.wait(fmt.Sprintf("%d blobs of %s to end", n, c), func() bool {
		sums, err := w.machine.Ledger.Sums(w.t.Context(), c)
		if err != nil {
			w.t.Fatal(err)
		}
		return sums.Listed >= n && sums.Open() == 0
	})
}

// wait waits for a condition, and fails the test if that takes far too long.
func (w *world) wait(what string, cond func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !cond(); {
		if time.Now().After(deadline) {
			w.t.Fatalf("waited two minutes for %s; the log ends:\n%s", what, tail(w.log.String()))
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func tail(s string) string { return s[max(0, len(s)-4000):] }

// do sends a request with the world's token and decodes the answer.
func (w *world) do(req *http.Request, want int, into any) {
	w.t.Helper()
	if w.token != "" && req.Header.Get("Authorization") == "" {
		req.Header.Set("Authorization", "Bearer "+w.token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	if resp.StatusCode != want {
		w.t.Fatalf("%s %s answers %d, want %d: %.500s", req.Method, req.URL.Path, resp.StatusCode, want, body)
	}
	if into != nil {
		if err := json.Unmarshal(body, into); err != nil {
			w.t.Fatalf("%s answers %.200s: %v", req.URL.Path, body, err)
		}
	}
}

// found is what these tests read of a file event.
type found struct {
	Timestamp time.Time `json:"@timestamp"`
	Event     struct {
		ID       string
		Ingested time.Time
		Enriched *time.Time
	}
	User struct{ Email string }
	File struct {
		Name        string
		SizeInBytes *int64
		Hash        struct{ MD5, SHA256, SHA256Error *string }
		Attachment  struct{ Kind, Missing *string }
	}
	Source struct {
		Email struct{ Sender, From, MessageID string }
	}
	Destination struct {
		Email struct {
			Subject         string
			Recipients      []string
			RecipientsError *string
		}
	}
}

// search returns all matching events, page by page in token mode, ordered by a key.
func (w *world) search(filters, key string, pageSize int) []found {
	w.t.Helper()
	return w.searchAfter(filters, key, pageSize, "")
}

// searchAfter returns the matching events after a given event.
func (w *world) searchAfter(filters, key string, pageSize int, after string) []found {
	w.t.Helper()
	var all []found
	token := fmt.Sprintf("%q", after)
	for {
		body := fmt.Sprintf(`{"groups":[{"filters":[%s]}],"pgSize":%d,"pgToken":%s,"srtKey":%q,"srtDir":"asc"}`, filters,
			pageSize, token, key)
		req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.base+"/v2/file-events",
			strings.NewReader(body))
		if err != nil {
			w.t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		var page struct {
			FileEvents  []found
			NextPgToken *string
		}
		w.do(req, http.StatusOK, &page)
		all = append(all, page.FileEvents...)
		if page.NextPgToken == nil {
			return all
		}
		token = fmt.Sprintf("%q", *page.NextPgToken)
	}
}

// everything is a filter that matches all events.
const everything = `{"term":"event.observer","operator":"IS","value":"Office365"}`

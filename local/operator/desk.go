package operator

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/mailtrail/mailtrail/shared/access"
	"github.com/mailtrail/mailtrail/shared/agents"
	"github.com/mailtrail/mailtrail/shared/dead"
	"github.com/mailtrail/mailtrail/shared/embedded"
)

// Desk is where a command asks for something about a data folder.
type Desk struct {
	Running bool // Mailtrail runs on the folder, and answers

	client http.Client
	close  func() error
}

// Open finds out whether Mailtrail runs on a data folder. If so, it answers; if not, the folder is opened, and nobody
// else can open it before Close.
func Open(ctx context.Context, dir string, log *slog.Logger) (*Desk, error) {
	if conn, err := dial(ctx, dir); err == nil {
		d := &Desk{Running: true}
		d.client.Transport = &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, dir) },
		}
		d.close = func() error { d.client.CloseIdleConnections(); return nil }
		return d, conn.Close()
	}
	if _, err := os.Stat(filepath.Join(dir, storeDir)); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no data in folder %s: name the folder with --data or DATA", dir)
	}
	store, err := embedded.Open(filepath.Join(dir, storeDir), embedded.Options{})
	if errors.Is(err, embedded.ErrInUse) {
		return nil, fmt.Errorf("folder %s is in use, and Mailtrail does not answer there: "+
			"it starts or ends just now, or another command runs; try again in a moment", dir)
	}
	if err != nil {
		return nil, err
	}
	o := &Operator{Dir: dir, Store: store, Agents: stopped(store, log), Now: time.Now, Log: log}
	return &Desk{client: http.Client{Transport: direct{o.Handler()}}, close: store.Close}, nil
}

// stopped is the agents of a folder on which nothing runs: none of them works, and Microsoft is not asked.
func stopped(store *embedded.Store, log *slog.Logger) *agents.Agents {
	// Without a bound on receives nothing becomes a dead letter here, and what is one stays one.
	letters := func(name string) dead.Queue {
		return dead.Queue{Name: name, Letters: store.Queue(name, embedded.QueueOptions{})}
	}
	return agents.New(agents.Surroundings{
		Connections: store.Table("connections"), Blobs: store.Table("blobs"), Events: store.Table("events"),
		People: store.Table("people"),
		Dead:   []dead.Queue{letters("blobs"), letters("messages")},
		Now:    time.Now, Rand: rand.Reader, Log: log,
	})
}

// Close lets go of the folder.
func (d *Desk) Close() error { return d.close() }

// Ask makes a request, and decodes the answer into into unless it is nil. A refusal is an error with the sentences of
// its problems.
func (d *Desk) Ask(ctx context.Context, method, path string, body, into any) error {
	var sent io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		sent = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://mailtrail"+path, sent)
	if err != nil {
		return err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := d.client.Do(r)
	if err != nil {
		return fmt.Errorf("ask Mailtrail: %w", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("read what Mailtrail answers: %w", err)
	}
	if resp.StatusCode >= http.StatusBadRequest {
		return refusal(resp.StatusCode, answer)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer, into)
}

func refusal(status int, answer []byte) error {
	refused := &access.Refused{Status: status}
	var said struct{ Problems []access.Problem }
	if err := json.Unmarshal(answer, &said); err != nil || len(said.Problems) == 0 {
		return fmt.Errorf("the running Mailtrail answers %d", status)
	}
	for _, p := range said.Problems {
		p.Field = "" // the sentence says which
		refused.Problems = append(refused.Problems, p)
	}
	return refused
}

// direct answers requests by a handler of the same process.
type direct struct{ handler http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r = r.Clone(r.Context())
		r.Body = http.NoBody
	}
	w := &answer{header: http.Header{}}
	d.handler.ServeHTTP(w, r)
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return &http.Response{
		StatusCode: w.status, Header: w.header, Body: io.NopCloser(&w.body), Request: r, ProtoMajor: 1, ProtoMinor: 1,
	}, nil
}

// answer keeps what a handler answers.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

func (a *answer) Write(b []byte) (int, error) { return a.body.Write(b) }

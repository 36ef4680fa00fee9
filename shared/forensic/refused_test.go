package forensic_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/forensic"
)

// denying refuses every blob as Microsoft does, by turns.
type denying struct{ n int }

func (r *denying) Open(context.Context, connection.Tenant, string) (io.ReadCloser, error) {
	codes := []string{"AF20050", "AF20051", "AF20052", ""}
	code := codes[r.n%len(codes)]
	r.n++
	return nil, &fault.Error{
		Kind:   fault.Poison,
		Code:   code,
		Status: 404,
		Err:    fmt.Errorf("HTTP 404 %s: %w", code, audit.ErrGone),
	}
}

// company is a connection of acme with a ledger, at a time that the test moves.
type company struct {
	*world
	registry *connection.Registry
	id       connection.ID
	at       time.Time
}

func newCompany(t *testing.T) *company {
	t.Helper()
	c := &company{world: newWorld(t), at: now}
	clock := func() time.Time { return c.at }
	c.registry = &connection.Registry{Table: c.store.Table("connections"), Now: clock, Rand: rand.Reader}
	added, _, err := c.registry.Add(t.Context(), "Acme", connection.Commercial, "test")
	if err != nil {
		t.Fatal(err)
	}
	who := connection.Administrator{Tenant: "7b1c3f9e-1111-4a5b-9c60-6a7b8c9d0e1f", Object: "admin"}
	if _, err := c.registry.Consented(t.Context(), added.ID, who); err != nil {
		t.Fatal(err)
	}
	c.id = added.ID
	c.poll(t)
	return c
}

// poll is a poll that succeeds.
func (c *company) poll(t *testing.T) connection.Connection {
	t.Helper()
	if err := c.registry.Report(t.Context(), c.id, nil); err != nil {
		t.Fatal(err)
	}
	conn, err := c.registry.Get(t.Context(), c.id)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// ingest takes a blob out of the queue until it is done with, and returns how many times that was.
func (c *company) ingest(t *testing.T, f forensic.Feed, body []byte) (times int) {
	t.Helper()
	in := c.ingester()
	in.Feed, in.Connections, in.Ledger = f, c.registry, &audit.Ledger{
		Table: c.blobs,
		Now:   func() time.Time { return c.at },
	}
	for times = 1; times < 10; times++ {
		err := in.Ingest(t.Context(), body)
		if err == nil {
			return times
		}
		if errors.Is(err, fault.Poison) {
			t.Fatalf("the queue would give up: %v", err)
		}
	}
	t.Fatal("not done with")
	return 0
}

// blob is a listed blob of the connection.
func (c *company) blob(t *testing.T, id string, content func() io.Reader) []byte {
	t.Helper()
	var b audit.Blob
	if err := json.Unmarshal(c.add(id, now, content), &b); err != nil {
		t.Fatal(err)
	}
	b.Connection = c.id
	body, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	ledger := c.ledger()
	begun, err := ledger.Begin(t.Context(), b)
	if err == nil {
		err = ledger.Return(t.Context(), begun)
	}
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func (c *company) state(t *testing.T, id string) audit.Entry {
	t.Helper()
	e, err := c.ledger().Find(t.Context(), c.id, audit.ContentID(id))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// A good blob may be refused for hours. It is asked for a few times at once, then whenever the poller queues it again,
// until Microsoft has it no more; and what is lost says why.
func TestABlobThatIsRefusedIsAskedForUntilItExpires(t *testing.T) {
	for name, after := range map[string]time.Duration{"it passes": 2 * time.Hour, "it does not": 7 * 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			c := newCompany(t)
			body := c.blob(t, "good", array(send(1, "a (1b)")))
			if n := c.ingest(t, &denying{}, body); n != 3 {
				t.Errorf("the queue brought it %d times", n)
			}
			if e := c.state(t, "good"); e.State != audit.WasListed || e.Refusals != 3 ||
				!strings.Contains(e.Refusal, "AF20052") {
				t.Fatalf("%+v", e)
			}
			c.at = c.at.Add(after)
			if after < 24*time.Hour {
				c.ingest(t, c.feed, body)
				if e := c.state(t, "good"); e.State != audit.Settled || len(messages(t, c)) != 1 {
					t.Errorf("%s, %d messages", e.State, len(messages(t, c)))
				}
				return
			}
			c.ingest(t, &denying{n: 3}, body)
			if e := c.state(t, "good"); e.State != audit.Lost || !strings.Contains(e.Reason, "until it expired, 4 times") ||
				!strings.Contains(e.Reason, "HTTP 404") {
				t.Errorf("%s, %q", e.State, e.Reason)
			}
		})
	}
}

// messages are those of the connection.
func messages(t *testing.T, c *company) []string {
	t.Helper()
	var all []string
	for _, day := range sorts(t, c.events, forensic.DaysPartition(c.id)) {
		if name, ok := strings.CutPrefix(day, forensic.DaysObserved); ok {
			at, err := time.Parse("2006-01-02", strings.TrimPrefix(name, "|"))
			if err != nil {
				t.Fatal(day, err)
			}
			all = append(all, sorts(t, c.events, forensic.DayPartition(c.id, at))...)
		}
	}
	return all
}

// If Microsoft refuses blob after blob, we ask for them in the wrong tenant or cloud. One bad blob says nothing.
func TestBlobsThatAreRefusedInARowAreTheConnectionsError(t *testing.T) {
	c := newCompany(t)
	var refused [][]byte
	for i := range 5 {
		body := c.blob(t, fmt.Sprint("blob", i), array(send(i, "a (1b)")))
		refused = append(refused, body)
		c.ingest(t, &denying{n: 2}, body)
		if conn := c.poll(t); (conn.Status == connection.Error) != (i == 4) {
			t.Errorf("after %d blobs: %s, %q", i+1, conn.Status, conn.Reason)
		}
	}
	conn := c.poll(t)
	for _, part := range []string{"refuses to hand it out (", "7 days", "the tenant id and the cloud"} {
		if !strings.Contains(conn.Reason, part) {
			t.Errorf("%q does not say %q", conn.Reason, part)
		}
	}
	c.ingest(t, c.feed, refused[0])
	if conn := c.poll(t); conn.Status != connection.Monitoring {
		t.Errorf("after one was handed out: %s, %q", conn.Status, conn.Reason)
	}
	for range 10 { // of one that stays bad between good ones
		c.ingest(t, &denying{}, refused[1])
	}
	if conn := c.poll(t); conn.Status != connection.Monitoring {
		t.Errorf("one bad blob: %s, %q", conn.Status, conn.Reason)
	}
}

package enrich_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/enrich"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/forensic"
	m365sim "github.com/mailtrail/mailtrail/sim/m365"
)

func TestNoMailboxHasMoreThanFourCallsAtATime(t *testing.T) {
	const messages, most = 16, enrich.DefaultPerMailbox
	graph := &crowd{release: make(chan struct{})}
	st := newStage(t, m365sim.Options{}, staff(), mailRead(), func(c *enrich.Config) {
		c.Graph, c.Workers = graph, 2*messages
	})
	var all sync.WaitGroup
	for i := range messages {
		record := told()
		record.Record, record.Stored = forensic.RecordID(fmt.Sprint("record-", i)), noon.Add(-time.Hour)
		record.Mailbox = []string{"ada@fernhill.example", "ADA@fernhill.example"}[i%2]
		record.Actor = record.Mailbox
		st.add(record)
		all.Go(func() {
			if err := st.once(record.Record); err != nil {
				t.Error(err)
			}
		})
	}
	for left := messages; left > 0; left-- {
		for graph.running.Load() < int64(min(left, most)) {
			time.Sleep(time.Millisecond)
		}
		graph.release <- struct{}{}
	}
	all.Wait()
	if got := graph.most.Load(); got != most {
		t.Errorf("%d calls at a time in one mailbox, want %d", got, most)
	}
}

// crowd is a Graph that knows no mailbox, and says so to one call after the other, when it is released.
type crowd struct {
	enrich.Graph
	running, most atomic.Int64
	release       chan struct{}
}

func (c *crowd) FindSent(context.Context, connection.Tenant, string, string) ([]enrich.Mail, error) {
	n := c.running.Add(1)
	defer c.running.Add(-1)
	for old := c.most.Load(); n > old && !c.most.CompareAndSwap(old, n); old = c.most.Load() {
	}
	<-c.release
	return nil, fmt.Errorf("%w: %w", enrich.ErrNoMailbox, fault.Poison) // final: it is not asked again
}

func TestAMailboxIsLeftAloneForAsLongAsMicrosoftAsks(t *testing.T) {
	st := newStage(t, m365sim.Options{}, staff(), mailRead())
	a := file(1, "q3.pdf", 1000)
	st.put(mail(a))
	for i := range 5 {
		record := told(a)
		record.Record = forensic.RecordID(fmt.Sprint("record-", i))
		st.add(record)
	}
	st.sim.Fault(m365sim.Fault{Op: "graph.messages", Status: 429, RetryAfter: 7 * time.Minute, Times: 1})
	for i := range 5 {
		if err := st.once(forensic.RecordID(fmt.Sprint("record-", i))); !errors.Is(err, fault.Retry) ||
			fault.Wait(err) < 6*time.Minute {
			t.Errorf("message %d: %v, in %s", i, err, fault.Wait(err))
		}
	}
	if got := len(st.sim.History(m365sim.Filter{Op: "graph"})); got != 1 {
		t.Errorf("%d requests, though the first said to wait", got)
	}
	st.sim.Advance(7 * time.Minute)
	if err := st.once("record-0"); err != nil {
		t.Error(err)
	}
}

// "If no Retry-After header is provided, use an exponential backoff": asking again at once would be one more
// request that is throttled.
func TestAThrottleThatDoesNotSayHowLongIsNotAskedAgainAtOnce(t *testing.T) {
	st := newStage(t, m365sim.Options{}, staff(), mailRead())
	a := file(1, "q3.pdf", 1000)
	st.put(mail(a))
	st.add(told(a))
	st.sim.Fault(m365sim.Fault{Op: "graph.messages", Status: 429})
	err := st.once(told(a).Record)
	if wait := fault.Wait(err); !errors.Is(err, fault.Retry) || wait < 10*time.Second {
		t.Errorf("%v, in %s", err, wait)
	}
	if got := len(st.sim.History(m365sim.Filter{Op: "graph"})); got != 1 {
		t.Errorf("%d requests in one attempt, though the first was throttled", got)
	}
}

// A backlog of one tenant whose mailboxes hang must not take all workers from the others.
func TestATenantsBacklogDelaysNoOther(t *testing.T) {
	slow, quick := &hanging{release: make(chan struct{})}, newShelf()
	quick.messages["quick"] = told()
	agent := enrich.New(enrich.Config{Graph: slow, Messages: &anything{quick}, Connections: twoTenants{}, Workers: 8,
		Now: func() time.Time { return noon }})
	ctx, cancel := context.WithCancel(t.Context())
	var workers sync.WaitGroup
	var bounced atomic.Int64
	work := make(chan string)
	for range 8 {
		workers.Go(func() {
			for body := range work {
				if err := agent.Enrich(ctx, []byte(body)); errors.Is(err, fault.Retry) && fault.Wait(err) > 0 {
					bounced.Add(1)
				}
			}
		})
	}
	for i := range 12 { // more than there are workers: some bounce off the tenant's share
		work <- fmt.Sprintf(`{"connection":"slow","record":"r%d"}`, i)
	}
	work <- `{"connection":"quick","record":"quick"}`
	close(work)
	for settled := false; !settled; _, settled = quick.found("quick") {
		time.Sleep(time.Millisecond)
	}
	if slow.running.Load() != 6 {
		t.Errorf("%d of 8 places are the slow tenant's, want 6", slow.running.Load())
	}
	cancel()
	close(slow.release)
	workers.Wait()
	if bounced.Load() == 0 {
		t.Error("nothing went back to the queue")
	}
}

// hanging is a Graph that answers the slow tenant when it is released, and finds nothing. The quick tenant has
// no mailboxes.
type hanging struct {
	enrich.Graph
	running atomic.Int64
	release chan struct{}
}

func (h *hanging) FindSent(ctx context.Context, t connection.Tenant, _, _ string) ([]enrich.Mail, error) {
	if t.ID != "slow" {
		return nil, enrich.ErrNoMailbox
	}
	h.running.Add(1)
	defer h.running.Add(-1)
	select {
	case <-ctx.Done():
	case <-h.release:
	}
	return nil, ctx.Err()
}

func (h *hanging) FindAnywhere(context.Context, connection.Tenant, string, string) ([]enrich.Mail, error) {
	return nil, enrich.ErrNoMailbox
}

type twoTenants struct{}

func (twoTenants) Get(_ context.Context, id connection.ID) (connection.Connection, error) {
	return connection.Connection{ID: id, Tenant: connection.Tenant{ID: connection.TenantID(id)},
		Status: connection.Monitoring}, nil
}

// anything holds a message for every record.
type anything struct{ *shelf }

func (a *anything) Load(_ context.Context, _ connection.ID, r forensic.RecordID) (forensic.Message, bool, error) {
	m := told()
	m.Record, m.Mailbox, m.Actor, m.Stored = r, string(r)+"@x", string(r)+"@x", noon.Add(-time.Hour)
	return m, false, nil
}

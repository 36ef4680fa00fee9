package enrich_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/local/m365sim"
	"github.com/mailtrail/mailtrail/local/m365sim/world"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/enrich"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/forensic"
)

func TestNoMailboxHasMoreThanFourCallsAtATime(t *testing.T) {
	st := newStage(t, m365sim.Options{Latency: 5 * time.Millisecond}, staff(), mailRead(), func(c *enrich.Config) { c.Workers = 64 })
	var records []forensic.RecordID
	for i := range 60 {
		var files []world.Attachment
		for n := range 6 {
			a := file(100*i+n, fmt.Sprintf("%d-%d.pdf", i, n), 20_000)
			files = append(files, a)
		}
		m, record := mail(files...), told(files...)
		m.ID, m.ImmutableID, m.InternetMessageID = fmt.Sprint("s", i), fmt.Sprint("l", i), fmt.Sprintf("<%d@x>", i)
		record.Record, record.InternetMessageID = forensic.RecordID(fmt.Sprintf("aaaaaaaa-0000-4000-8000-%012d", i)), m.InternetMessageID
		st.put(m)
		st.add(record)
		records = append(records, record.Record)
	}
	if most := st.settle(40, records...); most > 1 {
		t.Errorf("a message took %d attempts", most)
	}
	if got := st.sim.History(m365sim.Filter{Status: 429}); len(got) > 0 {
		t.Errorf("%d calls were one too many for the mailbox", len(got))
	}
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
		if err := st.once(forensic.RecordID(fmt.Sprint("record-", i))); !errors.Is(err, fault.Retry) || fault.Wait(err) < 6*time.Minute {
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

// "If no Retry-After header is provided, use an exponential backoff": asking again at once would be one more request that is throttled.
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
	agent := enrich.New(enrich.Config{Graph: slow, Messages: &anything{quick}, Connections: twoTenants{}, Workers: 8, Now: func() time.Time { return noon }})
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

// hanging is a Graph that answers the slow tenant when it is released, and finds nothing. The quick tenant has no mailboxes.
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
	return connection.Connection{ID: id, Tenant: connection.Tenant{ID: connection.TenantID(id)}, Status: connection.Monitoring}, nil
}

// anything holds a message for every record.
type anything struct{ *shelf }

func (a *anything) Load(_ context.Context, _ connection.ID, r forensic.RecordID) (forensic.Message, bool, error) {
	m := told()
	m.Record, m.Mailbox, m.Actor = r, string(r)+"@x", string(r)+"@x"
	return m, false, nil
}

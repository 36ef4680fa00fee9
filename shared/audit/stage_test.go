package audit_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/embedded"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/queue"
	"github.com/mailtrail/mailtrail/shared/table"
)

// clock is a time that only the test moves.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// feed is an audit log of scripted content. It keeps Microsoft's rules on windows, so that a poller that breaks them
// fails.
type feed struct {
	clock *clock
	skew  time.Duration // how far Microsoft's clock is ahead of ours
	size  int           // blobs of a page

	mu        sync.Mutex
	blobs     map[connection.TenantID][]audit.Listed
	fail      func(t connection.TenantID, page string) error
	asked     []string // windows
	subscribe func(t connection.TenantID) error
	starts    int
	started   map[connection.TenantID]time.Time // the last attempt
	enabled   map[connection.TenantID]bool

	unsubscribe func(t connection.TenantID) error
	stops       int
}

func (f *feed) Subscribe(_ context.Context, t connection.Tenant, _ audit.ContentType) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.starts++
	last, now := f.started[t.ID], f.clock.Now()
	if !last.IsZero() && now.Sub(last) < 15*time.Minute {
		return &fault.Error{
			Kind: fault.Retry, Code: "429", Status: 403, After: last.Add(15 * time.Minute).Sub(now), Err: errors.New("too frequent starts"),
		}
	}
	f.started[t.ID] = now
	if f.subscribe != nil {
		if err := f.subscribe(t.ID); err != nil {
			return err
		}
	}
	f.enabled[t.ID] = true
	return nil
}

func (f *feed) Unsubscribe(_ context.Context, t connection.Tenant, _ audit.ContentType) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stops++
	if f.unsubscribe != nil {
		if err := f.unsubscribe(t.ID); err != nil {
			return err
		}
	}
	f.enabled[t.ID] = false
	return nil
}

func (f *feed) List(
	ctx context.Context,
	t connection.Tenant,
	_ audit.ContentType,
	from, to time.Time,
	page string,
) (audit.Page, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.clock.Now().Add(f.skew)
	if !from.Before(to) || to.Sub(from) > 24*time.Hour || from.Before(now.Add(-7*24*time.Hour)) {
		return audit.Page{}, fmt.Errorf("AF20055: window %s to %s at %s: %w", from, to, now, audit.ErrWindow)
	}
	if !f.enabled[t.ID] {
		return audit.Page{}, &fault.Error{Kind: fault.Retry, Code: "AF20022", Status: 400, Err: audit.ErrNotSubscribed}
	}
	f.asked = append(f.asked, from.Format(time.RFC3339)+" "+to.Format(time.RFC3339))
	if f.fail != nil {
		if err := f.fail(t.ID, page); err != nil {
			return audit.Page{}, err
		}
	}
	var all []audit.Listed
	for _, b := range f.blobs[t.ID] {
		if !b.Created.Before(from) && b.Created.Before(to) {
			all = append(all, b)
		}
	}
	start, _ := strconv.Atoi(page)
	end := min(start+f.size, len(all))
	answer := audit.Page{Blobs: all[start:end]}
	if end < len(all) {
		answer.Next = strconv.Itoa(end)
	}
	return answer, ctx.Err()
}

func (f *feed) publish(t connection.TenantID, n int, created time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for range n {
		id := audit.ContentID(fmt.Sprintf("blob$%s$%d", t, len(f.blobs[t])))
		f.blobs[t] = append(f.blobs[t], audit.Listed{
			ID: id, URI: "https://manage.office.com/" + string(id), Type: audit.Exchange,
			Created: created, Expires: created.Add(7 * 24 * time.Hour),
		})
	}
}

// roll is the list of connections, and what was reported of each.
type roll struct {
	mu       sync.Mutex
	all      []connection.Connection
	reported map[connection.ID][]error
	starts   map[connection.ID]time.Time // when the next one is allowed
	now      func() time.Time
}

func (r *roll) ClaimStart(_ context.Context, c connection.ID) (time.Duration, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if wait := r.starts[c].Sub(r.now()); wait > 0 {
		return wait, nil
	}
	r.starts[c] = r.now().Add(15 * time.Minute)
	return 0, nil
}

func (r *roll) PostponeStart(_ context.Context, c connection.ID, wait time.Duration) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.starts[c] = r.now().Add(wait)
	return nil
}

func (r *roll) Followed(context.Context) ([]connection.Connection, error) {
	return r.those(connection.Connection.Followed), nil
}

func (r *roll) Stopping(context.Context) ([]connection.Connection, error) {
	return r.those(func(c connection.Connection) bool { return !c.Stopping.IsZero() }), nil
}

func (r *roll) those(are func(connection.Connection) bool) []connection.Connection {
	r.mu.Lock()
	defer r.mu.Unlock()
	var some []connection.Connection
	for _, c := range r.all {
		if are(c) {
			some = append(some, c)
		}
	}
	return some
}

func (r *roll) Get(_ context.Context, id connection.ID) (connection.Connection, error) {
	return r.those(func(c connection.Connection) bool { return c.ID == id })[0], nil
}

func (r *roll) Stopped(_ context.Context, id connection.ID) error {
	r.change(id, func(c *connection.Connection) { c.Stopping = time.Time{} })
	return nil
}

func (r *roll) change(id connection.ID, f func(*connection.Connection)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.all {
		if r.all[i].ID == id {
			f(&r.all[i])
		}
	}
}

func (r *roll) Report(_ context.Context, c connection.ID, err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reported[c] = append(r.reported[c], err)
	return nil
}

// reports is how often a connection was reported on.
func (r *roll) reports(c connection.ID) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.reported[c])
}

// outbox is a queue that only keeps what was sent.
type outbox struct {
	mu   sync.Mutex
	sent []audit.Blob
	fail func() error // asked before sending; an error that is errAfterwards is given after it
}

var errAfterwards = errors.New("sent, but told that it failed")

func (o *outbox) Send(_ context.Context, messages ...queue.Message) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	var failure error
	if o.fail != nil {
		if failure = o.fail(); failure != nil && !errors.Is(failure, errAfterwards) {
			return failure
		}
	}
	for _, m := range messages {
		var b audit.Blob
		if err := json.Unmarshal(m.Body, &b); err != nil {
			return err
		}
		o.sent = append(o.sent, b)
	}
	return failure
}

func (o *outbox) ids() map[audit.ContentID]int {
	o.mu.Lock()
	defer o.mu.Unlock()
	ids := map[audit.ContentID]int{}
	for _, b := range o.sent {
		ids[b.ID]++
	}
	return ids
}

// stage is a poller with all that it needs.
type stage struct {
	*audit.Poller
	clock *clock
	feed  *feed
	roll  *roll
	out   *outbox
}

func newStage(t *testing.T, tenants int) *stage {
	t.Helper()
	c := &clock{t: time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)}
	store, err := embedded.Open(t.TempDir(), embedded.Options{Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	s := &stage{
		clock: c,
		feed: &feed{
			clock: c, size: 3, blobs: map[connection.TenantID][]audit.Listed{},
			started: map[connection.TenantID]time.Time{}, enabled: map[connection.TenantID]bool{},
		},
		roll: &roll{reported: map[connection.ID][]error{}, starts: map[connection.ID]time.Time{}, now: c.Now},
		out:  &outbox{},
	}
	for i := range tenants {
		s.roll.all = append(s.roll.all, connection.Connection{
			ID:        connection.ID(fmt.Sprintf("c%d", i)),
			Tenant:    connection.Tenant{ID: connection.TenantID(fmt.Sprintf("t%d", i)), Cloud: connection.Commercial},
			Status:    connection.Monitoring,
			Consented: c.t.Add(-time.Hour),
		})
	}
	holders := 0
	s.Poller = &audit.Poller{
		Connections: s.roll, Feed: s.feed, Queue: s.out,
		Ledger:   &audit.Ledger{Table: store.Table("blobs"), Now: c.Now},
		Now:      c.Now,
		Holder:   func() string { holders++; return "poll" + strconv.Itoa(holders) },
		Log:      slog.New(slog.DiscardHandler),
		Patience: time.Minute, Hold: 10 * time.Minute, Requeue: time.Hour,
		Slots: make(chan struct{}, 8),
	}
	return s
}

func (s *stage) poll(t *testing.T) audit.Outcome {
	t.Helper()
	o, err := s.Poll(t.Context(), s.clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func (s *stage) sums(t *testing.T, c connection.ID) audit.Sums {
	t.Helper()
	sums, err := s.Ledger.Sums(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return sums
}

// open counts the open blobs by looking at each one.
func (s *stage) open(t *testing.T, c connection.ID) int64 {
	t.Helper()
	var n int64
	for _, err := range s.Ledger.Table.Query(t.Context(), table.Query{Partition: string(c) + "|open"}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

package connection_test

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/embedded"
	m365sim "github.com/mailtrail/mailtrail/sim/m365"
)

// poller follows the campus's connections as the product does.
func (k *campus) poller() *audit.Poller {
	k.t.Helper()
	store, err := embedded.Open(k.t.TempDir(), embedded.Options{Now: k.clock.now})
	if err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(func() {
		if err := store.Close(); err != nil {
			k.t.Error(err)
		}
	})
	return &audit.Poller{
		Connections: k.registry, Feed: k.client, Ledger: &audit.Ledger{Table: store.Table("blobs"), Now: k.clock.now},
		Queue: store.Queue("blobs", embedded.QueueOptions{}), Now: k.clock.now, Holder: func() string { return "poll" },
		Log: slog.New(slog.DiscardHandler), Slots: make(chan struct{}, 1),
	}
}

// consented takes an administrator of acme through the consent.
func (k *campus) consented() connection.ID {
	k.t.Helper()
	id, link := k.addIn(connection.Commercial)
	b := k.browser()
	done := b.follow(b.at(b.follow(b.at(b.press(link).location, boss, acme, "accept")).location, boss, acme, "accept"))
	if done.status != http.StatusOK {
		k.t.Fatalf("%d %s", done.status, done.body)
	}
	return id
}

// ticks polls n times, a minute apart.
func (k *campus) ticks(p *audit.Poller, n int) {
	k.t.Helper()
	for range n {
		k.clock.advance(time.Minute)
		if _, err := p.Poll(k.t.Context(), k.clock.now()); err != nil {
			k.t.Fatal(err)
		}
	}
}

// starts is how many times Microsoft was asked to start a subscription.
func (k *campus) starts() int {
	n := 0
	for _, r := range k.sim.History(m365sim.Filter{}) {
		if strings.HasSuffix(r.Path, "/subscriptions/start") {
			n++
		}
	}
	return n
}

// strict makes Microsoft refuse a second start within 15 minutes, and count the refused ones.
func strict(status int) func(*m365sim.Options) {
	return func(o *m365sim.Options) {
		o.StartSpacing, o.StartSpacingStatus, o.RefusedStartsCount = 15*time.Minute, status, true
	}
}

// The poller must not start what the consent page has started: Microsoft answers a second start within 15 minutes with
// code 429, with status 403 or 429.
func TestAConsentWhosePermissionsSpreadAtOnceIsMonitoringAtItsFirstTick(t *testing.T) {
	for _, status := range []int{403, 429} {
		k := newCampus(t, nil)
		k.sim.Change(strict(status))
		p := k.poller()
		id := k.consented()
		k.ticks(p, 1)
		if got := k.get(id); got.Status != connection.Monitoring {
			t.Errorf("after the first tick: %s, %q", got.Status, got.Reason)
		}
		k.ticks(p, 30)
		if n := k.starts(); n != 1 {
			t.Errorf("%d starts, want 1", n)
		}
	}
}

// While permissions spread, a consent starts nothing in vain. What half of the tokens allow is one start.
func TestPermissionsThatSpreadSlowlyCostNoStart(t *testing.T) {
	k := newCampus(t, nil)
	k.sim.Change(func(o *m365sim.Options) {
		strict(403)(o)
		o.RolePropagation, o.RoleFlicker, o.PermissionLag = 10*time.Minute, 10*time.Minute, 5*time.Minute
	})
	p := k.poller()
	id := k.consented()
	if n := k.starts(); n != 0 {
		t.Errorf("%d starts before the permissions had spread", n)
	}
	for range 40 {
		k.ticks(p, 1)
		if got := k.get(id); got.Status == connection.Error {
			t.Fatalf("%s, %q", got.Status, got.Reason)
		}
	}
	if got := k.get(id); got.Status != connection.Monitoring || k.starts() != 1 {
		t.Errorf("%s, %q, after %d starts", got.Status, got.Reason, k.starts())
	}
}

// Somebody else's start, a moment before ours: the next one waits for 15 minutes, or for as long as Microsoft says.
func TestAThrottledStartWaitsAsLongAsTheTextSays(t *testing.T) {
	for _, spacing := range []time.Duration{15 * time.Minute, 40 * time.Minute} {
		k := newCampus(t, nil)
		id := k.consented()
		p := k.poller()
		k.ticks(p, 20)
		k.sim.Change(func(o *m365sim.Options) { strict(403)(o); o.StartSpacing = spacing })
		k.clock.advance(time.Hour)
		tenant := k.get(id).Tenant
		if err := k.client.Unsubscribe(t.Context(), tenant, audit.Exchange); err != nil {
			t.Fatal(err)
		}
		if err := k.client.Subscribe(t.Context(), tenant, audit.Exchange); err != nil { // another product's, of the same name
			t.Fatal(err)
		}
		if err := k.client.Unsubscribe(t.Context(), tenant, audit.Exchange); err != nil {
			t.Fatal(err)
		}
		before := k.starts()
		k.ticks(p, 1)
		if got := k.starts() - before; got != 1 {
			t.Errorf("%s: %d starts at first", spacing, got)
		}
		k.ticks(p, 14)
		if got := k.starts() - before; got != 1 {
			t.Errorf("%s: %d starts in the first quarter of an hour", spacing, got)
		}
		k.sim.Change(func(o *m365sim.Options) { o.RefusedStartsCount = false })
		k.ticks(p, 100)
		if got := k.get(id); got.Status != connection.Monitoring || k.starts()-before > 3 {
			t.Errorf("%s: %s, %q, after %d starts", spacing, got.Status, got.Reason, k.starts()-before)
		}
	}
}

func TestASubscriptionThatStaysDisabledIsStoppedAndStartedOnceAndThenReported(t *testing.T) {
	k := newCampus(t, nil)
	k.sim.Change(strict(403))
	p := k.poller()
	id := k.consented()
	k.ticks(p, 20)
	if err := k.sim.StickSubscription(string(acme), string(audit.Exchange), true); err != nil {
		t.Fatal(err)
	}
	k.ticks(p, 15) // one start
	if got := k.get(id); got.Status != connection.Monitoring || k.starts() != 2 {
		t.Errorf("after the first start: %s, %q, %d starts", got.Status, got.Reason, k.starts())
	}
	k.ticks(p, 45)
	got := k.get(id)
	for _, part := range []string{"keeps our subscription", "disabled", "wait 15 minutes, and resume it", "AF20023"} {
		if got.Status != connection.Error || !strings.Contains(got.Reason, part) {
			t.Errorf("%s, %q, without %q", got.Status, got.Reason, part)
		}
	}
	if err := k.sim.StickSubscription(string(acme), string(audit.Exchange), false); err != nil {
		t.Fatal(err)
	}
	k.ticks(p, 11)
	if got := k.get(id); got.Status != connection.Monitoring {
		t.Errorf("well again: %s, %q", got.Status, got.Reason)
	}
}

// Of several agents one may start, also after a crash and with a clock that was wrong.
func TestOneStartIsClaimedWithin15Minutes(t *testing.T) {
	k := newCampus(t, nil)
	id := k.consented()
	k.clock.advance(time.Hour)
	claims := func() int {
		n := 0
		for range 5 {
			wait, err := k.registry.ClaimStart(t.Context(), id)
			if err != nil || wait > 15*time.Minute {
				t.Fatal(wait, err)
			}
			if wait == 0 {
				n++
			}
		}
		return n
	}
	for _, step := range []struct {
		after time.Duration
		want  int
	}{{0, 1}, {14 * time.Minute, 0}, {time.Minute, 1}, {-24 * time.Hour, 1}} {
		k.clock.advance(step.after)
		if n := claims(); n != step.want {
			t.Errorf("%s later: %d claims, want %d", step.after, n, step.want)
		}
	}
}

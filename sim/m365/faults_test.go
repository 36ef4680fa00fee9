package m365sim_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	m365sim "github.com/mailtrail/mailtrail/sim/m365"
)

func TestFaultsEndByTheirTimesAndByClearing(t *testing.T) {
	m := consented(t, m365sim.Options{})
	token := m.token(contoso, "manage")
	status := func() int { return m.feed("GET", "subscriptions/list", token).status }
	m.Fault(m365sim.Fault{Op: "feed.list", Status: 500, Times: 2})
	if got := []int{status(), status(), status()}; !slices.Equal(got, []int{500, 500, 200}) {
		t.Errorf("two times: %v", got)
	}
	one := m.Fault(m365sim.Fault{Op: "feed", Status: 503})
	m.Fault(m365sim.Fault{Tenant: contoso, Path: "subscriptions/list", Status: 429})
	if got := status(); got != 503 {
		t.Errorf("the first of two faults: %d", got)
	}
	m.ClearFaults(one)
	if got := status(); got != 429 {
		t.Errorf("the second, after the first was cleared: %d", got)
	}
	m.ClearFaults()
	if got := status(); got != 200 || len(m.Faults()) != 0 {
		t.Errorf("after all were cleared: %d, %v", got, m.Faults())
	}
}

func TestRateOfAFault(t *testing.T) {
	m := consented(t, m365sim.Options{Seed: 3})
	token := m.token(contoso, "manage")
	m.Fault(m365sim.Fault{Op: "feed.list", Status: 500, Rate: 0.5})
	failed := 0
	for range 200 {
		if m.feed("GET", "subscriptions/list", token).status == 500 {
			failed++
		}
	}
	if failed < 60 || failed > 140 {
		t.Errorf("%d of 200 failed at a rate of one half", failed)
	}
}

func TestRetryAfterOfAFault(t *testing.T) {
	m := mailed(t, m365sim.Options{})
	m.Fault(m365sim.Fault{Op: "graph", Status: 429, RetryAfter: 1500 * time.Millisecond})
	if r := m.graph(messageOf); r.status != 429 || r.code() != "TooManyRequests" || r.header.Get("Retry-After") != "2" {
		t.Errorf("got %d %s, Retry-After %q", r.status, r.body, r.header.Get("Retry-After"))
	}
}

func TestBodiesAreTorn(t *testing.T) {
	m := consented(t, m365sim.Options{})
	token := m.token(contoso, "manage")
	id := m.publish(noon, "["+strings.Repeat(`{"Id":"x"},`, 1000)+"{}]")
	m.Fault(m365sim.Fault{Op: "feed.blob", TornAt: 5000, Times: 1})
	if r := m.feed("GET", "audit/"+id, token); r.err == nil || r.status != 200 || len(r.body) > 5000 {
		t.Errorf("broken: status %d, %d bytes, error %v", r.status, len(r.body), r.err)
	}
	m.Fault(m365sim.Fault{Op: "feed.blob", TornAt: 5000, Silent: true, Times: 1})
	if r := m.feed("GET", "audit/"+id, token); r.err != nil || len(r.body) != 5000 {
		t.Errorf("silent: %d bytes, error %v", len(r.body), r.err)
	}
	if r := m.feed("GET", "audit/"+id, token); r.err != nil || len(r.body) != 11004 {
		t.Errorf("afterwards: %d bytes, error %v", len(r.body), r.err)
	}
	calls := m.History(m365sim.Filter{Op: "feed.blob"})
	if len(calls) != 3 || !calls[0].Torn || !calls[1].Torn || calls[2].Torn || calls[0].Bytes != 5000 {
		t.Errorf("history: %+v", calls)
	}
}

func TestConnectionsHangAndAreReset(t *testing.T) {
	m := consented(t, m365sim.Options{})
	token := m.token(contoso, "manage")
	m.Fault(m365sim.Fault{Op: "feed.list", Reset: true}) // not once: Go's client tries a GET again on another connection
	if r := m.feed("GET", "subscriptions/list", token); r.err == nil {
		t.Errorf("a reset connection answered %d", r.status)
	}
	m.Fault(m365sim.Fault{Op: "feed.start", Hang: true, Times: 1})
	ctx, cancel := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, "POST",
		m.base+feedPath+"subscriptions/start?contentType=DLP.All&"+publisher, strings.NewReader("{}"))
	m.must(err)
	request.Header = bearer(token)
	ended := make(chan error)
	go func() {
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			err = response.Body.Close()
		}
		ended <- err
	}()
	cancel()
	if err := <-ended; err == nil {
		t.Error("a hanging request was answered")
	}
}

// With one seed, the n-th call of an operation meets the same luck in every run.
func TestLuckIsDecidedByTheSeed(t *testing.T) {
	run := func(seed uint64) string {
		opts := m365sim.Hostile(seed)
		opts.Latency, opts.RefuseRate, opts.RolePropagation = 0, 0.3, 0
		m := start(t, opts)
		m.must(m.Grant(contoso, clientID))
		var token string
		for token == "" {
			token, _ = into[map[string]any](t, m.tokenReply(contoso, "manage"))["access_token"].(string)
		}
		var story []string
		for range 40 {
			r := m.feed("GET", "subscriptions/list", token)
			story = append(story, fmt.Sprint(r.status, r.code()))
		}
		return strings.Join(story, ";")
	}
	first := run(1)
	if again := run(1); first != again {
		t.Errorf("one seed, two stories:\n%s\n%s", first, again)
	}
	if run(2) == first {
		t.Error("two seeds, one story")
	}
	for _, want := range []string{"200", "429AF429", "403AF429", "500AF50000", "503"} {
		if !strings.Contains(strings.ReplaceAll(first, " ", ""), want) {
			t.Errorf("40 calls never met %s: %s", want, first)
		}
	}
}

func TestDuplicatesAreListedAndNothingIsLeftOut(t *testing.T) {
	m := consented(t, m365sim.Options{Seed: 9, PageSize: 3, DuplicateRate: 0.5, Shuffle: true, LateRate: 0.3,
		LateBy: 10 * time.Minute})
	want := map[string]bool{}
	for i := range 30 {
		want[m.publish(noon.Add(time.Duration(i-60)*time.Minute), "[]")] = true
	}
	entries, pages := m.list(m.token(contoso, "manage"), noon.Add(-2*time.Hour), noon)
	got := map[string]int{}
	for _, e := range entries {
		got[e.ContentID]++
	}
	if len(got) != 30 || len(entries) < 35 || pages != 10 {
		t.Errorf("%d different of %d entries on %d pages, want 30 of more than 35 on 10", len(got), len(entries), pages)
	}
	thrice := 0
	for id, n := range got {
		if !want[id] {
			t.Errorf("%s was never published", id)
		}
		if n > 2 {
			thrice++
		}
	}
	if thrice == 0 {
		t.Error("no blob was listed both twice on its page and again on the next")
	}
}

func TestLatencyEndsWhenTheClientLeaves(t *testing.T) {
	m := start(t, m365sim.Options{Latency: time.Hour})
	ctx, cancel := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, "GET", m.base+"/login/common/discovery/v2.0/keys", nil)
	m.must(err)
	time.AfterFunc(10*time.Millisecond, cancel)
	if response, err := http.DefaultClient.Do(request); err == nil {
		response.Body.Close()
		t.Error("an hour of latency was answered at once")
	}
}

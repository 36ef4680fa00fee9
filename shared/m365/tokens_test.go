package m365_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/fault"
)

func TestAThousandCallersShareOneTokenRequest(t *testing.T) {
	const callers = 1000
	release := make(chan struct{})
	m := newMicrosoft(t, emptyPage)
	m.login = func(w http.ResponseWriter, _ *http.Request) {
		<-release
		m.grant(w, time.Hour)
	}
	c := m.client(t)
	var wait sync.WaitGroup
	var failed atomic.Int64
	for range callers {
		wait.Go(func() {
			if _, err := list(c); err != nil {
				failed.Add(1)
			}
		})
	}
	close(release)
	wait.Wait()
	if m.issued.Load() != 1 || failed.Load() != 0 {
		t.Errorf("%d token requests and %d failures for %d callers", m.issued.Load(), failed.Load(), callers)
	}
}

func TestTokensAreRenewedBeforeTheyEnd(t *testing.T) {
	for name, tc := range map[string]struct{ life, good, renewed time.Duration }{
		"of an hour":      {time.Hour, 54 * time.Minute, 56 * time.Minute},
		"of nine minutes": {9 * time.Minute, 5 * time.Minute, 7 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			now := newClock()
			m := newMicrosoft(t, emptyPage)
			m.login = func(w http.ResponseWriter, _ *http.Request) { m.grant(w, tc.life) }
			c := m.client(t, at(now))
			must(t, listOnly(c))
			now.Advance(tc.good)
			must(t, listOnly(c))
			if got := m.issued.Load(); got != 1 {
				t.Fatalf("%d token requests while the token was good", got)
			}
			now.Advance(tc.renewed - tc.good)
			must(t, listOnly(c))
			if got := m.issued.Load(); got != 2 {
				t.Fatalf("%d token requests after the token's time, want 2", got)
			}
		})
	}
}

func TestTokensAreOfOneTenant(t *testing.T) {
	m := newMicrosoft(t, emptyPage)
	c := m.client(t)
	other := contoso()
	other.ID = publisher
	now := time.Now()
	for _, tenant := range []struct{ times int }{{1}, {2}} {
		for range tenant.times {
			must(t, listOnly(c))
			_, err := c.List(context.Background(), other, audit.Exchange, now, now, "")
			must(t, err)
		}
	}
	if got := m.issued.Load(); got != 2 {
		t.Errorf("%d token requests for two tenants", got)
	}
}

// takesOnly answers with an empty page to the token, and refuses every other one as the API does.
func takesOnly(token func() string, status int, code string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer "+token() {
			emptyPage(w, r)
			return
		}
		refuse(w, status, code, "The permission set () does not include the expected permission.")
	}
}

func TestARefusedTokenIsReplacedOnce(t *testing.T) {
	for _, status := range []int{401, 403} {
		m := newMicrosoft(t, takesOnly(func() string { return roleToken(2) }, status, "AF10001"))
		c := m.client(t)
		must(t, listOnly(c))
		must(t, listOnly(c))
		if got := m.issued.Load(); got != 2 {
			t.Errorf("status %d: %d token requests, want 2", status, got)
		}
	}

	never := newMicrosoft(t, takesOnly(func() string { return "" }, 401, "AF10001"))
	_, err := list(never.client(t))
	check(t, err, fault.Refused, "AF10001", 401)
	if got := never.issued.Load(); got != 2 {
		t.Errorf("%d token requests when no token is taken, want 2", got)
	}
}

func TestAThrottleDropsNoToken(t *testing.T) {
	throttled := newMicrosoft(t, takesOnly(func() string { return "" }, 403, "AF429"))
	c := throttled.client(t)
	for range 3 {
		_, err := list(c)
		check(t, err, fault.Retry, "AF429", 403)
	}
	if got := throttled.issued.Load(); got != 1 {
		t.Errorf("%d token requests while throttled, want 1", got)
	}
}

func TestLastingRefusalsDoNotLoopAtTheLogin(t *testing.T) {
	now := newClock()
	var good atomic.Bool
	m := newMicrosoft(t, func(w http.ResponseWriter, r *http.Request) {
		if good.Load() {
			emptyPage(w, r)
			return
		}
		refuse(w, 401, "AF10001", "no")
	})
	c := m.client(t, at(now))
	for range 500 {
		_, err := list(c)
		check(t, err, fault.Refused, "AF10001", 401)
	}
	if got := m.issued.Load(); got > 11 {
		t.Errorf("%d token requests in no time", got)
	}
	now.Advance(time.Minute)
	good.Store(true)
	must(t, listOnly(c))
}

func TestForgetAsksForATokenAnew(t *testing.T) {
	m := newMicrosoft(t, emptyPage)
	c := m.client(t)
	must(t, listOnly(c))
	c.Forget(contoso())
	must(t, listOnly(c))
	if got := m.issued.Load(); got != 2 {
		t.Errorf("%d token requests, want 2", got)
	}
}

// A token that was asked for before Forget may lack what Forget was called for.
func TestForgetDetachesARequestUnderWay(t *testing.T) {
	asked, release := make(chan struct{}), make(chan struct{})
	m := newMicrosoft(t, emptyPage)
	m.login = func(w http.ResponseWriter, _ *http.Request) {
		if m.issued.Load() == 0 {
			close(asked)
			<-release
		}
		m.grant(w, time.Hour)
	}
	c := m.client(t)
	var wait sync.WaitGroup
	wait.Go(func() { must(t, listOnly(c)) })
	<-asked
	c.Forget(contoso())
	close(release)
	wait.Wait()
	must(t, listOnly(c))
	must(t, listOnly(c))
	if got := m.issued.Load(); got != 2 {
		t.Errorf("%d token requests, want 2: the old one is not to be cached", got)
	}
}

func TestACallerWhoLeavesTakesNobodyAlong(t *testing.T) {
	asked, release := make(chan struct{}, 2), make(chan struct{})
	m := newMicrosoft(t, emptyPage)
	var requests atomic.Int64
	m.login = func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		if requests.Add(1) == 1 {
			select {
			case <-release:
			case <-r.Context().Done():
			}
		}
		m.grant(w, time.Hour)
	}
	defer close(release)
	c := m.client(t)
	ctx, leave := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	wait.Go(func() {
		if err := c.Subscribe(ctx, contoso(), audit.Exchange); !errors.Is(err, context.Canceled) {
			t.Errorf("who left was told %v", err)
		}
	})
	<-asked
	wait.Go(func() { must(t, listOnly(c)) })
	leave()
	wait.Wait()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

package m365

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/mailtrail/mailtrail/shared/connection"
)

const (
	// maxTokens bounds the cache, and suffices for two resources of some thousands of tenants. A token has about 2 KB.
	maxTokens = 10_000
	// renewAhead is how long before its expiry a token is replaced, so that none expires in transit. A token that lives
	// less than three times as long is replaced in the last third of its life.
	renewAhead = 5 * time.Minute
	// maxReplaced is how many tokens per minute, tenant and resource are replaced because the resource refused them. If
	// the token is not the reason, every request would ask for a new one, and Microsoft punishes such loops
	// (AADSTS50196).
	maxReplaced = 10
)

// resource is an API that tokens are issued for.
type resource string

const (
	activity resource = "Office 365 Management APIs"
	graph    resource = "Microsoft Graph"
)

// tokenKey says what a token is valid for.
type tokenKey struct {
	tenant   connection.Tenant
	resource resource
}

// token is an application's access token. Its value must not be written anywhere.
type token struct {
	value string
	renew time.Time // when to replace it
}

// tokens caches access tokens. However many callers wait for the same token, only one of them requests it. It is safe
// for concurrent use.
type tokens struct {
	now   func() time.Time
	fetch func(context.Context, tokenKey) (token, error)

	mu    sync.Mutex
	slots map[tokenKey]*slot
}

// slot holds one token. A slot that Forget removed from the map still serves the callers that wait for it, and no
// others.
type slot struct {
	token    token
	asking   *asking       // the pending request, or nil
	replaced *rate.Limiter // limits how often refusals of the resource replace the token
}

// asking is a pending token request; its fields are set before done is closed.
type asking struct {
	done      chan struct{}
	token     token
	err       error
	abandoned bool // the caller that asked has given up, which means nothing to those that wait
}

func newTokens(now func() time.Time, fetch func(context.Context, tokenKey) (token, error)) *tokens {
	return &tokens{now: now, fetch: fetch, slots: make(map[tokenKey]*slot)}
}

// get returns a token that stays valid for a while. The first caller requests it, within its own context, and the
// others wait. If that caller gives up, one of the others requests it.
func (s *tokens) get(ctx context.Context, key tokenKey) (token, error) {
	for {
		s.mu.Lock()
		place := s.slot(key)
		if place.token.value != "" && s.now().Before(place.token.renew) {
			defer s.mu.Unlock()
			return place.token, nil
		}
		a := place.asking
		if a == nil {
			a = &asking{done: make(chan struct{})}
			place.asking = a
			s.mu.Unlock()
			s.ask(ctx, key, place, a)
			return a.token, a.err
		}
		s.mu.Unlock()
		select {
		case <-ctx.Done():
			return token{}, ctx.Err()
		case <-a.done:
		}
		if !a.abandoned {
			return a.token, a.err
		}
	}
}

// ask makes the request. It settles the slot even if fetch panics, so that nobody waits for ever.
func (s *tokens) ask(ctx context.Context, key tokenKey, place *slot, a *asking) {
	a.err = errors.New("the token request did not come to an end")
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		a.abandoned = a.err != nil && ctx.Err() != nil
		place.asking = nil
		place.token = a.token
		close(a.done)
	}()
	a.token, a.err = s.fetch(ctx, key)
}

// slot finds or makes the key's slot; the caller holds s.mu. If the cache is full, it drops any slot that nobody waits
// for: that tenant requests a new token.
func (s *tokens) slot(key tokenKey) *slot {
	if place, ok := s.slots[key]; ok {
		return place
	}
	if len(s.slots) >= maxTokens {
		for old, place := range s.slots {
			if place.asking == nil {
				delete(s.slots, old)
				break
			}
		}
	}
	place := &slot{replaced: rate.NewLimiter(rate.Every(time.Minute/maxReplaced), maxReplaced)}
	s.slots[key] = place
	return place
}

// refused drops a token that the resource did not accept. It says whether to try again: with a new token, or with one
// that another caller has got in the meantime.
func (s *tokens) refused(key tokenKey, t token) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	place, ok := s.slots[key]
	if !ok || place.token.value != t.value {
		return true
	}
	if !place.replaced.AllowN(s.now(), 1) {
		return false
	}
	place.token = token{}
	return true
}

// forget drops what is cached for the tenant, and detaches pending requests: their answer may be older than what the
// caller knows.
func (s *tokens) forget(t connection.Tenant) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.slots, tokenKey{t, activity})
	delete(s.slots, tokenKey{t, graph})
}

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
	// maxTokens bounds the cache: two resources of some thousands of tenants. A token is about 2 KB.
	maxTokens = 10_000
	// renewAhead is how long before its end a token is replaced, so that none ends on its way. A token that lives
	// shorter than three times that is replaced in the last third of its life.
	renewAhead = 5 * time.Minute
	// maxReplaced is how many tokens per minute (and resource of a tenant) are replaced because the resource refused them.
	// When the reason is not the token, every request would ask for another one, and Microsoft punishes such loops (AADSTS50196).
	maxReplaced = 10
)

// resource is one of the APIs that a token is for.
type resource string

const (
	activity resource = "Office 365 Management APIs"
	graph    resource = "Microsoft Graph"
)

// tokenKey is what a token is good for.
type tokenKey struct {
	tenant   connection.Tenant
	resource resource
}

// token is an application's access token. Its value must not be written anywhere.
type token struct {
	value string
	renew time.Time // when to get a new one
}

// tokens caches access tokens. However many callers wait for the same token, one asks for it. It is safe for concurrent use.
type tokens struct {
	now   func() time.Time
	fetch func(context.Context, tokenKey) (token, error)

	mu    sync.Mutex
	slots map[tokenKey]*slot
}

// slot is the place of one token. A slot that Forget took out of the map still serves those who wait for it, and nobody else.
type slot struct {
	token    token
	asking   *asking       // the request under way, or nil
	replaced *rate.Limiter // how often the resource's refusals may replace the token
}

// asking is a token request under way; its fields are set before done is closed.
type asking struct {
	done      chan struct{}
	token     token
	err       error
	abandoned bool // the caller who asked has left, which says nothing to those who waited
}

func newTokens(now func() time.Time, fetch func(context.Context, tokenKey) (token, error)) *tokens {
	return &tokens{now: now, fetch: fetch, slots: make(map[tokenKey]*slot)}
}

// get returns a token that is good for a while. The first caller asks, within its own context; the others wait, and when
// that caller gave up, the next of them asks.
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

// ask makes the request, and settles the slot even when fetch panics: nobody may wait for ever.
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

// slot finds or makes the key's slot; s.mu is held. When all places are taken, one that nobody waits for is given up,
// whichever comes first: its tenant asks again.
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

// refused drops a token that the resource did not take, and tells whether to try again: with a new token, or with the one
// that somebody else has got in the meantime.
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

// forget drops what is cached for the tenant, and detaches requests under way: their answer may be older than what the
// caller knows.
func (s *tokens) forget(t connection.Tenant) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.slots, tokenKey{t, activity})
	delete(s.slots, tokenKey{t, graph})
}

package m365sim

import (
	"strings"
	"sync"
	"time"
)

// Request is one request that came through the protocol door. It never holds a header, a body or a credential. It is
// in the history from its arrival on; its status is there before the client can see it, Bytes and Elapsed when the
// server is done with it.
type Request struct {
	Number     uint64        `json:"number"` // counts from 1
	Time       time.Time     `json:"time"`   // simulated time of its arrival
	ID         string        `json:"id"`     // the Request-Id header of the answer
	Op         string        `json:"op"`     // e.g. feed.content; see Fault.Op
	Tenant     string        `json:"tenant,omitempty"`
	Client     string        `json:"client,omitempty"` // app id of the bearer token
	Method     string        `json:"method"`
	Path       string        `json:"path"`
	Query      string        `json:"query,omitempty"`
	Status     int           `json:"status"` // 0 before an answer, and when the connection ended without one
	Bytes      int64         `json:"bytes"`
	Torn       bool          `json:"torn,omitempty"`       // the body was cut short on purpose
	SharedPool bool          `json:"sharedPool,omitempty"` // an activity API call without PublisherIdentifier
	Elapsed    time.Duration `json:"elapsedNanos"`         // real time in the server
}

// Filter chooses requests of the history. Empty fields match everything.
type Filter struct {
	Tenant string
	Op     string // a whole operation or its beginning, e.g. feed
	Path   string // part of the path
	Status int
	Since  uint64 // only requests with a greater Number
}

// history is a ring of the latest requests.
type history struct {
	mu    sync.Mutex
	ring  []Request
	total uint64 // requests since the last reset
	base  uint64 // requests before it
}

func (h *history) add(r Request) (number uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r.Number = h.base + h.total + 1
	h.ring[h.total%uint64(len(h.ring))] = r
	h.total++
	return r.Number
}

// change alters a request that is still remembered.
func (h *history) change(number uint64, f func(*Request)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if number <= h.base {
		return // forgotten by a reset
	}
	if r := &h.ring[(number-h.base-1)%uint64(len(h.ring))]; r.Number == number {
		f(r)
	}
}

// History gives the remembered requests that the filter accepts, oldest first.
func (s *Server) History(f Filter) []Request {
	h := &s.history
	h.mu.Lock()
	defer h.mu.Unlock()
	size := uint64(len(h.ring))
	var found []Request
	for i := h.total - min(h.total, size); i < h.total; i++ {
		if r := h.ring[i%size]; f.accepts(r) {
			found = append(found, r)
		}
	}
	return found
}

// ResetHistory forgets every request. Numbers go on counting.
func (s *Server) ResetHistory() {
	s.history.mu.Lock()
	defer s.history.mu.Unlock()
	s.history.base += s.history.total
	s.history.total = 0
	clear(s.history.ring)
}

func (f Filter) accepts(r Request) bool {
	return (f.Tenant == "" || strings.EqualFold(f.Tenant, r.Tenant)) &&
		matchesOp(f.Op, r.Op) && strings.Contains(r.Path, f.Path) &&
		(f.Status == 0 || f.Status == r.Status) && r.Number > f.Since
}

// matchesOp reports whether wanted is the operation itself, its service, or nothing.
func matchesOp(wanted, op string) bool {
	return wanted == "" || wanted == op || strings.HasPrefix(op, wanted+".")
}

// arrive puts the call into the history. Passwords and secrets only ever travel in bodies, which are not kept; the
// query of a token request is left out all the same.
func (c *call) arrive() {
	r := Request{
		Time: c.now, ID: c.id, Op: c.route.op, Tenant: c.tenantID(), Client: c.token.client,
		Method: c.r.Method, Path: c.r.URL.Path, Query: c.r.URL.RawQuery,
		SharedPool: c.route.root == manage && !c.hasPublisher(),
	}
	if c.route.op == "login.token" {
		r.Query = ""
	}
	c.began, c.entry = time.Now(), c.s.history.add(r)
}

// note records the answer's status in the history. The answer calls it before the client can see its status, and before
// it can see the body torn.
func (c *call) note() {
	c.s.history.change(c.entry, func(r *Request) { r.Status, r.Torn = c.w.status, c.w.torn })
}

// depart records in the history that the server is done with the call.
func (c *call) depart() {
	c.s.history.change(c.entry, func(r *Request) {
		r.Status, r.Torn, r.Bytes, r.Elapsed = c.w.status, c.w.torn, c.w.written, time.Since(c.began)
	})
	c.opts.Log.DebugContext(c.r.Context(), "request", "op", c.route.op, "tenant", c.tenantID(), "status", c.w.status,
		"id", c.id)
}

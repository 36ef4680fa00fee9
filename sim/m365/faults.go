package m365sim

import (
	"cmp"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Fault breaks the requests that it matches. The zero fields match everything and do nothing, so each fault states
// only what it needs: Fault{Tenant: t, Op: "feed.blob", Status: 500, Code: "AF50000", Times: 3}.
type Fault struct {
	ID      string // chosen by the server
	Tenant  string
	Op      string        // an operation (login.token, feed.blob, graph.users, ...) or a service (login, feed, graph)
	Path    string        // part of the path, to single out one blob
	Mailbox string        // requests in the mailbox of this person, by object id or user principal name; in any for "*"
	ByName  bool          // only requests that address the mailbox by its name instead of the object id
	Times   int           // how many requests it breaks; until it ends or is cleared when zero
	Rate    float64       // share of the matching requests that it breaks; all when zero
	Share   float64       // share of the mailboxes or blobs that it breaks, always the same ones; all when zero
	For     time.Duration // how long it lasts, in simulated time; until it is cleared when zero
	Until   time.Time     // when it ends; follows from For

	Delay      time.Duration // waits this long first; alone it only makes the tenant slow
	Status     int           // answers with this status; the usual one of Code when zero
	Code       string        // answers with this error code: AF429, AADSTS700016, ErrorAccessDenied, ...
	Codes      []string      // answers with these codes in turn, with their usual status; "404" has no code
	Message    string        // the usual one of the code when empty
	RetryAfter time.Duration // with this header, in whole seconds
	TornAt     int64         // cuts the body after this many bytes and breaks the connection
	Silent     bool          // with TornAt: the cut body ends as if it were whole
	Hang       bool          // never answers; the request ends when the client gives up
	Reset      bool          // resets the connection instead of answering
	Location   string        // redirects there
	Page       bool          // answers 200 with a page of HTML, as something in between does

	struck int // how many requests it broke
}

// faults are the active ones, in the order in which they were made.
type faults struct {
	mu     sync.Mutex
	active []Fault
	made   int
}

// Fault makes a fault active and returns its ID.
func (s *Server) Fault(f Fault) string {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.made++
	f.ID = "fault-" + strconv.Itoa(s.faults.made)
	if f.For > 0 {
		f.Until = s.Now().Add(f.For)
	}
	s.faults.active = append(s.faults.active, f)
	return f.ID
}

// Faults are the active faults, with the Times that are left.
func (s *Server) Faults() []Fault {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.end(s.Now())
	return slices.Clone(s.faults.active)
}

// ClearFaults ends the faults with these IDs, or all of them when none is named.
func (s *Server) ClearFaults(ids ...string) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.active = slices.DeleteFunc(s.faults.active, func(f Fault) bool {
		return len(ids) == 0 || slices.Contains(ids, f.ID)
	})
}

// end forgets the faults that have lasted long enough.
func (f *faults) end(now time.Time) {
	f.active = slices.DeleteFunc(f.active, func(f Fault) bool { return !f.Until.IsZero() && !now.Before(f.Until) })
}

// strike gives what the faults do to this call: the delays of all that match, and the effect of the first that has
// one. It counts down the Times of those that it used.
func (f *faults) strike(c *call) (delay time.Duration, effect Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.end(c.now)
	struck := false
	for i := range f.active {
		fault := &f.active[i]
		if struck && fault.breaks() || !fault.matches(c) {
			continue
		}
		if fault.Rate > 0 && !c.s.dice.happens(fault.ID, fault.Rate) {
			continue
		}
		delay += fault.Delay
		if fault.breaks() {
			struck, effect = true, *fault
			if n := len(fault.Codes); n > 0 {
				effect.Code = fault.Codes[fault.struck%n]
			}
			fault.struck++
		}
		if fault.Times > 0 {
			if fault.Times--; fault.Times == 0 {
				fault.Times = -1 // spent
			}
		}
	}
	f.active = slices.DeleteFunc(f.active, func(f Fault) bool { return f.Times < 0 })
	return delay, effect
}

// breaks reports whether the fault does more than delay.
func (f *Fault) breaks() bool {
	return f.Status != 0 || f.Code != "" || len(f.Codes) > 0 || f.TornAt > 0 || f.Hang || f.Reset ||
		f.Location != "" || f.Page
}

func (f *Fault) matches(c *call) bool {
	return (f.Tenant == "" || strings.EqualFold(f.Tenant, c.tenantID())) &&
		matchesOp(f.Op, c.route.op) && strings.Contains(c.r.URL.Path, f.Path) &&
		f.matchesMailbox(c) && (f.Share == 0 || c.s.dice.always(f.ID+"|"+c.thing(), f.Share))
}

// matchesMailbox reports whether the call is in a mailbox that the fault means.
func (f *Fault) matchesMailbox(c *call) bool {
	if f.Mailbox == "" && !f.ByName {
		return true
	}
	user := c.r.PathValue("user")
	if !c.route.inMailbox() || f.ByName && isGUID(user) {
		return false
	}
	return f.Mailbox == "" || f.Mailbox == "*" || c.person(user) == c.person(f.Mailbox)
}

// inMailbox reports whether the operation reads a mailbox.
func (r route) inMailbox() bool { return strings.Contains(r.pattern, "/users/{user}/") }

// thing is what the call is about, for a fault that befalls a share of all things: a mailbox, a blob, or the path.
func (c *call) thing() string {
	if c.route.inMailbox() {
		return c.person(c.r.PathValue("user"))
	}
	return c.r.URL.Path
}

// person is the object id that a name of a person stands for, and the name itself when there is no such person.
func (c *call) person(name string) string {
	if c.tenant == nil {
		return name
	}
	c.tenant.mu.RLock()
	defer c.tenant.mu.RUnlock()
	if p, ok := c.tenant.directory.find(name); ok {
		return p.ID
	}
	return name
}

// hinder does to the call what latency, faults, quota and bad luck demand, and reports whether that was the answer.
func (s *Server) hinder(c *call) bool {
	delay, fault := s.faults.strike(c)
	if !c.pause(c.opts.Latency + delay) {
		return true
	}
	switch {
	case fault.Hang:
		// The server only notices that a client left once the body is read.
		_, _ = io.Copy(io.Discard, c.r.Body)
		<-c.r.Context().Done()
		return true
	case fault.Reset:
		c.w.reset()
		return true
	case fault.Location != "":
		c.w.Header().Set("Location", fault.Location)
		c.w.WriteHeader(cmp.Or(fault.Status, http.StatusFound))
		return true
	case fault.Page:
		c.gatewayPage(http.StatusOK)
		return true
	case fault.Status != 0 || fault.Code != "":
		if fault.RetryAfter > 0 {
			c.retryAfter(fault.RetryAfter)
		}
		c.failAs(fault)
		return true
	case fault.TornAt > 0:
		c.w.cut, c.w.silent = fault.TornAt, fault.Silent
		return false
	}
	return c.refusedByChance()
}

// pause waits in real time and reports whether the client is still there.
func (c *call) pause(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.r.Context().Done():
		return false
	}
}

func (c *call) retryAfter(d time.Duration) {
	seconds := max(1, int((d+time.Second-1)/time.Second))
	c.w.Header().Set("Retry-After", strconv.Itoa(seconds))
}

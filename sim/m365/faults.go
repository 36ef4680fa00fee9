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
	ID     string // chosen by the server
	Tenant string
	Op     string  // an operation (login.token, feed.start, feed.stop, feed.list, feed.content, feed.blob, graph.users, graph.delta, graph.messages, graph.attachments, graph.value, ...) or a service (login, feed, graph)
	Path   string  // part of the path, to single out one blob or mailbox
	Times  int     // how many requests it breaks; until it is cleared when zero
	Rate   float64 // share of the matching requests that it breaks; all when zero

	Delay      time.Duration // waits this long first; alone it only makes the tenant slow
	Status     int           // answers with this status; the usual one of Code when zero
	Code       string        // answers with this error code: AF429, AADSTS700016, ErrorAccessDenied, ...
	Message    string
	RetryAfter time.Duration // with this header, in whole seconds
	TornAt     int64         // cuts the body after this many bytes and breaks the connection
	Silent     bool          // with TornAt: the cut body ends as if it were whole
	Hang       bool          // never answers; the request ends when the client gives up
	Reset      bool          // resets the connection instead of answering
	Location   string        // redirects there
	Page       bool          // answers 200 with a page of HTML, as something in between does
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
	s.faults.active = append(s.faults.active, f)
	return f.ID
}

// Faults are the active faults, with the Times that are left.
func (s *Server) Faults() []Fault {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
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

// strike gives what the faults do to this call: the delays of all that match, and the effect of the first that has
// one. It counts down the Times of those that it used.
func (f *faults) strike(c *call) (delay time.Duration, effect Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
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

// breaks tells whether the fault does more than delay.
func (f *Fault) breaks() bool {
	return f.Status != 0 || f.Code != "" || f.TornAt > 0 || f.Hang || f.Reset || f.Location != "" || f.Page
}

func (f *Fault) matches(c *call) bool {
	return (f.Tenant == "" || strings.EqualFold(f.Tenant, c.tenantID())) &&
		matchesOp(f.Op, c.route.op) && strings.Contains(c.r.URL.Path, f.Path)
}

// hinder does to the call what latency, faults, quota and bad luck demand, and tells whether that was the answer.
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
		c.fail(cmp.Or(fault.Status, usualStatus(fault.Code)), cmp.Or(fault.Code, usualCode(c.route.root, fault.Status)), fault.Message)
		return true
	case fault.TornAt > 0:
		c.w.cut, c.w.silent = fault.TornAt, fault.Silent
		return false
	}
	return c.refusedByChance()
}

// pause waits in real time and tells whether the client is still there.
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

// usualCode is the usual code of a status, for a fault that names none.
func usualCode(of root, status int) string {
	switch {
	case of == manage && status >= http.StatusInternalServerError:
		return "AF50000"
	case of == manage:
		return "AF429"
	case of == login && status == http.StatusTooManyRequests:
		return "AADSTS90055"
	case of == login:
		return "AADSTS90033"
	case status == http.StatusTooManyRequests:
		return "TooManyRequests"
	case status == http.StatusServiceUnavailable:
		return "ServiceUnavailable"
	default:
		return "UnknownError"
	}
}

// usualStatus is the status that an error code comes with, for a fault that names only the code.
func usualStatus(code string) int {
	switch code {
	case "AF10001", "InvalidAuthenticationToken":
		return http.StatusUnauthorized
	case "Authorization_RequestDenied", "ErrorAccessDenied":
		return http.StatusForbidden
	case "ErrorItemNotFound", "ErrorInvalidUser", "MailboxNotEnabledForRESTAPI", "Request_ResourceNotFound":
		return http.StatusNotFound
	case "syncStateNotFound", "resyncRequired":
		return http.StatusGone
	case "AF429", "TooManyRequests", "ApplicationThrottled":
		return http.StatusTooManyRequests
	case "AF50000", "UnknownError":
		return http.StatusInternalServerError
	}
	if strings.HasPrefix(code, "AADSTS") {
		_, status, _ := aadOf(code).meaning()
		return status
	}
	return http.StatusBadRequest
}

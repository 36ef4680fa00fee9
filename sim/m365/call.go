package m365sim

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// call is one request on its way through the protocol door.
type call struct {
	s      *Server
	opts   *Options // as they stood when the request came
	w      *answer
	r      *http.Request
	route  route
	inner  http.Handler // the protocol door itself, for the parts of a batch
	now    time.Time
	id     string
	tenant *tenant     // nil while the request named none that exists
	token  accessToken // what the request's bearer token says; empty when it is not good
	query  url.Values
	entry  uint64    // its number in the history
	began  time.Time // real time of its arrival
}

// serve takes a request through the steps that every operation shares: it is identified, remembered, hindered as
// the faults and the options say, and only then answered.
func (s *Server) serve(rt route, inner http.Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c := &call{s: s, opts: s.options(), w: &answer{ResponseWriter: w, cut: -1}, r: r, route: rt, inner: inner,
			now: s.Now()}
		c.id = fmt.Sprintf("00000000-0000-4000-8000-%012x", s.counter.Add(1))
		c.identify()
		query, err := url.ParseQuery(r.URL.RawQuery)
		c.query = query
		c.arrive()
		c.w.note = c.note
		defer c.depart()
		c.w.Header().Set("Request-Id", c.id)
		switch {
		case s.hinder(c):
		case rt.method != "" && r.Method != rt.method:
			c.w.Header().Set("Allow", rt.method)
			c.fail(http.StatusMethodNotAllowed, "MethodNotAllowed", "The requested resource does not support http "+
				"method '"+r.Method+"'.")
		case err != nil:
			c.fail(http.StatusBadRequest, "BadRequest", "The query cannot be read.")
		default:
			rt.answer(c)
		}
	}
}

// identify finds the tenant: in the path of the login service and the activity API, in the token for Graph.
func (c *call) identify() {
	if bearer, ok := strings.CutPrefix(c.r.Header.Get("Authorization"), "Bearer "); ok {
		if token, good := c.s.tokens.get(bearer, c.now); good {
			c.token = token
		}
	}
	if c.route.root == graph {
		c.tenant = c.s.tenant(c.token.tenant)
		return
	}
	c.tenant = c.s.tenant(c.r.PathValue("tenant"))
}

// tenantID is the tenant as the history knows it: its GUID, or what the path said when there is no such tenant.
func (c *call) tenantID() string {
	if c.tenant != nil {
		return c.tenant.ID
	}
	return c.r.PathValue("tenant")
}

// base is the address of one root as the client wrote it, e.g. http://127.0.0.1:40001/manage.
func (c *call) base(of root) string {
	scheme := "http://"
	if c.r.TLS != nil {
		scheme = "https://"
	}
	return scheme + c.r.Host + "/" + string(of)
}

// fail answers with an error in the form of the call's root.
func (c *call) fail(status int, code, message string) {
	switch c.route.root {
	case login:
		c.tokenFault(aadOf(code), status, message)
	case graph:
		c.json(status, map[string]any{"error": map[string]any{
			"code": code, "message": message,
			"innerError": map[string]string{
				"date": c.now.Format("2006-01-02T15:04:05"), "request-id": c.id,
				"client-request-id": cmp.Or(c.r.Header.Get("Client-Request-Id"), c.id),
			},
		}})
	default:
		c.json(status, map[string]any{"error": map[string]string{"code": code, "message": message}})
	}
}

// json answers with one JSON value.
func (c *call) json(status int, value any) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		c.opts.Log.ErrorContext(c.r.Context(), "encode an answer", "op", c.route.op, "error", err)
		status = http.StatusInternalServerError
	}
	c.w.Header().Set("Content-Type", "application/json; charset=utf-8")
	c.body(status, body.Bytes())
}

// body answers with bytes and their Content-Length. The server does not care about a client that went away.
func (c *call) body(status int, body []byte) {
	c.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	c.w.WriteHeader(status)
	_, _ = c.w.Write(body)
}

// takesJSON reports whether the Accept header allows JSON, and refuses the call when it does not.
func (c *call) takesJSON() bool {
	accept := c.r.Header.Get("Accept")
	if accept == "" || strings.Contains(accept, "*/*") || strings.Contains(accept, "application/*") ||
		strings.Contains(accept, "json") {
		return true
	}
	c.fail(http.StatusNotAcceptable, "NotAcceptable", "Only application/json can be given.")
	return false
}

// guid makes a GUID that the parts decide.
func guid(seed uint64, parts ...string) string {
	high := mix(seed ^ hash(strings.Join(parts, "\x00")))
	low := mix(high)
	return fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", high>>32, high>>16&0xffff, high&0xfff, low>>52,
		low&0xffffffffffff)
}

// isGUID reports whether text has the form 8-4-4-4-12 of hexadecimal digits.
func isGUID(text string) bool {
	if len(text) != 36 {
		return false
	}
	for i, r := range text {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash != (r == '-') || !dash && !strings.ContainsRune("0123456789abcdefABCDEF", r) {
			return false
		}
	}
	return true
}

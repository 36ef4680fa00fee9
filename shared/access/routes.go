package access

import (
	"fmt"
	"net/http"
	"strings"
)

// Route is one door of the API and who may use it: everybody, or clients with one of the roles. Saying neither, or
// both, is an error, so that no door is open because somebody forgot to close it.
type Route struct {
	Pattern string // as http.ServeMux reads it, with a method: "GET /v1/connections/{id}"
	Public  bool
	Roles   []Role
	// Unlimited refuses limited clients with 403, for a route that cannot be held to some connections.
	Unlimited bool
	Handler   http.Handler
}

func (r Route) check() error {
	method, _, ok := strings.Cut(r.Pattern, " ")
	switch {
	case !ok || method == "":
		return fmt.Errorf("route %q names no method", r.Pattern)
	case r.Public == (len(r.Roles) > 0):
		return fmt.Errorf("route %q must be either public or for some roles", r.Pattern)
	case r.Public && r.Unlimited:
		return fmt.Errorf("route %q is public and cannot know who is limited", r.Pattern)
	case r.Handler == nil:
		return fmt.Errorf("route %q has no handler", r.Pattern)
	}
	for _, role := range r.Roles {
		if _, err := ParseRole(string(role)); err != nil {
			return fmt.Errorf("route %q: %w", r.Pattern, err)
		}
	}
	return nil
}

// Mux mounts the routes, each behind the guard that it asks for. It is the only way from the network to a handler. It
// panics, as http.ServeMux does, on routes that make no sense: that is a mistake in the program.
func Mux(guard *Guard, routes []Route) http.Handler {
	mux := http.NewServeMux()
	for _, r := range routes {
		if err := r.check(); err != nil {
			panic("access: " + err.Error())
		}
		h := r.Handler
		if !r.Public {
			h = guard.before(r)
		}
		mux.Handle(r.Pattern, h)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isAPI(r.URL.Path) {
			r = withoutSlash(r)
			if h, pattern := mux.Handler(r); pattern == "" {
				nowhere(h, w, r)
				return
			}
		}
		mux.ServeHTTP(w, r)
	})
}

// isAPI reports whether a path belongs to programs: to our API, or to one of Incydr's.
func isAPI(path string) bool {
	for _, root := range []string{"/v1", "/v2", "/api", "/forensic-search"} {
		if rest, ok := strings.CutPrefix(path, root); ok && (rest == "" || rest[0] == '/') {
			return true
		}
	}
	return false
}

// withoutSlash is the request without the slash at the end of its path, which makes no difference.
func withoutSlash(r *http.Request) *http.Request {
	path, ok := strings.CutSuffix(r.URL.Path, "/")
	raw, okRaw := strings.CutSuffix(r.URL.RawPath, "/")
	if !ok || r.URL.RawPath != "" && !okRaw { // a slash that is escaped is part of a value
		return r
	}
	address := *r.URL
	address.Path, address.RawPath = path, raw
	trimmed := *r
	trimmed.URL = &address
	return &trimmed
}

// nowhere answers in the API's shape what the mux's handler h would answer in plain text: 404, or 405 with the methods
// that the address has. To OPTIONS those are the answer.
func nowhere(h http.Handler, w http.ResponseWriter, r *http.Request) {
	said := answer{header: make(http.Header)}
	h.ServeHTTP(&said, r)
	if said.status == http.StatusMethodNotAllowed {
		allow := said.header.Get("Allow")
		if r.Method == http.MethodOptions {
			w.Header().Set("Allow", allow+", OPTIONS")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.Header().Set("Allow", allow)
		WriteProblems(w, said.status, Problem{Type: "METHOD_NOT_ALLOWED", Description: "This address answers " + allow + "."})
		return
	}
	WriteProblems(w, http.StatusNotFound, Problem{Type: "NOT_FOUND", Description: "There is nothing at this address."})
}

// answer keeps the header and the status of an answer and drops its body.
type answer struct {
	header http.Header
	status int
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) WriteHeader(status int)      { a.status = status }
func (a *answer) Write(b []byte) (int, error) { return len(b), nil }

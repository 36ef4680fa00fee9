package access_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/access"
)

func TestGuard(t *testing.T) {
	g := newGate(t, echo("GET /v1/both", access.Admin, access.Analyst), echo("GET /v1/admin", access.Admin))
	admin, analyst := g.token(access.Admin), g.token(access.Analyst)
	for _, step := range []struct {
		name, path, authorization string
		status                    int
	}{
		{"admin at both", "/v1/both", "Bearer " + admin, 200},
		{"analyst at both", "/v1/both", "Bearer " + analyst, 200},
		{"admin at admin", "/v1/admin", "bearer " + admin, 200},
		{"analyst at admin", "/v1/admin", "Bearer " + analyst, 403},
		{"nobody", "/v1/both", "", 401},
		{"no scheme", "/v1/both", admin, 401},
		{"Basic", "/v1/both", "Basic " + admin, 401},
		{"an empty token", "/v1/both", "Bearer ", 401},
		{"half a token", "/v1/both", "Bearer " + admin[:20], 401},
		{"a token of our shape", "/v1/both", "Bearer " + strings.Repeat("A", 43), 401},
		{"two tokens in one", "/v1/both", "Bearer " + admin + "," + admin, 401},
		{"a token without end", "/v1/both", "Bearer " + strings.Repeat("A", 100_000), 401},
	} {
		w := g.call("GET", step.path, step.authorization)
		if w.Code != step.status {
			t.Errorf("%s: %d %s", step.name, w.Code, w.Body)
		}
		if challenge := w.Header().Get("WWW-Authenticate"); (w.Code == 401) != strings.HasPrefix(challenge, "Bearer ") {
			t.Errorf("%s: WWW-Authenticate %q", step.name, challenge)
		}
	}
	r := httptest.NewRequest("GET", "/v1/both", nil)
	r.Header["Authorization"] = []string{"Bearer " + admin, "Bearer " + analyst}
	if w := g.do(r); w.Code != 401 {
		t.Errorf("two headers: %d", w.Code)
	}
}

func TestTokenEndsAfter15Minutes(t *testing.T) {
	g := newGate(t, echo("GET /v1/who", access.Admin))
	token := g.token(access.Admin)
	g.clock.advance(15*time.Minute - time.Millisecond)
	if w := g.call("GET", "/v1/who", "Bearer "+token); w.Code != 200 {
		t.Errorf("just before: %d", w.Code)
	}
	g.clock.advance(time.Millisecond)
	if w := g.call("GET", "/v1/who", "Bearer "+token); w.Code != 401 ||
		!strings.Contains(w.Header().Get("WWW-Authenticate"), "invalid_token") {
		t.Errorf("just after: %d %v", w.Code, w.Header())
	}
}

func TestGuardWhenTheTableIsAway(t *testing.T) {
	g := newGate(t, echo("GET /v1/who", access.Admin))
	token := g.token(access.Admin)
	g.table.Before = func(string, int) error { return errors.New("away") }
	if w := g.call("GET", "/v1/who", "Bearer "+token); w.Code != http.StatusServiceUnavailable ||
		strings.Contains(w.Body.String(), "away") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestNoRouteIsOpenByMistake(t *testing.T) {
	h := http.NotFoundHandler()
	for name, route := range map[string]access.Route{
		"neither public nor for a role": {Pattern: "GET /v1/x", Handler: h},
		"both":                          {Pattern: "GET /v1/x", Public: true, Roles: []access.Role{access.Admin}, Handler: h},
		"an unknown role":               {Pattern: "GET /v1/x", Roles: []access.Role{"root"}, Handler: h},
		"no handler":                    {Pattern: "GET /v1/x", Public: true},
		"no method":                     {Pattern: "/v1/x", Public: true, Handler: h},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("mounted")
				}
			}()
			access.Mux(&access.Guard{}, []access.Route{route})
		})
	}
}

func TestNowhere(t *testing.T) {
	g := newGate(t, echo("GET /v1/who", access.Admin), echo("DELETE /v1/who", access.Admin))
	for _, step := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/v1/nothing", 404, ""},
		{"GET", "/v2/nothing", 404, ""},
		{"POST", "/v1/who", 405, "DELETE, GET, HEAD"},
		{"GET", "/v1/oauth", 405, "POST"},
		{"POST", "/v1/who/", 405, "DELETE, GET, HEAD"},
		{"GET", "/v1", 404, ""},
		{"GET", "/v1/", 404, ""},
		{"GET", "/api/v1/ServerEnv", 404, ""},
		{"POST", "/forensic-search/queryservice/api/v2/fileevent", 404, ""},
		{"OPTIONS", "/v1/nothing", 404, ""},
	} {
		w := g.call(step.method, step.path, "")
		if w.Code != step.status || w.Header().Get("Allow") != step.allow ||
			w.Header().Get("Content-Type") != "application/json" ||
			!strings.HasPrefix(w.Body.String(), `{"problems":[{"field":""`) {
			t.Errorf("%s %s: %d %v %s", step.method, step.path, w.Code, w.Header(), w.Body)
		}
	}
	if w := g.call("GET", "/elsewhere", ""); w.Code != 404 || w.Header().Get("Content-Type") == "application/json" {
		t.Errorf("outside of the API: %d %v", w.Code, w.Header())
	}
}

// A slash at the end, HEAD and OPTIONS reach the same route.
func TestTheSameRouteBesides(t *testing.T) {
	g := newGate(t, echo("GET /v1/who", access.Admin), echo("GET /v1/who/{name}", access.Admin))
	token := "Bearer " + g.token(access.Admin)
	for _, step := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/v1/who/", 200, ""},
		{"GET", "/v1/who/?x=1", 200, ""},
		{"HEAD", "/v1/who", 200, ""},
		{"HEAD", "/v1/who/", 200, ""},
		{"GET", "/v1/who/me/", 200, ""},
		{"GET", "/v1/who/me%2F", 200, ""},
		{"GET", "/v1/who/me//", 404, ""},
		{"OPTIONS", "/v1/who", 204, "GET, HEAD, OPTIONS"},
		{"OPTIONS", "/v1/who/", 204, "GET, HEAD, OPTIONS"},
		{"OPTIONS", "/v1/oauth", 204, "POST, OPTIONS"},
	} {
		w := g.call(step.method, step.path, token)
		if w.Code != step.status || w.Header().Get("Allow") != step.allow {
			t.Errorf("%s %s: %d %v %s", step.method, step.path, w.Code, w.Header(), w.Body)
		}
		if w := g.call(step.method, step.path, ""); step.status == 200 && w.Code != http.StatusUnauthorized {
			t.Errorf("%s %s without a token: %d", step.method, step.path, w.Code)
		}
	}
}

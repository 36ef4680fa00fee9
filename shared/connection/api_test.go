package connection_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/mailtrail/mailtrail/shared/access"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/table/tabletest"
)

// desk is the connections API, behind its guard.
type desk struct {
	*office
	handler http.Handler
	tokens  map[access.Role]string
	ids     map[access.Role]string // of the clients that hold the tokens
	issuer  *access.Tokens
	ledger  error
}

// enter creates a client, and returns its id and a token.
func (d *desk) enter(asked access.NewClient) (id, token string) {
	d.t.Helper()
	client, _, err := (&access.Clients{Table: d.table, Now: d.clock.now, Rand: rand.Reader}).Create(
		d.t.Context(),
		"test",
		asked,
	)
	if err != nil {
		d.t.Fatal(err)
	}
	if token, err = d.issuer.Issue(d.t.Context(), client.ID); err != nil {
		d.t.Fatal(err)
	}
	return client.ID, token
}

func newDesk(t *testing.T) *desk {
	d := &desk{office: newOffice(t), tokens: map[access.Role]string{}, ids: map[access.Role]string{}}
	d.issuer = &access.Tokens{Table: d.table, Now: d.clock.now, Rand: rand.Reader}
	for _, role := range []access.Role{access.Admin, access.Analyst} {
		d.ids[role], d.tokens[role] = d.enter(access.NewClient{Name: string(role), Roles: []access.Role{role}})
	}
	api := &connection.API{
		Registry: d.registry,
		Trail:    d.trail,
		Begin:    "https://mailtrail.example" + connection.BeginPath,
		Log:      slog.New(slog.DiscardHandler),
		Progress: func(_ context.Context, id connection.ID) (connection.Progress, error) {
			return connection.Progress{Ledger: map[string]any{"connection": id, "listed": 7}}, d.ledger
		},
	}
	d.handler = access.Mux(&access.Guard{Tokens: d.issuer, Log: slog.New(slog.DiscardHandler)}, api.Routes())
	return d
}

func (d *desk) call(role access.Role, method, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	if token := d.tokens[role]; token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, r)
	return w
}

func TestAPIAddsAConnection(t *testing.T) {
	d := newDesk(t)
	w := d.call(access.Admin, "POST", "/v1/connections", `{"displayName":" Acme ","cloud":"gcc"}`)
	if w.Code != http.StatusCreated {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	added := decodeJSON[map[string]any](t, w.Body.String())
	id, _ := added["id"].(string)
	if added["displayName"] != "Acme" || added["cloud"] != "gcc" || added["status"] != "Initializing" ||
		added["tenantId"] != nil ||
		added["createdBy"] != d.ids[access.Admin] {
		t.Errorf("added %v", added)
	}
	if w.Header().Get("Location") != "/v1/connections/"+id {
		t.Errorf("Location %q", w.Header().Get("Location"))
	}
	link, err := url.Parse(fmt.Sprint(added["authorizeUrl"]))
	if err != nil || !strings.HasPrefix(link.String(), "https://mailtrail.example/consent/begin?link=") {
		t.Fatalf("authorizeUrl %v, %v", added["authorizeUrl"], err)
	}
	if p := d.browser().authorize(link.Query().Get("link"), acme); p.status != http.StatusOK {
		t.Fatalf("the link is no good: %d", p.status)
	}

	for _, role := range []access.Role{access.Admin, access.Analyst} {
		w = d.call(role, "GET", "/v1/connections/"+id, "")
		one := decodeJSON[map[string]any](t, w.Body.String())
		history, _ := one["history"].([]any)
		if one["tenantId"] != string(acme) || len(history) != 2 ||
			fmt.Sprint(one["ledger"]) != fmt.Sprint(map[string]any{"connection": id, "listed": 7}) ||
			one["authorizeUrl"] != nil {
			t.Errorf("%s gets %d %s", role, w.Code, w.Body)
		}
		w = d.call(role, "GET", "/v1/connections", "")
		all := decodeJSON[map[string][]map[string]any](t, w.Body.String())
		if len(all["connections"]) != 1 || all["connections"][0]["id"] != id {
			t.Errorf("%s lists %d %s", role, w.Code, w.Body)
		}
	}
}

func TestAPIListIsEmptyAndNotNull(t *testing.T) {
	if w := newDesk(t).call(access.Analyst, "GET", "/v1/connections", ""); strings.TrimSpace(
		w.Body.String(),
	) != `{"connections":[]}` {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestAPIRefusesBodies(t *testing.T) {
	d := newDesk(t)
	d.add("Taken")
	for name, step := range map[string]struct {
		body   string
		status int
		field  string
		kind   string
	}{
		"an unknown field":      {`{"displayName":"Acme","region":"x"}`, 400, "region", "UNKNOWN_FIELD"},
		"a tenant that is none": {`{"displayName":"Acme","tenant":"x"}`, 400, "tenant", "INVALID_VALUE"},
		"a key twice":           {`{"displayName":"Acme","displayName":"Globex"}`, 400, "displayName", "REPEATED_FIELD"},
		"other letter case":     {`{"displayname":"Acme"}`, 400, "displayname", "UNKNOWN_FIELD"},
		"another type":          {`{"displayName":7}`, 400, "displayName", "INVALID_VALUE"},
		"no body":               {``, 400, "", "INVALID_JSON"},
		"half a body":           {`{"displayName":`, 400, "", "INVALID_JSON"},
		"two objects":           {`{"displayName":"A"}{}`, 400, "", "INVALID_JSON"},
		"an array":              {`[]`, 400, "", "INVALID_JSON"},
		"not UTF-8":             {"{\"displayName\":\"\xff\"}", 400, "", "INVALID_JSON"},
		"no display name":       {`{}`, 400, "displayName", "INVALID_VALUE"},
		"an unknown cloud":      {`{"displayName":"Acme","cloud":"mars"}`, 400, "cloud", "INVALID_VALUE"},
		"a name that is taken":  {`{"displayName":"TAKEN"}`, 409, "displayName", "ALREADY_REGISTERED"},
		"a body without end":    {`{"displayName":"` + strings.Repeat("a", 64<<10) + `"}`, 413, "", "TOO_LONG"},
	} {
		t.Run(name, func(t *testing.T) {
			w := d.call(access.Admin, "POST", "/v1/connections", step.body)
			problem(t, w, step.status, step.field, step.kind)
		})
	}
	r := httptest.NewRequest("POST", "/v1/connections", strings.NewReader(`{"displayName":"Acme"}`))
	r.Header.Set("Authorization", "Bearer "+d.tokens[access.Admin])
	r.Header.Set("Content-Type", "text/plain")
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, r)
	problem(t, w, http.StatusUnsupportedMediaType, "", "INVALID_CONTENT_TYPE")
}

func problem(t *testing.T, w *httptest.ResponseRecorder, status int, field, kind string) {
	t.Helper()
	got := decodeJSON[struct{ Problems []access.Problem }](t, w.Body.String())
	if w.Code != status || len(got.Problems) != 1 || got.Problems[0].Field != field || got.Problems[0].Type != kind ||
		got.Problems[0].Description == "" {
		t.Errorf("%d %s; want %d, field %q, type %s", w.Code, w.Body, status, field, kind)
	}
}

func TestAPITurns(t *testing.T) {
	d := newDesk(t)
	id, link := d.add("Acme")
	d.browser().authorize(link, acme)
	for _, step := range []struct {
		path   string
		status connection.Status
	}{{"deauthorize", connection.Deauthorized}, {"deauthorize", connection.Deauthorized}, {"resume", connection.Initializing}} {
		if d.get(id).Status == connection.Deauthorized {
			problem(
				t,
				d.call(access.Admin, "POST", "/v1/connections/"+string(id)+"/link", ""),
				http.StatusConflict,
				"id",
				"DEAUTHORIZED",
			)
		}
		w := d.call(access.Admin, "POST", "/v1/connections/"+string(id)+"/"+step.path, "")
		if w.Code != http.StatusOK || d.get(id).Status != step.status {
			t.Errorf("%s: %d %s", step.path, w.Code, w.Body)
		}
	}
	w := d.call(access.Admin, "POST", "/v1/connections/"+string(id)+"/link", "")
	fresh := decodeJSON[map[string]string](t, w.Body.String())["authorizeUrl"]
	if _, link, ok := strings.Cut(
		fresh,
		"?link=",
	); w.Code != http.StatusCreated || !ok ||
		d.browser().open(link).status != http.StatusOK {
		t.Errorf("link: %d %s", w.Code, w.Body)
	}
}

func TestAPIRenames(t *testing.T) {
	d := newDesk(t)
	id, _ := d.add("Acme")
	d.add("Globex")
	path := "/v1/connections/" + string(id)
	w := d.call(access.Admin, "PATCH", path, `{"displayName":" Acme  Ltd "}`)
	if got := decodeJSON[map[string]any](
		t,
		w.Body.String(),
	); w.Code != http.StatusOK ||
		got["displayName"] != "Acme Ltd" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	problem(
		t,
		d.call(access.Admin, "PATCH", path, `{"displayName":"GLOBEX"}`),
		http.StatusConflict,
		"displayName",
		"ALREADY_REGISTERED",
	)
	problem(
		t,
		d.call(access.Admin, "PATCH", path, `{"displayName":""}`),
		http.StatusBadRequest,
		"displayName",
		"INVALID_VALUE",
	)
	problem(t, d.call(access.Admin, "PATCH", path, `{"cloud":"gcc"}`), http.StatusBadRequest, "cloud", "UNKNOWN_FIELD")
	if got := d.get(id).DisplayName; got != "Acme Ltd" {
		t.Errorf("it is called %q", got)
	}
}

func TestAPIDeletesWhatIsDeauthorized(t *testing.T) {
	d := newDesk(t)
	id, link := d.add("Acme")
	d.browser().authorize(link, acme)
	path := "/v1/connections/" + string(id)
	problem(t, d.call(access.Admin, "DELETE", path, ""), http.StatusConflict, "id", "IN_USE")
	d.call(access.Admin, "POST", path+"/deauthorize", "")
	for range 2 { // asking again is harmless
		w := d.call(access.Admin, "DELETE", path, "")
		got := decodeJSON[struct {
			Status string
			Purge  struct{ By string }
		}](t, w.Body.String())
		if w.Code != http.StatusAccepted || got.Status != "Deauthorized" || got.Purge.By != d.ids[access.Admin] {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
	for _, act := range []string{"POST /resume", "POST /link", "PATCH "} {
		method, rest, _ := strings.Cut(act, " ")
		problem(t, d.call(access.Admin, method, path+rest, `{"displayName":"B"}`), http.StatusConflict, "id", "PURGING")
	}
	if w := d.call(
		access.Admin,
		"POST",
		path+"/deauthorize",
		"",
	); w.Code != http.StatusOK ||
		d.get(id).Purge.Asked.IsZero() {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestAPIUnknownConnection(t *testing.T) {
	d := newDesk(t)
	for _, id := range []string{"aaaaaaaaaaaa", "x", "%7C", "..%2F"} {
		for _, call := range []string{"GET ", "PATCH ", "DELETE ", "POST /link", "POST /deauthorize", "POST /resume"} {
			method, rest, _ := strings.Cut(call, " ")
			problem(
				t,
				d.call(access.Admin, method, "/v1/connections/"+id+rest, `{"displayName":"Acme"}`),
				http.StatusNotFound,
				"id",
				"NOT_FOUND",
			)
		}
	}
}

func TestAPIAnalystChangesNothing(t *testing.T) {
	d := newDesk(t)
	id, _ := d.add("Acme")
	for _, path := range []string{"", "/" + string(id) + "/link", "/" + string(id) + "/deauthorize", "/" + string(id) + "/resume"} {
		problem(
			t,
			d.call(access.Analyst, "POST", "/v1/connections"+path, `{"displayName":"B"}`),
			http.StatusForbidden,
			"",
			"FORBIDDEN",
		)
		problem(
			t,
			d.call("", "POST", "/v1/connections"+path, `{"displayName":"B"}`),
			http.StatusUnauthorized,
			"",
			"UNAUTHORIZED",
		)
	}
	for _, method := range []string{"PATCH", "DELETE"} {
		problem(
			t,
			d.call(access.Analyst, method, "/v1/connections/"+string(id), `{"displayName":"B"}`),
			http.StatusForbidden,
			"",
			"FORBIDDEN",
		)
	}
	for _, path := range []string{"", "/" + string(id)} {
		problem(t, d.call("", "GET", "/v1/connections"+path, ""), http.StatusUnauthorized, "", "UNAUTHORIZED")
	}
}

func TestAPIWhenTheLedgerIsAway(t *testing.T) {
	d := newDesk(t)
	id, _ := d.add("Acme")
	d.ledger = errors.New("secret cause")
	w := d.call(access.Analyst, "GET", "/v1/connections/"+string(id), "")
	problem(t, w, http.StatusServiceUnavailable, "", "UNAVAILABLE")
	if strings.Contains(w.Body.String(), "secret cause") {
		t.Errorf("the cause is told: %s", w.Body)
	}
}

// What cannot be recorded in the trail is not done.
func TestAPIActWithoutTrail(t *testing.T) {
	for kind, faulty := range map[string]*tabletest.Faulty{
		"not done":                     {Before: func(string, int) error { return errDisk }},
		"done but told that it failed": {After: func(string, int) error { return errDisk }},
	} {
		t.Run(kind, func(t *testing.T) {
			d := newDesk(t)
			id, link := d.add("Acme")
			faulty.Table = d.table
			d.trail.Table = faulty
			for _, path := range []string{"", "/" + string(id) + "/link", "/" + string(id) + "/deauthorize"} {
				problem(
					t,
					d.call(access.Admin, "POST", "/v1/connections"+path, `{"displayName":"B"}`),
					http.StatusServiceUnavailable,
					"",
					"UNAVAILABLE",
				)
			}
			all, err := d.registry.List(t.Context())
			if err != nil || len(all) != 1 || all[0].Status != connection.Initializing {
				t.Errorf("%v, %v", all, err)
			}
			d.browser().authorize(link, acme).refused(t, http.StatusServiceUnavailable)
			d.nothingConnected()
		})
	}
}

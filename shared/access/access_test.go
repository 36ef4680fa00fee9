package access_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/access"
	"github.com/mailtrail/mailtrail/shared/embedded"
	"github.com/mailtrail/mailtrail/shared/table"
	"github.com/mailtrail/mailtrail/shared/table/tabletest"
)

var errDisk = errors.New("the table is away")

// The connections that there are.
const acme, globex = "acmeacmeacme", "globexglobex"

// gate is the whole room behind one handler.
type gate struct {
	t       *testing.T
	clock   *clock
	table   *tabletest.Faulty
	clients *access.Clients
	tokens  *access.Tokens
	trail   *access.Trail
	api     *access.ClientAPI
	handler http.Handler
}

type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func newGate(t *testing.T, routes ...access.Route) *gate {
	t.Helper()
	c := &clock{at: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)}
	store, err := embedded.Open(t.TempDir(), embedded.Options{Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	tbl := &tabletest.Faulty{Table: store.Table("connections")}
	g := &gate{
		t: t, clock: c, table: tbl,
		clients: &access.Clients{Table: tbl, Now: c.now, Rand: rand.Reader},
		tokens:  &access.Tokens{Table: tbl, Now: c.now, Rand: rand.Reader},
		trail:   &access.Trail{Table: tbl, Now: c.now, Rand: rand.Reader},
	}
	quiet := slog.New(slog.DiscardHandler)
	login := &access.Login{Clients: g.clients, Tokens: g.tokens, Log: quiet}
	g.api = &access.ClientAPI{
		Clients: g.clients, Trail: g.trail, Log: quiet,
		Connections: func(context.Context) ([]string, error) { return []string{acme, globex}, nil },
	}
	g.handler = access.Mux(&access.Guard{Tokens: g.tokens, Log: quiet},
		slices.Concat(login.Routes(), g.api.Routes(), routes))
	return g
}

func (g *gate) client(roles ...access.Role) (id, secret string) {
	g.t.Helper()
	client, secret, err := g.clients.Create(g.t.Context(), "test", access.NewClient{Name: "a program", Roles: roles})
	if err != nil {
		g.t.Fatal(err)
	}
	return client.ID, secret
}

func (g *gate) token(roles ...access.Role) string {
	g.t.Helper()
	id, _ := g.client(roles...)
	token, err := g.tokens.Issue(g.t.Context(), id)
	if err != nil {
		g.t.Fatal(err)
	}
	return token
}

func (g *gate) do(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	g.handler.ServeHTTP(w, r)
	return w
}

func (g *gate) call(method, path, authorization string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	return g.do(r)
}

// echo answers who called.
func echo(pattern string, roles ...access.Role) access.Route {
	answer := func(w http.ResponseWriter, r *http.Request) {
		access.WriteJSON(w, http.StatusOK, access.From(r.Context()))
	}
	return access.Route{Pattern: pattern, Roles: roles, Handler: http.HandlerFunc(answer)}
}

func TestClientSecretIsStoredHashedOnly(t *testing.T) {
	g := newGate(t)
	id, secret := g.client(access.Admin)
	token, err := g.tokens.Issue(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for _, partition := range []string{"client"} {
		for item, err := range g.table.Query(t.Context(), table.Query{Partition: partition}) {
			if err != nil {
				t.Fatal(err)
			}
			if text := fmt.Sprint(item); !strings.Contains(text, id) || strings.Contains(text, secret) ||
				strings.Contains(text, token) {
				t.Errorf("stored %s", text)
			}
		}
	}
	if !strings.HasPrefix(id, "key-") || len(id) != 20 || len(secret) != 43 {
		t.Errorf("id %q, secret of %d characters", id, len(secret))
	}
}

func TestCheck(t *testing.T) {
	g := newGate(t)
	id, secret := g.client(access.Analyst)
	other, otherSecret := g.client(access.Admin)
	if c, err := g.clients.Check(t.Context(), id, secret); err != nil || c.ID != id || !c.May(access.Analyst) ||
		c.May(access.Admin) {
		t.Errorf("%+v, %v", c, err)
	}
	for _, bad := range [][2]string{
		{id, otherSecret}, {other, secret}, {id, ""}, {"", ""}, {"", secret}, {"key-0", secret}, {id + "|", secret},
		{"\xff", secret}, {strings.Repeat("k", 5000), secret}, {"-", ""},
	} {
		if _, err := g.clients.Check(t.Context(), bad[0], bad[1]); !errors.Is(err, access.ErrDenied) {
			t.Errorf("%.20q with %.5q: %v", bad[0], bad[1], err)
		}
	}
	if err := g.clients.Remove(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if _, err := g.clients.Check(t.Context(), id, secret); !errors.Is(err, access.ErrDenied) {
		t.Errorf("after its removal: %v", err)
	}
}

// An unknown id and a wrong secret must not be distinguishable, neither by the answer nor by what the table is asked.
func TestUnknownClientLooksLikeAWrongSecret(t *testing.T) {
	g := newGate(t)
	id, secret := g.client(access.Admin)
	var answers []string
	for _, who := range [][2]string{
		{id, "wrong"}, {"key-0123456789abcdef", "wrong"}, {"", ""}, {strings.Repeat("k", 5000), secret},
	} {
		gets := 0
		g.table.Before = func(op string, _ int) error { gets++; return nil }
		r := httptest.NewRequest("POST", "/v1/oauth", nil)
		r.SetBasicAuth(who[0], who[1])
		w := g.do(r)
		answers = append(answers, fmt.Sprintf("%d %v %s, %d reads", w.Code, w.Header(), w.Body, gets))
	}
	for _, a := range answers {
		if a != answers[0] || !strings.HasPrefix(a, "401") || !strings.Contains(a, `{"error":"invalid_client"}`) ||
			!strings.HasSuffix(a, "1 reads") {
			t.Errorf("%s\n%s", a, answers[0])
		}
	}
}

func TestClientsThatAreNone(t *testing.T) {
	g := newGate(t)
	for name, roles := range map[string][]access.Role{
		"":                       {access.Admin},
		" ":                      {access.Admin},
		strings.Repeat("a", 101): {access.Admin},
		"line\nbreak":            {access.Admin},
		"no role":                nil,
		"unknown role":           {"root"},
	} {
		if _, _, err := g.clients.Create(t.Context(), "test", access.NewClient{Name: name, Roles: roles}); err == nil {
			t.Errorf("%.20q with roles %v was made", name, roles)
		}
	}
}

func TestLogin(t *testing.T) {
	g := newGate(t, echo("GET /v1/who", access.Admin))
	id, secret := g.client(access.Admin)
	form := url.Values{"client_id": {id}, "client_secret": {secret}, "grant_type": {"client_credentials"}}
	without := func(name string) url.Values {
		v := url.Values{}
		for k := range form {
			if k != name {
				v[k] = form[k]
			}
		}
		return v
	}
	const grant = "?grant_type=client_credentials"
	const refused, denied, unsupported = "invalid_request", "invalid_client", "unsupported_grant_type"
	for name, step := range map[string]struct {
		query  string
		basic  bool
		body   string
		kind   string
		status int
		answer string
	}{
		"Basic with an empty body, as the SDK does": {"", true, "", "", 200, ""},
		"Basic with the grant in the query":         {grant, true, "", "", 200, ""},
		"Basic with the grant in the form":          {"", true, "grant_type=client_credentials", "form", 200, ""},
		"all in the form":                           {"", false, form.Encode(), "form", 200, ""},
		"the grant in the query, the rest in form":  {grant, false, without("grant_type").Encode(), "form", 200, ""},
		"another grant":                             {"?grant_type=password", true, "", "", 400, unsupported},
		"another grant in the form":                 {"", true, "grant_type=password", "form", 400, unsupported},
		"two grants":                                {grant, true, "grant_type=password", "form", 400, unsupported},
		"no grant and no Basic":                     {"", false, without("grant_type").Encode(), "form", 400, refused},
		"nothing at all":                            {"", false, "", "", 401, denied},
		"no credential":                             {grant, false, "", "", 401, denied},
		"no secret":                                 {"", false, without("client_secret").Encode(), "form", 401, denied},
		"both credentials":                          {"", true, form.Encode(), "form", 400, refused},
		"two ids":                                   {"", false, form.Encode() + "&client_id=x", "form", 400, refused},
		"the secret in the address":                 {"?" + form.Encode(), false, "", "", 400, refused},
		"JSON":                                      {"", true, `{"grant_type":"client_credentials"}`, "json", 400, refused},
		"no form":                                   {"", true, "%zz", "form", 400, refused},
		"no query":                                  {"?%zz", true, "", "", 400, refused},
		"a body without end":                        {"", true, strings.Repeat("a=b&", 10_000), "form", 400, refused},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "/v1/oauth"+step.query, strings.NewReader(step.body))
			switch step.kind {
			case "form":
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
			case "json":
				r.Header.Set("Content-Type", "application/json")
			}
			if step.basic {
				r.SetBasicAuth(id, secret)
			}
			w := g.do(r)
			var got struct {
				Token     string `json:"access_token"`
				Type      string `json:"token_type"`
				ExpiresIn int    `json:"expires_in"`
				Error     string `json:"error"`
			}
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != step.status || got.Error != step.answer ||
				w.Header().Get("Cache-Control") != "no-store" {
				t.Fatalf("%d %s, %v; want %d %s", w.Code, w.Body, err, step.status, step.answer)
			}
			if step.status != 200 {
				if got.Token != "" {
					t.Error("a token beside an error")
				}
				return
			}
			if got.Type != "bearer" || got.ExpiresIn != 900 {
				t.Errorf("%s", w.Body)
			}
			if w := g.call("GET", "/v1/who", "Bearer "+got.Token); w.Code != 200 || !strings.Contains(w.Body.String(), id) {
				t.Errorf("with the token: %d %s", w.Code, w.Body)
			}
		})
	}
}

func TestLoginWhenTheTableIsAway(t *testing.T) {
	g := newGate(t)
	id, secret := g.client(access.Admin)
	for op, f := range map[string]func(string, int) error{
		"reading": func(op string, _ int) error {
			if op == "get" {
				return errDisk
			}
			return nil
		},
		"writing": func(op string, _ int) error {
			if op == "commit" {
				return errDisk
			}
			return nil
		},
	} {
		g.table.Before = f
		r := httptest.NewRequest("POST", "/v1/oauth", nil)
		r.SetBasicAuth(id, secret)
		if w := g.do(r); w.Code != http.StatusServiceUnavailable || strings.Contains(w.Body.String(), "table") {
			t.Errorf("%s: %d %s", op, w.Code, w.Body)
		}
	}
}

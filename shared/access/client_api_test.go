package access_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/mailtrail/mailtrail/shared/access"
	"github.com/mailtrail/mailtrail/shared/table"
)

// created is the answer to POST /v1/clients.
type created struct {
	ClientID     string
	ClientSecret string
	Name         string
	Roles        []string
	Connections  []string
	Created      string
	CreatedBy    string
}

func (g *gate) send(token, method, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+token)
	return g.do(r)
}

// makes creates a client over HTTP.
func (g *gate) makes(token, body string) created {
	g.t.Helper()
	w := g.send(token, "POST", "/v1/clients", body)
	var c created
	if err := json.Unmarshal(w.Body.Bytes(), &c); err != nil || w.Code != http.StatusCreated {
		g.t.Fatalf("%s: %d %s", body, w.Code, w.Body)
	}
	return c
}

// login exchanges a client's secret for a token; "" if it is refused.
func (g *gate) login(c created) string {
	g.t.Helper()
	r := httptest.NewRequest("POST", "/v1/oauth", nil)
	r.SetBasicAuth(c.ClientID, c.ClientSecret)
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(g.do(r).Body.Bytes(), &answer); err != nil {
		g.t.Fatal(err)
	}
	return answer.Token
}

func TestAClientIsCreatedListedAndRevoked(t *testing.T) {
	g := newGate(t, echo("GET /v1/who", access.Analyst))
	admin := g.token(access.Admin)
	c := g.makes(admin, `{"name":" SIEM ","roles":["analyst","analyst"],`+
		`"connections":["globexglobex","acmeacmeacme","acmeacmeacme"]}`)
	if c.Name != "SIEM" || !slices.Equal(c.Roles, []string{"analyst"}) ||
		!slices.Equal(c.Connections, []string{acme, globex}) {
		t.Errorf("created %+v", c)
	}
	token := g.login(c)
	if w := g.send(token, "GET", "/v1/who", ""); w.Code != 200 ||
		!strings.Contains(w.Body.String(), `"Limit":["acmeacmeacme","globexglobex"]`) {
		t.Errorf("the new client: %d %s", w.Code, w.Body)
	}
	for _, path := range []string{"/v1/clients", "/v1/clients/" + c.ClientID} {
		w := g.send(admin, "GET", path, "")
		if w.Code != 200 || !strings.Contains(w.Body.String(), c.ClientID) ||
			strings.Contains(w.Body.String(), c.ClientSecret) || strings.Contains(w.Body.String(), "ecret") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}

	// The token is in use while its client is revoked: it is refused at the next request, long before it expires.
	if w := g.send(admin, "DELETE", "/v1/clients/"+c.ClientID, ""); w.Code != http.StatusNoContent || w.Body.Len() > 0 {
		t.Fatalf("revoke: %d %s", w.Code, w.Body)
	}
	w := g.send(token, "GET", "/v1/who", "")
	if w.Code != http.StatusUnauthorized || !strings.Contains(w.Header().Get("WWW-Authenticate"), "invalid_token") {
		t.Errorf("the token of a revoked client: %d %s", w.Code, w.Body)
	}
	if g.login(c) != "" {
		t.Error("a revoked client logs in")
	}
	for _, method := range []string{"GET", "DELETE"} {
		if w := g.send(admin, method, "/v1/clients/"+c.ClientID, ""); w.Code != http.StatusNotFound {
			t.Errorf("%s after that: %d %s", method, w.Code, w.Body)
		}
	}

	var acts []string
	for _, e := range g.entries(g.clock.now(), g.clock.now().Add(1)) {
		acts = append(acts, e.What)
		if strings.Contains(e.Detail, c.ClientSecret) || e.Who != c.CreatedBy {
			t.Errorf("the trail has %+v", e)
		}
	}
	if slices.Sort(acts); !slices.Equal(acts, []string{"client.create", "client.list", "client.remove"}) {
		t.Errorf("the trail has %q", acts)
	}
}

func TestAClientThatIsWrongIsRefusedByField(t *testing.T) {
	g := newGate(t)
	admin := g.token(access.Admin)
	for body, field := range map[string]string{
		`{"roles":["admin"]}`:                                           "name",
		`{"name":"","roles":["admin"]}`:                                 "name",
		`{"name":"a\u0000b","roles":["admin"]}`:                         "name",
		`{"name":"a\u202eb","roles":["admin"]}`:                         "name",
		`{"name":"` + strings.Repeat("x", 101) + `","roles":["admin"]}`: "name",
		`{"name":"x"}`:                                                         "roles",
		`{"name":"x","roles":null}`:                                            "roles",
		`{"name":"x","roles":[]}`:                                              "roles",
		`{"name":"x","roles":"admin"}`:                                         "roles",
		`{"name":"x","roles":["admin","root"]}`:                                "roles[1]",
		`{"name":"x","roles":["Admin"]}`:                                       "roles[0]",
		`{"name":"x","roles":[7]}`:                                             "roles[0]",
		`{"name":"x","roles":["admin"],"connections":[]}`:                      "connections",
		`{"name":"x","roles":["admin"],"connections":"acmeacmeacme"}`:          "connections",
		`{"name":"x","roles":["admin"],"connections":["globexglobex","acme"]}`: "connections[1]",
		`{"name":"x","roles":["admin"],"connections":[null]}`:                  "connections[0]",
		`{"name":"x","roles":["admin"],"connection":["acmeacmeacme"]}`:         "connection",
		`{"name":"x","roles":["admin"],"Connections":["acmeacmeacme"]}`:        "Connections",
		`{"name":"x","roles":["admin"],"name":"y"}`:                            "name",
		`{"name":"x","roles":["admin"],"clientSecret":"mine"}`:                 "clientSecret",
		`{"name":"x","roles":["admin"]}{}`:                                     "",
		`["x"]`:                                                                "",
		`{"name":"x","roles":["admin"],"connections":["` + acme + `"` + strings.Repeat(`,"`+acme+`"`,
			1000) + `]}`: "connections",
	} {
		w := g.send(admin, "POST", "/v1/clients", body)
		if w.Code != http.StatusBadRequest || !strings.HasPrefix(w.Body.String(), `{"problems":[{"field":"`+field+`",`) {
			t.Errorf("%.100s: %d %s, want field %q", body, w.Code, w.Body, field)
		}
	}
	if entries := g.entries(g.clock.now(), g.clock.now().Add(1)); len(entries) > 0 {
		t.Errorf("what was refused is in the trail: %v", entries)
	}
}

func TestClientsArePaged(t *testing.T) {
	g := newGate(t)
	admin := g.token(access.Admin)
	want := 1
	for range 6 {
		g.client(access.Analyst)
		want++
	}
	seen := map[string]bool{}
	pages := 0
	for token := ""; pages == 0 || token != ""; pages++ {
		w := g.send(admin, "GET", "/v1/clients?pgSize=3&"+token, "")
		var page struct {
			Clients     []created
			NextPgToken string
		}
		if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || len(page.Clients) > 3 || len(page.Clients) == 0 {
			t.Fatalf("%s, %v", w.Body, err)
		}
		for _, c := range page.Clients {
			seen[c.ClientID] = true
		}
		if token = ""; page.NextPgToken != "" {
			token = "pgToken=" + page.NextPgToken
		}
	}
	if len(seen) != want || pages != 3 {
		t.Errorf("%d clients on %d pages, want %d on 3", len(seen), pages, want)
	}
	for query, field := range map[string]string{
		"pgSize=0": "pgSize", "pgToken=": "pgToken", "pgToken=%25": "pgToken", "name=x": "name",
		"pgSize=1&pgSize=1": "pgSize",
	} {
		if w := g.send(admin, "GET", "/v1/clients?"+query, ""); w.Code != 400 ||
			!strings.Contains(w.Body.String(), `"field":"`+field+`"`) {
			t.Errorf("%s: %d %s", query, w.Code, w.Body)
		}
	}
}

// A limited administrator is alone in its world: it neither sees nor makes a client that may do more than it may.
func TestALimitedAdministratorGivesNoMoreThanItHas(t *testing.T) {
	g := newGate(t)
	all := g.token(access.Admin)
	mine := g.makes(all, `{"name":"acme's","roles":["admin"],"connections":["acmeacmeacme"]}`)
	other := g.makes(all, `{"name":"globex's","roles":["analyst"],"connections":["globexglobex"]}`)
	both := g.makes(all, `{"name":"both's","roles":["analyst"],"connections":["acmeacmeacme","globexglobex"]}`)
	token := g.login(mine)

	for body, field := range map[string]string{
		`{"name":"x","roles":["admin"]}`:                                               "connections",
		`{"name":"x","roles":["admin"],"connections":null}`:                            "connections",
		`{"name":"x","roles":["admin"],"connections":["globexglobex"]}`:                "connections[0]",
		`{"name":"x","roles":["admin"],"connections":["acmeacmeacme","globexglobex"]}`: "connections[1]",
	} {
		w := g.send(token, "POST", "/v1/clients", body)
		if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), `"field":"`+field+`"`) {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
	}
	naming := func(connection string) string {
		body := `{"name":"x","roles":["admin"],"connections":["` + connection + `"]}`
		return g.send(token, "POST", "/v1/clients", body).Body.String()
	}
	if outside, unknown := naming(globex), naming("nowhere"); unknown != outside {
		t.Errorf("a connection that is not there is told from one that is not allowed:\n%s%s", unknown, outside)
	}
	second := g.makes(token, `{"name":"acme's second","roles":["analyst"],"connections":["acmeacmeacme"]}`)

	list := g.send(token, "GET", "/v1/clients", "").Body.String()
	for id, visible := range map[string]bool{
		mine.ClientID: true, second.ClientID: true, other.ClientID: false, both.ClientID: false,
	} {
		if strings.Contains(list, id) != visible {
			t.Errorf("%s is on the list: %t", id, !visible)
		}
		for _, method := range []string{"GET", "DELETE"} {
			w := g.send(token, method, "/v1/clients/"+id, "")
			switch {
			case id == mine.ClientID && method == "DELETE": // it has ended itself
				if w.Code != http.StatusNoContent || g.send(token, "GET", "/v1/clients", "").Code != http.StatusUnauthorized {
					t.Errorf("a client revokes itself: %d %s", w.Code, w.Body)
				}
				mine = g.makes(all, `{"name":"acme's again","roles":["admin"],"connections":["acmeacmeacme"]}`)
				token = g.login(mine)
			case visible != (w.Code < 300) || !visible && w.Code != http.StatusNotFound:
				t.Errorf("%s %s: %d %s", method, id, w.Code, w.Body)
			}
		}
	}
	absent := g.send(token, "GET", "/v1/clients/key-0000000000000000", "").Body.String()
	if hidden := g.send(token, "GET", "/v1/clients/"+both.ClientID, "").Body.String(); hidden != absent {
		t.Errorf("a client that is not there is told from one that is hidden:\n%s%s", absent, hidden)
	}
}

func TestALimitedAdministratorSeesTheTrailOfItsConnections(t *testing.T) {
	g := newGate(t)
	routes := (&access.TrailAPI{Trail: g.trail, Log: g.api.Log}).Routes()
	record := func(e access.Entry) {
		t.Helper()
		if err := g.trail.Record(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	record(access.Entry{Who: "key-1", What: "of.acme", Connections: access.Limit{acme}})
	record(access.Entry{Who: "key-1", What: "of.globex", Connections: access.Limit{globex}})
	record(access.Entry{Who: "key-1", What: "of.both", Connections: access.Limit{acme, globex}})
	record(access.Entry{Who: "key-1", What: "of.all"})
	g.clock.advance(1)
	read := func(limit access.Limit) string {
		t.Helper()
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/v1/trail", nil)
		caller := access.Caller{ID: "key-9", Roles: []access.Role{access.Admin}, Limit: limit}
		routes[0].Handler.ServeHTTP(w, r.WithContext(access.With(t.Context(), caller)))
		var said []string
		for _, what := range []string{"of.acme", "of.globex", "of.both", "of.all", "trail.read"} {
			if strings.Contains(w.Body.String(), `"what":"`+what+`"`) {
				said = append(said, what)
			}
		}
		g.clock.advance(1)
		return strings.Join(said, " ")
	}
	for _, step := range []struct {
		limit access.Limit
		want  string
	}{
		{access.Limit{acme}, "of.acme"},
		{access.Limit{globex}, "of.globex"},
		{access.Limit{acme, globex}, "of.acme of.globex of.both trail.read"}, // both have read the trail before
		{nil, "of.acme of.globex of.both of.all trail.read"},
	} {
		if got := read(step.limit); got != step.want {
			t.Errorf("limited to %v: %q, want %q", step.limit, got, step.want)
		}
	}
}

func TestARouteForUnlimitedClients(t *testing.T) {
	route := echo("POST /v1/all", access.Admin)
	route.Unlimited = true
	g := newGate(t, route)
	all := g.token(access.Admin)
	limited := g.login(g.makes(all, `{"name":"acme's","roles":["admin"],"connections":["acmeacmeacme"]}`))
	if w := g.send(all, "POST", "/v1/all", ""); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := g.send(limited, "POST", "/v1/all", ""); w.Code != http.StatusForbidden ||
		!strings.Contains(w.Body.String(), "LIMITED") {
		t.Errorf("limited: %d %s", w.Code, w.Body)
	}
}

func TestTheLastAdministratorMayBeRevoked(t *testing.T) {
	g := newGate(t)
	admin := g.token(access.Admin)
	var page struct{ Clients []created }
	if err := json.Unmarshal(g.send(admin, "GET", "/v1/clients", "").Body.Bytes(), &page); err != nil ||
		len(page.Clients) != 1 {
		t.Fatal(page, err)
	}
	if w := g.send(admin, "DELETE", "/v1/clients/"+page.Clients[0].ClientID, ""); w.Code != http.StatusNoContent {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	// The operator needs no client to create the next one.
	ctx := access.With(t.Context(), access.Caller{ID: "operator"})
	next, secret, err := g.api.Create(ctx, access.NewClient{Name: "next", Roles: []access.Role{access.Admin}})
	if err != nil || next.CreatedBy != "operator" || g.login(created{ClientID: next.ID, ClientSecret: secret}) == "" {
		t.Errorf("%+v, %v", next, err)
	}
}

// A client that was stored by earlier versions has no limit, and nobody knows who made it.
func TestClientsOfEarlierVersionsHaveNoLimit(t *testing.T) {
	g := newGate(t)
	id, _ := g.client(access.Analyst)
	item, err := g.table.Get(t.Context(), table.Key{Partition: "client", Sort: id})
	if err != nil {
		t.Fatal(err)
	}
	delete(item.Attrs, "createdBy")
	if err := g.table.Commit(t.Context(), table.Op{Verb: table.Replace, Item: item}); err != nil {
		t.Fatal(err)
	}
	if c, err := g.clients.Get(t.Context(), id); err != nil || c.Limit != nil || c.CreatedBy != "" || c.Created.IsZero() {
		t.Errorf("%+v, %v", c, err)
	}
}

// Acts on clients come in pairs: failed and not done, and done but reported as failed.
func TestActsOnClientsWhenTheTableFails(t *testing.T) {
	for _, when := range []string{"before", "after"} {
		for _, op := range []string{"create", "commit"} { // the trail, then the client
			g := newGate(t)
			admin := g.token(access.Admin)
			fail := func(o string, _ int) error {
				if o == op {
					return errDisk
				}
				return nil
			}
			if when == "before" {
				g.table.Before = fail
			} else {
				g.table.After = fail
			}
			w := g.send(admin, "POST", "/v1/clients", `{"name":"x","roles":["admin"]}`)
			g.table.Before, g.table.After = nil, nil
			if w.Code != http.StatusServiceUnavailable || strings.Contains(w.Body.String(), "ecret") ||
				strings.Contains(w.Body.String(), errDisk.Error()) {
				t.Errorf("%s %s: %d %s", when, op, w.Code, w.Body)
			}
			clients, _, err := g.clients.List(t.Context(), nil, "", 10)
			done := when == "after" && op == "commit"
			if err != nil || len(clients) != 1 && !done || len(clients) != 2 && done {
				t.Errorf("%s %s: %d clients, %v", when, op, len(clients), err)
			}
			recorded := len(g.entries(g.clock.now(), g.clock.now().Add(1))) == 1
			if len(clients) == 2 && !recorded {
				t.Errorf("%s %s: a client was created that the trail does not know of", when, op)
			}
		}
	}
}

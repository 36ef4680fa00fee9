package machine_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/access"
	"github.com/mailtrail/mailtrail/shared/queue"
	"github.com/mailtrail/mailtrail/shared/search"
	m365sim "github.com/mailtrail/mailtrail/sim/m365"
	"github.com/mailtrail/mailtrail/sim/m365/company"
)

// tenancy is two tenants with mail, and a client of each that is limited to its connection.
type tenancy struct {
	*world
	ids    [2]string // the connections
	tokens [2]string // of clients with both roles, each limited to one connection
	all    string    // the token of a client without a limit
}

func newTenancy(t *testing.T) *tenancy {
	t.Helper()
	y := &tenancy{world: start(t, m365sim.Options{Seed: 1})}
	var blobs [2]int64
	for i := range y.ids {
		c := company.New(company.Options{Seed: uint64(i + 1), MailsPerHour: 60})
		y.sim.AddTenant(c.Tenant(), c.People())
		blobs[i] = y.day(c, morning, morning.Add(time.Hour))
		id := y.connect(c)
		y.ids[i] = string(id)
		y.tokens[i] = y.loginAs(access.NewClient{
			Name: c.Tenant().DisplayName, Roles: []access.Role{access.Admin, access.Analyst},
			Connections: access.Limit{string(id)},
		})
	}
	for i, id := range y.ids {
		y.wait("the mail of "+id, func() bool {
			d := y.details(id)
			return d.Ledger.Listed >= blobs[i] && d.Ledger.Open == 0
		})
	}
	y.all = y.login(access.Admin, access.Analyst)
	y.wait("the watermarks to pass all events", func() bool {
		_, stored, _ := y.query(y.all, everything, `"srtKey":"@timestamp"`)
		_, settled, _ := y.query(y.all, everything, `"srtKey":"event.inserted"`)
		return settled.TotalCount == stored.TotalCount
	})
	return y
}

// call sends a request, and returns the status and the body of the answer.
func (y *tenancy) call(token, method, path, kind, body string) (status int, answer string) {
	y.t.Helper()
	r, err := http.NewRequestWithContext(y.t.Context(), method, y.base+path, strings.NewReader(body))
	if err != nil {
		y.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	if body != "" {
		r.Header.Set("Content-Type", kind)
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		y.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		y.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// TestALimitHoldsAtEveryRoute walks every route of the machine as two clients, each limited to one of two tenants. When
// you add a route, say here what a limited client gets: every route for one connection is tried by itself.
func TestALimitHoldsAtEveryRoute(t *testing.T) {
	y := newTenancy(t)
	y.buryOf(0)
	y.buryOf(1)
	others := map[string]func(me int){
		"POST /v1/connections": func(me int) {
			if status, answer := y.call(y.tokens[me], "POST", "/v1/connections", "application/json",
				`{"displayName":"Mine"}`); status != 403 {
				t.Errorf("a limited client adds a connection: %d %s", status, answer)
			}
		},
		"GET /v1/connections": func(me int) { y.only(me, "GET", "/v1/connections", "") },
		"GET /v1/trail": func(me int) { // whatever this client searched for before is its own
			y.call(y.all, "GET", "/v1/connections/"+y.ids[0]+"/scope", "", "")
			y.call(y.all, "GET", "/v1/connections/"+y.ids[1]+"/scope", "", "")
			status, answer := y.call(y.tokens[me], "GET", "/v1/trail?pgSize=1000", "", "")
			of := func(i int) bool { return strings.Contains(answer, `{"connection":"`+y.ids[i]+`"}`) }
			if status != 200 || !of(me) || of(1-me) {
				t.Errorf("the trail as the client of %s: %d %.2000s", y.ids[me], status, answer)
			}
		},
		"GET /v1/clients":         func(me int) { y.only(me, "GET", "/v1/clients", "") },
		"POST /v1/clients":        func(me int) { y.gives(me) },
		"GET /v1/clients/{id}":    func(me int) { y.hides(me, "GET") },
		"DELETE /v1/clients/{id}": func(me int) { y.hides(me, "DELETE") },
		"POST /v2/file-events":    func(me int) { y.finds(me) },
		"GET /v1/dead":            func(me int) { y.only(me, "GET", "/v1/dead", "") },
		"POST /v1/dead/retry": func(me int) { // what is not of this connection stays where it is
			y.call(y.tokens[me], "POST", "/v1/dead/retry", "application/json", `{}`)
			y.only(1-me, "GET", "/v1/dead", "")
			y.buryOf(me)
		},
		"POST /v1/dead/{id}/retry": func(me int) { y.noLetter(me, "POST", "/retry") },
		"DELETE /v1/dead/{id}":     func(me int) { y.noLetter(me, "DELETE", "") },
	}
	for _, r := range y.machine.Routes {
		if r.Public {
			continue
		}
		method, path, _ := strings.Cut(r.Pattern, " ")
		if strings.HasPrefix(path, "/v1/connections/{id}") {
			for me := range y.ids {
				y.notMine(me, method, path)
			}
			continue
		}
		check, ok := others[r.Pattern]
		if !ok {
			t.Errorf("%s is a route, and this test does not know what a limited client gets from it", r.Pattern)
			continue
		}
		delete(others, r.Pattern)
		for me := range y.ids {
			check(me)
		}
	}
	for pattern := range others {
		t.Errorf("%s is no route", pattern)
	}
	own := y.machine.Packer
	packer := search.Packer{
		Events: own.Events, Connections: own.Connections, Watermarks: own.Watermarks, Domains: own.Domains, Now: own.Now,
		Rand: own.Rand, At: 1,
	}
	if outcome, err := packer.Run(t.Context()); err != nil || outcome.Messages == 0 {
		t.Fatalf("packed %d messages, %v", outcome.Messages, err)
	}
	y.finds(0)
	y.finds(1)
	for _, id := range y.ids { // after all that was refused
		if d := y.details(id); d.Status != "Monitoring" || d.DisplayName == "Taken over" || d.Purge != nil {
			t.Errorf("connection %s was changed: %+v", id, d)
		}
	}
}

// only asks for a list that has what is of one's own connection, and nothing of the other's.
func (y *tenancy) only(me int, method, path, body string) {
	y.t.Helper()
	status, answer := y.call(y.tokens[me], method, path, "application/json", body)
	if status != 200 || !strings.Contains(answer, y.ids[me]) || strings.Contains(answer, y.ids[1-me]) {
		y.t.Errorf("%s %s as the client of %s: %d %.2000s", method, path, y.ids[me], status, answer)
	}
}

// buryOf makes a dead letter of a connection, of work that no agent can do.
func (y *tenancy) buryOf(i int) {
	y.t.Helper()
	dead := func() bool {
		_, answer := y.call(y.tokens[i], "GET", "/v1/dead", "", "")
		return strings.Contains(answer, y.ids[i])
	}
	if !dead() {
		must(y.t, y.machine.Blobs().Send(y.t.Context(), queue.Message{Group: y.ids[i], Body: []byte("no blob")}))
	}
	y.wait("a dead letter", dead)
}

// noLetter asks for the other's dead letters as for one that does not exist.
func (y *tenancy) noLetter(me int, method, act string) {
	y.t.Helper()
	_, list := y.call(y.tokens[1-me], "GET", "/v1/dead", "", "")
	var page struct{ Letters []struct{ ID string } }
	if err := json.Unmarshal([]byte(list), &page); err != nil || len(page.Letters) == 0 {
		y.t.Fatal(list, err)
	}
	_, absent := y.call(y.tokens[me], method, "/v1/dead/blobs-nothing"+act, "", "")
	for _, l := range page.Letters {
		if status, answer := y.call(y.tokens[me], method, "/v1/dead/"+l.ID+act, "", ""); status != 404 || answer != absent {
			y.t.Errorf("%s of the other's dead letter: %d %s; of one that does not exist: %s", method, status, answer, absent)
		}
	}
}

// notMine asks a route of one connection for the other's, with bodies that are good and that are not: the answer is
// that of a connection that does not exist. Where a read is enough to compare, the test asks for the client's own too.
func (y *tenancy) notMine(me int, method, path string) {
	y.t.Helper()
	of := func(id string) string {
		return strings.NewReplacer("{id}", id, "{address}", "somebody@fernhill.test").Replace(path)
	}
	for _, body := range []struct{ kind, text string }{
		{"", ""},
		{"application/json", `{"displayName":"Taken over"}`},
		{"application/json", `{"displayName":""}`},
		{"application/json", `{"kind":"all","gate":"any"}`},
		{"application/json", `{"kind":"some"}`},
		{"application/json", `{`},
		{"text/csv", "email\nsomebody@fernhill.test\n"},
		{"text/csv", "nobody"},
	} {
		status, answer := y.call(y.tokens[me], method, of(y.ids[1-me]), body.kind, body.text)
		unknown, want := y.call(y.tokens[me], method, of("aaaaaaaaaaaa"), body.kind, body.text)
		if status != http.StatusNotFound || status != unknown || answer != want {
			y.t.Errorf("%s %s with %q: %d %s; one that does not exist: %d %s", method, path, body.text, status, answer, unknown,
				want)
		}
	}
	if method == http.MethodGet {
		status, answer := y.call(y.tokens[me], method, of(y.ids[me]), "", "")
		nobody := strings.Contains(path, "{address}") && strings.Contains(answer, `"field":"address"`)
		if status != 200 && !nobody {
			y.t.Errorf("%s %s as its own client: %d %.500s", method, path, status, answer)
		}
	}
}

// gives creates clients: of one's own connection only.
func (y *tenancy) gives(me int) {
	y.t.Helper()
	for connections, want := range map[string]int{
		`["` + y.ids[me] + `"]`:                       201,
		`["` + y.ids[1-me] + `"]`:                     400,
		`["` + y.ids[me] + `","` + y.ids[1-me] + `"]`: 400,
		`["aaaaaaaaaaaa"]`:                            400,
		`null`:                                        400,
		`[]`:                                          400,
	} {
		status, answer := y.call(y.tokens[me], "POST", "/v1/clients", "application/json",
			`{"name":"x","roles":["admin"],"connections":`+connections+`}`)
		if status != want || status == 400 && !strings.Contains(answer, `"field":"connections`) {
			y.t.Errorf("a client of %s creates one of %s: %d %s", y.ids[me], connections, status, answer)
		}
	}
}

// hides asks for clients that may do more, as for one that does not exist.
func (y *tenancy) hides(me int, method string) {
	y.t.Helper()
	list, _, err := y.machine.Clients.List(y.t.Context(), nil, "", 1000)
	if err != nil {
		y.t.Fatal(err)
	}
	_, absent := y.call(y.tokens[me], method, "/v1/clients/key-0000000000000000", "", "")
	hidden := 0
	for _, c := range list {
		if c.Limit.Within(access.Limit{y.ids[me]}) {
			continue
		}
		hidden++
		if status, answer := y.call(y.tokens[me], method, "/v1/clients/"+c.ID, "", ""); status != 404 || answer != absent {
			y.t.Errorf("%s of client %s, limited to %v: %d %s", method, c.ID, c.Limit, status, answer)
		}
	}
	if hidden < 2 {
		y.t.Errorf("only %d clients are to be hidden", hidden)
	}
}

// answered is an answer of Forensic Search.
type answered struct {
	TotalCount int
	FileEvents []struct {
		Event struct{ ID, DetectorDisplayName string }
	}
	NextPgToken *string
	Problems    []struct{ Type string }
}

func (y *tenancy) query(token, filters, more string) (status int, a answered, text string) {
	y.t.Helper()
	body := fmt.Sprintf(`{"groups":[{"filters":[%s]}],%s}`, filters, more)
	status, text = y.call(token, "POST", "/v2/file-events", "application/json", body)
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		y.t.Fatalf("%s: %v", text, err)
	}
	return status, a, text
}

// finds searches: what a limited client finds is what an unlimited one finds, without the other's events, in results,
// totals and page tokens alike.
func (y *tenancy) finds(me int) {
	y.t.Helper()
	ids := func(a answered) (all []string) {
		for _, e := range a.FileEvents {
			all = append(all, e.Event.ID)
		}
		return all
	}
	whose := map[string]int{} // by event
	var names [2]string       // of the connections
	_, everybody, _ := y.query(y.all, everything, `"pgSize":10000`)
	for _, e := range everybody.FileEvents {
		for i, id := range y.ids {
			if strings.Contains(e.Event.ID, id) {
				whose[e.Event.ID], names[i] = i, e.Event.DetectorDisplayName
			}
		}
	}
	if len(whose) != len(everybody.FileEvents) || names[0] == "" || names[1] == "" {
		y.t.Fatalf("%d events of %q", len(everybody.FileEvents), names)
	}
	term := func(name, operator string, value any) string {
		text, err := json.Marshal(map[string]any{"term": name, "operator": operator, "value": value})
		if err != nil {
			y.t.Fatal(err)
		}
		return string(text)
	}
	theirs := everybody.FileEvents[slices.IndexFunc(everybody.FileEvents, func(e struct {
		Event struct{ ID, DetectorDisplayName string }
	}) bool {
		return whose[e.Event.ID] != me
	})].Event.ID
	for _, filters := range []string{
		everything,
		term("event.detectorDisplayName", "IS", names[1-me]),
		term("event.detectorDisplayName", "IS_NOT", names[me]),
		term("event.id", "IS", theirs),
		term("file.name", "IS", "*.*"),
		term("file.sizeInBytes", "GREATER_THAN", 1),
		term("file.category", "EXISTS", nil),
	} {
		for _, key := range []string{"@timestamp", "event.id", "file.name", "event.inserted", "event.detectorDisplayName"} {
			order := `"srtKey":"` + key + `","srtDir":"asc","pgSize":`
			_, all, _ := y.query(y.all, filters, order+"10000")
			want := slices.DeleteFunc(ids(all), func(id string) bool { return whose[id] != me })
			status, got, text := y.query(y.tokens[me], filters, order+"10000")
			if status != 200 || got.TotalCount != len(want) || !slices.Equal(ids(got), want) {
				y.t.Errorf("%s by %s: %d, %d of %d events, total %d", filters, key, status, len(ids(got)), len(want),
					got.TotalCount)
			}
			if strings.Contains(text, y.ids[1-me]) {
				y.t.Errorf("%s by %s names the other connection", filters, key)
			}
			var paged []string
			for token := ""; ; {
				_, page, _ := y.query(y.tokens[me], filters, order+`7,"pgToken":"`+token+`"`)
				paged = append(paged, ids(page)...)
				if page.NextPgToken == nil {
					break
				}
				token = *page.NextPgToken
			}
			if !slices.Equal(paged, want) {
				y.t.Errorf("%s by %s, page by page: %d of %d events", filters, key, len(paged), len(want))
			}
			second := want[min(5, len(want)):min(10, len(want))]
			if _, numbered, _ := y.query(y.tokens[me], filters, order+`5,"pgNum":2`); !slices.Equal(ids(numbered), second) {
				y.t.Errorf("%s by %s, page 2: %q, want those after 5 of %q", filters, key, ids(numbered), want)
			}
		}
	}

	// The id of the other's event is a place in the order of ids, as any id is; elsewhere it is as if it were not there.
	for _, key := range []string{"@timestamp", "file.name", "event.inserted"} {
		ask := func(token string) string {
			status, _, text := y.query(y.tokens[me], everything, `"srtKey":"`+key+`","pgToken":"`+token+`"`)
			return fmt.Sprint(status, strings.ReplaceAll(text, token, "TOKEN"))
		}
		absent := theirs[:len(theirs)-1] + "9"
		if hidden := ask(theirs); hidden != ask(absent) || !strings.Contains(hidden, "INVALID_PAGE_TOKEN") {
			y.t.Errorf("the other's event as a token, by %s: %s; one that does not exist: %s", key, hidden, ask(absent))
		}
	}
}

// TestARevokedClientIsRefusedAtOnce revokes a client while its token is in use.
func TestARevokedClientIsRefusedAtOnce(t *testing.T) {
	w := start(t, m365sim.Options{Seed: 1})
	asked := access.NewClient{Name: "x", Roles: []access.Role{access.Analyst}}
	client, secret, err := w.machine.Clients.Create(t.Context(), "test", asked)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.base+"/v1/oauth", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(client.ID, secret)
	var answer struct {
		Token string `json:"access_token"`
	}
	w.do(req, http.StatusOK, &answer)
	for range 3 {
		if status := w.status(http.MethodGet, "/v1/connections", "Bearer "+answer.Token); status != http.StatusOK {
			t.Fatal(status)
		}
	}
	w.ask(http.MethodDelete, "/v1/clients/"+client.ID, "", http.StatusNoContent, nil)
	if status := w.status(http.MethodGet, "/v1/connections", "Bearer "+answer.Token); status != http.StatusUnauthorized {
		t.Errorf("after its client was revoked a token is answered %d", status)
	}
}

package people_test

import (
	"context"
	"crypto/rand"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/access"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/people"
	"github.com/mailtrail/mailtrail/shared/table/tabletest"
	m365sim "github.com/mailtrail/mailtrail/sim/m365"
	"github.com/mailtrail/mailtrail/sim/m365/world"
)

// desk is the API over a town, behind its guard.
type desk struct {
	*town
	handler http.Handler
	tokens  map[access.Role]string
	ids     map[access.Role]string // of the clients that hold the tokens
	trail   *access.Trail
}

func newDesk(t *testing.T, all []world.Person) *desk {
	t.Helper()
	d := &desk{town: found(t, m365sim.Options{}, all), tokens: map[access.Role]string{}, ids: map[access.Role]string{}}
	tokens := &access.Tokens{Table: d.table, Now: d.clock.Now, Rand: rand.Reader}
	clients := &access.Clients{Table: d.table, Now: d.clock.Now, Rand: rand.Reader}
	d.trail = &access.Trail{Table: d.table, Now: d.clock.Now, Rand: rand.Reader}
	for _, role := range []access.Role{access.Admin, access.Analyst} {
		client, _, err := clients.Create(t.Context(), "test",
			access.NewClient{Name: string(role), Roles: []access.Role{role}})
		d.must(err)
		d.ids[role] = client.ID
		token, err := tokens.Issue(t.Context(), client.ID)
		d.must(err)
		d.tokens[role] = token
	}
	api := &people.API{Roster: d.roster, Trail: d.trail, Log: slog.New(slog.DiscardHandler),
		Find: func(_ context.Context, id connection.ID) (connection.Connection, error) {
			if id != conn {
				return connection.Connection{}, connection.ErrNotFound
			}
			return d.who, nil
		}}
	d.handler = access.Mux(&access.Guard{Tokens: tokens, Log: slog.New(slog.DiscardHandler)}, api.Routes())
	d.take()
	return d
}

func (d *desk) call(role access.Role, method, path, kind, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(d.t.Context(), method, "/v1/connections/"+path, strings.NewReader(body))
	r.Header.Set("Content-Type", kind)
	r.Header.Set("Authorization", "Bearer "+d.tokens[role])
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, r)
	return w
}

// ask is call for an answer of JSON with status 200.
func ask[T any](d *desk, role access.Role, method, path, kind, body string) (v T) {
	d.t.Helper()
	w := d.call(role, method, path, kind, body)
	if w.Code != http.StatusOK {
		d.t.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
	}
	d.must(json.Unmarshal(w.Body.Bytes(), &v))
	return v
}

type shown struct {
	ID       string     `json:"id"`
	Email    string     `json:"email"`
	Coverage string     `json:"coverage"`
	Reason   string     `json:"reason"`
	LastSend *time.Time `json:"lastSend"`
}

type listed struct {
	People []shown `json:"people"`
	Next   *string `json:"nextPgToken"`
	Sums   *struct {
		People     int            `json:"people"`
		ByCoverage map[string]int `json:"byCoverage"`
		Census     struct {
			Finished *time.Time `json:"finished"`
			Told     int        `json:"told"`
		} `json:"census"`
	} `json:"sums"`
}

const (
	jsonBody = "application/json"
	csvBody  = "text/csv; charset=utf-8"
)

func TestPeopleAreListedByCoverageInPages(t *testing.T) {
	all, truth := crowd(70)
	d := newDesk(t, all)
	for _, coverage := range append(people.Coverages(), "") {
		seen := map[string]bool{}
		path := conn + "/people?pgSize=9&coverage=" + connection.ID(coverage)
		if coverage == "" {
			path = conn + "/people?pgSize=9"
		}
		pages := 0
		for next := ""; ; pages++ {
			page := ask[listed](d, access.Analyst, "GET", string(path)+next, "", "")
			for _, p := range page.People {
				if seen[p.ID] || coverage != "" && p.Coverage != string(coverage) || p.Reason == "" || p.Email == "" {
					t.Errorf("%s: %+v", coverage, p)
				}
				seen[p.ID] = true
			}
			if (page.Sums != nil) != (next == "") {
				t.Errorf("sums on page %d: %v", pages, page.Sums)
			}
			if page.Next == nil {
				break
			}
			next = "&pgToken=" + *page.Next
		}
		want := truth[coverage]
		if coverage == "" {
			want = 70
		}
		if int64(len(seen)) != want {
			t.Errorf("%s: %d people, want %d", coverage, len(seen), want)
		}
	}
	first := ask[listed](d, access.Admin, "GET", string(conn)+"/people", "", "")
	if s := first.Sums; s.People != 70 || s.ByCoverage["monitored"] != int(truth[people.Monitored]) ||
		s.Census.Finished == nil || s.Census.Told != 70 {
		t.Errorf("sums %+v", s)
	}
}

func TestOnePersonIsFoundByAnyAddress(t *testing.T) {
	d := newDesk(t, []world.Person{resident(0), resident(1)})
	d.judge(d.monitor(), d.by(address(0)), d.by("nobody@contoso.test"))
	p := ask[shown](d, access.Analyst, "GET", string(conn)+"/people/ALIAS0@contoso.onmicrosoft.com", "", "")
	if p.Email != address(0) || p.Coverage != "monitored" || p.LastSend == nil || !p.LastSend.Equal(morning) {
		t.Errorf("found %+v", p)
	}
	unknown := ask[listed](d, access.Analyst, "GET", string(conn)+"/people?coverage=unknown", "", "")
	if len(unknown.People) != 1 || unknown.People[0].Email != "nobody@contoso.test" ||
		!contains(unknown.People[0].Reason, "does not know this sender") {
		t.Errorf("unknown senders: %+v", unknown.People)
	}
	if w := d.call(access.Admin, "GET", string(conn)+"/people/nobody@contoso.test", "",
		""); w.Code != http.StatusNotFound {
		t.Errorf("nobody: %d %s", w.Code, w.Body)
	}
}

func TestTheScopeIsSetAndRead(t *testing.T) {
	d := newDesk(t, []world.Person{resident(0), resident(1)})
	scope := string(conn) + "/scope"
	if w := d.call(access.Analyst, "GET", scope, "", ""); !contains(w.Body.String(),
		`{"kind":"all","gate":"premium",`) ||
		!contains(w.Body.String(), `cannot be had again after 7 days`) ||
		!contains(w.Body.String(), `"groups":[],"listed":0,"uploaded":null,"expanded":null}`) {
		t.Errorf("at first: %s", w.Body)
	}
	if w := d.call(access.Admin, "PUT", scope, jsonBody,
		`{"kind":"users","gate":"premium"}`); w.Code != http.StatusConflict || !contains(w.Body.String(), "NO_LIST") {
		t.Errorf("a scope of nobody: %d %s", w.Code, w.Body)
	}
	up := ask[struct {
		Scope        struct{ Kind, Listed any }
		UnknownCount int
		Unknown      []string
	}](d, access.Admin, "PUT", scope+"/users", csvBody,
		"\ufeffname, Email \r\nPerson, P0@contoso.test\r\n\"Else, Someone\",later@contoso.test\n,\nagain,p0@CONTOSO.test\n")
	if up.Scope.Listed != 2.0 || up.UnknownCount != 1 || !slices.Equal(up.Unknown, []string{"later@contoso.test"}) ||
		up.Scope.Kind != "all" {
		t.Errorf("uploaded: %+v", up)
	}
	ask[any](d, access.Admin, "PUT", scope, jsonBody, `{"kind":"users","gate":"any","groups":[]}`)
	verdicts(t, d.judge(d.monitor(), d.by(address(0)), d.by(address(1))), people.Kept, people.Unmonitored)
	ask[any](d, access.Admin, "PUT", scope, jsonBody,
		`{"kind":"groups","gate":"any","groups":["E0000000-0000-4000-8000-000000000001",`+
			`"e0000000-0000-4000-8000-000000000001"]}`)
	if w := d.call(access.Admin, "GET", scope, "", ""); !contains(w.Body.String(),
		`"groups":["e0000000-0000-4000-8000-000000000001"]`) {
		t.Errorf("groups: %s", w.Body)
	}
	var acts []string
	for e, err := range d.trail.List(t.Context(), morning, morning.Add(time.Hour)) {
		d.must(err)
		acts = append(acts, e.Who+" "+e.What)
	}
	admin, analyst := d.ids[access.Admin], d.ids[access.Analyst]
	for _, want := range []string{admin + " scope.set", admin + " scope.users", analyst + " scope.read"} {
		if !slices.Contains(acts, want) {
			t.Errorf("the trail lacks %q: %q", want, acts)
		}
	}
}

func TestWhatIsWrongIsNamed(t *testing.T) {
	d := newDesk(t, []world.Person{resident(0)})
	scope, users := string(conn)+"/scope", string(conn)+"/scope/users"
	many := "email\n" + strings.Repeat("x\n", 30)
	for _, tc := range []struct {
		method, path, kind, body string
		status                   int
		field, problem           string
	}{
		{"PUT", scope, jsonBody, `{"kind":"some","gate":"premium"}`, 400, "kind", "INVALID_VALUE"},
		{"PUT", scope, jsonBody, `{"kind":"all","gate":"gold"}`, 400, "gate", "INVALID_VALUE"},
		{"PUT", scope, jsonBody, `{"kind":"groups","gate":"any","groups":["staff"]}`, 400, "groups[0]", "INVALID_VALUE"},
		{"PUT", scope, jsonBody, `{"kind":"groups","gate":"any"}`, 400, "groups", "INVALID_VALUE"},
		{"PUT", scope, jsonBody, `{"kind":"all","gate":"any","groups":["e0000000-0000-4000-8000-000000000001"]}`, 400,
			"groups", "INVALID_VALUE"},
		{"PUT", scope, jsonBody, `{"kind":"all","gate":"any","else":1}`, 400, "else", "UNKNOWN_FIELD"},
		{"PUT", scope, jsonBody, `{"kind":"all","gate":"any","kind":"users"}`, 400, "kind", "REPEATED_FIELD"},
		{"PUT", scope, jsonBody, `{"Kind":"all","gate":"any"}`, 400, "Kind", "UNKNOWN_FIELD"},
		{"PUT", users, jsonBody, "email\na@b\n", 415, "", "INVALID_CONTENT_TYPE"},
		{"PUT", users, csvBody, "", 400, "line 1", "NO_HEADER"},
		{"PUT", users, csvBody, "a@b.test\n", 400, "line 1", "NO_HEADER"},
		{"PUT", users, csvBody, "email\n\n", 400, "email", "EMPTY"},
		{"PUT", users, csvBody, "email\na@b.test\nno address\n", 400, "line 3", "INVALID_VALUE"},
		{"PUT", users, csvBody, "email,x\na@b.test\n\"a\"b@c,\n", 400, "line 3", "INVALID_CSV"},
		{"PUT", users, csvBody, many, 400, "line 2", "INVALID_VALUE"},
		{"PUT", users, csvBody, "email\n" + strings.Repeat(strings.Repeat("x", 1<<20)+"@b.test\n", 9), 413, "", "TOO_LONG"},
		{"GET", string(conn) + "/people?coverage=x", "", "", 400, "coverage", "INVALID_VALUE"},
		{"GET", string(conn) + "/people?pgSize=0", "", "", 400, "pgSize", "INVALID_VALUE"},
		{"GET", string(conn) + "/people?page=1", "", "", 400, "page", "INVALID_VALUE"},
		{"GET", "bbbbbbbbbbbb/people", "", "", 404, "id", "NOT_FOUND"},
	} {
		w := d.call(access.Admin, tc.method, tc.path, tc.kind, tc.body)
		var said struct{ Problems []access.Problem }
		d.must(json.Unmarshal(w.Body.Bytes(), &said))
		if w.Code != tc.status || len(said.Problems) == 0 || len(said.Problems) > 20 ||
			said.Problems[0].Field != tc.field || said.Problems[0].Type != tc.problem || said.Problems[0].Description == "" {
			t.Errorf("%s %s %.60q: %d %.300s", tc.method, tc.path, tc.body, w.Code, w.Body)
		}
	}
	if s, err := d.roster.Scope(t.Context(), conn); err != nil || s.Listed != 0 || s.Kind != people.Everybody {
		t.Errorf("after all that: %+v %v", s, err)
	}
}

func TestAListOfAHundredThousandIsTakenAndOneMoreIsNot(t *testing.T) {
	d := newDesk(t, []world.Person{resident(0)})
	var body strings.Builder
	body.WriteString("email\n")
	for i := range people.MaxListed {
		fmt.Fprintf(&body, "somebody%d@contoso.test\n", i)
	}
	up := ask[struct {
		UnknownCount int
		Unknown      []string
	}](d, access.Admin, "PUT", string(conn)+"/scope/users", csvBody, body.String())
	if up.UnknownCount != people.MaxListed || len(up.Unknown) != 1000 {
		t.Errorf("%d are unknown, %d named", up.UnknownCount, len(up.Unknown))
	}
	body.WriteString("onemore@contoso.test\n")
	if w := d.call(access.Admin, "PUT", string(conn)+"/scope/users", csvBody, body.String()); w.Code != 413 ||
		!contains(w.Body.String(), "line 100002") {
		t.Errorf("one more: %d %s", w.Code, w.Body)
	}
}

func TestTheExportIsNoFormula(t *testing.T) {
	evil := resident(1)
	evil.DisplayName = `=HYPERLINK("https://evil.example","x")`
	plus := resident(2)
	plus.DisplayName = "+1 555, Ben \"B\""
	d := newDesk(t, []world.Person{resident(0), evil, plus})
	w := d.call(access.Analyst, "GET", string(conn)+"/people.csv", "", "")
	rows, err := csv.NewReader(w.Body).ReadAll()
	d.must(err)
	names := map[string]bool{}
	for _, row := range rows {
		names[row[2]] = true
	}
	if len(rows) != 4 || !names[`'=HYPERLINK("https://evil.example","x")`] || !names[`'+1 555, Ben "B"`] ||
		!names["Person 0"] || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/csv") {
		t.Errorf("exported %q", rows)
	}
}

// An export that breaks off is no shorter file: the connection breaks.
func TestAnExportThatFailsIsNotTakenForTheWhole(t *testing.T) {
	all, _ := crowd(70)
	d := newDesk(t, all)
	faulty := &tabletest.Faulty{Table: d.table, After: func(op string, n int) error {
		if op == "query" && n == 9 {
			return errTold
		}
		return nil
	}}
	broken := *d.roster
	broken.Table = faulty
	api := &people.API{Roster: &broken, Trail: d.trail, Log: slog.New(slog.DiscardHandler),
		Find: func(context.Context, connection.ID) (connection.Connection, error) {
			return d.who, nil
		}}
	routes := api.Routes()
	export := routes[slices.IndexFunc(routes, func(r access.Route) bool {
		return strings.HasSuffix(r.Pattern,
			"people.csv")
	})]
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = r.WithContext(access.With(r.Context(), access.Caller{ID: "key-admin"}))
		r.SetPathValue("id", string(conn))
		export.Handler.ServeHTTP(w, r)
	}))
	defer server.Close()
	resp, err := http.Get(server.URL)
	if err != nil {
		return // broken before the first byte
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("a broken export ended well: %d %.200s", resp.StatusCode, body)
	}
}

func FuzzUploadedLists(f *testing.F) {
	f.Add("email\na@b.test\n")
	f.Add("\ufeffname,email\n\"x,y\",a@b.test\n\n,\n")
	f.Add("email\n\"")
	f.Fuzz(func(t *testing.T, body string) {
		addresses, problems := people.ReadList(strings.NewReader(body))
		if (len(addresses) > 0) == (len(problems) > 0) {
			t.Errorf("%d addresses and %d problems", len(addresses), len(problems))
		}
		for _, a := range addresses {
			if a != people.Fold(a) || !strings.Contains(a, "@") {
				t.Errorf("address %q", a)
			}
		}
	})
}

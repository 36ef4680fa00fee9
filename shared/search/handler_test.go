package search

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/access"
)

// anything is a query that every event answers.
const anything = `{"groups":[{"filters":[{"term":"event.id","operator":"EXISTS","value":null}]}]}`

// wantProblem checks an answer that says what is wrong, in the shape that the official clients read.
func wantProblem(t *testing.T, w *httptest.ResponseRecorder, status int, kind ProblemType) Problem {
	t.Helper()
	var p struct {
		page
		FileEvents *[]any `json:"fileEvents"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatal(err)
	}
	if w.Code != status || len(p.Problems) == 0 || p.Problems[0].Type != kind || p.Problems[0].Description == "" {
		t.Fatalf("answered %d %s, want %d %s", w.Code, w.Body, status, kind)
	}
	if p.FileEvents == nil || len(*p.FileEvents) != 0 || p.NextPgToken != nil {
		t.Errorf("fileEvents is not an empty list, or there is a token: %s", w.Body)
	}
	return p.Problems[0]
}

func TestTrail(t *testing.T) {
	o := newOffice(t)
	o.fill(rand.New(rand.NewPCG(11, 11)), 5)
	n := o.ask(anything).TotalCount
	want := access.Entry{At: o.now, Who: "key-analyst", What: "search", Detail: anything, Count: int64(n)}
	if !reflect.DeepEqual(o.trail, []access.Entry{want}) {
		t.Errorf("the trail has %+v, want %+v", o.trail, want)
	}
}

// TestTrailFails gives no answer that the trail does not know of, and says outside nothing of why.
func TestTrailFails(t *testing.T) {
	o := newOffice(t)
	o.fill(rand.New(rand.NewPCG(11, 11)), 5)
	o.trailErr = errors.New("disk of host7 is full")
	w := o.post(anything)
	p := wantProblem(t, w, http.StatusInternalServerError, SearchFailed)
	if strings.Contains(w.Body.String(), "host7") || strings.Count(o.log.String(), "host7") != 1 {
		t.Errorf("answered %s, logged %s", w.Body, o.log.String())
	}
	words := strings.Fields(strings.TrimSuffix(p.Description, "."))
	if id := words[len(words)-1]; !strings.Contains(o.log.String(), "id="+id) {
		t.Errorf("the log does not have id %s: %s", id, o.log.String())
	}
}

func TestTimeLimit(t *testing.T) {
	o := newOffice(t)
	o.fill(rand.New(rand.NewPCG(12, 12)), 5)
	o.search.Limit = time.Nanosecond
	wantProblem(t, o.post(anything), http.StatusInternalServerError, QueryTimeout)
}

func TestBadRequests(t *testing.T) {
	o := newOffice(t)
	send := func(contentType, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodPost, "/v2/file-events", strings.NewReader(body))
		r.Header.Set("Content-Type", contentType)
		w := httptest.NewRecorder()
		o.search.Routes()[0].Handler.ServeHTTP(w, r)
		return w
	}
	wantProblem(t, send("text/csv", anything), http.StatusUnsupportedMediaType, UnsupportedMediaType)
	wantProblem(t, send("application/json", `{"groups":"`+strings.Repeat("x", MaxBody)+`"}`),
		http.StatusRequestEntityTooLarge, MaxLengthExceeded)
	if w := send("", "\ufeff"+anything); w.Code != http.StatusOK { // a byte order mark, and no content type
		t.Errorf("answered %d %s", w.Code, w.Body)
	}
	if w := send("application/json; charset=utf-8", anything); w.Code != http.StatusOK {
		t.Errorf("answered %d", w.Code)
	}
}

// TestRoutes is behind the guard, and for POST alone.
func TestRoutes(t *testing.T) {
	o := newOffice(t)
	mux := access.Mux(&access.Guard{}, o.search.Routes())
	for method, want := range map[string]int{http.MethodGet: http.StatusMethodNotAllowed,
		http.MethodPost: http.StatusUnauthorized} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(method, "/v2/file-events", nil))
		if w.Code != want {
			t.Errorf("%s: %d, want %d", method, w.Code, want)
		}
	}
}

// The traps are what breaks Incydr's official clients.

// trapDocument is an event of a mail of which as little as possible is known.
func trapDocument(t *testing.T) map[string]any {
	t.Helper()
	o := newOffice(t)
	o.deliver(mail{record: "1", at: o.now.Add(-time.Hour), files: "x"})
	p := o.ask(anything)
	var doc map[string]any
	if len(p.FileEvents) != 1 || json.Unmarshal(p.FileEvents[0], &doc) != nil {
		t.Fatalf("answered %+v", p)
	}
	return doc
}

func TestTrap1FileURLIsAlwaysThere(t *testing.T) {
	if url, ok := trapDocument(t)["file"].(map[string]any)["url"]; !ok || url != nil {
		t.Errorf("file.url is %v, there: %v", url, ok)
	}
}

func TestTrap2UntrustedValuesAreLists(t *testing.T) {
	values := trapDocument(t)["risk"].(map[string]any)["untrustedValues"].(map[string]any)
	for _, name := range []string{"accountNames", "domains", "gitRepositoryUris", "slackWorkspaces", "urlPaths"} {
		if list, ok := values[name].([]any); !ok || len(list) != 0 {
			t.Errorf("%s is %v", name, values[name])
		}
	}
}

func TestTrap3FileEventsIsNeverNull(t *testing.T) {
	o := newOffice(t)
	for _, query := range []string{anything, `{"groups":[]}`,
		`{"groups":[{"filters":[{"term":"user.id","operator":"EXISTS"}]}]}`} {
		if body := o.post(query).Body.String(); !strings.Contains(body, `"fileEvents":[]`) {
			t.Errorf("%s answered %s", query, body)
		}
	}
}

func TestTrap4ArraysAndTypes(t *testing.T) {
	doc := document{fields: trapDocument(t)}
	for _, path := range []string{
		"destination.email.recipients", "destination.user.email", "source.user.email", "destination.domains",
		"source.domains",
		"source.privateIp", "destination.privateIp", "event.shareType", "file.directoryId", "file.classifications",
		"file.acquiredFrom",
		"source.tabs", "destination.tabs", "report.headers", "risk.indicators",
	} {
		var v any = doc.fields
		for _, name := range strings.Split(path, ".") {
			v = v.(map[string]any)[name]
		}
		if _, ok := v.([]any); !ok {
			t.Errorf("%s is %v, not an array", path, v)
		}
	}
	if id := doc.fields["user"].(map[string]any)["id"]; id != nil {
		t.Errorf("user.id is %v, neither text nor null", id)
	}
	for _, term := range []string{"risk.score", "risk.indicators.weight"} {
		if v := doc.values(term); len(v) != 1 || v[0] != float64(int64(v[0].(float64))) {
			t.Errorf("%s is %v", term, v)
		}
	}
}

func TestTrap5DefaultSearchOfTheCommandLineShowsMail(t *testing.T) {
	o := newOffice(t)
	o.fill(rand.New(rand.NewPCG(13, 13)), 5)
	p := o.ask(
		`{"groupClause":"AND","groups":[{"filterClause":"AND","filters":[{"term":"risk.score","operator":"GREATER_THAN","value":1}]}],"pgToken":"","pgSize":10000,"srtKey":"event.id","srtDir":"asc"}`,
	)
	if len(p.FileEvents) != len(o.events) {
		t.Errorf("%d of %d events", len(p.FileEvents), len(o.events))
	}
}

// TestTrap6AnyEventIDIsAToken goes on from each event, in the orders that the command lines use.
func TestTrap6AnyEventIDIsAToken(t *testing.T) {
	o := newOffice(t)
	o.fill(rand.New(rand.NewPCG(14, 14)), 12)
	for _, key := range []string{"event.id", "@timestamp"} {
		q := oracleQuery{Groups: []oracleGroup{{Filters: []oracleFilter{{"event.id", "EXISTS", nil}}}}, PgSize: 10000,
			SrtKey: key, SrtDir: "asc"}
		all := o.ask(q.json()).ids()
		for i, id := range all {
			q.PgToken = &id
			if got := o.ask(q.json()).ids(); !slices.Equal(got, all[i+1:]) {
				t.Fatalf("by %s after %s: %d events, want %d", key, id, len(got), len(all)-i-1)
			}
		}
	}
}

func TestTrap7TokensEnd(t *testing.T) {
	o := newOffice(t)
	o.fill(rand.New(rand.NewPCG(15, 15)), 5)
	n := len(o.events)
	for _, c := range []struct {
		paging string
		more   bool
	}{
		{fmt.Sprintf(`"pgSize":%d`, n-1), false},
		{fmt.Sprintf(`"pgSize":%d,"pgToken":null`, n-1), false},
		{fmt.Sprintf(`"pgSize":%d,"pgToken":""`, n-1), true},
		{fmt.Sprintf(`"pgSize":%d,"pgToken":""`, n), false},
	} {
		p := o.ask(strings.TrimSuffix(anything, "}") + "," + c.paging + "}")
		if (p.NextPgToken != nil) != c.more {
			t.Errorf("%s: token %v", c.paging, p.NextPgToken)
		}
	}
}

func TestTrap8EmptyGroups(t *testing.T) {
	o := newOffice(t)
	for _, query := range []string{
		`{"groups":[{}]}`,
		`{"groups":[{"filterClause":"AND","filters":null}]}`,
		`{"groups":[{"filters":[]}]}`,
		`{"groups":[{"subgroupClause":"AND","subgroups":[{}]}]}`,
		`{"groups":[{"subgroups":[]}]}`,
	} {
		wantProblem(t, o.post(query), http.StatusBadRequest, MissingFilters)
	}
}

// TestTrap9ProblemsNameTheFilter says in a table of the command line what is wrong.
func TestTrap9ProblemsNameTheFilter(t *testing.T) {
	o := newOffice(t)
	p := wantProblem(t, o.post(`{"groups":[{"filters":[{"term":"file.name","operator":"GREATER_THAN","value":"x"}]}]}`),
		http.StatusBadRequest, IllegalOperator)
	want := BadFilter{Term: "file.name", Operator: "GREATER_THAN", Value: "x"}
	if p.BadFilter == nil || *p.BadFilter != want {
		t.Errorf("bad filter %+v, want %+v", p.BadFilter, want)
	}
}

func TestTrap10ExplicitNullsAndTextBooleans(t *testing.T) {
	o := newOffice(t)
	o.fill(rand.New(rand.NewPCG(16, 16)), 5)
	p := o.ask(`{"groupClause":"AND","groups":[{"filterClause":"AND","display":"x","filters":[
		{"operator":"EXISTS","term":"file.name","value":null},{"operator":"EXISTS","term":"file.name"},
		{"operator":"IS","term":"risk.trusted","value":"FALSE","display":"No"},{"operator":"IS","term":"risk.trusted","value":false}],"subgroups":null}],
		"pgNum":null,"pgSize":null,"pgToken":null,"srtKey":null,"srtDir":null}`)
	if len(p.FileEvents) != len(o.events) {
		t.Errorf("%d of %d events", len(p.FileEvents), len(o.events))
	}
}

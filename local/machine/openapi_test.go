package machine_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/mailtrail/mailtrail/shared/access"
	m365sim "github.com/mailtrail/mailtrail/sim/m365"
	"github.com/mailtrail/mailtrail/sim/m365/company"
)

// contract is the OpenAPI document that the machine serves, prepared to check answers against.
type contract struct {
	document any
	paths    map[string]map[string]operation // by path, and method in lower case
	match    *http.ServeMux                  // finds the path of a request

	mu       sync.Mutex
	compiler *jsonschema.Compiler
	seen     map[string]bool // operation and status that an answer was held against
}

type operation struct {
	Roles     []string        `json:"x-roles"`
	Security  json.RawMessage `json:"security"`
	Responses map[string]any  `json:"responses"`
}

const documentURL = "https://mailtrail.invalid/openapi.json"

func (w *world) contract() *contract {
	w.t.Helper()
	resp, err := http.Get(w.base + "/v1/openapi.json")
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		w.t.Fatal(resp.Status, err)
	}
	c := &contract{match: http.NewServeMux(), compiler: jsonschema.NewCompiler(), seen: map[string]bool{}}
	if c.document, err = jsonschema.UnmarshalJSON(bytes.NewReader(text)); err != nil {
		w.t.Fatal(err)
	}
	var d struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(text, &d); err != nil {
		w.t.Fatal(err)
	}
	c.compiler.AssertFormat()
	if err := c.compiler.AddResource(documentURL, c.document); err != nil {
		w.t.Fatal(err)
	}
	c.paths = map[string]map[string]operation{}
	for path, item := range d.Paths {
		c.paths[path] = map[string]operation{}
		c.match.Handle(path, http.NotFoundHandler())
		for method, raw := range item {
			var o operation
			if method == "parameters" {
				continue
			}
			if err := json.Unmarshal(raw, &o); err != nil {
				w.t.Fatal(path, method, err)
			}
			c.paths[path][method] = o
		}
	}
	return c
}

// holds says how an answer of the API breaks the contract, or returns nil. It does not check answers of other
// addresses.
func (c *contract) holds(r *http.Request, resp *http.Response, body []byte) error {
	_, path := c.match.Handler(r)
	if path == "" || resp.StatusCode == http.StatusMethodNotAllowed {
		return nil
	}
	method, status := strings.ToLower(r.Method), strconv.Itoa(resp.StatusCode)
	what := fmt.Sprintf("%s %s answers %s", r.Method, path, status)
	o, ok := c.paths[path][method]
	if !ok || o.Responses[status] == nil {
		return fmt.Errorf("%s, which shared/openapi/openapi.json does not know", what)
	}
	pointer := "#/paths/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(path) + "/" + method + "/responses/" + status
	if response, _ := o.Responses[status].(map[string]any); response["$ref"] != nil {
		pointer = fmt.Sprint(response["$ref"])
	}
	if resp.StatusCode == http.StatusNoContent {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.seen[method+" "+path+" "+status] = true
		return nil
	}
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		return fmt.Errorf("%s with the content type %q", what, resp.Header.Get("Content-Type"))
	}
	pointer += "/content/" + strings.ReplaceAll(kind, "/", "~1") + "/schema"
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen[method+" "+path+" "+status] = true
	schema, err := c.compiler.Compile(documentURL + pointer)
	if err != nil {
		return fmt.Errorf("%s as %s: %w", what, kind, err)
	}
	var answer any = string(body)
	if kind == "application/json" {
		if answer, err = jsonschema.UnmarshalJSON(bytes.NewReader(body)); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	if err := schema.Validate(answer); err != nil {
		return fmt.Errorf("%s otherwise than shared/openapi/openapi.json says: %w\n%.1000s", what, err, body)
	}
	return nil
}

// TestTheDocumentKnowsEveryRouteAndNoOther fails when you add a route, or take one away: describe it in
// shared/openapi/openapi.json, with its roles (x-roles; "security": [] for a public one), every status that it
// answers, and the schema of each; then ask it in TestRealAnswersAreAsTheDocumentSays, once so that it succeeds.
func TestTheDocumentKnowsEveryRouteAndNoOther(t *testing.T) {
	w := start(t, m365sim.Options{Seed: 1})
	c := w.contract()
	described := map[string]bool{}
	for path, item := range c.paths {
		for method := range item {
			described[strings.ToUpper(method)+" "+path] = true
		}
	}
	for _, r := range w.machine.Routes {
		method, path, _ := strings.Cut(r.Pattern, " ")
		if !strings.HasPrefix(path, "/v") {
			continue // pages for people
		}
		o, ok := c.paths[path][strings.ToLower(method)]
		if !ok {
			t.Errorf("%s is a route, and shared/openapi/openapi.json does not describe it (see the comment of this test)",
				r.Pattern)
			continue
		}
		delete(described, r.Pattern)
		var roles []string
		for _, role := range r.Roles {
			roles = append(roles, string(role))
		}
		slices.Sort(roles)
		slices.Sort(o.Roles)
		if !slices.Equal(roles, o.Roles) || r.Public != (string(o.Security) == "[]") {
			t.Errorf("%s is for %v, public %t; the document says %v, security %s", r.Pattern, roles, r.Public, o.Roles,
				o.Security)
		}
	}
	for pattern := range described {
		t.Errorf("shared/openapi/openapi.json describes %s, which is no route", pattern)
	}
}

// TestRealAnswersAreAsTheDocumentSays sends a good and a bad request to every operation, and checks each answer
// against the document.
func TestRealAnswersAreAsTheDocumentSays(t *testing.T) {
	w := start(t, m365sim.Options{Seed: 1, StrictPublisher: true}, simulatedTime)
	tenant := company.New(company.Options{Seed: 1, MailsPerHour: 60})
	w.sim.AddTenant(tenant.Tenant(), tenant.People())
	c := w.contract()
	admin, analyst := w.login(access.Admin, access.Analyst), w.login(access.Analyst)
	send := func(token, method, path, kind, body string, want int) []byte {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, w.base+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", kind)
		if token != "" {
			r.Header.Set("Authorization", token)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		got, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != want {
			t.Fatalf("%s %s answers %d, want %d: %.300s", method, path, resp.StatusCode, want, got)
		}
		if err := c.holds(r, resp, got); err != nil {
			t.Error(err)
		}
		return got
	}
	const jsonType = "application/json"
	ask := func(method, path, body string, want int) []byte {
		t.Helper()
		return send("Bearer "+admin, method, path, jsonType, body, want)
	}

	n := w.day(tenant, morning, morning.Add(2*time.Hour))
	id := string(w.connect(tenant))
	w.wait("mail", func() bool { d := w.details(id); return d.Ledger.Settled >= n && d.Ledger.Open == 0 })
	path := "/v1/connections/" + id

	ask("GET", "/v1/openapi.json", "", 200)
	created, secret, err := w.machine.Clients.Create(t.Context(), "test",
		access.NewClient{Name: "another", Roles: []access.Role{access.Analyst}})
	must(t, err)
	client := created.ID
	const form = "application/x-www-form-urlencoded"
	send("", "POST", "/v1/oauth", form, "grant_type=client_credentials&client_id="+client+"&client_secret="+secret, 200)
	send("", "POST", "/v1/oauth", form, "grant_type=client_credentials&client_id="+client+"&client_secret=x", 401)
	send("", "POST", "/v1/oauth", form, "", 401)
	send("", "POST", "/v1/oauth", form, "grant_type=password", 400)

	var made struct{ ClientID string }
	must(t, json.Unmarshal(ask("POST", "/v1/clients", `{"name":"SIEM","roles":["analyst"],"connections":["`+id+`"]}`,
		201), &made))
	ask("POST", "/v1/clients", `{"name":"SIEM","roles":["root"]}`, 400)
	ask("GET", "/v1/clients?pgSize=1", "", 200)
	ask("GET", "/v1/clients/"+made.ClientID, "", 200)
	ask("DELETE", "/v1/clients/"+made.ClientID, "", 204)
	ask("DELETE", "/v1/clients/"+made.ClientID, "", 404)

	letters := w.bury(2)
	ask("GET", "/v1/dead?pgSize=1", "", 200)
	ask("GET", "/v1/dead?queue=all", "", 400)
	ask("POST", "/v1/dead/"+letters[0]+"/retry", "", 200)
	ask("POST", "/v1/dead/"+letters[0]+"/retry", "", 404)
	ask("DELETE", "/v1/dead/"+letters[1], "", 204)
	ask("DELETE", "/v1/dead/"+letters[1], "", 404)
	ask("POST", "/v1/dead/retry", `{}`, 200)
	ask("POST", "/v1/dead/retry", `{"queue":"all"}`, 400)

	var other struct{ ID string }
	must(t, json.Unmarshal(ask("POST", "/v1/connections", `{"displayName":"Other","cloud":"gcc"}`, 201), &other))
	ask("POST", "/v1/connections", `{"displayName":"Other"}`, 409)
	ask("POST", "/v1/connections", `{"displayName":""}`, 400)
	ask("POST", "/v1/connections", `{"displayName":"`+strings.Repeat("x", 70_000)+`"}`, 413)
	send("Bearer "+admin, "POST", "/v1/connections", "text/plain", "x", 415)
	send("", "POST", "/v1/connections", jsonType, "", 401)
	send("Bearer "+analyst, "POST", "/v1/connections", jsonType, "", 403)
	ask("GET", "/v1/connections", "", 200)
	ask("GET", path, "", 200)
	ask("GET", "/v1/connections/"+other.ID, "", 200)
	ask("GET", "/v1/connections/aaaaaaaaaaaa", "", 404)
	ask("PATCH", path, `{"displayName":"Fernhill"}`, 200)
	ask("PATCH", path, `{"displayName":"Other"}`, 409)
	ask("POST", path+"/link", "", 201)

	ask("GET", path+"/enrich", "", 200)
	ask("POST", path+"/enrich", `{"reasons":["NO_MAILBOX"],"from":"2026-01-01T00:00:00Z"}`, 202)
	ask("POST", path+"/enrich", `{"reasons":["TOO_LARGE"]}`, 400)
	ask("GET", path+"/enrich", "", 200)

	ask("GET", path+"/scope", "", 200)
	ask("PUT", path+"/scope", `{"kind":"users","gate":"any"}`, 409)
	ask("PUT", path+"/scope", `{"kind":"all","gate":"gold"}`, 400)
	ask("PUT", path+"/scope", `{"kind":"all","gate":"any"}`, 200)
	send("Bearer "+admin, "PUT", path+"/scope/users", "text/csv", "email\nnobody@fernhill.test\n", 200)
	send("Bearer "+admin, "PUT", path+"/scope/users", "text/csv", "name\nx\n", 400)
	w.wait("the census", func() bool { return bytes.Contains(ask("GET", path+"/people", "", 200), []byte(`"principal"`)) })
	ask("GET", path+"/people?coverage=monitored&pgSize=1", "", 200)
	ask("GET", path+"/people?coverage=unknown", "", 200)
	ask("GET", path+"/people?coverage=some", "", 400)
	ask("GET", path+"/people.csv", "", 200)
	ask("GET", path+"/people/"+tenant.People()[0].UserPrincipalName, "", 200)
	ask("GET", path+"/people/nobody@nowhere.test", "", 404)

	ask("POST", path+"/enrich", `{"reasons":["MAILBOX_DENIED"]}`, 202)
	ask("POST", path+"/enrich", `{"reasons":["NO_TIME"]}`, 400)
	ask("GET", path+"/enrich", "", 200)

	const query = `{"groups":[{"filters":[` + everything + `]}],` +
		`"pgSize":3,"pgToken":"","srtKey":"event.id","srtDir":"asc"}`
	if found := ask("POST", "/v2/file-events", query, 200); !bytes.Contains(found, []byte(`"@timestamp"`)) {
		t.Errorf("nothing is found: %s", found)
	}
	ask("POST", "/v2/file-events", `{"groups":[]}`, 400)
	ask("POST", "/v2/file-events", `{"groups":"`+strings.Repeat("x", 300_000)+`"}`, 413)
	send("Bearer "+admin, "POST", "/v2/file-events", "text/plain", "x", 415)
	send("Bearer nobody", "POST", "/v2/file-events", jsonType, query, 401)

	ask("POST", path+"/deauthorize", "", 200)
	ask("POST", path+"/link", "", 409)
	ask("POST", path+"/resume", "", 200)
	ask("DELETE", path, "", 409)
	ask("DELETE", "/v1/connections/"+other.ID, "", 202)
	var page struct{ NextPgToken string }
	must(t, json.Unmarshal(ask("GET", "/v1/trail?pgSize=2", "", 200), &page))
	ask("GET", "/v1/trail?pgSize=2&pgToken="+page.NextPgToken, "", 200)
	ask("GET", "/v1/trail?from=yesterday", "", 400)

	for path, item := range c.paths {
		for method, o := range item {
			succeeded := false
			for status := range o.Responses {
				succeeded = succeeded || status < "300" && c.seen[method+" "+path+" "+status]
			}
			if !succeeded {
				t.Errorf("%s %s was not asked so that it succeeds: ask it in this test", strings.ToUpper(method), path)
			}
		}
	}
}

package m365sim_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	m365sim "github.com/mailtrail/mailtrail/sim/m365"
	"github.com/mailtrail/mailtrail/sim/m365/world"
)

const (
	ben       = "c0000000-0000-4000-8000-000000000002"
	messageOf = "/graph/v1.0/users/ben@contoso.test/messages"
	oddID     = "<a+b='c'&d=#1@contoso.test>" // everything that must be quoted or encoded
)

func benFiles() []world.Attachment {
	return []world.Attachment{
		{ID: "A1", Name: "plan.pdf", ContentType: "application/pdf", Kind: "file", StoredSize: 1237, Length: 1000,
			Seed: 5, Magic: []byte("%PDF-")},
		{ID: "A2", Name: "logo.png", ContentType: "image/png", Kind: "file", Inline: true, ContentID: "logo@1",
			StoredSize: 646, Length: 598, Seed: 6},
		{ID: "A3", Name: "forwarded mail", Kind: "item", StoredSize: 3000, Length: 64, Seed: 7},
		{ID: "A4", Name: "shared.docx", Kind: "reference", StoredSize: 200},
	}
}

// mailed is consented with three messages in Ben's mailbox.
func mailed(t testing.TB, opts m365sim.Options) *microsoft {
	t.Helper()
	m := consented(t, opts)
	m.must(m.AddMessages(contoso,
		world.Message{ID: "S1", ImmutableID: "I1", Mailbox: ben, Folder: "sentitems", InternetMessageID: oddID,
			Subject: "Plans", Sent: noon.Add(-time.Hour),
			From: world.Address{Name: "Ben", Address: "ben@contoso.test"}, Sender: world.Address{Name: "Ben",
				Address: "ben@contoso.test"},
			To:  []world.Address{{Name: "Out", Address: "out@rival.test"}},
			Bcc: []world.Address{{Address: "hidden@rival.test"}}, Attachments: benFiles()},
		world.Message{ID: "S2", ImmutableID: "I2", Mailbox: ben, Folder: "inbox", InternetMessageID: oddID,
			Subject: "Plans", Sent: noon.Add(-time.Hour)},
		world.Message{ID: "S3", ImmutableID: "I3", Mailbox: ben, Folder: "sentitems",
			InternetMessageID: "<2@contoso.test>", Subject: "Logo alone", Sent: noon, Attachments: benFiles()[1:2]},
	))
	return m
}

func (m *microsoft) graph(path string) reply {
	m.t.Helper()
	return m.do("GET", path, bearer(m.token(contoso, "graph")), nil)
}

func filterFor(id string) string {
	return "?$filter=" + url.QueryEscape("internetMessageId eq '"+strings.ReplaceAll(id, "'", "''")+"'")
}

type values struct {
	Value     []map[string]any
	NextLink  string `json:"@odata.nextLink"`
	DeltaLink string `json:"@odata.deltaLink"`
}

func (v values) field(name string) []any {
	var all []any
	for _, object := range v.Value {
		all = append(all, object[name])
	}
	return all
}

func TestMessagesAreFoundByTheirInternetID(t *testing.T) {
	m := mailed(t, m365sim.Options{})
	cases := map[string]struct {
		path string
		want []any
	}{
		"in the whole mailbox": {messageOf + filterFor(oddID) + "&$select=id", []any{"S1", "S2"}},
		"in Sent Items": {
			"/graph/v1.0/users/" + ben + "/mailFolders/SentItems/messages" + filterFor(oddID) + "&$select=id",
			[]any{"S1"},
		},
		"nowhere":                 {messageOf + filterFor("<3@contoso.test>"), nil},
		"with a plus not encoded": {messageOf + strings.ReplaceAll(filterFor(oddID), "%2B", "+"), nil},
		"with a bracket as it is": {messageOf + strings.ReplaceAll(filterFor("<2@contoso.test>"), "%3C", "<"), nil},
		"with another clause": {messageOf + filterFor(oddID) + "+and+hasAttachments+eq+false&$select=id",
			[]any{"S2"}},
		"without a filter": {messageOf + "?$select=id", []any{"S3", "S1", "S2"}},
		"by time, the first ahead": {
			messageOf + "?$filter=sentDateTime+ge+2026-05-04T11:00:00Z&$orderby=sentDateTime&$select=id",
			[]any{"S1", "S2", "S3"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := into[values](t, m.graph(c.path)); !slices.Equal(got.field("id"), c.want) {
				t.Errorf("found %v, want %v", got.field("id"), c.want)
			}
		})
	}
}

func TestMessagesAreToldWhole(t *testing.T) {
	m := mailed(t, m365sim.Options{})
	message := into[map[string]any](t, m.graph(messageOf+"/S1"))
	raw, _ := json.Marshal(message["bccRecipients"])
	if message["internetMessageId"] != oddID || message["hasAttachments"] != true ||
		message["sentDateTime"] != "2026-05-04T11:00:00Z" ||
		string(raw) != `[{"emailAddress":{"address":"hidden@rival.test","name":""}}]` {
		t.Errorf("message: %v", message)
	}
	if alone := into[map[string]any](t, m.graph(messageOf+"/S3")); alone["hasAttachments"] != false {
		t.Error("a message with an inline picture alone has attachments")
	}
}

func TestImmutableIDsOutliveAMove(t *testing.T) {
	m := mailed(t, m365sim.Options{})
	header := bearer(m.token(contoso, "graph"))
	header.Set("Prefer", `outlook.timezone="UTC", IdType="ImmutableId"`)
	get := func(id string) int { return m.do("GET", messageOf+"/"+id, header, nil).status }
	m.must(m.MoveMessage(contoso, ben, "I1", "deleteditems"))
	if get("I1") != 200 || get("S1") != 404 {
		t.Errorf("by immutable id %d, by store id %d", get("I1"), get("S1"))
	}
	if r := m.graph(messageOf + "/S1"); r.code() != "ErrorItemNotFound" {
		t.Errorf("the store id after a move: %d %s", r.status, r.body)
	}
	if r := m.graph("/graph/v1.0/users/" + ben + "/mailFolders/deleteditems/messages"); len(into[values](t,
		r).Value) != 1 {
		t.Errorf("the folder after a move: %s", r.body)
	}
	m.must(m.DeleteMessages(contoso, ben, oddID))
	if got := into[values](t, m.graph(messageOf)); len(got.Value) != 1 {
		t.Errorf("after deleting: %v", got.field("id"))
	}
}

func TestSentCopyLags(t *testing.T) {
	m := mailed(t, m365sim.Options{SentLag: time.Minute})
	if got := into[values](t, m.graph(messageOf+filterFor("<2@contoso.test>"))); len(got.Value) != 0 {
		t.Error("found before its lag")
	}
	m.Advance(time.Minute)
	if got := into[values](t, m.graph(messageOf+filterFor("<2@contoso.test>"))); len(got.Value) != 1 {
		t.Error("not found after its lag")
	}
}

func TestGraphErrors(t *testing.T) {
	cases := map[string]struct {
		path   string
		setUp  func(m *microsoft)
		header http.Header
		status int
		code   string
	}{
		"no token": {path: messageOf, header: http.Header{"Authorization": nil}, status: 401,
			code: "InvalidAuthenticationToken"},
		"no role for people": {path: "/graph/v1.0/users", setUp: withRoles("Mail.Read"), status: 403,
			code: "Authorization_RequestDenied"},
		"no role for mail": {path: messageOf, setUp: withRoles("User.Read.All"), status: 403,
			code: "ErrorAccessDenied"},
		"no role for files": {path: messageOf + "/S1/attachments", setUp: withRoles("Mail.ReadBasic.All"),
			status: 403, code: "ErrorAccessDenied"},
		"a mailbox policy": {path: messageOf, setUp: func(m *microsoft) {
			m.must(m.BlockMailbox(contoso, ben,
				true))
		}, status: 403, code: "ErrorAccessDenied"},
		"an unknown user": {path: "/graph/v1.0/users/x@contoso.test/messages", status: 404,
			code: "ErrorInvalidUser"},
		"no mailbox": {path: "/graph/v1.0/users/cleo@contoso.test/messages", status: 404,
			code: "MailboxNotEnabledForRESTAPI"},
		"an unknown message": {path: messageOf + "/S9/attachments", status: 404, code: "ErrorItemNotFound"},
		"an unknown attachment": {path: messageOf + "/S1/attachments/A9/$value", status: 404,
			code: "ErrorItemNotFound"},
		"an unknown person": {path: "/graph/v1.0/users/x@contoso.test", status: 404,
			code: "Request_ResourceNotFound"},
		"contentId selected": {path: messageOf + "/S1/attachments?$select=id,contentId", status: 400,
			code: "RequestBroker--ParseUri"},
		"a property of nobody": {path: "/graph/v1.0/users?$select=shoeSize", status: 400,
			code: "RequestBroker--ParseUri"},
		"an unknown option":  {path: "/graph/v1.0/users?$search=x", status: 400, code: "BadRequest"},
		"too large a page":   {path: "/graph/v1.0/users?$top=1000", status: 400, code: "BadRequest"},
		"a wrong skip token": {path: "/graph/v1.0/users?$skiptoken=x", status: 400, code: "BadRequest"},
		"a wrong user filter": {path: "/graph/v1.0/users?$filter=accountEnabled+ne+true", status: 400,
			code: "Request_UnsupportedQuery"},
		"a wrong mail filter": {path: messageOf + "?$filter=body+eq+'x'", status: 400,
			code: "ErrorInvalidUrlQueryFilter"},
		"order before filter": {path: messageOf + filterFor(oddID) + "&$orderby=sentDateTime", status: 400,
			code: "InefficientFilter"},
		"a wrong Accept": {path: "/graph/v1.0/users", header: http.Header{"Accept": {"text/xml"}}, status: 406,
			code: "NotAcceptable"},
		"a fault with a code": {
			path:   messageOf,
			setUp:  func(m *microsoft) { m.Fault(m365sim.Fault{Op: "graph.messages", Code: "TooManyRequests"}) },
			status: 429,
			code:   "TooManyRequests",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := mailed(t, m365sim.Options{})
			if c.setUp != nil {
				c.setUp(m)
			}
			header := bearer(m.token(contoso, "graph"))
			for key, value := range c.header {
				header[key] = value
			}
			r := m.do("GET", c.path, header, nil)
			if r.status != c.status || r.code() != c.code {
				t.Errorf("want %d %s, got %d %s", c.status, c.code, r.status, r.body)
			}
			if !strings.Contains(r.body, `"request-id":"`+r.header.Get("Request-Id")) {
				t.Errorf("the error does not name its request: %s", r.body)
			}
		})
	}
}

func withRoles(roles ...string) func(*microsoft) {
	return func(m *microsoft) {
		m.AddApp(m365sim.App{ClientID: clientID, Secrets: []m365sim.Secret{{Value: secret}}, GraphRoles: roles})
		m.must(m.Grant(contoso, clientID))
	}
}

func TestFourRequestsPerMailboxAtATime(t *testing.T) {
	m := mailed(t, m365sim.Options{})
	m.must(m.AddMessages(contoso, world.Message{ID: "L", ImmutableID: "IL", Mailbox: ben, Folder: "inbox", Sent: noon,
		Attachments: []world.Attachment{{ID: "A", Kind: "file", Length: 1 << 40}}}))
	token := m.token(contoso, "graph")
	open := func() *http.Response {
		request, err := http.NewRequestWithContext(t.Context(), "GET", m.base+messageOf+"/L/attachments/A/$value", nil)
		m.must(err)
		request.Header = bearer(token)
		response, err := http.DefaultClient.Do(request)
		m.must(err)
		return response
	}
	var running []*http.Response
	for range 4 {
		running = append(running, open())
	}
	fifth := open()
	if fifth.StatusCode != 429 || fifth.Header.Get("Retry-After") != "1" {
		t.Errorf("the fifth request: %d, Retry-After %q", fifth.StatusCode, fifth.Header.Get("Retry-After"))
	}
	for _, response := range append(running, fifth) {
		response.Body.Close()
	}
}

func TestPlacesInAMailboxAreGivenBack(t *testing.T) {
	m := mailed(t, m365sim.Options{MailboxSlots: 2})
	var clients sync.WaitGroup
	token := m.token(contoso, "graph")
	for range 8 {
		clients.Go(func() {
			if r := m.do("GET", messageOf, bearer(token), nil); r.status != 200 && r.status != 429 {
				t.Errorf("got %d %s", r.status, r.body)
			}
		})
	}
	clients.Wait()
	if r := m.graph(messageOf); r.status != 200 {
		t.Errorf("places were not given back: %d %s", r.status, r.body)
	}
}

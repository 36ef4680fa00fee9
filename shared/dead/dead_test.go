package dead_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/access"
	"github.com/mailtrail/mailtrail/shared/dead"
	"github.com/mailtrail/mailtrail/shared/embedded"
	"github.com/mailtrail/mailtrail/shared/queue"
)

// office is two queues of one store, and the doors to their dead letters.
type office struct {
	t               *testing.T
	blobs, messages *embedded.Queue
	trail           *access.Trail
	api             *dead.API
	token           string
	handler         http.Handler
}

func newOffice(t *testing.T, limit access.Limit) *office {
	t.Helper()
	store, err := embedded.Open(t.TempDir(), embedded.Options{})
	must(t, err)
	t.Cleanup(func() { must(t, store.Close()) })
	once := embedded.QueueOptions{MaxReceives: 1}
	log := slog.New(slog.DiscardHandler)
	o := &office{
		t: t, blobs: store.Queue("blobs", once), messages: store.Queue("messages", once),
		trail: &access.Trail{Table: store.Table("connections"), Now: time.Now, Rand: rand.Reader},
	}
	o.api = &dead.API{
		Queues: []dead.Queue{{Name: "blobs", Letters: o.blobs}, {Name: "messages", Letters: o.messages}},
		Trail:  o.trail, Log: log,
	}
	tokens := &access.Tokens{Table: store.Table("connections"), Now: time.Now, Rand: rand.Reader}
	clients := &access.Clients{Table: store.Table("connections"), Now: time.Now, Rand: rand.Reader}
	asked := access.NewClient{Name: "x", Roles: []access.Role{access.Admin}, Connections: limit}
	client, _, err := clients.Create(t.Context(), "test", asked)
	must(t, err)
	o.token, err = tokens.Issue(t.Context(), client.ID)
	must(t, err)
	o.handler = access.Mux(&access.Guard{Tokens: tokens, Log: log}, o.api.Routes())
	return o
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// bury makes dead letters: each message is received once, and never done.
func (o *office) bury(q *embedded.Queue, messages ...queue.Message) {
	o.t.Helper()
	must(o.t, q.Send(o.t.Context(), messages...))
	ds, err := q.Receive(o.t.Context(), len(messages), 0, time.Minute)
	must(o.t, err)
	if len(ds) != len(messages) {
		o.t.Fatalf("received %d of %d", len(ds), len(messages))
	}
	for _, d := range ds {
		must(o.t, q.Hide(o.t.Context(), d, 0))
	}
}

func work(connection string, n int) queue.Message {
	return queue.Message{Group: connection, Body: fmt.Appendf(nil, `{"connection":%q,"n":%d}`, connection, n)}
}

type shown struct {
	ID, Queue, Connection string
	Receives              int
	Body                  any
}

// ask makes a request, wants a status, and reads the answer.
func (o *office) ask(want int, method, path, body string, into any) {
	o.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+o.token)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	o.handler.ServeHTTP(w, r)
	if w.Code != want {
		o.t.Fatalf("%s %s answers %d, want %d: %s", method, path, w.Code, want, w.Body)
	}
	if into != nil {
		must(o.t, json.Unmarshal(w.Body.Bytes(), into))
	}
}

func (o *office) list(query string) (letters []shown, next string) {
	o.t.Helper()
	var page struct {
		Letters     []shown
		NextPgToken string
	}
	o.ask(200, "GET", "/v1/dead"+query, "", &page)
	return page.Letters, page.NextPgToken
}

func (o *office) acts() (acts []string) {
	o.t.Helper()
	for e, err := range o.trail.List(o.t.Context(), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)) {
		must(o.t, err)
		acts = append(acts, e.What+" "+e.Detail)
	}
	return acts
}

func TestLettersAreListedPageByPage(t *testing.T) {
	o := newOffice(t, nil)
	o.bury(o.blobs, work("acme", 0), work("acme/backlog", 1), work("globex", 2))
	o.bury(o.messages, work("acme", 3), queue.Message{Body: []byte("no JSON \xff" + strings.Repeat("x", 5000))})
	var got []shown
	pages := 0
	for query, more := "?pgSize=2", true; more; pages++ {
		letters, next := o.list(query)
		got = append(got, letters...)
		query, more = "?pgSize=2&pgToken="+next, next != ""
	}
	if len(got) != 5 || pages != 3 {
		t.Fatalf("%d letters on %d pages: %+v", len(got), pages, got)
	}
	for i, l := range got {
		q := []string{"blobs", "blobs", "blobs", "messages", "messages"}[i]
		c := []string{"acme", "acme", "globex", "acme", ""}[i]
		if l.Queue != q || l.Connection != c || l.Receives != 1 || !strings.HasPrefix(l.ID, q+"-") {
			t.Errorf("letter %d: %+v", i, l)
		}
	}
	if body, ok := got[0].Body.(map[string]any); !ok || body["n"] != 0.0 {
		t.Errorf("the body of the first letter: %v", got[0].Body)
	}
	if body, ok := got[4].Body.(string); !ok || len(body) > 4100 || !strings.HasPrefix(body, "no JSON \ufffdx") {
		t.Errorf("the body of the last letter: %v", got[4].Body)
	}
	if only, _ := o.list("?queue=messages"); len(only) != 2 {
		t.Errorf("the letters of one queue: %+v", only)
	}
	for _, query := range []string{"?queue=other", "?pgSize=0", "?pgToken=eA", "?pgToken=YmxvYnMteHl6", "?which=all"} {
		o.ask(400, "GET", "/v1/dead"+query, "", nil)
	}
}

func TestALetterIsRetriedOrDroppedOnce(t *testing.T) {
	o := newOffice(t, nil)
	o.bury(o.blobs, work("acme", 0), work("acme", 1))
	letters, _ := o.list("")
	var answer struct{ Retried int }
	o.ask(200, "POST", "/v1/dead/"+letters[0].ID+"/retry", "", &answer)
	if answer.Retried != 1 {
		t.Errorf("retried %d", answer.Retried)
	}
	o.ask(404, "POST", "/v1/dead/"+letters[0].ID+"/retry", "", nil)
	o.ask(204, "DELETE", "/v1/dead/"+letters[1].ID, "", nil)
	o.ask(404, "DELETE", "/v1/dead/"+letters[1].ID, "", nil)
	for _, id := range []string{"blobs", "other-1", "blobs-xyz", "-"} {
		o.ask(404, "DELETE", "/v1/dead/"+id, "", nil)
	}
	ds, err := o.blobs.Receive(t.Context(), 10, 0, time.Minute)
	if err != nil || len(ds) != 1 || ds[0].Receives != 1 {
		t.Errorf("received %+v, %v; want the retried one, as if for the first time", ds, err)
	}
	acts := o.acts()
	retried, dropped := `dead.retry {"id":"`+letters[0].ID+`"}`, `dead.drop {"id":"`+letters[1].ID+`"}`
	for _, want := range []string{retried, dropped} {
		if !slices.Contains(acts, want) {
			t.Errorf("the trail does not have %s: %q", want, acts)
		}
	}
}

func TestAllLettersAreRetriedAtOnce(t *testing.T) {
	o := newOffice(t, nil)
	var many []queue.Message
	for n := range 250 { // more than are read at once
		many = append(many, work("acme", n))
	}
	o.bury(o.blobs, many...)
	o.bury(o.messages, work("acme", 0))
	var answer struct {
		Retried int
		More    bool
	}
	o.ask(400, "POST", "/v1/dead/retry", `{"queue":"other"}`, nil)
	o.ask(400, "POST", "/v1/dead/retry", `{"all":true}`, nil)
	o.ask(200, "POST", "/v1/dead/retry", `{"queue":"blobs"}`, &answer)
	if answer.Retried != 250 || answer.More {
		t.Errorf("retried of one queue: %+v", answer)
	}
	o.ask(200, "POST", "/v1/dead/retry", `{}`, &answer)
	if left, _ := o.list(""); answer.Retried != 1 || len(left) != 0 {
		t.Errorf("retried of all: %+v; left: %+v", answer, left)
	}
}

// TestALimitedAdministratorSeesNoOtherLetters: for it, the letters of other connections do not exist.
func TestALimitedAdministratorSeesNoOtherLetters(t *testing.T) {
	o := newOffice(t, access.Limit{"acme"})
	o.bury(o.blobs, work("globex", 0), work("acme/backlog", 1), work("", 2))
	letters, _ := o.list("")
	if len(letters) != 1 || letters[0].Connection != "acme" {
		t.Fatalf("the letters: %+v", letters)
	}
	all, err := o.blobs.Dead(t.Context(), "", 10)
	must(t, err)
	for _, other := range []queue.DeadLetter{all[0], all[2]} {
		o.ask(404, "POST", "/v1/dead/blobs-"+other.ID+"/retry", "", nil)
		o.ask(404, "DELETE", "/v1/dead/blobs-"+other.ID, "", nil)
	}
	var answer struct{ Retried int }
	o.ask(200, "POST", "/v1/dead/retry", `{}`, &answer)
	if depth, err := o.blobs.Depth(t.Context()); answer.Retried != 1 || depth.Dead != 2 || err != nil {
		t.Errorf("retried %d, and left %+v, %v", answer.Retried, depth, err)
	}
}

// TestWhereLettersAreElsewhereTheDoorSaysSo, to administrators.
func TestWhereLettersAreElsewhereTheDoorSaysSo(t *testing.T) {
	o := newOffice(t, nil)
	o.api.Elsewhere = "They are in the queue next door."
	for _, door := range []string{
		"GET /v1/dead", "POST /v1/dead/retry", "POST /v1/dead/blobs-1/retry", "DELETE /v1/dead/blobs-1",
	} {
		method, path, _ := strings.Cut(door, " ")
		var answer struct{ Problems []access.Problem }
		o.ask(501, method, path, "", &answer)
		if len(answer.Problems) != 1 || answer.Problems[0].Description != o.api.Elsewhere {
			t.Errorf("%s answers %+v", door, answer)
		}
	}
}

// broken is dead letters whose changes fail, before they are made or after.
type broken struct {
	queue.DeadLetters
	done bool
}

var errDisk = errors.New("the disk is away")

func (b broken) Redrive(ctx context.Context, ids ...string) (int, error) {
	if !b.done {
		return 0, errDisk
	}
	n, err := b.DeadLetters.Redrive(ctx, ids...)
	return n, errors.Join(err, errDisk)
}

// TestARetryThatFailsIsInTheTrail, whether it was done or not, and asking again is harmless.
func TestARetryThatFailsIsInTheTrail(t *testing.T) {
	for _, done := range []bool{false, true} {
		o := newOffice(t, nil)
		o.bury(o.blobs, work("acme", 0))
		letters, _ := o.list("")
		o.api.Queues[0].Letters = broken{o.blobs, done}
		o.ask(503, "POST", "/v1/dead/"+letters[0].ID+"/retry", "", nil)
		retry := func(act string) bool { return strings.HasPrefix(act, "dead.retry") }
		if acts := o.acts(); !slices.ContainsFunc(acts, retry) {
			t.Errorf("done %t: the trail has %q", done, acts)
		}
		o.api.Queues[0].Letters = o.blobs
		o.ask(map[bool]int{false: 200, true: 404}[done], "POST", "/v1/dead/"+letters[0].ID+"/retry", "", nil)
		if ds, err := o.blobs.Receive(t.Context(), 10, 0, time.Minute); err != nil || len(ds) != 1 {
			t.Errorf("done %t: received %+v, %v", done, ds, err)
		}
	}
}

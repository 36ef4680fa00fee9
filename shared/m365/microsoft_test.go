package m365_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/m365"
)

const (
	clientID  = "11111111-1111-4111-8111-111111111111"
	publisher = "22222222-2222-4222-8222-222222222222"
	tenantID  = "33333333-3333-4333-8333-333333333333"
	secret    = "s3cret~with.odd+characters/=&"
	redirect  = "https://mailtrail.example/consent/callback"
)

func contoso() connection.Tenant {
	return connection.Tenant{ID: tenantID, Cloud: connection.Commercial}
}

// microsoft is the smallest Microsoft: a login that gives out tokens, and an API that answers as a test says.
type microsoft struct {
	*httptest.Server
	login, manage, graph http.HandlerFunc
	issued               atomic.Int64 // tokens given out by grant
}

// newMicrosoft starts one whose login grants tokens t1, t2, ... for an hour.
func newMicrosoft(t *testing.T, manage http.HandlerFunc) *microsoft {
	t.Helper()
	m := &microsoft{manage: manage, graph: http.NotFound}
	m.login = func(w http.ResponseWriter, _ *http.Request) { m.grant(w, time.Hour) }
	m.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/login/"):
			m.login(w, r)
		case strings.HasPrefix(r.URL.Path, "/manage/"):
			m.manage(w, r)
		case strings.HasPrefix(r.URL.Path, "/graph/"):
			m.graph(w, r)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(m.Close)
	return m
}

// grant answers with the next token, whose roles are those given.
func (m *microsoft) grant(w http.ResponseWriter, life time.Duration, roles ...string) {
	answer(w, http.StatusOK, map[string]any{
		"token_type": "Bearer", "expires_in": int(life.Seconds()), "access_token": roleToken(m.issued.Add(1), roles...),
	})
}

// roleToken is readable as a JWT; nobody verifies it here.
func roleToken(number int64, roles ...string) string {
	claims, _ := json.Marshal(map[string]any{"uti": number, "roles": roles})
	return "e30." + base64.RawURLEncoding.EncodeToString(claims) + ".c2ln"
}

func (m *microsoft) endpoints() map[connection.Cloud]m365.Endpoints {
	return map[connection.Cloud]m365.Endpoints{connection.Commercial: {
		Login: m.URL + "/login", Activity: m.URL + "/manage", Graph: m.URL + "/graph",
		ActivityScope: "https://manage.office.com/.default", GraphScope: "https://graph.microsoft.com/.default",
	}}
}

// client speaks to this Microsoft; options change its configuration.
func (m *microsoft) client(t *testing.T, options ...func(*m365.Config)) *m365.Client {
	t.Helper()
	c := m365.Config{
		ClientID:    clientID,
		Secret:      secret,
		RedirectURL: redirect,
		Publisher:   publisher,
		Endpoints:   m.endpoints(),
		HTTP:        m.Client(),
	}
	for _, o := range options {
		o(&c)
	}
	client, err := m365.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// list lists one hour of the tenant's first page.
func list(c *m365.Client) (audit.Page, error) {
	to := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	return c.List(context.Background(), contoso(), audit.Exchange, to.Add(-time.Hour), to, "")
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

// refuse answers as the Activity API does when it says no.
func refuse(w http.ResponseWriter, status int, code, message string) {
	answer(w, status, map[string]any{"error": map[string]string{"code": code, "message": message}})
}

// always answers every request alike.
func always(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

func emptyPage(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, []any{}) }

// clock is a clock that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func at(c *clock) func(*m365.Config) { return func(config *m365.Config) { config.Now = c.Now } }

func listOnly(c *m365.Client) error {
	_, err := list(c)
	return err
}

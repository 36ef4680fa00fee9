package connection_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/access"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/embedded"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/table"
)

const (
	acme   connection.TenantID = "11111111-2222-3333-4444-555555555555"
	globex connection.TenantID = "99999999-8888-7777-6666-555555555555"

	globalAdministrator         = "62e90394-69f5-4237-9190-012177145e10"
	privilegedRoleAdministrator = "e8611ab8-c189-46e8-94e1-60213ab1f814"
	applicationAdministrator    = "9b895d92-2cd3-44c7-9d02-a6ac2d5ea5c3"
)

// clock is a clock that moves only when a test moves it.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)} }

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

func newTable(t testing.TB, c *clock) table.Table {
	t.Helper()
	store, err := embedded.Open(t.TempDir(), embedded.Options{Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store.Table("connections")
}

// login is a scripted Microsoft: whoever is set signs in, if the code and the challenge are those of the sign-in.
type login struct {
	mu         sync.Mutex
	who        connection.Administrator
	err        error
	cloud      connection.Cloud                // that tenants live in; "" is unknown
	challenges map[string]connection.Challenge // by state
}

func (l *login) SignInURL(cloud connection.Cloud, c connection.Challenge) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.challenges[c.State] = c
	return "https://login.example/organizations/authorize?" + url.Values{
		"state": {c.State},
		"cloud": {string(cloud)},
	}.Encode(), nil
}

func (l *login) ConsentURL(t connection.Tenant, state string) (string, error) {
	return "https://login.example/" + string(t.ID) + "/adminconsent?" + url.Values{"state": {state}}.Encode(), nil
}

func (l *login) CloudOf(_ context.Context, t connection.Tenant) (connection.Cloud, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cloud == "" {
		return "", errors.New("the login does not tell")
	}
	return l.cloud, nil
}

func (l *login) TenantOf(_ context.Context, _ connection.Cloud, domain string) (connection.TenantID, error) {
	if domain == "acme.example" {
		return acme, nil
	}
	return "", &fault.Error{Kind: fault.Refused, Code: "AADSTS90002", Err: errors.New("no such tenant")}
}

func (l *login) Redeem(
	_ context.Context,
	_ connection.Cloud,
	code string,
	c connection.Challenge,
) (connection.Administrator, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return connection.Administrator{}, l.err
	}
	if code != "good" || l.challenges[c.State] != c {
		return connection.Administrator{}, fmt.Errorf(
			"the sign-in was begun with another challenge, or the code %q is none",
			code,
		)
	}
	return l.who, nil
}

// grants counts what is asked of it.
type grants struct {
	mu        sync.Mutex
	missing   []string
	forgotten []connection.Tenant
}

func (g *grants) MissingPermissions(context.Context, connection.Tenant) ([]string, error) {
	return g.missing, nil
}

func (g *grants) Forget(t connection.Tenant) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.forgotten = append(g.forgotten, t)
}

// office is a whole Mailtrail as far as connections go: table, registry, consent and API behind one door.
type office struct {
	t          testing.TB
	clock      *clock
	table      table.Table
	registry   *connection.Registry
	trail      *access.Trail
	login      *login
	grants     *grants
	subscribed []connection.Tenant
	subscribe  error
	log        *strings.Builder
	server     *httptest.Server
}

func newOffice(t testing.TB) *office {
	c := newClock()
	return openOffice(t, c, newTable(t, c))
}

// openOffice opens one at the scripted Microsoft.
func openOffice(t testing.TB, c *clock, tbl table.Table) *office {
	t.Helper()
	o := bareOffice(t, c, tbl)
	o.login = &login{
		who:        connection.Administrator{Tenant: acme, Object: "admin-of-acme", Roles: []string{globalAdministrator}},
		challenges: map[string]connection.Challenge{},
	}
	o.grants = &grants{}
	o.serve(o.login, o.grants, func(_ context.Context, c connection.Connection) error {
		o.subscribed = append(o.subscribed, c.Tenant)
		return o.subscribe
	})
	return o
}

// bareOffice has an address already, and no Microsoft yet.
func bareOffice(t testing.TB, c *clock, tbl table.Table) *office {
	o := &office{
		t: t, clock: c, table: tbl, log: &strings.Builder{},
		registry: &connection.Registry{Table: tbl, Now: c.now, Rand: rand.Reader},
		trail:    &access.Trail{Table: tbl, Now: c.now, Rand: rand.Reader},
		server:   httptest.NewUnstartedServer(nil),
	}
	o.server.Config.ErrorLog = log.New(io.Discard, "", 0) // browsers that leave during a handshake
	t.Cleanup(o.server.Close)
	return o
}

func (o *office) serve(
	s connection.SignIn,
	g connection.Grants,
	subscribe func(context.Context, connection.Connection) error,
) {
	consent := &connection.Consent{
		Registry: o.registry, SignIn: s, Grants: g, Subscribe: subscribe, Trail: o.trail,
		Log: slog.New(slog.NewTextHandler(o.log, nil)),
	}
	guard := &access.Guard{
		Tokens: &access.Tokens{Table: o.table, Now: o.clock.now, Rand: rand.Reader},
		Log:    slog.New(slog.DiscardHandler),
	}
	o.server.Config.Handler = access.Mux(guard, consent.Routes())
	o.server.StartTLS()
}

// add registers a connection and returns its id and its link.
func (o *office) add(name string) (connection.ID, string) {
	o.t.Helper()
	c, link, err := o.registry.Add(o.t.Context(), name, connection.Commercial, "key-1")
	if err != nil {
		o.t.Fatal(err)
	}
	return c.ID, link
}

func (o *office) get(id connection.ID) connection.Connection {
	o.t.Helper()
	c, err := o.registry.Get(o.t.Context(), id)
	if err != nil {
		o.t.Fatal(err)
	}
	return c
}

// nothingConnected fails the test if any connection has a tenant.
func (o *office) nothingConnected() {
	o.t.Helper()
	all, err := o.registry.List(o.t.Context())
	if err != nil {
		o.t.Fatal(err)
	}
	for _, c := range all {
		if c.Tenant.ID != "" || !c.Consented.IsZero() {
			o.t.Errorf("connection %q was connected to tenant %q", c.DisplayName, c.Tenant.ID)
		}
	}
	if len(o.subscribed) > 0 {
		o.t.Errorf("tenants %v were subscribed", o.subscribed)
	}
}

// Package machine is the whole set of agents on one machine, in one process, over one folder: the consent and the API on one port,
// the poller on a ticking clock, and workers on a durable queue.
package machine

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"time"

	"github.com/mailtrail/mailtrail/shared/access"
	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/embedded"
	"github.com/mailtrail/mailtrail/shared/enrich"
	"github.com/mailtrail/mailtrail/shared/forensic"
	"github.com/mailtrail/mailtrail/shared/m365"
	"github.com/mailtrail/mailtrail/shared/openapi"
	"github.com/mailtrail/mailtrail/shared/people"
	"github.com/mailtrail/mailtrail/shared/search"
)

// Config is what a machine needs to know. Dir, Base, Microsoft and Log are required.
type Config struct {
	Dir       string // the data folder
	Base      string // the address that browsers and clients reach this machine by, without a trailing slash
	Microsoft m365.Config
	Log       *slog.Logger

	Tick      time.Duration    // how often every tenant is polled; 0 is 5 s
	Workers   int              // how many blobs are read at once; 0 is 32
	Census    time.Duration    // how often it is looked whether a tenant's census is due; 0 is Tick
	Everybody bool             // keeps everybody's mail: the people of the tenant are not known, as those of an exported audit log are not
	Retention time.Duration    // how long events are kept from when they were stored; 0 is for ever
	First     time.Duration    // how far back a new connection is listed
	Now       func() time.Time // nil is time.Now
	Rand      io.Reader        // nil is crypto/rand.Reader
	// NoMailboxes says that there are none to look into, as with exported records: events stay as the audit log has them.
	NoMailboxes bool
	Enrichers   int            // how many messages are enriched at once; 0 is 32
	Hashes      enrich.Setting // which files are hashed; "" is all
	HashLimit   int64          // bytes of a file that is hashed at the most; 0 is 150 MB
	Deadline    time.Duration  // how long recipients and hashes are looked for; 0 is 30 minutes
	// Ready tells whether the machine is ready to be asked; nil is as soon as it serves. Asked by GET /healthz.
	Ready func() bool
}

// CallbackPath is where Microsoft sends an administrator's browser back to.
const CallbackPath = "/consent/callback"

const (
	searchLimit = 25 * time.Second
	maxReceives = 20
	// maxLooks is how often a message is delivered to be enriched: Microsoft may ask for a short wait over and over until the deadline.
	maxLooks = 500
	// lateness is how much longer than the deadline a message waits before it is queued again.
	lateness = 5 * time.Minute
)

// Machine is all agents over one folder.
type Machine struct {
	Registry *connection.Registry
	Clients  *access.Clients
	// ClientAPI creates and revokes clients, for the HTTP API and for an operator who has none.
	ClientAPI *access.ClientAPI
	Ledger    *audit.Ledger
	Poller    *audit.Poller
	Ingester  *forensic.Ingester
	Purger    *connection.Purger
	Roster    *people.Roster
	Census    *people.Census // nil when everybody's mail is kept
	Desk      *forensic.Desk
	Enricher  *enrich.Agent // nil: there are no mailboxes
	// Watermarks tells how far a connection's events are settled: read, and enriched.
	Watermarks *forensic.Watermarks
	Routes     []access.Route

	config   Config
	store    *embedded.Store
	blobs    *embedded.Queue
	messages *embedded.Queue
	guard    *access.Guard
}

func (c Config) filled() Config {
	if c.Tick == 0 {
		c.Tick = 5 * time.Second
	}
	if c.Census == 0 {
		c.Census = c.Tick
	}
	if c.Workers == 0 {
		c.Workers = 32
	}
	if c.Enrichers == 0 {
		c.Enrichers = enrich.DefaultWorkers
	}
	if c.Deadline == 0 {
		c.Deadline = enrich.DefaultDeadline
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.Ready == nil {
		c.Ready = func() bool { return true }
	}
	return c
}

// Open opens the folder and wires the agents. Nothing runs before Run.
func Open(c Config) (*Machine, error) {
	c = c.filled()
	c.Microsoft.RedirectURL = c.Base + CallbackPath
	if c.Microsoft.Now == nil {
		c.Microsoft.Now = c.Now
	}
	client, err := m365.New(c.Microsoft)
	if err != nil {
		return nil, err
	}
	store, err := embedded.Open(filepath.Join(c.Dir, "store"), embedded.Options{Now: c.Now, Log: c.Log})
	if err != nil {
		return nil, err
	}

	connections, events := store.Table("connections"), store.Table("events")
	trail := &access.Trail{Table: connections, Now: c.Now, Rand: c.Rand}
	tokens := &access.Tokens{Table: connections, Now: c.Now, Rand: c.Rand}
	m := &Machine{
		Registry: &connection.Registry{Table: connections, Now: c.Now, Rand: c.Rand, Changed: connection.LogChanges(c.Log)},
		Clients:  &access.Clients{Table: connections, Now: c.Now, Rand: c.Rand},
		Ledger:   &audit.Ledger{Table: store.Table("blobs"), Now: c.Now},
		Roster:   &people.Roster{Table: store.Table("people"), Now: c.Now, Rand: c.Rand},
		config:   c,
		store:    store,
		// One tenant's backlog leaves a quarter of the workers to the others.
		blobs:    store.Queue("blobs", embedded.QueueOptions{MaxReceives: maxReceives, MaxInFlightPerGroup: max(1, c.Workers*3/4)}),
		messages: store.Queue("messages", embedded.QueueOptions{MaxReceives: maxLooks, MaxInFlightPerGroup: max(1, c.Enrichers*3/4)}),
		guard:    &access.Guard{Tokens: tokens, Log: c.Log},
	}
	m.Poller = &audit.Poller{
		Connections: m.Registry, Feed: client, Ledger: m.Ledger, Queue: m.blobs,
		Now: c.Now, Holder: rand.Text, Log: c.Log,
		First: c.First, Slots: make(chan struct{}, audit.Slots),
	}
	m.Ingester = &forensic.Ingester{Feed: client, Connections: m.Registry, Ledger: m.Ledger, Events: events, Now: c.Now, Retention: c.Retention, Log: c.Log}
	m.Watermarks = &forensic.Watermarks{Ledger: m.Ledger, Events: events}
	m.Desk = &forensic.Desk{Events: events, Queue: m.messages, Now: c.Now, Log: c.Log, Patience: c.Deadline + lateness}
	if !c.Everybody {
		m.Ingester.Gate = &people.Monitor{Roster: m.Roster, Directory: client}
		m.Census = &people.Census{Connections: m.Registry, Directory: client, Roster: m.Roster, Now: c.Now, Holder: rand.Text, Log: c.Log}
	}
	if !c.NoMailboxes {
		m.Ingester.Queue = m.messages
		m.Enricher = enrich.New(enrich.Config{
			Graph: client, Messages: m.Desk, Connections: m.Registry, Domains: m.Roster, Hashes: c.Hashes, Limit: c.HashLimit, Deadline: c.Deadline,
			Workers: c.Enrichers, Now: c.Now,
		})
	}

	m.Purger = &connection.Purger{
		Registry: m.Registry, Trail: trail, Log: c.Log,
		Rooms: []connection.Room{
			func(ctx context.Context, id connection.ID, budget int) (int, bool, error) {
				return forensic.Purge(ctx, events, id, budget)
			},
			m.Ledger.Purge,
			m.Roster.Purge,
		},
	}

	consent := &connection.Consent{
		Registry: m.Registry, SignIn: client, Grants: client, Trail: trail, Log: c.Log, CallbackPath: CallbackPath,
		Subscribe: func(ctx context.Context, t connection.Tenant) error { return client.Subscribe(ctx, t, audit.Exchange) },
	}
	api := &connection.API{Registry: m.Registry, Trail: trail, Progress: m.Ledger.Tell, Begin: c.Base + connection.BeginPath, Log: c.Log}
	persons := &people.API{Roster: m.Roster, Find: m.Registry.Get, Trail: trail, Log: c.Log}
	login := &access.Login{Clients: m.Clients, Tokens: tokens, Log: c.Log}
	searches := &search.Search{
		Events: events, Connections: m.Registry, Watermarks: m.Watermarks, Domains: m.Roster, Trail: trail,
		Now: c.Now, Log: c.Log, Limit: searchLimit,
	}
	acts := &access.TrailAPI{Trail: trail, Log: c.Log}
	m.ClientAPI = &access.ClientAPI{Clients: m.Clients, Trail: trail, Connections: m.Registry.IDs, Log: c.Log}
	m.Routes = slices.Concat(m.pages(), openapi.Routes(), login.Routes(), acts.Routes(), m.ClientAPI.Routes(),
		consent.Routes(), api.Routes(), persons.Routes(), searches.Routes())
	return m, nil
}

// Handler is everything that the machine answers on its port.
func (m *Machine) Handler() http.Handler { return access.Mux(m.guard, m.Routes) }

// Run serves on l and runs the agents until ctx ends; then it lets what has begun come to its end, and closes the folder.
// It is called once.
func (m *Machine) Run(ctx context.Context, l net.Listener) error {
	agents, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.agents(agents)
	}()

	err := serve(ctx, l, m.Handler())
	stop()
	<-done
	return errors.Join(err, m.Close())
}

// Close closes the folder of a machine that does not run.
func (m *Machine) Close() error {
	if err := m.store.Close(); err != nil {
		return fmt.Errorf("close the store: %w", err)
	}
	return nil
}

const shutdown = 10 * time.Second

// serve answers on l until ctx ends, and then until the requests that have begun are answered.
func serve(ctx context.Context, l net.Listener, h http.Handler) error {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve on %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	// ctx has ended, and whoever waits for an answer still gets it.
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdown)
	defer cancel()
	err := server.Shutdown(end)
	if err != nil {
		err = errors.Join(fmt.Errorf("stop serving: %w", err), server.Close())
	}
	<-failed
	return err
}

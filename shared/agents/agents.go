// Package agents wires the agents, once, for one machine and for AWS: from tables, queues, a client for Microsoft, a
// clock, randomness, a log and settings. A program plugs in its adapters and chooses what it runs. The wiring itself
// reads and writes nothing, so that a program needs permission only for what its agents do.
package agents

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/mailtrail/mailtrail/shared/access"
	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/dead"
	"github.com/mailtrail/mailtrail/shared/enrich"
	"github.com/mailtrail/mailtrail/shared/forensic"
	"github.com/mailtrail/mailtrail/shared/openapi"
	"github.com/mailtrail/mailtrail/shared/people"
	"github.com/mailtrail/mailtrail/shared/queue"
	"github.com/mailtrail/mailtrail/shared/search"
	"github.com/mailtrail/mailtrail/shared/settings"
	"github.com/mailtrail/mailtrail/shared/table"
)

const (
	// BlobReceives is how often a blob is delivered before it goes to the dead letters.
	BlobReceives = 20
	// MessageReceives is the same for a message to be enriched. Microsoft may ask for a short wait over and over until the
	// deadline, and each wait is a receive.
	MessageReceives = 500

	// deadElsewhere is what the doors to dead letters answer on AWS. SQS lists no queue and finds no message by its id.
	deadElsewhere = "On AWS, dead letters are in the dead-letter queues of SQS. To retry them, start a redrive there: " +
		"docs/operations.md has the commands."

	// searchLimit is how long one search may take: API Gateway waits for 30 s.
	searchLimit = 25 * time.Second
	// sweeps is how many connections are swept at once.
	sweeps = 8
	// packCache is how many bytes of segments searches keep in memory.
	packCache = 128 << 20
	// lateness is how long after its deadline a message that waits to be enriched is queued again.
	lateness = 5 * time.Minute
)

// Microsoft is the client for Microsoft that all agents together need.
type Microsoft interface {
	connection.SignIn
	connection.Grants
	audit.Feed
	forensic.Feed
	people.Directory
	enrich.Graph
}

// Surroundings is what the agents are plugged into. A program may leave out what none of the agents that it runs
// uses.
type Surroundings struct {
	Connections, Blobs, Events, People table.Table

	BlobQueue    queue.Sender
	MessageQueue queue.Sender
	Microsoft    Microsoft
	Settings     settings.Settings
	Now          func() time.Time
	Rand         io.Reader
	Log          *slog.Logger

	// Dead are the queues whose dead letters are looked after over HTTP; none on AWS, where SQS and its console do that.
	Dead []dead.Queue

	First     time.Duration // how far back a new connection is listed
	Enrichers int           // how many messages are enriched at once; 0 is enrich.DefaultWorkers
	MaxAnswer int           // bytes of an answer to a search; 0 is no limit
	// Packs lets searches read segments. There must be a packer at work then.
	Packs bool
	// Everybody keeps everybody's mail: nobody knows the people of the tenant, as with an exported audit log.
	Everybody bool
	// NoMailboxes says that there are no mailboxes to look into, as with an exported audit log: events stay as the
	// audit log has them.
	NoMailboxes bool
}

// Agents holds all agents, and what they share.
type Agents struct {
	Registry *connection.Registry
	Clients  *access.Clients
	// ClientAPI creates and revokes clients, for the HTTP API and for an operator who has none.
	ClientAPI *access.ClientAPI
	Tokens    *access.Tokens
	Trail     *access.Trail
	Guard     *access.Guard
	Ledger    *audit.Ledger
	Roster    *people.Roster
	Desk      *forensic.Desk
	// Watermarks knows how far a connection's events are settled: read, and enriched.
	Watermarks *forensic.Watermarks

	Poller   *audit.Poller
	Census   *people.Census // nil when everybody's mail is kept
	Ingester *forensic.Ingester
	Enricher *enrich.Agent // nil when there are no mailboxes
	Purger   *connection.Purger
	Packer   *search.Packer // packs settled mail, which searches find then without its postings

	packs  *search.Packs
	around Surroundings
}

// New wires the agents. Nothing runs.
func New(s Surroundings) *Agents {
	deadline := cmp.Or(s.Settings.EnrichFor, enrich.DefaultDeadline)
	a := &Agents{
		Registry: &connection.Registry{Table: s.Connections, Now: s.Now, Rand: s.Rand, Changed: connection.LogChanges(s.Log)},
		Clients:  &access.Clients{Table: s.Connections, Now: s.Now, Rand: s.Rand},
		Tokens:   &access.Tokens{Table: s.Connections, Now: s.Now, Rand: s.Rand},
		Trail:    &access.Trail{Table: s.Connections, Now: s.Now, Rand: s.Rand},
		Ledger:   &audit.Ledger{Table: s.Blobs, Now: s.Now},
		Roster:   &people.Roster{Table: s.People, Now: s.Now, Rand: s.Rand},
		Desk: &forensic.Desk{
			Events: s.Events, Queue: s.MessageQueue, Now: s.Now, Log: s.Log, Patience: deadline + lateness,
			LookFor: s.Settings.LookFor, Requests: &forensic.Requests{Table: s.Connections, Now: s.Now, Rand: s.Rand},
		},
		around: s,
	}
	a.Roster.Gate = a.gate
	a.ClientAPI = &access.ClientAPI{Clients: a.Clients, Trail: a.Trail, Connections: a.Registry.IDs, Log: s.Log}
	a.Guard = &access.Guard{Tokens: a.Tokens, Log: s.Log}
	a.Watermarks = &forensic.Watermarks{Ledger: a.Ledger, Events: s.Events}
	a.Poller = &audit.Poller{
		Connections: a.Registry, Feed: s.Microsoft, Ledger: a.Ledger, Queue: s.BlobQueue,
		Now: s.Now, Holder: rand.Text, Log: s.Log, First: s.First, Slots: make(chan struct{}, audit.Slots),
	}
	a.Ingester = &forensic.Ingester{
		Feed: s.Microsoft, Connections: a.Registry, Ledger: a.Ledger, Events: s.Events,
		Now: s.Now, Retention: s.Settings.Retention, Log: s.Log,
	}
	if !s.Everybody {
		monitor := &people.Monitor{Roster: a.Roster, Directory: s.Microsoft}
		a.Ingester.Gate, a.Ingester.Senders = monitor, monitor
		a.Census = &people.Census{
			Connections: a.Registry, Directory: s.Microsoft, Roster: a.Roster, Now: s.Now, Holder: rand.Text, Log: s.Log,
		}
	}
	if !s.NoMailboxes {
		a.Ingester.Queue, a.Ingester.CheckOneIn = s.MessageQueue, s.Settings.CheckSends
		a.Enricher = enrich.New(enrich.Config{
			Graph: s.Microsoft, Messages: a.Desk, Connections: a.Registry, Domains: a.Roster, People: a.Roster,
			Checks: a.Ledger, Hashes: s.Settings.Hashes, Limit: s.Settings.HashLimit, Deadline: deadline,
			Workers: s.Enrichers, Now: s.Now,
		})
	}
	a.Packer = &search.Packer{
		Events: s.Events, Connections: a.Registry, Watermarks: a.Watermarks, Domains: a.Roster, Now: s.Now, Rand: s.Rand,
	}
	if s.Packs {
		a.packs = search.NewPacks(s.Events, packCache)
	}
	packs := func(ctx context.Context, id connection.ID, budget int) (int, bool, error) {
		return search.PurgePacks(ctx, s.Events, id, budget)
	}
	events := func(ctx context.Context, id connection.ID, budget int) (int, bool, error) {
		return forensic.Purge(ctx, s.Events, id, budget)
	}
	a.Purger = &connection.Purger{
		Registry: a.Registry, Trail: a.Trail, Log: s.Log,
		Rooms: []connection.Room{packs, events, a.Ledger.Purge, a.Roster.Purge},
	}
	return a
}

// gate returns the gate that a connection was made with.
func (a *Agents) gate(ctx context.Context, id connection.ID) (people.Gate, error) {
	c, err := a.Registry.Get(ctx, id)
	if err == nil && !c.KeepsAll {
		return people.Premium, nil
	}
	if errors.Is(err, connection.ErrNotFound) {
		err = nil
	}
	return people.None, err
}

// Of returns the same agents, but its poller, census, sweep and purger work on the connections of one share only.
func (a *Agents) Of(holds func(connection string) bool) *Agents {
	registry := *a.Registry
	registry.Share = func(id connection.ID) bool { return holds(string(id)) }
	mine := *a
	mine.Registry = &registry
	poller, purger := *a.Poller, *a.Purger
	poller.Connections, purger.Registry = &registry, &registry
	mine.Poller, mine.Purger = &poller, &purger
	if a.Census != nil {
		census := *a.Census
		census.Connections = &registry
		mine.Census = &census
	}
	return &mine
}

// Sweep queues messages again that have waited too long to be enriched. If one connection fails, the others are still
// swept.
func (a *Agents) Sweep(ctx context.Context) error {
	followed, err := a.Registry.Followed(ctx)
	if err != nil {
		return err
	}
	sweep := func(c connection.Connection) error {
		_, err := a.Desk.Sweep(ctx, c.ID)
		return err
	}
	var failed error
	err = connection.Round(ctx, followed, make(chan struct{}, sweeps), sweep,
		func(err error) { failed = errors.Join(failed, err) })
	return errors.Join(failed, err)
}

// ConsentRoutes are the routes by which an administrator lets us into a tenant.
func (a *Agents) ConsentRoutes() []access.Route {
	consent := &connection.Consent{
		Registry: a.Registry, SignIn: a.around.Microsoft, Grants: a.around.Microsoft, Trail: a.Trail, Log: a.around.Log,
		Subscribe: audit.Subscriber{Feed: a.around.Microsoft, Connections: a.Registry, Now: a.around.Now}.Ensure,
	}
	return consent.Routes()
}

// AdminRoutes are the routes of administrators, and the document that describes all routes. base is the address at
// which browsers reach the service, without a trailing slash.
func (a *Agents) AdminRoutes(base string) []access.Route {
	connections := &connection.API{
		Registry: a.Registry, Trail: a.Trail, Progress: a.Ledger.Tell, Begin: base + connection.BeginPath, Log: a.around.Log,
	}
	persons := &people.API{Roster: a.Roster, Find: a.Registry.Get, Trail: a.Trail, Log: a.around.Log}
	looks := &enrich.API{Requests: a.Desk.Requests, Find: a.Registry.Get, Trail: a.Trail, Log: a.around.Log}
	acts := &access.TrailAPI{Trail: a.Trail, Log: a.around.Log}
	letters := &dead.API{Queues: a.around.Dead, Trail: a.Trail, Log: a.around.Log}
	if len(letters.Queues) == 0 {
		letters.Elsewhere = deadElsewhere
	}
	return slices.Concat(connections.Routes(), persons.Routes(), looks.Routes(), a.ClientAPI.Routes(), letters.Routes(),
		acts.Routes(), openapi.Routes())
}

// SearchRoutes are the routes of analysts: login and search.
func (a *Agents) SearchRoutes() []access.Route {
	login := &access.Login{Clients: a.Clients, Tokens: a.Tokens, Log: a.around.Log}
	searches := &search.Search{
		Events: a.around.Events, Connections: a.Registry, Domains: a.Roster, Watermarks: a.Watermarks, Trail: a.Trail,
		Packs: a.packs, Now: a.around.Now, Log: a.around.Log, Limit: searchLimit, MaxAnswer: a.around.MaxAnswer,
	}
	return slices.Concat(login.Routes(), searches.Routes())
}

// Handler answers on these routes. Each is behind the guard, unless it is public.
func (a *Agents) Handler(routes ...[]access.Route) http.Handler {
	return access.Mux(a.Guard, slices.Concat(routes...))
}

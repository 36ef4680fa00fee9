// Package machine runs all agents on one machine, in one process, over one data folder: the consent and the API on one
// port, the poller at every tick of a clock, and workers on durable queues.
package machine

import (
	"cmp"
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

	"github.com/mailtrail/mailtrail/local/operator"
	"github.com/mailtrail/mailtrail/shared/access"
	"github.com/mailtrail/mailtrail/shared/agents"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/dead"
	"github.com/mailtrail/mailtrail/shared/embedded"
	"github.com/mailtrail/mailtrail/shared/enrich"
	"github.com/mailtrail/mailtrail/shared/m365"
	"github.com/mailtrail/mailtrail/shared/settings"
)

// Config is what a machine needs to know. Dir, Base, Microsoft and Log are required.
type Config struct {
	Dir       string // the data folder
	Base      string // the address that browsers and clients reach this machine by, without a trailing slash
	Microsoft m365.Config
	Log       *slog.Logger

	Settings settings.Settings // those of events and their enriching; the others have been applied

	Tick      time.Duration    // how often every tenant is polled; 0 means 5 s
	Census    time.Duration    // how often we look whether a tenant's census is due; 0 means Tick
	Workers   int              // how many blobs are read at once; 0 means 32
	Enrichers int              // how many messages are enriched at once; 0 means 32
	First     time.Duration    // how far back the audit log of a new connection is listed
	Now       func() time.Time // nil means time.Now
	Rand      io.Reader        // nil means crypto/rand.Reader
	// Everybody keeps everybody's mail: nobody knows the people of the tenant, as with an exported audit log.
	Everybody bool
	// NoMailboxes says that there are no mailboxes to look into, as with an exported audit log: events stay as the audit
	// log has them.
	NoMailboxes bool
	// Ready reports whether GET /healthz answers that all is well; nil means as soon as the machine serves.
	Ready func() bool
}

// Machine is all agents over one data folder.
type Machine struct {
	*agents.Agents

	Routes []access.Route

	config   Config
	store    *embedded.Store
	blobs    *embedded.Queue
	messages *embedded.Queue
	socket   net.Listener // where the operator is answered; nil where the folder takes no socket
}

func (c Config) filled() Config {
	c.Tick = cmp.Or(c.Tick, 5*time.Second)
	c.Census = cmp.Or(c.Census, c.Tick)
	c.Workers = cmp.Or(c.Workers, 32)
	c.Enrichers = cmp.Or(c.Enrichers, enrich.DefaultWorkers)
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

// Open opens the data folder and wires the agents. Nothing runs before Run.
func Open(c Config) (*Machine, error) {
	c = c.filled()
	c.Microsoft.RedirectURL = c.Base + connection.CallbackPath
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
	m := &Machine{
		config: c,
		store:  store,
		// The backlog of one tenant leaves a quarter of the workers to the others.
		blobs: store.Queue("blobs", embedded.QueueOptions{
			MaxReceives: agents.BlobReceives, MaxInFlightPerGroup: max(1, c.Workers*3/4),
		}),
		messages: store.Queue("messages", embedded.QueueOptions{
			MaxReceives: agents.MessageReceives, MaxInFlightPerGroup: max(1, c.Enrichers*3/4),
		}),
	}
	m.Agents = agents.New(agents.Surroundings{
		Connections: store.Table("connections"), Blobs: store.Table("blobs"),
		Events: store.Table("events"), People: store.Table("people"),
		BlobQueue: m.blobs, MessageQueue: m.messages, Microsoft: client,
		Settings: c.Settings, Now: c.Now, Rand: c.Rand, Log: c.Log,
		Dead:  []dead.Queue{{Name: "blobs", Letters: m.blobs}, {Name: "messages", Letters: m.messages}},
		First: c.First, Enrichers: c.Enrichers, Everybody: c.Everybody, NoMailboxes: c.NoMailboxes, Packs: true,
	})
	if m.socket, err = operator.Listen(c.Dir); err != nil {
		c.Log.Warn("commands cannot reach this Mailtrail while it runs", "err", err)
	}
	m.Routes = slices.Concat(m.pages(), m.SearchRoutes(), m.AdminRoutes(c.Base), m.ConsentRoutes())
	return m, nil
}

// Handler answers everything that is asked on the machine's port.
func (m *Machine) Handler() http.Handler { return access.Compress(m.Agents.Handler(m.Routes)) }

// Run serves on l, answers the operator on the folder's socket, and runs the agents until ctx ends. Then it finishes
// what has begun, and closes the data folder. It is called once.
func (m *Machine) Run(ctx context.Context, l net.Listener) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	done, operated := make(chan struct{}), make(chan error, 1)
	go func() {
		defer close(done)
		m.agents(ctx)
	}()
	go func() { operated <- m.operate(ctx) }()

	err := serve(ctx, l, &http.Server{
		Handler:           m.Handler(),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
	})
	stop()
	<-done
	return errors.Join(err, <-operated, m.Close())
}

// operate answers the operator until ctx ends.
func (m *Machine) operate(ctx context.Context) error {
	if m.socket == nil {
		return nil
	}
	o := &operator.Operator{Dir: m.config.Dir, Store: m.store, Agents: m.Agents, Now: m.config.Now, Log: m.config.Log}
	// There is no limit to the time of an answer: a backup may take long. It ends when its client hangs up.
	return serve(ctx, m.socket, &http.Server{
		Handler: o.Handler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
	})
}

// Close closes the folder of a machine that does not run.
func (m *Machine) Close() error {
	var err error
	if m.socket != nil {
		if err = m.socket.Close(); errors.Is(err, net.ErrClosed) {
			err = nil
		}
	}
	if failed := m.store.Close(); failed != nil {
		err = errors.Join(err, fmt.Errorf("close the store: %w", failed))
	}
	return err
}

// shutdown is how long what has begun may take to finish.
const shutdown = 10 * time.Second

// serve answers requests on l until ctx ends, and then finishes those that have begun.
func serve(ctx context.Context, l net.Listener, server *http.Server) error {
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve on %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	// ctx has ended, and clients that wait for an answer still get it.
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdown)
	defer cancel()
	err := server.Shutdown(end)
	if err != nil {
		err = errors.Join(fmt.Errorf("stop serving: %w", err), server.Close())
	}
	<-failed
	return err
}

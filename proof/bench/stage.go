package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/mailtrail/mailtrail/local/machine"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/m365"
	m365sim "github.com/mailtrail/mailtrail/sim/m365"
	"github.com/mailtrail/mailtrail/sim/m365/company"
	"github.com/mailtrail/mailtrail/sim/m365/world"
)

const (
	withLatency = 50 * time.Millisecond
	clientID    = "5f0d3d5c-0a51-4b3f-9a7e-6c8f1b2d4e60"
	publisher   = "0b8f6a52-9f57-4c35-8f0f-2a4d9c1e7b31"
	contentType = "Audit.Exchange"
)

// stage is a friendly simulated Microsoft 365 with some tenants, and a machine that is connected to all of them.
type stage struct {
	sim     *m365sim.Server
	doors   *m365sim.Doors
	machine *machine.Machine
	dir     string
	tenants []string
	ids     []connection.ID
	addr    net.Listener
}

// open makes a stage; latency is that of every request to Microsoft, and change is made to the machine's
// configuration, which looks into no mailboxes.
func open(ctx context.Context, latency time.Duration, tenants int, tick time.Duration,
	change ...func(*machine.Config)) (*stage, error) {
	dir, err := os.MkdirTemp("", "mailtrail-bench")
	if err != nil {
		return nil, err
	}
	s := &stage{dir: dir, sim: m365sim.New(m365sim.Options{PageSize: 200, Latency: latency})}
	if s.doors, err = s.sim.Start(ctx, "127.0.0.1:0", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	if s.addr, err = new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	base := "http://" + s.addr.Addr().String()
	s.sim.AddApp(m365sim.App{
		ClientID: clientID, HomeTenant: publisher, Secrets: []m365sim.Secret{{Value: "bench-secret"}},
		RedirectURIs: []string{base + connection.CallbackPath}, ActivityRoles: []string{"ActivityFeed.Read"},
		GraphRoles: []string{"User.Read.All"},
	})
	config := machine.Config{
		Dir: dir, Base: base, Log: slog.New(slog.DiscardHandler), Tick: tick, First: 48 * time.Hour, NoMailboxes: true,
		Microsoft: m365.Config{
			ClientID: clientID, Secret: "bench-secret", Publisher: publisher,
			Endpoints: map[connection.Cloud]m365.Endpoints{connection.Commercial: {
				Login: s.doors.Login, Activity: s.doors.Manage, Graph: s.doors.Graph,
				ActivityScope: "https://manage.office.com/.default", GraphScope: "https://graph.microsoft.com/.default",
			}},
		},
	}
	for _, c := range change {
		c(&config)
	}
	if s.machine, err = machine.Open(config); err != nil {
		return nil, err
	}
	for i := range tenants {
		if err := s.connect(ctx, i); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *stage) connect(ctx context.Context, i int) error {
	tenant := fmt.Sprintf("%08d-1111-4222-8333-444444444444", i)
	domain := fmt.Sprintf("t%d.example", i)
	return s.join(ctx, world.Tenant{ID: tenant, DisplayName: domain, DefaultDomain: domain, Domains: []string{domain},
		Cloud: "commercial"}, company.LoadPeople())
}

// join adds a tenant to Microsoft's, and connects it.
func (s *stage) join(ctx context.Context, t world.Tenant, people []world.Person) error {
	tenant := t.ID
	s.sim.AddTenant(t, people)
	if err := s.sim.Grant(tenant, clientID); err != nil {
		return err
	}
	c, _, err := s.machine.Registry.Add(ctx, t.DefaultDomain, connection.Commercial, "bench")
	if err != nil {
		return err
	}
	_, err = s.machine.Registry.Consented(ctx, c.ID, connection.Administrator{
		Tenant: connection.TenantID(tenant), Object: "3b0f4a52-9f57-4c35-8f0f-2a4d9c1e7b31",
		Roles: []string{"62e90394-69f5-4237-9190-012177145e10"},
	})
	s.tenants, s.ids = append(s.tenants, tenant), append(s.ids, c.ID)
	return err
}

// run runs the machine until stop is called, which waits for its end.
func (s *stage) run(ctx context.Context) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- s.machine.Run(ctx, s.addr) }()
	return func() error {
		cancel()
		return <-ended
	}
}

// close removes all that the stage has made; the machine has ended.
func (s *stage) close() error {
	return errors.Join(s.doors.Close(), os.RemoveAll(s.dir))
}

// settled waits until n blobs of a connection are settled.
func (s *stage) settled(ctx context.Context, c connection.ID, n int64) error {
	for {
		sums, err := s.machine.Ledger.Sums(ctx, c)
		if err != nil {
			return err
		}
		if sums.Lost > 0 {
			return fmt.Errorf("%d blobs were lost", sums.Lost)
		}
		if sums.Settled >= n {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// Package demo is a simulated Microsoft 365 with one tenant in it, for a machine without credentials: an invented
// company that mails attachments all day, or an exported audit log.
package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/m365"
	"github.com/mailtrail/mailtrail/sim/browser"
	m365sim "github.com/mailtrail/mailtrail/sim/m365"
	"github.com/mailtrail/mailtrail/sim/m365/company"
	"github.com/mailtrail/mailtrail/sim/m365/world"
)

const (
	clientID  = "5f0d3d5c-0a51-4b3f-9a7e-6c8f1b2d4e60"
	publisher = "0b8f6a52-9f57-4c35-8f0f-2a4d9c1e7b31"
	seed      = 42
)

// Source is where the simulated tenant's audit log comes from.
type Source interface {
	// Name distinguishes sources: a folder that was started with one is not started with another.
	Name() string
	// Tenant returns the tenant, and the people in it.
	Tenant() (world.Tenant, []world.Person)
	// Publish hands over what is in the audit log from the beginning on, and ends when there will be no more, or ctx ends.
	// The same beginning gives the same blobs in the same order, but for an invented past of more than some hours, which
	// is cut off. caught is called once, when all of the past has been published.
	Publish(ctx context.Context, sim *m365sim.Server, since time.Time, caught func()) error
}

// Demo is a running simulation.
type Demo struct {
	Doors  *m365sim.Doors
	sim    *m365sim.Server
	dir    string
	state  state
	source Source
	admin  world.Person
}

// Options are where a demo stands and what it says.
type Options struct {
	Dir         string // the data folder
	RedirectURL string // of Mailtrail's consent
	Log         *slog.Logger
	Now         func() time.Time
}

// Open starts the simulation of a source in a folder, on the ports that it had before.
func Open(ctx context.Context, o Options, source Source) (*Demo, error) {
	saved, err := readState(o.Dir)
	if err != nil {
		return nil, err
	}
	if saved.Source != "" && saved.Source != source.Name() {
		return nil, fmt.Errorf("folder %s holds the data of another source (%s): choose another with DATA=",
			o.Dir, saved.Source)
	}
	if saved.Source == "" {
		saved = state{Source: source.Name(), Protocol: "127.0.0.1:0", Control: "127.0.0.1:0", ClientSecret: rand.Text()}
		saved.Since = o.Now().UTC().Truncate(time.Second)
	}

	d := &Demo{sim: m365sim.New(hostility(o)), dir: o.Dir, source: source}
	d.Doors, err = d.sim.Start(ctx, saved.Protocol, saved.Control)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("folder %s is in use: another Mailtrail runs with the same DATA, "+
			"or another program took the port of its simulated Microsoft 365: %w", o.Dir, err)
	}
	if err != nil {
		return nil, fmt.Errorf("start the simulated Microsoft 365 of folder %s: %w", o.Dir, err)
	}
	saved.Protocol = strings.TrimSuffix(strings.TrimPrefix(d.Doors.Login, "http://"), "/login")
	saved.Control = strings.TrimPrefix(d.Doors.Control, "http://")
	d.state = saved
	if err := errors.Join(os.MkdirAll(o.Dir, 0o700), d.populate(o.RedirectURL), saved.write(o.Dir)); err != nil {
		return nil, errors.Join(err, d.Doors.Close())
	}
	return d, nil
}

// hostility is a world as unkind as Microsoft's, but quick enough for a demonstration.
func hostility(o Options) m365sim.Options {
	opts := m365sim.Hostile(seed)
	opts.Now, opts.Log = o.Now, o.Log
	opts.PageSize, opts.RolePropagation, opts.LateBy = 100, time.Second, 10*time.Second
	opts.TenantQuota = 0
	return opts
}

func (d *Demo) populate(redirect string) error {
	tenant, people := d.source.Tenant()
	d.admin = people[0]
	d.sim.AddTenant(tenant, people)
	needs := m365.RequiredPermissions()
	d.sim.AddApp(m365sim.App{
		ClientID: clientID, DisplayName: "Mailtrail", HomeTenant: publisher,
		Secrets:       []m365sim.Secret{{Value: d.state.ClientSecret}},
		RedirectURIs:  []string{redirect},
		ActivityRoles: needs.Activity, GraphRoles: needs.Graph,
		GroupMembershipClaims: "DirectoryRole", OptionalClaims: []string{"wids", "acct"},
	})
	if !d.state.Consented {
		return nil
	}
	return errors.Join(d.sim.Grant(tenant.ID, clientID), d.sim.DisableSubscription(tenant.ID, contentType, false))
}

// Microsoft is how to configure a client of the simulation.
func (d *Demo) Microsoft(redirect string) m365.Config {
	return m365.Config{
		ClientID: clientID, Secret: d.state.ClientSecret, Publisher: publisher, RedirectURL: redirect,
		Endpoints: map[connection.Cloud]m365.Endpoints{connection.Commercial: {
			Login: d.Doors.Login, Activity: d.Doors.Manage, Graph: d.Doors.Graph,
			Files:         "localhost",
			ActivityScope: "https://manage.office.com/.default", GraphScope: "https://graph.microsoft.com/.default",
		}},
	}
}

// Since is when the simulation of this folder began.
func (d *Demo) Since() time.Time { return d.state.Since }

// Consented reports whether the administrator has consented, now or in an earlier run.
func (d *Demo) Consented() bool { return d.state.Consented }

// Consent is the administrator opening an authorize link, signing in and consenting, page by page.
func (d *Demo) Consent(ctx context.Context, link string) error {
	status, text, err := browser.New(nil).Walk(ctx, link, map[string]string{
		"account": d.admin.UserPrincipalName, "password": d.admin.Password, "action": "accept",
	})
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("the consent ended with status %d: %.300s", status, text)
	}
	d.state.Consented = true
	return d.state.write(d.dir)
}

// Publish fills the tenant's audit log until ctx ends, or the source does.
func (d *Demo) Publish(ctx context.Context, caught func()) error {
	return d.source.Publish(ctx, d.sim, d.state.Since, caught)
}

// Close ends the simulation.
func (d *Demo) Close() error { return d.Doors.Close() }

// staff returns the people of a tenant of which only the audit log is known: the administrator who consents.
func staff(domain string) []world.Person {
	return []world.Person{{
		ID: "7d0a5a0e-5a3c-4b0e-9a39-3a1f0c9f6a11", DisplayName: "Administrator", Enabled: true, UserType: "Member",
		UserPrincipalName: "admin@" + domain, Mail: "admin@" + domain,
		Roles: []string{"62e90394-69f5-4237-9190-012177145e10"}, Password: company.DefaultPassword,
	}}
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	m365sim "github.com/mailtrail/mailtrail/sim/m365"
	"github.com/mailtrail/mailtrail/sim/m365/company"
	"github.com/mailtrail/mailtrail/sim/m365/office"
	"github.com/mailtrail/mailtrail/sim/m365/world"
)

const (
	// vendor is the tenant of the collector's maker, a good PublisherIdentifier.
	vendor = "0b8f6a52-9f57-4c35-8f0f-2a4d9c1e7b31"
	// pastBeat makes few, large blobs of the company's past, as Microsoft does for a busy tenant.
	pastBeat = time.Minute
	// keep is how long mail stays in mailboxes, beyond the history: as long as the activity API lists its records.
	keep = longestHistory
)

// run serves until ctx ends. It writes the summary to stdout once everything can be asked for.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	s, err := parse(args, stderr)
	if err != nil {
		return err
	}
	c, sim := company.New(s.company()), m365sim.New(s.options(stderr))
	sim.AddTenant(c.Tenant(), c.People())
	if err := sim.AddGroups(s.tenant, c.Groups()...); err != nil {
		return err
	}
	sim.AddApp(m365sim.App{
		ClientID: s.client, DisplayName: "Collector", HomeTenant: vendor,
		Secrets: []m365sim.Secret{{Value: s.secret}}, RedirectURIs: strings.Split(s.redirect, ","),
		ActivityRoles: []string{"ActivityFeed.Read"}, GraphRoles: []string{"Mail.Read", "User.Read.All",
			"GroupMember.Read.All"},
	})
	if s.consented {
		if err := sim.Grant(s.tenant, s.client); err != nil {
			return err
		}
	}
	doors, err := sim.Start(ctx, s.protocol, s.control)
	if err != nil {
		return err
	}
	facts := summary(s, doors, c.People()[0])
	from := sim.Now().Add(-s.history).Truncate(pastBeat)
	ended, cancel := context.WithCancel(ctx)
	defer cancel()
	var wrote error
	o := office.Office{Server: sim, Company: c, PastBeat: pastBeat, Keep: s.history + keep}
	err = o.Run(ended, from, func() {
		if wrote = facts.write(stdout, s.json); wrote != nil {
			cancel()
		}
	})
	return errors.Join(err, wrote, doors.Close())
}

// ready is what a collector's configuration needs.
type ready struct {
	Login        string  `json:"login"`
	Manage       string  `json:"manage"`
	Graph        string  `json:"graph"`
	Control      string  `json:"control"`
	Tenant       string  `json:"tenant"`
	ClientID     string  `json:"clientId"`
	ClientSecret string  `json:"clientSecret"`
	Publisher    string  `json:"publisher"`
	Consented    bool    `json:"consented"`
	Admin        account `json:"administrator"`
	Hostility    string  `json:"hostility"`
	Seed         uint64  `json:"seed"`
	People       int     `json:"people"`
	History      string  `json:"history"`
}

type account struct {
	User     string `json:"user"`
	Password string `json:"password"`
}

func summary(s settings, d *m365sim.Doors, admin world.Person) ready {
	return ready{
		Login: d.Login, Manage: d.Manage, Graph: d.Graph, Control: d.Control,
		Tenant: s.tenant, ClientID: s.client, ClientSecret: s.secret, Publisher: vendor, Consented: s.consented,
		Admin:     account{admin.UserPrincipalName, admin.Password},
		Hostility: s.hostility, Seed: s.seed, People: s.people, History: s.history.String(),
	}
}

// write prints the summary. Its last line says that the simulation is ready; as JSON it has no other line.
func (r ready) write(w io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(r)
	}
	consent := "the administrator has consented to the app"
	if !r.Consented {
		consent = "nobody has consented to the app yet: " + r.Login + "/" + r.Tenant + "/adminconsent"
	}
	_, err := fmt.Fprintf(w, `A simulated Microsoft 365 with a company of %d people in it (%s, seed %d, %s of history).

  login      %s
  activity   %s
  graph      %s
  control    %s

  tenant     %s
  client     %s
  secret     %s
  publisher  %s
  admin      %s, password %s
  consent    %s

Ready. Ctrl-C ends it.
`, r.People, r.Hostility, r.Seed, r.History, r.Login, r.Manage, r.Graph, r.Control,
		r.Tenant, r.ClientID, r.ClientSecret, r.Publisher, r.Admin.User, r.Admin.Password, consent)
	return err
}

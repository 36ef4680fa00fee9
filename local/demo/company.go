package demo

import (
	"context"
	"time"

	m365sim "github.com/mailtrail/mailtrail/sim/m365"
	"github.com/mailtrail/mailtrail/sim/m365/company"
	"github.com/mailtrail/mailtrail/sim/m365/office"
	"github.com/mailtrail/mailtrail/sim/m365/world"
)

const (
	// History is how much of the company's past is in its audit log when a folder is new.
	History = time.Hour
	// remade is how far back a start makes the company's past again. A folder that was left alone for weeks starts at
	// once; nobody has seen what its company did meanwhile.
	remade = 2 * time.Hour
	// kept is how long a mail stays in its mailbox after it was sent: longer than anybody looks for it.
	kept = remade + time.Hour

	contentType = office.ContentType
)

// Company is an invented company whose day goes on while Mailtrail runs.
type Company struct {
	company *company.Company
	now     func() time.Time
}

// NewCompany invents it.
func NewCompany(now func() time.Time) *Company {
	return &Company{company: company.New(company.Options{Seed: seed, AlwaysOpen: true}), now: now}
}

func (c *Company) Name() string { return "company" }

func (c *Company) Tenant() (world.Tenant, []world.Person) {
	return c.company.Tenant(), c.company.People()
}

func (c *Company) Publish(ctx context.Context, sim *m365sim.Server, since time.Time, caught func()) error {
	at := since.Add(-History)
	if late := c.now().Add(-remade).Sub(at); late > 0 {
		at = at.Add(late.Truncate(office.Beat))
	}
	o := office.Office{Server: sim, Company: c.company, Keep: kept}
	return o.Run(ctx, at, caught)
}

package demo

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/mailtrail/mailtrail/local/m365sim"
	"github.com/mailtrail/mailtrail/local/m365sim/company"
	"github.com/mailtrail/mailtrail/local/m365sim/world"
)

const (
	// History is how much of the company's past is in its audit log when a folder is new.
	History = 2 * time.Hour
	// beat is how often the company's newest records become available.
	beat = 10 * time.Second
	// bundle is how many records a blob of the company holds at most.
	bundle = 150
	// lateEvery is which blob of so many turns up late, and by how much.
	lateEvery = 9
	lateBy    = 40 * time.Second

	contentType = "Audit.Exchange"
)

// Company is an invented company whose day goes on while Mailtrail runs. Its blobs are made again from the clock and the seed whenever
// they are asked for, so that no history is held in memory.
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
	tick := time.NewTicker(beat)
	defer tick.Stop()
	at := since.Add(-History)
	for number := uint64(0); ; {
		for ; !at.Add(beat).After(c.now()); at = at.Add(beat) {
			published, err := c.publish(sim, at, number)
			if err != nil {
				return err
			}
			number += published
		}
		if caught != nil {
			caught()
			caught = nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// publish lists the blobs of one beat, and returns how many there were.
func (c *Company) publish(sim *m365sim.Server, from time.Time, number uint64) (uint64, error) {
	tenant, to := c.company.Tenant().ID, from.Add(beat)
	blobs := len(c.blobs(from))
	for i := range blobs {
		p := m365sim.Publication{
			Tenant: tenant, ContentType: contentType, Created: to,
			Write: func(w io.Writer) error { return write(w, c.blobs(from)[i]) },
		}
		if number++; number%lateEvery == 0 {
			p.Visible = to.Add(lateBy)
		}
		if _, err := sim.PublishBlob(p); err != nil {
			return 0, fmt.Errorf("publish the company's blobs of %s: %w", from.Format(time.RFC3339), err)
		}
	}
	return uint64(blobs), nil
}

func (c *Company) blobs(from time.Time) [][]world.Record {
	return company.Blobs(c.company.Between(from, from.Add(beat)).Records, uint64(from.Unix()), bundle)
}

func write(w io.Writer, records []world.Record) error {
	bodies := make([][]byte, len(records))
	for i, r := range records {
		bodies[i] = r.JSON
	}
	_, err := fmt.Fprintf(w, "[%s]", bytes.Join(bodies, []byte(",")))
	return err
}

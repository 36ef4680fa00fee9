package demo

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	m365sim "github.com/mailtrail/mailtrail/sim/m365"
	"github.com/mailtrail/mailtrail/sim/m365/company"
	"github.com/mailtrail/mailtrail/sim/m365/world"
)

const (
	// History is how much of the company's past is in its audit log when a folder is new.
	History = time.Hour
	// remade is how far back a start makes the company's past again: a folder that was left alone for weeks starts at once, and what
	// its company did meanwhile, nobody has seen.
	remade = 2 * time.Hour
	// beat is how often the company's newest records become available.
	beat = 10 * time.Second
	// kept is how long a mail stays in its mailbox after it was sent: longer than anybody looks for it.
	kept = remade + time.Hour
	// bundle is how many records a blob of the company holds at most.
	bundle = 150

	contentType = "Audit.Exchange"
)

// Company is an invented company whose day goes on while Mailtrail runs. Its blobs are made again from the clock and the seed whenever
// they are asked for, so that no history is held in memory.
type Company struct {
	company *company.Company
	now     func() time.Time
	mailed  []world.Message // what is in mailboxes, oldest first
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
	if late := c.now().Add(-remade).Sub(at); late > 0 {
		at = at.Add(late.Truncate(beat))
	}
	for {
		for ; !at.Add(beat).After(c.now()); at = at.Add(beat) {
			if ctx.Err() != nil {
				return nil
			}
			if err := c.publish(sim, at); err != nil {
				return err
			}
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

// publish lists the blobs of one beat, when what they tell of is in the mailboxes.
func (c *Company) publish(sim *m365sim.Server, from time.Time) error {
	if err := c.mail(sim, from); err != nil {
		return fmt.Errorf("mail what the company sends at %s: %w", from.Format(time.RFC3339), err)
	}
	for i := range c.blobs(from) {
		_, err := sim.PublishBlob(m365sim.Publication{
			Tenant: c.company.Tenant().ID, ContentType: contentType, Created: from.Add(beat),
			Write: func(w io.Writer) error { return write(w, c.blobs(from)[i]) },
		})
		if err != nil {
			return fmt.Errorf("publish the company's blobs of %s: %w", from.Format(time.RFC3339), err)
		}
	}
	return nil
}

// mail puts the mails of one beat into mailboxes, and takes out those that have been there for long.
func (c *Company) mail(sim *m365sim.Server, from time.Time) error {
	tenant, mails := c.company.Tenant().ID, c.company.Between(from, from.Add(beat)).Messages
	if err := sim.AddMessages(tenant, mails...); err != nil {
		return err
	}
	c.mailed = append(c.mailed, mails...)
	old := 0
	for old < len(c.mailed) && from.Sub(c.mailed[old].Sent) > kept {
		m := c.mailed[old]
		if err := sim.DeleteMessages(tenant, m.Mailbox, m.InternetMessageID); err != nil {
			return err
		}
		old++
	}
	c.mailed = append([]world.Message(nil), c.mailed[old:]...)
	return nil
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

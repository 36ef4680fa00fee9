// Package office puts an invented company to work in a simulated Microsoft 365: its mail arrives in mailboxes and its
// audit records become blobs, as the clock of the simulation moves on.
package office

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
	// ContentType is the content type that all of the company's records are published under.
	ContentType = "Audit.Exchange"
	// Beat is how often the company's newest records become available.
	Beat = 10 * time.Second
	// bundle is how many records a blob holds at most.
	bundle = 150
)

// Office is one company at work. The bodies of its blobs are made again from the seed and the clock each time that
// they are fetched, so the company's history takes no memory.
type Office struct {
	Server  *m365sim.Server
	Company *company.Company

	// PastBeat is the length of a beat while the office catches up with the past. A long one makes fewer, larger
	// blobs and catches up faster. Beat when zero. The same beginning and the same beats give the same blobs.
	PastBeat time.Duration

	// Keep is how long a mail stays in its mailbox after it was sent. For ever when zero.
	Keep time.Duration

	mailed []world.Message // what is in mailboxes, oldest first
}

// Run publishes what the company does from a time on, until ctx ends. It calls caught, if there is one, once: when
// all of the past has been published.
func (o *Office) Run(ctx context.Context, from time.Time, caught func()) error {
	if err := o.Server.KnowTruth(o.Company.Tenant().ID, o.Truth); err != nil {
		return err
	}
	tick := time.NewTicker(Beat)
	defer tick.Stop()
	at := from
	for {
		for {
			beat := o.beat(at)
			if at.Add(beat).After(o.Server.Now()) {
				break
			}
			if ctx.Err() != nil {
				return nil
			}
			if err := o.publish(at, beat); err != nil {
				return err
			}
			at = at.Add(beat)
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

// Truth is what the company really sent in [from, to).
func (o *Office) Truth(from, to time.Time, hashes bool) ([]world.Truth, error) {
	truth := o.Company.Between(from, to).Truth
	for i := range truth {
		if !hashes {
			break
		}
		if err := o.Company.Hash(&truth[i]); err != nil {
			return nil, err
		}
	}
	return truth, nil
}

// beat is the length of the beat that begins at a time: the long one where it lies wholly in the past.
func (o *Office) beat(at time.Time) time.Duration {
	if o.PastBeat > Beat && !at.Add(o.PastBeat).After(o.Server.Now()) {
		return o.PastBeat
	}
	return Beat
}

// publish lists the blobs of one beat, after the mail that they report is in its mailboxes.
func (o *Office) publish(from time.Time, beat time.Duration) error {
	slice := o.Company.Between(from, from.Add(beat))
	if err := o.deliver(slice.Messages, from); err != nil {
		return fmt.Errorf("deliver what the company sent at %s: %w", from.Format(time.RFC3339), err)
	}
	for i := range o.blobs(slice.Records, from) {
		_, err := o.Server.PublishBlob(m365sim.Publication{
			Tenant: o.Company.Tenant().ID, ContentType: ContentType, Created: from.Add(beat),
			Write: func(w io.Writer) error {
				return write(w, o.blobs(o.Company.Between(from, from.Add(beat)).Records, from)[i])
			},
		})
		if err != nil {
			return fmt.Errorf("publish the company's blobs of %s: %w", from.Format(time.RFC3339), err)
		}
	}
	return nil
}

// deliver puts mail into mailboxes, and takes out what has been there for longer than Keep.
func (o *Office) deliver(mails []world.Message, now time.Time) error {
	tenant := o.Company.Tenant().ID
	if err := o.Server.AddMessages(tenant, mails...); err != nil || o.Keep == 0 {
		return err
	}
	o.mailed = append(o.mailed, mails...)
	old := 0
	for old < len(o.mailed) && now.Sub(o.mailed[old].Sent) > o.Keep {
		m := o.mailed[old]
		if err := o.Server.DeleteMessages(tenant, m.Mailbox, m.InternetMessageID); err != nil {
			return err
		}
		old++
	}
	o.mailed = append([]world.Message(nil), o.mailed[old:]...)
	return nil
}

func (o *Office) blobs(records []world.Record, from time.Time) [][]world.Record {
	return company.Blobs(records, uint64(from.Unix()), bundle)
}

func write(w io.Writer, records []world.Record) error {
	bodies := make([][]byte, len(records))
	for i, r := range records {
		bodies[i] = r.JSON
	}
	_, err := fmt.Fprintf(w, "[%s]", bytes.Join(bodies, []byte(",")))
	return err
}

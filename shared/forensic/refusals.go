package forensic

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/table"
)

// Refusal is what is remembered of a mailbox that refused us. The zero value is a mailbox that answers.
type Refusal struct {
	Since  time.Time // when it first refused; zero while it answers
	Last   time.Time // when it last refused
	Probe  time.Time // it is not asked again before this time, once it is known to refuse
	Prober time.Time // when a message is scheduled to ask it
	Times  int
	Reason Reason
	Answer string // what it last answered

	revision int64
}

const (
	attrSince = "since"
	attrLast  = "last"
	attrProbe = "probe"
	attrTimes = "times"
	attrAsker = "prober"

	// answeringFor is how long a mailbox is remembered that answers again.
	answeringFor = 30 * 24 * time.Hour
)

func refusalsPartition(c connection.ID) string { return string(c) + "|refusals" }

func refusalKey(c connection.ID, mailbox string) table.Key {
	return table.Key{Partition: refusalsPartition(c), Sort: Normal(mailbox)}
}

func refusedPartition(c connection.ID, mailbox string) string {
	return string(c) + "|refused|" + Normal(mailbox)
}

func refusedKey(c connection.ID, mailbox string, r RecordID) table.Key {
	return table.Key{Partition: refusedPartition(c, mailbox), Sort: r.Hash()}
}

// Refusal returns what is known of a mailbox.
func (d *Desk) Refusal(ctx context.Context, c connection.ID, mailbox string) (Refusal, error) {
	item, err := d.Events.Get(ctx, refusalKey(c, mailbox))
	if errors.Is(err, table.ErrAbsent) {
		return Refusal{}, nil
	}
	if err != nil {
		return Refusal{}, fmt.Errorf("read whether a mailbox of connection %s refuses us: %w", c, err)
	}
	times, _ := item.Attrs[attrTimes].(int64)
	return Refusal{
		Since: table.TimeOf(item.Attrs[attrSince]), Last: table.TimeOf(item.Attrs[attrLast]),
		Probe: table.TimeOf(item.Attrs[attrProbe]), Times: int(times), Reason: Reason(text(item.Attrs, attrReason, "")),
		Answer: text(item.Attrs, attrAnswer, ""), Prober: table.TimeOf(item.Attrs[attrAsker]), revision: item.Revision,
	}, nil
}

// Refused records that a mailbox refused us now, and returns what is known of it.
func (d *Desk) Refused(
	ctx context.Context, c connection.ID, mailbox string, why Reason, answer string,
) (Refusal, error) {
	now := d.Now().UTC().Truncate(time.Millisecond)
	return d.refusal(ctx, c, mailbox, func(r Refusal) (Refusal, bool) {
		if r.Since.IsZero() {
			r.Since, r.Times = now, 0
		}
		r.Last, r.Probe, r.Reason, r.Answer = now, now.Add(probeEvery), why, clean(answer)
		r.Times++
		return r, true
	})
}

// next is when the message of a finding is to ask the mailbox again, for all that wait for it; zero if another message
// does. The one that asked last does, and any other when none is scheduled.
func (r Refusal) next(f Finding) time.Time {
	now := f.At.UTC().Truncate(time.Millisecond)
	if !f.Probed && now.Before(r.Prober.Add(probeEvery)) {
		return time.Time{}
	}
	next := r.Probe
	if next.Before(now) {
		next = now
	}
	return next.Add(time.Minute)
}

// await records that a message which is settled waits for a mailbox, and asks it at the time probe if that is not zero.
// The mailbox may have answered while the message was settled: then the message is looked for with the others.
func (d *Desk) await(ctx context.Context, c connection.ID, mailbox string, probe time.Time) error {
	r, err := d.refusal(ctx, c, mailbox, func(r Refusal) (Refusal, bool) {
		changed := !r.Since.IsZero() && !probe.IsZero()
		if changed {
			r.Prober = probe
		}
		return r, changed
	})
	if err != nil || !r.Since.IsZero() {
		return err
	}
	return d.Answered(ctx, c, mailbox)
}

// refusal replaces what is known of a mailbox by what f makes of it.
func (d *Desk) refusal(
	ctx context.Context, c connection.ID, mailbox string, f func(Refusal) (Refusal, bool),
) (Refusal, error) {
	for range settleTries {
		was, err := d.Refusal(ctx, c, mailbox)
		if err != nil {
			return Refusal{}, err
		}
		r, changed := f(was)
		if !changed {
			return was, nil
		}
		item := table.Item{Key: refusalKey(c, mailbox), Revision: was.revision, Attrs: table.Attrs{
			attrSince: table.Stamp(r.Since), attrLast: table.Stamp(r.Last), attrProbe: table.Stamp(r.Probe),
			attrTimes: int64(r.Times), attrReason: string(r.Reason), attrAnswer: r.Answer,
			attrAsker: table.Stamp(r.Prober),
		}}
		if r.Since.IsZero() {
			item.Expires = d.Now().Add(answeringFor)
		}
		op := table.Op{Verb: table.Replace, Item: item}
		if was.revision == 0 {
			op.Verb = table.Create
		}
		if err = d.Events.Commit(ctx, op); err == nil {
			return r, nil
		}
		if !errors.Is(err, table.ErrConflict) {
			return Refusal{}, fmt.Errorf("store that a mailbox of connection %s refuses us: %w", c, err)
		}
	}
	return Refusal{}, fmt.Errorf("store that a mailbox of connection %s refuses us: too many writers: %w", c, fault.Retry)
}

// Answered records that a mailbox which refused us answers again: all messages that wait for it are looked for.
//
// The mailbox is said to answer before the messages are listed. So a message that is about to wait for it is either on
// the list, or its writer sees that the mailbox answers (Settle). A crash in between leaves messages that wait for a
// mailbox that answers: the next that asks it calls Answered again, for its list is not empty.
func (d *Desk) Answered(ctx context.Context, c connection.ID, mailbox string) error {
	_, err := d.refusal(ctx, c, mailbox, func(r Refusal) (Refusal, bool) {
		return Refusal{revision: r.revision}, !r.Since.IsZero()
	})
	if err != nil {
		return err
	}
	now := d.Now()
	for {
		var marks []table.Item
		var done []table.Key
		q := table.Query{Partition: refusedPartition(c, mailbox), Limit: looksAtOnce}
		for item, err := range d.Events.Query(ctx, q) {
			if err != nil {
				return fmt.Errorf("list the messages of connection %s that wait for a mailbox: %w", c, err)
			}
			marks = append(marks, lookMark(c, RecordID(text(item.Attrs, attrRecord, "")), now, now, item.Expires))
			done = append(done, item.Key)
		}
		if len(marks) == 0 {
			return nil
		}
		if err := d.Events.Load(ctx, marks...); err != nil {
			return fmt.Errorf("look for the messages of connection %s that waited for a mailbox: %w", c, err)
		}
		if err := table.Remove(ctx, d.Events, done); err != nil {
			return fmt.Errorf("let the messages of connection %s wait for a mailbox no longer: %w", c, err)
		}
	}
}

// refusals deletes, for a purge, what waits for the mailboxes that refused us.
func (p *purge) refusals(ctx context.Context) error {
	for item, err := range p.events.Query(ctx, table.Query{Partition: refusalsPartition(p.c)}) {
		if err != nil {
			return fmt.Errorf("list the mailboxes that refused connection %s: %w", p.c, err)
		}
		if err := p.empty(ctx, refusedPartition(p.c, item.Sort)); err != nil {
			return err
		}
	}
	return nil
}

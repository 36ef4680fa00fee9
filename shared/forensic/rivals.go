package forensic

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/table"
)

const (
	// rivalsWithin is how far from a message another one is looked for that the same mail may fit: twice the distance
	// that a mail may have from its record.
	rivalsWithin = 4 * time.Minute
	// maxRivals bounds the messages that are compared; beyond it the mail counts as another's.
	maxRivals = 200
)

// Rival reports whether the mail with this internet message id, which is like m, may be that of another record: because
// the record, or what was found of it, has the id; or because it is just like m and its own mail was not found.
func (d *Desk) Rival(ctx context.Context, m Message, messageID string) (bool, error) {
	holders, err := d.holders(ctx, m, messageID)
	if err != nil || len(holders) > 0 {
		return true, err
	}
	near, err := d.near(ctx, m)
	if err != nil || len(near) > maxRivals {
		return true, err
	}
	for i := range near {
		if n := &near[i]; !n.Copy.Known() && n.Subject == m.Subject && alike(n.Files, m.Files) {
			return true, nil
		}
	}
	return false, nil
}

// alike reports whether two records name the same attachments.
func alike(a, b []File) bool {
	return slices.EqualFunc(a, b, func(a, b File) bool { return a.Name == b.Name && a.StoredSize == b.StoredSize })
}

// holders returns the other messages that have an internet message id: by their record, or by what was found of them.
// They are looked for in the months around m.
func (d *Desk) holders(ctx context.Context, m Message, messageID string) ([]Message, error) {
	if messageID == "" {
		return nil, nil
	}
	value := Normal(messageID)
	var records []RecordID
	for _, month := range months(m.Observed, 7*24*time.Hour) {
		q := table.Query{
			Partition: TermPartition(m.Connection, MessageIDField, month, Bucket(value)),
			From:      TermPrefix(value), To: value + "\x20", Limit: maxRivals,
		}
		if err := d.others(ctx, m, q, &records); err != nil {
			return nil, err
		}
	}
	found, err := Load(ctx, d.Events, m.Connection, records)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(found, func(o Message) bool {
		return Normal(o.InternetMessageID) != value && Normal(o.Copy.MessageID) != value
	}), nil
}

// near returns the other messages of the same senders within rivalsWithin.
func (d *Desk) near(ctx context.Context, m Message) ([]Message, error) {
	var records []RecordID
	senders := slices.Compact([]string{Normal(m.Sender), Normal(m.From)})
	for _, value := range senders {
		for _, month := range months(m.Observed, rivalsWithin) {
			q := table.Query{
				Partition: TermPartition(m.Connection, SenderField, month, Bucket(value)),
				From:      TermPrefix(value) + TimeSort(m.Observed.Add(-rivalsWithin), ""),
				To:        TermPrefix(value) + TimeSort(m.Observed.Add(rivalsWithin), ""), Limit: maxRivals + 2,
			}
			if err := d.others(ctx, m, q, &records); err != nil {
				return nil, err
			}
		}
	}
	return Load(ctx, d.Events, m.Connection, records)
}

// others adds the records of a term's postings that are not m's.
func (d *Desk) others(ctx context.Context, m Message, q table.Query, records *[]RecordID) error {
	for item, err := range d.Events.Query(ctx, q) {
		if err != nil {
			return fmt.Errorf("look for messages that are like message %s: %w", m.Record, err)
		}
		posting, err := ReadTerm(item)
		if err != nil {
			return err
		}
		if posting.Record != m.Record && !slices.Contains(*records, posting.Record) {
			*records = append(*records, posting.Record)
		}
	}
	return nil
}

// months returns the months that a time and its surroundings lie in.
func months(at time.Time, within time.Duration) []time.Time {
	list := []time.Time{at}
	for _, other := range []time.Time{at.Add(-within), at.Add(within)} {
		if other.UTC().Month() != at.UTC().Month() {
			list = append(list, other)
		}
	}
	return list
}

// disown takes back what was found of other messages by likeness, if it turns out to be the mail of m.
func (d *Desk) disown(ctx context.Context, m Message, messageID string) error {
	holders, err := d.holders(ctx, m, messageID)
	if err != nil {
		return err
	}
	for _, o := range holders {
		if o.Copy.MatchedBy != ByLikeness || Normal(o.Copy.MessageID) != Normal(messageID) {
			continue
		}
		if err := d.revoke(ctx, o.Connection, o.Record); err != nil {
			return err
		}
	}
	return nil
}

// revoke takes back what was found of a message by likeness.
func (d *Desk) revoke(ctx context.Context, c connection.ID, r RecordID) error {
	f := Finding{At: d.Now(), Reason: NotFound, Answer: "no such message, but one that is like it and is another record's"}
	return d.change(ctx, Message{Connection: c, Record: r}, func(was Message) (Message, bool) {
		if was.Copy.MatchedBy != ByLikeness {
			return was, false
		}
		m := was
		m.Files = nil
		for _, file := range was.Files {
			if file.Attachment.Missing != NotInRecord {
				m.Files = append(m.Files, File{Name: file.Name, StoredSize: file.StoredSize})
			}
		}
		return d.scheduled(m.with(f), f, time.Time{}), true
	})
}

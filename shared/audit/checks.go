package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/table"
)

const (
	// maxClients bounds the kinds of clients that are kept apart; the others are one.
	maxClients   = 50
	otherClients = "other"
)

// Checks says what came of looking for sends without attachments of one kind of client in the senders' mailboxes.
type Checks struct {
	Client  string `json:"client"`
	Checked int64  `json:"checked"`
	// Missing are those that have attachments: the audit log left them out.
	Missing     int64     `json:"missing"`
	LastMissing time.Time `json:"lastMissing,omitzero"` // when the last of them was found
}

// Checked counts a send that was looked for. A check that is done twice counts twice: the counts are a sample.
func (l *Ledger) Checked(ctx context.Context, c connection.ID, client string, missing bool) error {
	for range tries {
		err := l.countCheck(ctx, c, client, missing)
		if !errors.Is(err, table.ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("count a check of connection %s: too many writers: %w", c, fault.Retry)
}

func (l *Ledger) countCheck(ctx context.Context, c connection.ID, client string, missing bool) error {
	item, err := l.Table.Get(ctx, checksKey(c, client))
	if errors.Is(err, table.ErrAbsent) && client != otherClients {
		all, err := l.Checks(ctx, c)
		if err != nil {
			return err
		}
		if len(all) >= maxClients {
			return l.countCheck(ctx, c, otherClients, missing)
		}
	} else if err != nil && !errors.Is(err, table.ErrAbsent) {
		return fmt.Errorf("read the checks of connection %s: %w", c, err)
	}
	k := readChecks(item)
	k.Checked++
	if missing {
		k.Missing++
		k.LastMissing = l.Now()
	}
	op := table.Op{Verb: table.Replace, Item: table.Item{
		Key: checksKey(c, client), Revision: item.Revision,
		Attrs: table.Attrs{"checked": k.Checked, "missing": k.Missing, "lastmissing": table.Stamp(k.LastMissing)},
	}}
	if item.Revision == 0 {
		op.Verb = table.Create
	}
	if err := l.Table.Commit(ctx, op); err != nil {
		return fmt.Errorf("count a check of connection %s: %w", c, err)
	}
	return nil
}

// Checks lists what was checked of a connection, by client.
func (l *Ledger) Checks(ctx context.Context, c connection.ID) ([]Checks, error) {
	var all []Checks
	for item, err := range l.Table.Query(ctx, table.Query{Partition: checksPartition(c)}) {
		if err != nil {
			return nil, fmt.Errorf("list the checks of connection %s: %w", c, err)
		}
		all = append(all, readChecks(item))
	}
	return all, nil
}

func readChecks(item table.Item) Checks {
	return Checks{
		Client: item.Sort, Checked: attrNumber(item.Attrs["checked"]), Missing: attrNumber(item.Attrs["missing"]),
		LastMissing: table.TimeOf(item.Attrs["lastmissing"]),
	}
}

// warning says that the audit log leaves attachments out, "" if it does not.
func (k Checks) warning() string {
	if k.Missing == 0 {
		return ""
	}
	return fmt.Sprintf(
		"The audit log leaves out attachments of mail that is sent with the client %s: %d of %d such mails "+
			"without attachments, according to their records, have attachments in the sender's mailbox. They are in no event.",
		k.Client,
		k.Missing,
		k.Checked,
	)
}

package forensic

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/table"
)

// purgedAtOnce is how many messages are looked up at the same time while they are deleted.
const purgedAtOnce = 16

// fields returns all fields of the term index.
func fields() []Field {
	return []Field{
		SenderField, ActorField, NameField, ExtensionField, MessageIDField, RecipientField, DomainField,
		MD5Field, SHA256Field, TypeField,
	}
}

// Purge deletes a connection's messages with everything that they are found by, about budget items at most. It
// reports how many it deleted and whether nothing is left. It may be called again after any error: what leads to a
// thing is deleted after it. The days go last, month by month, so that what is left can be found from them. The
// caller makes sure that nothing is being stored for the connection.
func Purge(ctx context.Context, events table.Table, c connection.ID, budget int) (deleted int, done bool, err error) {
	p := purge{events: events, c: c, left: budget}
	err = p.all(ctx)
	if errors.Is(err, errBudget) {
		return budget - p.left, false, nil
	}
	return budget - p.left, err == nil, err
}

// errBudget means that a slice of a purge has deleted what it may.
var errBudget = errors.New("the budget is used up")

type purge struct {
	events table.Table
	c      connection.ID
	left   int
}

func (p *purge) all(ctx context.Context) error {
	days := map[string][]string{} // of a month of days observed
	var arrivals []string
	for item, err := range p.events.Query(ctx, table.Query{Partition: DaysPartition(p.c)}) {
		if err != nil {
			return fmt.Errorf("list the days of connection %s: %w", p.c, err)
		}
		if day, ok := strings.CutPrefix(item.Sort, DaysObserved); ok && len(day) == len(dayLayout) {
			month := day[:len(monthLayout)]
			days[month] = append(days[month], day)
		}
		if day, ok := strings.CutPrefix(item.Sort, DaysArrival); ok {
			arrivals = append(arrivals, day)
		}
	}
	for month, days := range days {
		if err := p.month(ctx, month, days); err != nil {
			return err
		}
	}
	for _, day := range arrivals {
		if err := p.day(ctx, "arrival", day, DaysArrival); err != nil {
			return err
		}
	}
	if err := p.refusals(ctx); err != nil {
		return err
	}
	for _, partition := range []string{
		looksPartition(p.c), refusalsPartition(p.c), changedPartition(p.c), WaitingPartition(p.c),
	} {
		if err := p.empty(ctx, partition); err != nil {
			return err
		}
	}
	return p.empty(ctx, DaysPartition(p.c))
}

// month deletes the messages of a month's days, then the postings of its terms, and then the days.
func (p *purge) month(ctx context.Context, month string, days []string) error {
	for _, day := range days {
		if err := p.messages(ctx, string(p.c)+"|all|"+day); err != nil {
			return err
		}
	}
	first, err := time.Parse(monthLayout, month)
	if err != nil {
		return fmt.Errorf("purge connection %s: month %q: %w", p.c, month, err)
	}
	for _, f := range fields() {
		for bucket := range Buckets {
			if err := p.empty(ctx, TermPartition(p.c, f, first, bucket)); err != nil {
				return err
			}
		}
	}
	for _, day := range days {
		if err := p.day(ctx, "all", day, DaysObserved); err != nil {
			return err
		}
	}
	return nil
}

// day deletes the postings of a day, and then its entry in the list of days.
func (p *purge) day(ctx context.Context, kind, day, prefix string) error {
	if err := p.empty(ctx, string(p.c)+"|"+kind+"|"+day); err != nil {
		return err
	}
	return p.remove(ctx, []table.Key{{Partition: DaysPartition(p.c), Sort: prefix + day}})
}

func (p *purge) empty(ctx context.Context, partition string) error {
	n, done, err := table.Empty(ctx, p.events, table.Query{Partition: partition}, max(p.left, 1))
	if p.left -= n; err == nil && !done {
		err = errBudget
	}
	return err
}

// messages deletes the messages to which the postings of a day lead, each with the items that continue it, and then
// the postings.
func (p *purge) messages(ctx context.Context, day string) error {
	for {
		var postings []table.Key
		for item, err := range p.events.Query(ctx, table.Query{Partition: day, Limit: purgedAtOnce}) {
			if err != nil {
				return fmt.Errorf("list messages of connection %s: %w", p.c, err)
			}
			postings = append(postings, item.Key)
		}
		if len(postings) == 0 {
			return nil
		}
		keys, err := p.itemsOf(ctx, postings)
		if err != nil {
			return err
		}
		if err := p.remove(ctx, keys); err != nil {
			return err
		}
		if err := p.remove(ctx, postings); err != nil {
			return err
		}
		if p.left <= 0 {
			return errBudget
		}
	}
}

// itemsOf lists the items of the messages to which postings of a day lead.
func (p *purge) itemsOf(ctx context.Context, postings []table.Key) ([]table.Key, error) {
	keys := make([][]table.Key, len(postings))
	failed := make([]error, len(postings))
	var looking sync.WaitGroup
	for i, posting := range postings {
		_, record, err := SplitTimeSort(posting.Sort)
		if err != nil { // not one of ours: nothing depends on it
			continue
		}
		looking.Go(func() {
			for item, err := range p.events.Query(ctx, table.Query{Partition: MessageKey(p.c, record).Partition}) {
				if err != nil {
					failed[i] = fmt.Errorf("list message %s of connection %s: %w", record, p.c, err)
					return
				}
				keys[i] = append(keys[i], item.Key)
			}
		})
	}
	looking.Wait()
	var all []table.Key
	for _, k := range keys {
		all = append(all, k...)
	}
	return all, errors.Join(failed...)
}

func (p *purge) remove(ctx context.Context, keys []table.Key) error {
	if err := table.Remove(ctx, p.events, keys); err != nil {
		return err
	}
	p.left -= len(keys)
	return nil
}

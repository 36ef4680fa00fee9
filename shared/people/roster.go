package people

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/table"
)

// Roster is the people of every connection, their scope and their coverage. It is safe for concurrent use.
type Roster struct {
	Table table.Table
	Now   func() time.Time
	Rand  io.Reader
	// Gate returns the gate that a connection was made with; it counts until somebody chooses one. nil is Premium
	// for all.
	Gate func(ctx context.Context, c connection.ID) (Gate, error)
}

// Put stores people as the directory has them now. Doing it again is harmless.
//
// The names are written before the people, and names that a person has lost are removed last. A crash in
// between leaves names that lead to a person who does not have them; a look-up ignores those.
func (r *Roster) Put(ctx context.Context, c connection.ID, people ...Person) error {
	now := moment(r.Now())
	news := make([]entry, 0, len(people))
	for _, p := range people {
		if p.ID != "" {
			news = append(news, entry{Person: p.cleaned(), seen: now})
		}
	}
	return r.write(ctx, c, news, false)
}

// add stores a person whose name was not in the roster. It writes all of their names, whatever is there, and
// removes none: a look-up ignores names that are left behind.
func (r *Roster) add(ctx context.Context, c connection.ID, p Person) error {
	return r.write(ctx, c, []entry{{Person: p.cleaned(), seen: moment(r.Now())}}, true)
}

// Remove records that these people have left the directory. They are remembered for 30 days, because the mail
// that they sent arrives later than the news that they left.
func (r *Roster) Remove(ctx context.Context, c connection.ID, ids ...ObjectID) error {
	now := moment(r.Now())
	news := make([]entry, len(ids))
	for i, id := range ids {
		news[i] = entry{Person: Person{ID: id}, seen: now, gone: now}
	}
	return r.write(ctx, c, news, false)
}

// write stores what changed about people. It adds the names that are new and removes those that are lost; with
// all it writes every name and removes none.
func (r *Roster) write(ctx context.Context, c connection.ID, news []entry, all bool) error {
	// The directory may list a person twice on a page: the last entry counts.
	last := make(map[ObjectID]entry, len(news))
	for _, e := range news {
		last[e.ID] = e
	}
	ids := make([]ObjectID, 0, len(last))
	for id := range last {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	were, err := r.entries(ctx, c, ids)
	if err != nil {
		return err
	}
	var names, entries []table.Item
	stale := map[string]ObjectID{}
	for _, id := range ids {
		was, known := were[id]
		next := was.after(last[id])
		if !next.gone.IsZero() && (!known || !was.gone.IsZero()) {
			continue // we did not know them, or they had left before
		}
		entries = append(entries, next.item(c))
		has, had := next.names(), was.names()
		for _, name := range has {
			// A person who has left gets no name, since it may be somebody else's by now. One who is back gets all of
			// them again.
			if next.gone.IsZero() && (all || !was.gone.IsZero() || !slices.Contains(had, name)) {
				names = append(names, table.Item{Key: nameKey(c, name), Attrs: table.Attrs{"id": string(id)}})
			}
		}
		for _, name := range had {
			if !all && !slices.Contains(has, name) {
				stale[name] = id
			}
		}
	}
	// Load keeps no order among items, and a stored person is assumed to have their names already: names first.
	for _, items := range [][]table.Item{names, entries} {
		if err := r.Table.Load(ctx, items...); err != nil {
			return fmt.Errorf("store %d people of connection %s: %w", len(entries), c, err)
		}
	}
	return r.unname(ctx, c, stale)
}

// unname removes names that their people have lost, unless the names are somebody else's by now.
func (r *Roster) unname(ctx context.Context, c connection.ID, stale map[string]ObjectID) error {
	for name, id := range stale {
		item, err := r.Table.Get(ctx, nameKey(c, name))
		if errors.Is(err, table.ErrAbsent) {
			continue
		}
		if err == nil && item.Attrs["id"] == string(id) {
			err = r.Table.Commit(ctx, table.Op{Verb: table.Delete, Item: table.Item{Key: item.Key}})
		}
		if err != nil {
			return fmt.Errorf("take a name from a person of connection %s: %w", c, err)
		}
	}
	return nil
}

// entries reads those of ids that are there.
func (r *Roster) entries(ctx context.Context, c connection.ID, ids []ObjectID) (map[ObjectID]entry, error) {
	keys := make([]table.Key, len(ids))
	for i, id := range ids {
		keys[i] = personKey(c, id)
	}
	items, err := r.Table.GetMany(ctx, keys)
	if err != nil {
		return nil, fmt.Errorf("read %d people of connection %s: %w", len(ids), c, err)
	}
	found := make(map[ObjectID]entry, len(items))
	for _, item := range items {
		e := readEntry(item)
		found[e.ID] = e
	}
	return found, nil
}

// named looks people up by names in lower case. A name that belongs to nobody is not in the result.
func (r *Roster) named(ctx context.Context, c connection.ID, names []string) (map[string]entry, error) {
	keys := make([]table.Key, 0, len(names))
	for _, name := range names {
		if name != "" && len(name) <= maxName {
			keys = append(keys, nameKey(c, name))
		}
	}
	items, err := r.Table.GetMany(ctx, keys)
	if err != nil {
		return nil, fmt.Errorf("look up %d names of connection %s: %w", len(names), c, err)
	}
	ids := make(map[string]ObjectID, len(items))
	var people []ObjectID
	for _, item := range items {
		id, _ := item.Attrs["id"].(string)
		if id != "" {
			ids[item.Sort] = ObjectID(id)
			people = append(people, ObjectID(id))
		}
	}
	entries, err := r.entries(ctx, c, people)
	if err != nil {
		return nil, err
	}
	found := make(map[string]entry, len(ids))
	for name, id := range ids {
		if e, ok := entries[id]; ok && slices.Contains(e.names(), name) {
			found[name] = e
		}
	}
	return found, nil
}

// IDs returns the object ids of people by address or principal's name, in lower case. An id outlasts its
// person's names.
func (r *Roster) IDs(ctx context.Context, c connection.ID, addresses []string) (map[string]string, error) {
	names := make([]string, 0, len(addresses))
	for _, address := range addresses {
		if name := Fold(address); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	found, err := r.named(ctx, c, names)
	if err != nil {
		return nil, err
	}
	ids := make(map[string]string, len(found))
	for name, e := range found {
		ids[name] = string(e.ID)
	}
	return ids, nil
}

// LearnDomains adds domains of the tenant: names in it are internal.
func (r *Roster) LearnDomains(ctx context.Context, c connection.ID, domains ...string) error {
	var items []table.Item
	for _, d := range domains {
		if d = Fold(d); d != "" && len(d) <= maxName {
			items = append(items, table.Item{Key: table.Key{Partition: domainsPartition(c), Sort: d}})
		}
	}
	if len(items) == 0 {
		return nil
	}
	if err := r.Table.Load(ctx, items...); err != nil {
		return fmt.Errorf("store the domains of connection %s: %w", c, err)
	}
	return nil
}

// Domains returns the domains of the connection's tenant, in lower case and in order: an address in none of
// them is external. It is empty until the census has begun.
func (r *Roster) Domains(ctx context.Context, c connection.ID) ([]string, error) {
	var domains []string
	for item, err := range r.Table.Query(ctx, table.Query{Partition: domainsPartition(c), Eventual: true}) {
		if err != nil {
			return nil, fmt.Errorf("list the domains of connection %s: %w", c, err)
		}
		domains = append(domains, item.Sort)
	}
	return domains, nil
}

// principalDomains are the domains of members' principal names, which Microsoft lets be verified ones only.
// Their mail may be anywhere.
func principalDomains(people []Person) []string {
	var domains []string
	for _, p := range people {
		_, domain, ok := strings.Cut(Fold(p.Principal), "@")
		if ok && !p.Guest && !slices.Contains(domains, domain) {
			domains = append(domains, domain)
		}
	}
	return domains
}

// Purge deletes what this room holds of a connection, at most budget items, and returns how many it deleted and
// whether nothing is left. It may be called again after any error. The caller makes sure that no census and no
// ingest of the connection is running.
func (r *Roster) Purge(ctx context.Context, c connection.ID, budget int) (deleted int, done bool, err error) {
	partitions := []string{unknownPartition(c), domainsPartition(c)}
	for b := range buckets {
		partitions = append(partitions, personPartition(c, b), namePartition(c, b), sendPartition(c, b))
	}
	lists, err := r.lists(ctx, c)
	if err != nil {
		return 0, false, err
	}
	for list := range lists {
		for b := range buckets {
			partitions = append(partitions, listPartition(c, list, b))
		}
	}
	// The lists are deleted before their names, so that an interrupted purge still finds them.
	partitions = append(partitions, listsPartition(c), scopeKey(c).Partition, censusKey(c).Partition)
	for _, p := range partitions {
		n, done, err := table.Empty(ctx, r.Table, table.Query{Partition: p}, budget-deleted)
		if deleted += n; err != nil || !done {
			return deleted, false, err
		}
	}
	return deleted, true, nil
}

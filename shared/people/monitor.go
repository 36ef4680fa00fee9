package people

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/table"
)

const (
	// maxKnown bounds the people that a process remembers for verdicts, about 300 bytes each. Past it all are
	// forgotten, which costs reading them again.
	maxKnown = 100_000
	// believed is how long what was read of a person counts. A change of the gate or the scope counts at once.
	believed = time.Minute
	// unknownFor is how long the directory is not asked again for an address that it does not have.
	unknownFor = time.Hour
	// lookups is how many addresses the directory is asked for at once.
	lookups = 8
	// sendEvery is how often a process writes the last send of a person.
	sendEvery = 24 * time.Hour
)

// Send is one mail as it is judged: when it was sent, who did it, and whose mailbox it was sent from. Both are
// principals' names or addresses, as the audit record has them.
type Send struct {
	At      time.Time
	Actor   string
	Mailbox string
}

// Verdict says whether a mail is kept.
type Verdict int

const (
	Kept        Verdict = iota // somebody in it is monitored
	Unmonitored                // nobody in it is
	Unknown                    // nobody in it is, and the directory knows none of them
)

// Monitor judges whose mail is kept: a mail is if the one who sent it, or the owner of the mailbox that it was
// sent from, is monitored. It is safe for concurrent use once its fields are set.
type Monitor struct {
	Roster    *Roster
	Directory Directory

	mu    sync.Mutex
	known map[name]*known
	sends map[person]lastSend // the last sends of people that this process wrote
	heard map[name]time.Time  // and those of names, of any kind
}

// tenant is a connection, and where its directory is.
type tenant struct {
	id connection.ID
	at connection.Tenant
}

// name is an address at a connection, in lower case.
type name struct {
	c    connection.ID
	name string
}

type person struct {
	c  connection.ID
	id ObjectID
}

// known is what is believed of a name.
type known struct {
	entry       // without ID for a name that the directory does not know
	scope int64 // the scope's revision that in was found out for
	in    bool  // in the scope
	was   bool  // in it before its groups were last read
	until time.Time
}

// Judge gives a verdict for each send, in their order. An address that is not known yet is asked for at once.
// Any error means that no verdict can be given now, and that the sends are to be judged again later: nothing
// may be dropped because the directory does not answer.
func (m *Monitor) Judge(ctx context.Context, c connection.ID, t connection.Tenant, sends []Send) ([]Verdict, error) {
	scope, err := m.Roster.Scope(ctx, c)
	if err != nil {
		return nil, err
	}
	who, err := m.resolve(ctx, tenant{c, t}, scope, sends)
	if err != nil {
		return nil, fmt.Errorf("judge %d sends of connection %s: %w", len(sends), c, err)
	}
	verdicts := make([]Verdict, len(sends))
	last := map[ObjectID]time.Time{}
	for i, s := range sends {
		verdicts[i] = Unknown
		for _, name := range [2]string{Fold(s.Actor), Fold(s.Mailbox)} {
			k := who[name]
			switch {
			case k == nil || k.ID == "":
				continue
			case (k.in || k.was && s.At.Before(scope.Expanded)) && k.passed(scope.Gate, s.At):
				verdicts[i] = Kept
			case verdicts[i] == Unknown:
				verdicts[i] = Unmonitored
			}
			if s.At.After(last[k.ID]) {
				last[k.ID] = s.At
			}
		}
	}
	return verdicts, m.note(ctx, c, last)
}

// resolve finds out about everybody in the sends, by name in lower case.
func (m *Monitor) resolve(ctx context.Context, c tenant, scope Scope, sends []Send) (map[string]*known, error) {
	now := m.Roster.Now()
	who := map[string]*known{}
	var missing []string
	m.mu.Lock()
	for _, s := range sends {
		for _, n := range [2]string{Fold(s.Actor), Fold(s.Mailbox)} {
			if _, asked := who[n]; asked || !nameable(n) {
				continue
			}
			k := m.known[name{c.id, n}]
			if k == nil || !now.Before(k.until) || k.scope != scope.revision {
				k = nil
				missing = append(missing, n)
			}
			who[n] = k
		}
	}
	m.mu.Unlock()
	if len(missing) == 0 {
		return who, nil
	}
	found, err := m.find(ctx, c, missing)
	if err != nil {
		return nil, err
	}
	entries := make([]entry, 0, len(found))
	for _, e := range found {
		entries = append(entries, e)
	}
	in, err := m.Roster.within(ctx, c.id, scope, entries)
	if err != nil {
		return nil, err
	}
	was := in
	if before, ok := scope.before(); ok {
		if was, err = m.Roster.within(ctx, c.id, before, entries); err != nil {
			return nil, err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known == nil || len(m.known)+len(missing) > maxKnown {
		m.known = make(map[name]*known)
	}
	for _, n := range missing {
		e := found[n]
		k := &known{entry: e, scope: scope.revision, in: in[e.ID], was: was[e.ID], until: now.Add(believed)}
		who[n], m.known[name{c.id, n}] = k, k
	}
	return who, nil
}

// nameable tells a name that somebody can have from a security identifier, which stands for the system.
func nameable(n string) bool {
	return n != "" && len(n) <= maxName && strings.Contains(n, "@")
}

// find looks names up in the roster, and in the directory those that are not in it.
func (m *Monitor) find(ctx context.Context, c tenant, names []string) (map[string]entry, error) {
	found, err := m.Roster.named(ctx, c.id, names)
	if err != nil {
		return nil, err
	}
	var strangers []string
	for _, n := range names {
		if _, ok := found[n]; !ok {
			strangers = append(strangers, n)
		}
	}
	ask, err := m.Roster.askable(ctx, c.id, strangers)
	if err != nil || len(ask) == 0 {
		return found, err
	}
	if err := m.ask(ctx, c, ask); err != nil {
		return nil, err
	}
	more, err := m.Roster.named(ctx, c.id, ask)
	for n, e := range more {
		found[n] = e
	}
	return found, err
}

// ask asks the directory for names, a few at once, and stores each answer. After an error it begins no further one.
func (m *Monitor) ask(ctx context.Context, c tenant, names []string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	slots := make(chan struct{}, lookups)
	for _, n := range names {
		slots <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		all.Go(func() {
			defer func() { <-slots }()
			if err := m.askOne(ctx, c, n); err != nil {
				cancel(err)
			}
		})
	}
	all.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

func (m *Monitor) askOne(ctx context.Context, c tenant, n string) error {
	p, err := m.Directory.User(ctx, c.at, n)
	if errors.Is(err, ErrUnknown) {
		return m.Roster.forget(ctx, c.id, n)
	}
	if errors.Is(err, fault.Poison) { // of the directory's answer, which says nothing of the mail
		return fmt.Errorf("%v: %w", err, fault.Retry)
	}
	if errors.Is(err, fault.Refused) {
		return errors.Join(err, m.Roster.doubt(ctx, c.id))
	}
	if err != nil {
		return err
	}
	return m.Roster.add(ctx, c.id, p)
}

// askable are those of names that the directory was not asked for a short while ago.
func (r *Roster) askable(ctx context.Context, c connection.ID, names []string) ([]string, error) {
	keys := make([]table.Key, len(names))
	for i, n := range names {
		keys[i] = unknownKey(c, n)
	}
	items, err := r.Table.GetMany(ctx, keys)
	if err != nil {
		return nil, fmt.Errorf("look up unknown addresses of connection %s: %w", c, err)
	}
	recent := map[string]bool{}
	for _, item := range items {
		recent[item.Sort] = r.Now().Before(table.TimeOf(item.Attrs["asked"]).Add(unknownFor))
	}
	var ask []string
	for _, n := range names {
		if !recent[n] {
			ask = append(ask, n)
		}
	}
	return ask, nil
}

// forget remembers that the directory does not know an address, for as long as somebody who left is remembered:
// whoever looks at the people sees whose mail is not kept for this reason.
func (r *Roster) forget(ctx context.Context, c connection.ID, n string) error {
	now := r.Now()
	item := table.Item{Key: unknownKey(c, n), Attrs: table.Attrs{"asked": table.Stamp(now)}, Expires: now.Add(remembered)}
	if err := r.Table.Load(ctx, item); err != nil {
		return fmt.Errorf("store an unknown address of connection %s: %w", c, err)
	}
	return nil
}

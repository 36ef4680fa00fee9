package people

import (
	"context"
	"errors"
	"fmt"
	"slices"
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

// Send is one mail as it is judged: when it was sent, who did it, whose mailbox it was sent from, and in whose name.
// All are principals' names or addresses, as the audit record has them.
type Send struct {
	At      time.Time
	Actor   string
	Mailbox string
	From    string
}

// Verdict says whether a mail is kept.
type Verdict int

const (
	Kept        Verdict = iota // it is in the scope and passes the gate
	Unmonitored                // its people are out of scope, or do not pass the gate
	Unknown                    // the same, and the directory knows none of them
)

// Judgement is what is said of a send: whether it is kept, and what its sender's coverage was when it was sent.
type Judgement struct {
	Verdict  Verdict
	Coverage Coverage // Stranger if the directory does not know the sender, "" if it could not be asked
}

// Monitor judges whose mail is kept: a mail is if the person who sent it, or the owner of the mailbox that it
// was sent from, is in the scope and passes the gate. It is safe for concurrent use once its fields are set.
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

// Judge judges each send, in their order. An address that is not known yet is asked for at once. Any error means that
// no verdict can be given now, and that the sends are to be judged again later: nothing may be dropped because the
// directory does not answer. Where no verdict depends on the directory, it may fail.
func (m *Monitor) Judge(ctx context.Context, c connection.ID, t connection.Tenant, sends []Send) ([]Judgement,
	error) {
	scope, err := m.Roster.Scope(ctx, c)
	if err != nil {
		return nil, err
	}
	who, err := m.resolve(ctx, tenant{c, t}, scope, sends)
	if err != nil {
		return nil, fmt.Errorf("judge %d sends of connection %s: %w", len(sends), c, err)
	}
	judged := make([]Judgement, len(sends))
	last := map[ObjectID]time.Time{}
	for i, s := range sends {
		judged[i] = scope.judge(s, who)
		for _, name := range s.people() {
			if k := who[name]; k != nil && k.ID != "" && s.At.After(last[k.ID]) {
				last[k.ID] = s.At
			}
		}
	}
	return judged, m.note(ctx, c, last)
}

// people are the names by which a send is judged under every gate.
func (s Send) people() [2]string { return [2]string{Fold(s.Actor), Fold(s.Mailbox)} }

// names are all names by which a send is judged in the scope. Whom a mail is from counts only where nobody needs more
// than to be in the scope.
func (scope Scope) names(s Send) []string {
	names := []string{Fold(s.Actor), Fold(s.Mailbox)}
	if scope.Gate == None && scope.Kind == Users {
		names = append(names, Fold(s.From))
	}
	return names
}

// judge judges a send by what is known of its people, by name in lower case.
func (scope Scope) judge(s Send, who map[string]*known) Judgement {
	j := Judgement{Verdict: Unknown}
	for i, name := range scope.names(s) {
		k := who[name]
		if k == nil {
			continue
		}
		in := k.in || k.was && s.At.Before(scope.Expanded)
		if j.Coverage == "" && i < len(s.people()) {
			j.Coverage = Stranger
			if k.ID != "" {
				j.Coverage = k.coverageAt(scope.Gate, in, s.At)
			}
		}
		switch {
		case scope.Gate == None && in:
			j.Verdict = Kept
		case k.ID == "":
		case in && k.passed(scope.Gate, s.At):
			j.Verdict = Kept
		case j.Verdict == Unknown:
			j.Verdict = Unmonitored
		}
	}
	if scope.keepsAll() {
		j.Verdict = Kept
	}
	return j
}

// keepsAll reports whether every send is kept, whoever its people are.
func (scope Scope) keepsAll() bool { return scope.Gate == None && scope.Kind == Everybody }

// resolve finds out about everybody in the sends, by name in lower case. If the directory fails where no verdict
// depends on it, the people who could not be looked up are left out.
func (m *Monitor) resolve(ctx context.Context, c tenant, scope Scope, sends []Send) (map[string]*known, error) {
	now := m.Roster.Now()
	who := map[string]*known{}
	sent := map[string]time.Time{} // the last send of each name
	var missing []string
	m.mu.Lock()
	for _, s := range sends {
		for _, n := range scope.names(s) {
			if s.At.After(sent[n]) {
				sent[n] = s.At
			}
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
	found, unasked, err := m.find(ctx, c, missing, sent)
	if err != nil && (!scope.keepsAll() || ctx.Err() != nil) {
		return nil, err
	}
	entries := make([]entry, 0, len(missing))
	for _, n := range missing {
		e, ok := found[n]
		if !ok { // a list may name an address that the directory does not have, as that of a group
			e.ID, e.Addresses = ObjectID(n), []string{n}
		}
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
		e, ok := found[n]
		if !ok && slices.Contains(unasked, n) {
			continue
		}
		id := e.ID
		if !ok {
			id = ObjectID(n)
		}
		k := &known{entry: e, scope: scope.revision, in: in[id], was: was[id], until: now.Add(believed)}
		who[n], m.known[name{c.id, n}] = k, k
	}
	return who, nil
}

// nameable reports whether a name can be a person's, and is not a security identifier, which stands for the system.
func nameable(n string) bool {
	return n != "" && len(n) <= maxName && strings.Contains(n, "@")
}

// find looks names up in the roster, and in the directory those that are not in it. It also asks for people who had
// left and sent something later: they are back, and no census has seen them yet. If the directory
// fails it returns whom the roster knows, and the names that were to be asked for.
func (m *Monitor) find(
	ctx context.Context, c tenant, names []string, sent map[string]time.Time,
) (found map[string]entry, unasked []string, err error) {
	found, err = m.Roster.named(ctx, c.id, names)
	if err != nil {
		return nil, names, err
	}
	var strangers []string
	for _, n := range names {
		if e, ok := found[n]; !ok || !e.gone.IsZero() && sent[n].After(e.gone) {
			strangers = append(strangers, n)
		}
	}
	ask, err := m.Roster.askable(ctx, c.id, strangers)
	if err != nil {
		return found, strangers, err
	}
	if len(ask) == 0 {
		return found, nil, nil
	}
	if err := m.ask(ctx, c, ask); err != nil {
		return found, ask, err
	}
	more, err := m.Roster.named(ctx, c.id, ask)
	for n, e := range more {
		found[n] = e
	}
	if err != nil {
		return found, ask, err
	}
	return found, nil, nil
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
	item := table.Item{Key: unknownKey(c, n), Attrs: table.Attrs{"asked": table.Stamp(now)},
		Expires: now.Add(remembered)}
	if err := r.Table.Load(ctx, item); err != nil {
		return fmt.Errorf("store an unknown address of connection %s: %w", c, err)
	}
	return nil
}

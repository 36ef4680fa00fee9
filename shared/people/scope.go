package people

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/table"
)

// Kind says of whom a scope consists (Incydr: "All", "Specific users", "Specific groups").
type Kind string

const (
	Everybody Kind = "all"
	Users     Kind = "users"  // those of an uploaded list
	Groups    Kind = "groups" // the people in groups of the directory, and in the groups that are in them
)

// MaxGroups is how many groups a scope may name.
const MaxGroups = 100

// Scope says who of a tenant may be monitored, and what they need for it.
type Scope struct {
	Kind   Kind
	Gate   Gate
	Groups []ObjectID
	// Listed is how many addresses the uploaded list has, and Uploaded when it came; zero when there is none.
	Listed   int64
	Uploaded time.Time
	// Expanded is when the groups were last read whole; zero while they were not since the scope named them.
	Expanded time.Time

	users    string // the uploaded list
	members  string // the list of the groups' people
	former   string // the list of them before: who left the groups since is judged by the time of the mail
	revision int64
}

// errPending means that the groups of a scope have not been read yet, so that nobody knows who is in it.
var errPending = fmt.Errorf("the groups of the scope have not been read yet: %w", fault.Retry)

// Scope returns the scope of a connection: by default everybody, by the gate that the connection was made with.
func (r *Roster) Scope(ctx context.Context, c connection.ID) (Scope, error) {
	item, err := r.Table.Get(ctx, scopeKey(c))
	if errors.Is(err, table.ErrAbsent) {
		return r.usual(ctx, c)
	}
	if err != nil {
		return Scope{}, fmt.Errorf("read the scope of connection %s: %w", c, err)
	}
	a := item.Attrs
	text := func(name string) string { s, _ := a[name].(string); return s }
	s := Scope{
		Kind: Kind(text("kind")), Gate: Gate(text("gate")), Uploaded: table.TimeOf(a["uploaded"]),
		Expanded: table.TimeOf(a["expanded"]),
		users:    text("users"), members: text("members"), former: text("former"), revision: item.Revision,
	}
	s.Listed, _ = a["listed"].(int64)
	groups, _ := a["groups"].([]string)
	for _, g := range groups {
		s.Groups = append(s.Groups, ObjectID(g))
	}
	return s, nil
}

// usual is the scope of a connection for which nobody has chosen one.
func (r *Roster) usual(ctx context.Context, c connection.ID) (Scope, error) {
	s := Scope{Kind: Everybody, Gate: Premium}
	if r.Gate == nil {
		return s, nil
	}
	gate, err := r.Gate(ctx, c)
	if err != nil {
		return Scope{}, fmt.Errorf("look which gate connection %s was made with: %w", c, err)
	}
	s.Gate = gate
	return s, nil
}

// store writes a scope at the revision it was read. table.ErrConflict means that another writer changed it.
func (r *Roster) store(ctx context.Context, c connection.ID, s Scope) error {
	groups := make([]string, len(s.Groups))
	for i, g := range s.Groups {
		groups[i] = string(g)
	}
	op := table.Op{Verb: table.Replace, Item: table.Item{Key: scopeKey(c), Revision: s.revision, Attrs: table.Attrs{
		"kind": string(s.Kind), "gate": string(s.Gate), "groups": groups, "listed": s.Listed,
		"uploaded": table.Stamp(s.Uploaded),
		"expanded": table.Stamp(s.Expanded), "users": s.users, "members": s.members, "former": s.former,
	}}}
	if s.revision == 0 {
		op.Verb = table.Create
	}
	if err := r.Table.Commit(ctx, op); err != nil {
		return fmt.Errorf("store the scope of connection %s: %w", c, err)
	}
	return nil
}

// maxTries bounds how often a change of a scope is tried again when another writer came first.
const maxTries = 5

// change applies f to the scope. f may run several times; it leaves a scope alone that is already as it should be.
func (r *Roster) change(ctx context.Context, c connection.ID, f func(*Scope)) (Scope, error) {
	var failed error
	for range maxTries {
		s, err := r.Scope(ctx, c)
		if err != nil {
			return Scope{}, err
		}
		next := s
		next.Groups = slices.Clone(s.Groups)
		f(&next)
		if next.same(s) && s.revision > 0 {
			return s, nil
		}
		if failed = r.store(ctx, c, next); failed == nil {
			return r.Scope(ctx, c)
		}
		if errors.Is(failed, table.ErrInvalid) || ctx.Err() != nil {
			break
		}
	}
	return Scope{}, fmt.Errorf("%w: %w", fault.Retry, failed)
}

func (s Scope) same(o Scope) bool {
	return s.Kind == o.Kind && s.Gate == o.Gate && slices.Equal(s.Groups, o.Groups) && s.users == o.users &&
		s.members == o.members && s.former == o.former &&
		s.Listed == o.Listed && s.Uploaded.Equal(o.Uploaded) && s.Expanded.Equal(o.Expanded)
}

// SetScope changes who is in scope. It takes effect with the next message that is read, in blobs that are open
// too, because a mail is judged when it is read. What was kept stays. If the groups change, the next census
// reads them, and blobs stay open until then.
func (r *Roster) SetScope(ctx context.Context, c connection.ID, kind Kind, gate Gate, groups []ObjectID) (Scope,
	error) {
	return r.change(ctx, c, func(s *Scope) {
		if !slices.Equal(s.Groups, groups) {
			s.members, s.Expanded = "", time.Time{}
		}
		s.Kind, s.Gate, s.Groups = kind, gate, groups
	})
}

// ReplaceUsers replaces the uploaded list. The addresses are in lower case and distinct. The list is complete
// before the scope refers to it, so the old one counts until the last moment; a crash in between leaves a list
// that the next census removes.
func (r *Roster) ReplaceUsers(ctx context.Context, c connection.ID, addresses []string) (Scope, error) {
	list, err := r.newList(ctx, c)
	if err != nil {
		return Scope{}, err
	}
	for chunk := range slices.Chunk(addresses, 1000) {
		if err := r.enlist(ctx, c, list, chunk); err != nil {
			return Scope{}, err
		}
	}
	now := moment(r.Now())
	return r.change(ctx, c, func(s *Scope) {
		s.users, s.Listed, s.Uploaded = list, int64(len(addresses)), now
	})
}

// newList begins a list. Its name is stored before its first entry, so that no list is ever left behind unnoticed.
func (r *Roster) newList(ctx context.Context, c connection.ID) (string, error) {
	b := make([]byte, 8)
	if _, err := io.ReadFull(r.Rand, b); err != nil {
		return "", fmt.Errorf("read randomness: %w", err)
	}
	list := hex.EncodeToString(b)
	item := table.Item{Key: table.Key{Partition: listsPartition(c), Sort: list},
		Attrs: table.Attrs{"begun": table.Stamp(r.Now())}}
	if err := r.Table.Load(ctx, item); err != nil {
		return "", fmt.Errorf("begin a list of connection %s: %w", c, err)
	}
	return list, nil
}

func (r *Roster) enlist(ctx context.Context, c connection.ID, list string, entries []string) error {
	items := make([]table.Item, len(entries))
	for i, e := range entries {
		items[i] = table.Item{Key: listKey(c, list, e)}
	}
	if err := r.Table.Load(ctx, items...); err != nil {
		return fmt.Errorf("store a list of connection %s: %w", c, err)
	}
	return nil
}

// abandoned is the age at which a list that no scope refers to is removed: its writer has given up by then.
const abandoned = 24 * time.Hour

// tidy removes the lists that the scope no longer refers to.
func (r *Roster) tidy(ctx context.Context, c connection.ID) error {
	s, err := r.Scope(ctx, c)
	if err != nil {
		return err
	}
	lists, err := r.lists(ctx, c)
	if err != nil {
		return err
	}
	limit := r.Now().Add(-abandoned)
	for list, begun := range lists {
		if list == s.users || list == s.members || list == s.former || !begun.Before(limit) {
			continue
		}
		for b, done := 0, false; b < buckets; {
			if _, done, err = table.Empty(ctx, r.Table, table.Query{Partition: listPartition(c, list, b)}, 1000); err != nil {
				return fmt.Errorf("drop a list of connection %s: %w", c, err)
			}
			if done {
				b++
			}
		}
		name := table.Item{Key: table.Key{Partition: listsPartition(c), Sort: list}}
		if err := r.Table.Commit(ctx, table.Op{Verb: table.Delete, Item: name}); err != nil {
			return fmt.Errorf("drop a list of connection %s: %w", c, err)
		}
	}
	return nil
}

// lists returns the names of all lists, with the time at which each was begun.
func (r *Roster) lists(ctx context.Context, c connection.ID) (map[string]time.Time, error) {
	lists := map[string]time.Time{}
	for item, err := range r.Table.Query(ctx, table.Query{Partition: listsPartition(c)}) {
		if err != nil {
			return nil, fmt.Errorf("list the lists of connection %s: %w", c, err)
		}
		lists[item.Sort] = table.TimeOf(item.Attrs["begun"])
	}
	return lists, nil
}

// expanded is the scope with a new list of its groups' people. The former list is kept for mail that was sent
// earlier: audit records arrive hours after accounts are deleted or removed from groups. Of several lists
// within half a day, the first is the one that is kept.
func (s Scope) expanded(list string, now time.Time) Scope {
	if now.Sub(s.Expanded) >= changesEvery/2 {
		s.former = s.members
	}
	s.members, s.Expanded = list, now
	return s
}

// before is the scope as it was before its groups were last read. ok is false when there was none, or when it
// makes no difference.
func (s Scope) before() (was Scope, ok bool) {
	was = s
	was.members = s.former
	return was, s.Kind == Groups && s.former != ""
}

// within reports which of the entries are in the scope.
func (r *Roster) within(ctx context.Context, c connection.ID, s Scope, entries []entry) (map[ObjectID]bool, error) {
	in := make(map[ObjectID]bool, len(entries))
	list, names := s.users, func(e entry) []string { return e.names() }
	switch s.Kind {
	case Groups:
		if s.members == "" && len(s.Groups) > 0 {
			return nil, fmt.Errorf("connection %s: %w", c, errPending)
		}
		list, names = s.members, func(e entry) []string { return []string{string(e.ID)} }
	case Users:
	default:
		for _, e := range entries {
			in[e.ID] = true
		}
		return in, nil
	}
	if list == "" {
		return in, nil
	}
	owners := map[table.Key][]ObjectID{}
	keys := make([]table.Key, 0, len(entries))
	for _, e := range entries {
		for _, name := range names(e) {
			key := listKey(c, list, name)
			owners[key] = append(owners[key], e.ID)
			keys = append(keys, key)
		}
	}
	items, err := r.Table.GetMany(ctx, keys)
	if err != nil {
		return nil, fmt.Errorf("look up the scope of connection %s: %w", c, err)
	}
	for _, item := range items {
		for _, id := range owners[item.Key] {
			in[id] = true
		}
	}
	return in, nil
}

package connection

import (
	"context"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/shared/access"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/table"
)

var (
	// ErrName means that another connection has the display name, in whatever letter case.
	ErrName = conflict("displayName", "ALREADY_REGISTERED", "The display name is already registered.")
	// ErrTenant means that the tenant belongs to another connection, or the connection to another tenant.
	ErrTenant = errors.New("the tenant is already registered with another connection")
	// ErrNotFound means that there is no connection with that id.
	ErrNotFound error = &access.Refused{Status: http.StatusNotFound, Problems: []access.Problem{
		{Field: "id", Type: "NOT_FOUND", Description: "There is no such connection."},
	}}
	// ErrDeauthorized means that the connection was deauthorized and must be resumed before it is authorized again. So
	// a consent that was already under way cannot undo the deauthorizing.
	ErrDeauthorized = conflict("id", "DEAUTHORIZED", "The connection is deauthorized: resume it first.")
	// ErrPurging means that the connection is being deleted with all its data, which cannot be undone.
	ErrPurging = conflict("id", "PURGING", "The connection is being deleted, and cannot be changed any more.")
	// ErrInUse means that the connection is followed, and must be deauthorized before it can be deleted.
	ErrInUse = conflict("id", "IN_USE", "The connection is followed: deauthorize it first.")
	// ErrLink means that the link is unknown, has expired, or was used before. It never says which.
	ErrLink = errors.New("the link is not valid any more")
)

// conflict is an error for what cannot be done as things stand: 409.
func conflict(field, kind, description string) error {
	return &access.Refused{
		Status:   http.StatusConflict,
		Problems: []access.Problem{{Field: field, Type: kind, Description: description}},
	}
}

// Poller is who made a change, in the history, when polling the tenant brought it about.
const Poller = "mailtrail"

const (
	maxTries   = 5   // how often a write is tried again after another writer came first, or after the table failed
	maxHistory = 500 // how many changes History returns
)

// Registry holds the connections. It is safe for concurrent use, also by several processes: a change replaces the item
// at the revision that was read, and is repeated when another writer came first.
type Registry struct {
	Table table.Table
	Now   func() time.Time
	Rand  io.Reader
	// Changed, if not nil, is called with every change of status once it is durable, and with who made it. After a
	// crash between the two it is not called; the history has the change.
	Changed func(c Connection, by string)
	// Share says on which connections the agents that use this registry work. Followed, Stopping and the Purger leave
	// out all others. nil means all.
	Share func(ID) bool
}

// Add registers a connection that waits for an administrator's consent. link opens the page where the consent begins;
// it works once, for 24 hours, and only the hash of its secret is stored. Errors: *access.Refused, ErrName, or the
// table's.
func (r *Registry) Add(
	ctx context.Context, displayName string, cloud Cloud, by string,
) (c Connection, link string, err error) {
	return r.AddFor(ctx, displayName, cloud, "", by)
}

// AddFor is Add for one tenant, which is named by its id or by one of its domains: no other can consent. "" is any.
func (r *Registry) AddFor(
	ctx context.Context, displayName string, cloud Cloud, tenant, by string,
) (c Connection, link string, err error) {
	name, err := cleanName(displayName)
	if err != nil {
		return Connection{}, "", err
	}
	if cloud, err = ParseCloud(string(cloud)); err != nil {
		return Connection{}, "", access.Invalid("cloud", "The cloud must be one of commercial, gcc, gcchigh, dod.")
	}
	if tenant, err = cleanTenant(tenant); err != nil {
		return Connection{}, "", err
	}
	for range maxTries {
		c, link, err = r.add(ctx, name, cloud, tenant, by)
		if err == nil || errors.Is(err, ErrName) || errors.Is(err, table.ErrInvalid) || ctx.Err() != nil {
			break
		}
	}
	if err != nil {
		return Connection{}, "", fmt.Errorf("add connection %q: %w", name, err)
	}
	return c, link, nil
}

// add writes the connection, its lock on the name and its first history in one Commit: all are there, or none.
func (r *Registry) add(ctx context.Context, name string, cloud Cloud, tenant, by string) (Connection, string, error) {
	id, err := r.newID()
	if err != nil {
		return Connection{}, "", err
	}
	now := r.now()
	s := stored{
		Connection: Connection{
			ID: id, DisplayName: name, Tenant: Tenant{Cloud: cloud}, Wanted: tenant,
			Status: Initializing, Since: now, Reason: waitsForConsent, Created: now, CreatedBy: by, KeepsAll: true,
		},
		changes: 1,
	}
	link, err := r.openLink(&s, now)
	if err != nil {
		return Connection{}, "", err
	}
	first := Change{At: now, Status: s.Status, Reason: s.Reason, By: by}
	err = r.Table.Commit(ctx,
		table.Op{Verb: table.Create, Item: lock(nameKey(fold(name)), id)},
		table.Op{Verb: table.Create, Item: s.item()},
		table.Op{Verb: table.Create, Item: first.item(id, s.changes)},
	)
	if err == nil {
		return s.Connection, link, nil
	}
	// Who holds the name now shows what happened: another writer, nobody (try again), or we ourselves if the table did
	// it and then reported a failure.
	switch holder, held := r.holder(ctx, nameKey(fold(name))); {
	case held != nil && !errors.Is(held, table.ErrAbsent):
		return Connection{}, "", errors.Join(err, held)
	case held == nil && holder == id:
		return s.Connection, link, nil
	case held == nil:
		return Connection{}, "", ErrName
	}
	return Connection{}, "", err
}

// Get returns the connection, or ErrNotFound.
func (r *Registry) Get(ctx context.Context, id ID) (Connection, error) {
	s, err := r.get(ctx, id)
	return s.Connection, err
}

func (r *Registry) get(ctx context.Context, id ID) (stored, error) {
	if !id.valid() {
		return stored{}, ErrNotFound
	}
	item, err := r.Table.Get(ctx, connectionKey(id))
	if errors.Is(err, table.ErrAbsent) {
		return stored{}, ErrNotFound
	}
	if err != nil {
		return stored{}, fmt.Errorf("get connection %s: %w", id, err)
	}
	return storedOf(item)
}

// List returns all connections, by id.
func (r *Registry) List(ctx context.Context) ([]Connection, error) {
	return r.list(ctx, func(Connection) bool { return true })
}

// IDs returns the ids of all connections.
func (r *Registry) IDs(ctx context.Context) ([]string, error) {
	all, err := r.List(ctx)
	ids := make([]string, len(all))
	for i, c := range all {
		ids[i] = string(c.ID)
	}
	return ids, err
}

// Followed returns the connections whose audit log is followed and whose events searches show.
func (r *Registry) Followed(ctx context.Context) ([]Connection, error) {
	return r.list(ctx, func(c Connection) bool { return c.Followed() && r.shares(c) })
}

// Follows says whether the connection is followed now: only then may anything of its tenant be stored. A connection
// that does not exist is not followed.
func (r *Registry) Follows(ctx context.Context, id ID) (bool, error) {
	c, err := r.Get(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return c.Followed(), err
}

func (r *Registry) shares(c Connection) bool { return r.Share == nil || r.Share(c.ID) }

func (r *Registry) list(ctx context.Context, keep func(Connection) bool) ([]Connection, error) {
	var out []Connection
	for item, err := range r.Table.Query(ctx, table.Query{Partition: connectionPartition}) {
		if err != nil {
			return nil, fmt.Errorf("list connections: %w", err)
		}
		s, err := storedOf(item)
		if err != nil {
			return nil, err
		}
		if keep(s.Connection) {
			out = append(out, s.Connection)
		}
	}
	return out, nil
}

// History returns the connection's changes, the newest first, 500 of them at most.
func (r *Registry) History(ctx context.Context, id ID) ([]Change, error) {
	if !id.valid() {
		return nil, ErrNotFound
	}
	var out []Change
	newest := table.Query{Partition: historyPartition(id), Backward: true, Limit: maxHistory}
	for item, err := range r.Table.Query(ctx, newest) {
		if err != nil {
			return nil, fmt.Errorf("list history of connection %s: %w", id, err)
		}
		c, err := changeOf(item)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// change applies f to the connection and stores the result in one Commit, together with an item of history if its
// status or reason changed, and with the operations that f returns. f may run several times, so it must be idempotent:
// it changes nothing if the connection is already as it should be, and then nothing is written. That is how a Commit
// that was done but reported as failed is recognized.
func (r *Registry) change(
	ctx context.Context,
	id ID,
	by string,
	f func(*stored) ([]table.Op, error),
) (Connection, error) {
	var failed error
	for range maxTries {
		was, err := r.get(ctx, id)
		if err != nil {
			return Connection{}, err
		}
		next := was
		ops, err := f(&next)
		if err != nil || next == was {
			return next.Connection, err
		}
		if next.Status != was.Status {
			next.Since = r.now()
		}
		if next.Status != was.Status || next.Reason != was.Reason {
			next.changes++
			step := Change{At: r.now(), Status: next.Status, Reason: next.Reason, By: by}
			ops = append(ops, table.Op{Verb: table.Create, Item: step.item(id, next.changes)})
		}
		ops = append(ops, table.Op{Verb: table.Replace, Item: next.item()})
		if failed = r.Table.Commit(ctx, ops...); failed == nil {
			if next.Status != was.Status && r.Changed != nil {
				r.Changed(next.Connection, by)
			}
			return next.Connection, nil
		}
		if errors.Is(failed, table.ErrInvalid) || ctx.Err() != nil {
			break
		}
	}
	return Connection{}, fmt.Errorf("change connection %s: %w: %w", id, fault.Retry, failed)
}

// holder returns the connection that holds a lock, or table.ErrAbsent.
func (r *Registry) holder(ctx context.Context, key table.Key) (ID, error) {
	item, err := r.Table.Get(ctx, key)
	if err != nil {
		return "", fmt.Errorf("read lock %s: %w", key.Partition, err)
	}
	id, _ := item.Attrs["connection"].(string)
	return ID(id), nil
}

func lock(key table.Key, id ID) table.Item {
	return table.Item{Key: key, Attrs: table.Attrs{"connection": string(id)}}
}

// now is the clock in whole milliseconds, as items hold times: a stored moment equals itself when it is read again.
func (r *Registry) now() time.Time { return r.Now().UTC().Truncate(time.Millisecond) }

const idLetters = "abcdefghijklmnopqrstuvwxyz234567"

func (r *Registry) newID() (ID, error) {
	b, err := random(r.Rand, 8)
	if err != nil {
		return "", err
	}
	return ID(base32.NewEncoding(idLetters).EncodeToString(b)[:12]), nil
}

func (id ID) valid() bool {
	return len(id) == 12 && strings.Trim(string(id), "abcdefghijklmnopqrstuvwxyz0123456789") == ""
}

// random reads exactly n bytes.
func random(from io.Reader, n int) ([]byte, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(from, b); err != nil {
		return nil, fmt.Errorf("read randomness: %w", err)
	}
	return b, nil
}

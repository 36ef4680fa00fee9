package access

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/mailtrail/mailtrail/shared/table"
)

// MaxDays is how many days one List may span.
const MaxDays = 366

// Entry is one act: a search, a look at people or at the trail, or a change by an administrator.
type Entry struct {
	At      time.Time
	Who     string // a client's id, or an administrator's object id
	What    string // the act: "connection.add", "search"
	Detail  string // what exactly was asked, as JSON; "" if What says it all
	Count   int64  // how many results were returned; 0 for a change
	Purpose string // why, in the caller's words; may be ""
	// Connections are those that the act concerns; nil is all of them, or none in particular. A limited client sees the
	// entries that concern only connections of its limit. Entries that were stored before this was kept have nil.
	Connections Limit
}

// visible reports whether a caller with the limit may see the entry.
func (e Entry) visible(limit Limit) bool { return e.Connections.Within(limit) || limit == nil }

// Trail records every search and every administrative act: who, what, when, and how many results. It is safe for
// concurrent use.
//
// A change is recorded before it is done, and a search before its answer leaves. If recording fails, the act fails:
// otherwise somebody who can make the table fail could look around unseen. So the trail may have an act that did not
// succeed, but it never misses one that did.
type Trail struct {
	Table table.Table
	Now   func() time.Time
	Rand  io.Reader
}

// Act records what the caller of ctx is about to do and which connections it concerns; nil is the caller's limit.
// detail is stored as JSON, unless it is nil.
func (t *Trail) Act(ctx context.Context, what string, connections Limit, detail any) error {
	e := Entry{What: what, Connections: connections}
	if detail != nil {
		text, err := json.Marshal(detail)
		if err != nil {
			return fmt.Errorf("record %s: %w", what, err)
		}
		e.Detail = string(text)
	}
	return t.Record(ctx, e)
}

// Record stores the entry; it is durable when Record returns nil. Who, if it is empty, and Connections, if they are
// nil, are those of the caller of ctx; a zero At is now. Recording again after an error may leave the entry twice.
func (t *Trail) Record(ctx context.Context, e Entry) error {
	caller := From(ctx)
	if e.Who == "" {
		e.Who = caller.ID
	}
	if e.Connections == nil {
		e.Connections = caller.Limit
	}
	if e.Who == "" || e.What == "" {
		return errors.New("record in the trail: an entry needs who and what")
	}
	if e.Detail != "" && !json.Valid([]byte(e.Detail)) {
		return fmt.Errorf("record %s by %s: the detail is not JSON", e.What, e.Who)
	}
	if e.At.IsZero() {
		e.At = t.Now()
	}
	b, err := random(t.Rand, 8)
	if err != nil {
		return fmt.Errorf("record %s by %s: %w", e.What, e.Who, err)
	}
	item := table.Item{
		Key: table.Key{Partition: trailPartition(e.At), Sort: moment(e.At) + "|" + hex.EncodeToString(b)},
		Attrs: table.Attrs{
			"at": moment(e.At), "who": e.Who, "what": e.What, "detail": e.Detail, "count": e.Count, "purpose": e.Purpose,
		},
	}
	if e.Connections != nil {
		item.Attrs["connections"] = []string(e.Connections)
	}
	created, err := t.Table.Create(ctx, item)
	if err == nil && !created[0] {
		err = table.ErrConflict
	}
	if err != nil {
		return fmt.Errorf("record %s by %s: %w", e.What, e.Who, err)
	}
	return nil
}

// List yields the entries of [from, to), oldest first, at most MaxDays of them. After it yields an error it ends.
func (t *Trail) List(ctx context.Context, from, to time.Time) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		if !from.Before(to) {
			return
		}
		if to.Sub(from) > MaxDays*24*time.Hour {
			yield(Entry{}, fmt.Errorf("list the trail: from %s to %s is more than %d days", from, to, MaxDays))
			return
		}
		for item, err := range t.items(ctx, from, to) {
			e, err := entryOf(item, err)
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

func entryOf(item table.Item, err error) (Entry, error) {
	if err != nil {
		return Entry{}, fmt.Errorf("list the trail: %w", err)
	}
	text := func(name string) string { s, _ := item.Attrs[name].(string); return s }
	at, err := time.Parse(momentFormat, text("at"))
	if err != nil {
		return Entry{}, fmt.Errorf("list the trail: entry %q: %w", item.Sort, err)
	}
	count, _ := item.Attrs["count"].(int64)
	connections, _ := item.Attrs["connections"].([]string)
	return Entry{
		At: at, Who: text("who"), What: text("what"), Detail: text("detail"), Count: count, Purpose: text("purpose"),
		Connections: connections,
	}, nil
}

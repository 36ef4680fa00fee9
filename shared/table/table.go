// Package table is the smallest contract that both DynamoDB and an embedded ordered store meet: items under a partition
// and a sort key, ordered by the sort key's bytes within their partition. The rooms that store (connection, audit,
// forensic, access) know only this package; the adapters dynamo and embedded meet it, and tabletest holds them to it.
package table

import (
	"context"
	"errors"
	"iter"
	"time"
	"unicode/utf8"
)

// Limits, which are DynamoDB's: every adapter refuses what passes them with ErrInvalid, so that what works on one
// machine works on AWS.
const (
	MaxPartition = 2048       // bytes of a partition key
	MaxSort      = 1024       // bytes of a sort key
	MaxItem      = 400 * 1024 // bytes of an item: names and values, as Size counts them
	MaxCommit    = 100        // operations of one Commit
	MaxTogether  = 4 << 20    // bytes of the items of one Commit
	MaxName      = 65535      // bytes of an attribute's name
	MaxDepth     = 30         // levels of lists and maps in an item, of which []Attrs is two
)

var (
	// ErrAbsent means that there is no item under that key.
	ErrAbsent = errors.New("no such item")
	// ErrConflict means that a condition did not hold, and that nothing was written: a created key was there already, or
	// a replaced, checked or deleted item is not at the revision that was read.
	ErrConflict = errors.New("item was changed by another writer")
	// ErrInvalid means that the call itself is wrong (a limit passed, an empty key, one key twice): trying again is
	// useless.
	ErrInvalid = errors.New("invalid table operation")
)

// Table is one table of items. It is safe for concurrent use.
//
// A write is durable when its call returns nil. ErrInvalid and ErrConflict mean that the call wrote nothing. A write
// whose call returned any other error may or may not have happened: its caller finds out by reading, or writes the same
// again. Reads see every write whose call returned before they began, unless a query asks for less.
//
// An expired item is absent for all that follows: reads do not return it, Create takes its key, and no revision holds.
type Table interface {
	// Get returns the item under key, or ErrAbsent.
	Get(ctx context.Context, key Key) (Item, error)

	// GetMany returns those items of keys that are there, in no particular order. Any number of keys; a key that comes
	// twice gives its item once.
	GetMany(ctx context.Context, keys []Key) ([]Item, error)

	// Query yields the items of one partition in the order asked for, page by page as it is consumed. After it
	// yields an error it ends. Items written while it runs may or may not be seen.
	Query(ctx context.Context, q Query) iter.Seq2[Item, error]

	// Commit does 1 to MaxCommit operations on different keys, all or none of them. ErrConflict means that a condition did
	// not hold. It costs twice the units of Load on DynamoDB, unless it is Alone, so it is for what must be all or
	// nothing.
	Commit(ctx context.Context, ops ...Op) error

	// Load puts any number of items, each by itself and without condition: after an error some are written. Loading the
	// same items again is harmless, so after an error the caller loads all of them again. Of items under one key the last
	// stays.
	Load(ctx context.Context, items ...Item) error

	// Create puts any number of items, each by itself and only if its key is free. created[i] reports whether items[i] is
	// new. After an error created is nil, and some items may be written. Of items under one key the first is the new one.
	// An item that is not new is durable too, although another call wrote it.
	Create(ctx context.Context, items ...Item) (created []bool, err error)
}

// Key names an item. Both parts are non-empty UTF-8.
type Key struct {
	Partition string
	Sort      string
}

// Attrs are the named values of an item. A value is a string, []byte, int64, bool, []string, Attrs or []Attrs; any
// other kind, and nil, is ErrInvalid, and so is a string that is not UTF-8 and an empty name. A string or Attrs may be
// empty. An empty list is not stored, because DynamoDB does not record the kind of an empty list: it reads back as
// absent, which is the same nil slice to a type assertion. Stored as native attributes, readable in the AWS console. In
// an item the names "pk", "sk", "rev" and "ttl" are the adapters' own, and refused.
type Attrs map[string]any

// Item is what is stored under a key.
type Item struct {
	Key
	Attrs Attrs // may be nil: an index posting has everything in its key
	// Expires is when the item stops being there, cut to the second, and after 1970; the zero time is never. Reads give it
	// back in UTC. Expired items are deleted some time later.
	Expires time.Time
	// Revision is set by the table on reading and names this version of an item. It is greater than 0 for an item written
	// by Create or Replace, changes with every Replace, and does not come back when the item is deleted and created again.
	// Put and Load leave it 0: an item is either replaced under its revision all its life or put blindly all its life.
	// What a caller sets here counts for Replace, Delete and Check only.
	Revision int64
}

// Op is one operation of a Commit.
type Op struct {
	Verb Verb
	Item Item // for Delete and Check only Key and Revision count
}

// Verb says what an Op does.
type Verb int

const (
	Put     Verb = iota + 1 // write, whatever is there
	Create                  // write if the key is free
	Replace                 // write if the item is at Item.Revision, which is not 0
	// delete; if Item.Revision is not 0, only at that revision. At revision 0 an absent item may be deleted
	Delete
	Check // write nothing, but conflict unless the item is at Item.Revision (0: unless the key is free)
)

// Query asks for items of one partition. A bound that no key could have (too long, not UTF-8), and a Limit below 0, is
// ErrInvalid; a From that is not before To finds nothing.
type Query struct {
	Partition string
	From      string // first sort key, inclusive; "" is from the start
	To        string // first sort key not included; "" is to the end
	Backward  bool   // from the last to the first
	Limit     int    // at most so many items; 0 is all
	// Eventual accepts that the newest writes are not seen yet, at half the read units on DynamoDB.
	Eventual bool
}

// Prefix bounds q to the sort keys that start with prefix.
func (q Query) Prefix(prefix string) Query {
	q.From, q.To = prefix, After(prefix)
	return q
}

// After is the smallest string of UTF-8 that is greater than every such string starting with prefix, or "" when there
// is none. DynamoDB takes no other strings as bounds, so it is characters that are incremented, not bytes; their order
// is the same. A prefix that is not UTF-8 itself bounds nothing, and a query from it is ErrInvalid.
func After(prefix string) string {
	for prefix != "" {
		last, size := utf8.DecodeLastRuneInString(prefix)
		prefix = prefix[:len(prefix)-size]
		switch last {
		case utf8.MaxRune: // nothing follows it in its place
			continue
		case 0xd7ff: // what follows are surrogates, which are not characters
			last = 0xdfff
		}
		return prefix + string(last+1)
	}
	return ""
}

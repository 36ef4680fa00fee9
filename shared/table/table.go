// Package table is the smallest contract that both DynamoDB and an embedded ordered store meet: items under a partition
// and a sort key, ordered by the sort key's bytes within their partition. The rooms that store (connection, audit,
// forensic, access) know only this package; the adapters dynamo and embedded meet it, and tabletest holds them to it.
package table

import (
	"context"
	"errors"
	"iter"
	"time"
)

// Limits, which are DynamoDB's: every adapter refuses what passes them with ErrInvalid, so that what works on one machine
// works on AWS.
const (
	MaxPartition = 2048       // bytes of a partition key
	MaxSort      = 1024       // bytes of a sort key
	MaxItem      = 400 * 1024 // bytes of an item: names and values, as Size counts them
	MaxCommit    = 100        // operations of one Commit
)

var (
	// ErrAbsent means that there is no item under that key.
	ErrAbsent = errors.New("no such item")
	// ErrConflict means that a condition did not hold, and that nothing was written: a created key was there already, or
	// a replaced item is not at the revision that was read.
	ErrConflict = errors.New("item was changed by another writer")
	// ErrInvalid means that the call itself is wrong (a limit passed, an empty key, one key twice): trying again is useless.
	ErrInvalid = errors.New("invalid table operation")
)

// Table is one table of items. It is safe for concurrent use.
//
// A write is durable when its call returns nil. A write whose call returned an error that is none of the above may or may
// not have happened: whoever wrote finds out by reading, or writes the same again. Reads are strongly consistent
// within a partition unless a query asks for less.
type Table interface {
	// Get returns the item under key, or ErrAbsent. An expired item is absent.
	Get(ctx context.Context, key Key) (Item, error)

	// GetMany returns those items of keys that are there, in no particular order. Any number of keys.
	GetMany(ctx context.Context, keys []Key) ([]Item, error)

	// Query yields the items of one partition in the order asked for, page by page as it is consumed. After it
	// yields an error it ends. Items written while it runs may or may not be seen.
	Query(ctx context.Context, q Query) iter.Seq2[Item, error]

	// Commit does 1 to MaxCommit operations on different keys, all or none of them. ErrConflict tells that a condition
	// failed. It costs twice the units of Load on DynamoDB, so it is for what must be all or nothing.
	Commit(ctx context.Context, ops ...Op) error

	// Load puts any number of items, each on its own and unconditionally: after an error some are written. Loading the
	// same items again is harmless, so whoever gets an error loads all again.
	Load(ctx context.Context, items ...Item) error

	// Create puts each item if its key is free, each on its own, any number of them. created[i] tells whether items[i]
	// is new; after an error created is nil, and some are written.
	Create(ctx context.Context, items ...Item) (created []bool, err error)
}

// Key names an item. Both parts are non-empty UTF-8.
type Key struct {
	Partition string
	Sort      string
}

// Attrs are the named values of an item. A value is a string, int64, bool, []string, Attrs or []Attrs; a nil or
// empty value of any other kind is ErrInvalid. Stored as native attributes, readable in the AWS console.
// The names "pk", "sk", "rev" and "ttl" are the adapters' own.
type Attrs map[string]any

// Item is what is stored under a key.
type Item struct {
	Key
	Attrs Attrs // may be nil: an index posting says all in its key
	// Expires is when the item stops being there, to the second; zero is never. An expired item is not returned, and deleted at leisure.
	Expires time.Time
	// Revision is set by the table on reading and names this version of an item. It is not 0 for an item written by Create
	// or Replace, and changes with every Replace. Put and Load leave it 0: an item is either replaced
	// under its revision all its life or put blindly all its life.
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
	Replace                 // write if the item is at Item.Revision
	Delete                  // delete; if Item.Revision is not 0, only at that revision. Deleting what is absent is fine at revision 0.
	Check                   // write nothing, but conflict unless the item is at Item.Revision (0: unless the key is free)
)

// Query asks for items of one partition.
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

// After is the smallest string that is greater than every string starting with prefix, or "" when there is none.
func After(prefix string) string {
	b := []byte(prefix)
	for i := len(b) - 1; i >= 0; i-- {
		// UTF-8 never holds 0xff, and the bound itself must stay UTF-8 for DynamoDB: only ASCII separators are
		// incremented, other tails are extended by the greatest character.
		if b[i] < 0x7f {
			return string(b[:i]) + string(rune(b[i]+1))
		}
		return prefix + "\U0010ffff"
	}
	return ""
}

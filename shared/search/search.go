// Package search answers Forensic Search: it reads a query in Incydr's shape (POST /v2/file-events), finds the file
// events that match it by the term index, and writes them as Incydr's v2 event documents.
//
// A query is parsed (parse.go) into a tree of predicates over terms (terms.go). The plan (plan.go) picks an ordered
// stream of postings that covers all matches; the run (run.go) loads each posting's message and evaluates the whole
// query on each of its events, so a stream must be complete but need not be exact. Predicates and documents read the
// same table of terms, so what matches is what is shown.
package search

import (
	"context"
	"log/slog"
	"time"

	"github.com/mailtrail/mailtrail/shared/access"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/table"
)

// Connections lists the connections to search.
type Connections interface {
	// Followed returns the connections whose events searches show, in any order. It is safe for concurrent use.
	Followed(ctx context.Context) ([]connection.Connection, error)
}

// Watermarks says how far the events of a connection are settled.
type Watermarks interface {
	// Watermark returns an arrival: no event of the connection with it or an earlier one is still to come. It is safe for
	// concurrent use.
	Watermark(ctx context.Context, c connection.ID) (time.Time, error)
}

// Trail records searches.
type Trail interface {
	// Record stores the entry; it is durable when Record returns nil. It is safe for concurrent use.
	Record(ctx context.Context, e access.Entry) error
}

// Search answers queries over the file events of all followed connections. It is safe for concurrent use, keeps no
// state between queries, and only reads the table.
type Search struct {
	Events      table.Table
	Connections Connections
	Watermarks  Watermarks
	Domains     Domains // nil: the sender's own domain is the company's
	Trail       Trail
	// Packs are read in the place of postings where they have the answer; nil: there are none.
	Packs *Packs
	Now   func() time.Time
	Log   *slog.Logger
	Limit time.Duration // how long one search may take; 0 is as long as its context allows
	// MaxAnswer is how many bytes an answer may have before it is compressed; 0 is no limit. In token mode a page
	// ends where the next event would pass it, and the rest comes with the next token; a page holds one event at
	// least. Pages by number cannot be shortened without losing events, so the trigger compresses or refuses them.
	MaxAnswer int
}

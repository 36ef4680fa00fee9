package search

import "iter"

// Result is one page of a search.
type Result struct {
	// Total is how many events match, exact below MaxRows; MaxRows means that many or more. For a query by time only it is
	// counted in the index, which may count an event that is just being stored.
	Total  int
	Next   string // token of the next page (Incydr: nextPgToken); "" on the last page and outside token mode
	events []event
}

// Len is how many events the page has.
func (r Result) Len() int { return len(r.events) }

// Documents yields the documents of the page's events (Incydr: event document v2) as JSON. Each is valid until the
// next.
func (r Result) Documents() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		var b []byte
		for i := range r.events {
			if b = theSchema().appendDocument(b[:0], &r.events[i]); !yield(b) {
				return
			}
		}
	}
}

// cut ends the page before its documents and their commas exceed most bytes, but not before its first event.
func (r *Result) cut(most int) {
	n, size := 0, 0
	for document := range r.Documents() {
		if size += len(document) + 1; size > most && n > 0 {
			r.events, r.Next = r.events[:n], r.events[n-1].id()
			return
		}
		n++
	}
}

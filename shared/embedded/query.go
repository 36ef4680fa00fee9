package embedded

import (
	"context"
	"errors"
	"iter"

	"github.com/cockroachdb/pebble/v2"

	"github.com/mailtrail/mailtrail/shared/table"
)

// A query reads pages, and holds nothing of the store while its consumer works. The first page is small, because many
// consumers stop early; the next ones grow.
const (
	firstPage   = 64
	lastPage    = 1024
	pageBytes   = 1 << 20   // also what DynamoDB calls a page
	pageExpired = 64 * 1024 // expired items that one page passes over
)

// Query implements table.Table. Each page is of one moment.
func (t *Table) Query(ctx context.Context, q table.Query) iter.Seq2[table.Item, error] {
	return func(yield func(table.Item, error) bool) {
		if err := q.Valid(); err != nil {
			yield(table.Item{}, err)
			return
		}
		r := t.reader(q)
		defer r.charge()
		for !r.ended {
			items, err := r.page(ctx)
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			if err != nil {
				yield(table.Item{}, t.failed("query", err))
				return
			}
		}
	}
}

// reader is a query under way.
type reader struct {
	table     *Table
	prefix    int // bytes of a key before its sort key
	query     table.Query
	from, to  []byte // what is still to be read
	left      int    // items that the limit still allows, or -1
	size      int    // items of the next page
	uncharged int    // bytes read and not metered yet
	charged   bool
	ended     bool
}

func (t *Table) reader(q table.Query) *reader {
	prefix := appendName(append([]byte(nil), t.prefix...), q.Partition)
	r := &reader{table: t, prefix: len(prefix), query: q, left: -1, size: firstPage}
	r.from = append(append([]byte(nil), prefix...), q.From...)
	if q.To == "" {
		r.to = keyAfter(prefix)
	} else {
		r.to = append(prefix, q.To...)
	}
	if q.Limit > 0 {
		r.left = q.Limit
	}
	r.ended = string(r.from) >= string(r.to)
	return r
}

// page reads the next items, and with an error those before it.
func (r *reader) page(ctx context.Context) (items []table.Item, err error) {
	from, err := r.table.read(ctx)
	if err != nil {
		return nil, err
	}
	defer r.table.leave()
	rows, err := from.NewIterWithContext(ctx, &pebble.IterOptions{LowerBound: r.from, UpperBound: r.to})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()

	size := r.size
	if r.left >= 0 {
		size = min(size, r.left)
	}
	r.size = min(4*r.size, lastPage)
	now := r.table.store.now()
	bytes, expired := 0, 0
	next := rows.Next
	ok := false
	if r.query.Backward {
		next, ok = rows.Prev, rows.Last()
	} else {
		ok = rows.First()
	}
	for ; ok; ok = next() {
		value, err := rows.ValueAndErr()
		if err != nil {
			return items, err
		}
		h, attrs, err := decodeHeader(value)
		if err != nil {
			return items, err
		}
		bytes += h.size
		r.read(h.size)
		if h.expired(now) {
			expired++
		} else {
			key := table.Key{Partition: r.query.Partition, Sort: string(rows.Key()[r.prefix:])}
			item, err := decodeItem(key, h, attrs)
			if err != nil {
				return items, err
			}
			items = append(items, item)
		}
		if len(items) == size || bytes >= pageBytes || expired >= pageExpired {
			r.advance(rows.Key(), len(items))
			return items, nil
		}
	}
	r.ended = true
	return items, rows.Error()
}

// advance leaves what comes after key to be read.
func (r *reader) advance(key []byte, items int) {
	if r.query.Backward {
		r.to = append([]byte(nil), key...)
	} else {
		r.from = append(append([]byte(nil), key...), 0)
	}
	if r.left >= 0 {
		r.left -= items
		r.ended = r.left == 0
	}
}

// read meters an item that was read: DynamoDB sums the sizes of a page of 1 MB, and rounds then.
func (r *reader) read(size int) {
	if r.uncharged += size; r.uncharged >= pageBytes {
		r.charge()
		r.charged = true
	}
}

// charge meters the page that was begun. A query that found nothing costs one too.
func (r *reader) charge() {
	if r.uncharged > 0 || !r.charged {
		r.table.meter.Page(r.uncharged, r.query.Eventual)
	}
	r.uncharged = 0
}

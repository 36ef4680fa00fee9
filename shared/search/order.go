package search

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"
	"strings"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/forensic"
)

// rank is an event's place in the order of a sort key: by value, then by id. Events without a value come last,
// ascending and descending.
type rank struct {
	missing bool
	num     int64
	text    string
	id      string
}

// rankOf is e's place in the order of t. A list counts as its first value.
func rankOf(t *term, e *event) rank {
	v := t.of(e)
	r := rank{missing: v.missing(), num: v.num, id: e.id()}
	switch {
	case len(v.texts) > 0:
		r.text = lower(v.texts[0])
	case len(v.nums) > 0:
		r.num = v.nums[0]
	default:
		r.text = lower(v.text)
	}
	return r
}

// compare is below 0 if r comes before o.
func (r rank) compare(o rank, ascending bool) int {
	if r.missing != o.missing {
		if o.missing {
			return -1
		}
		return 1
	}
	c := cmp.Or(cmp.Compare(r.num, o.num), strings.Compare(r.text, o.text), strings.Compare(r.id, o.id))
	if !ascending {
		return -c
	}
	return c
}

// ranked is an event with its place.
type ranked struct {
	rank
	event event
}

// best keeps the first events of an order, in memory for at most twice as many as it is asked for.
type best struct {
	ascending bool
	most      int
	list      []ranked
	full      bool // list[most-1] was the last that counts when it was last sorted
}

func (b *best) add(r rank, e *event) {
	if b.full && r.compare(b.list[b.most-1].rank, b.ascending) > 0 {
		return
	}
	b.list = append(b.list, ranked{r, e.kept()})
	if len(b.list) >= 2*b.most {
		b.settle()
	}
}

// settle sorts the list and drops what is beyond most.
func (b *best) settle() {
	slices.SortFunc(b.list, func(x, y ranked) int { return x.compare(y.rank, b.ascending) })
	if len(b.list) >= b.most {
		clear(b.list[b.most:])
		b.list, b.full = b.list[:b.most], true
	}
}

// kept copies e, so that one event does not keep its whole batch of messages in memory.
func (e *event) kept() event {
	message := *e.message
	return event{message: &message, file: e.file, conn: e.conn, own: e.own}
}

// place is where a page begins: after an event, which need not exist any more.
type place struct {
	posting posting // in the order of a stream
	file    int
	rank    rank // in the order of any other sort key
}

// place finds where the page begins. In the order of ids the id is enough; in other orders the event must exist,
// among the connections that the caller may see.
func (r *running) place(ctx context.Context, followed []*connection.Connection) (*place, error) {
	unknown := problem(InvalidPageToken, "pgToken %s is not the id of an event.", clip(r.query.after))
	id, err := forensic.ParseEventID(r.query.after)
	if err != nil || id.String() != r.query.after {
		return nil, unknown
	}
	l := &place{file: id.File}
	switch r.query.sort.name {
	case "event.id":
		l.rank = rank{text: r.query.after, id: r.query.after}
		l.posting = arrival(id, &connection.Connection{ID: id.Connection}, "")
		return l, nil
	case "event.ingested":
		l.rank = rank{num: id.Arrival.UnixMilli(), id: r.query.after}
		l.posting = arrival(id, &connection.Connection{ID: id.Connection}, "")
		return l, nil
	}
	e, err := find(ctx, r.events, followed, r.query.after)
	if errors.Is(err, errNoEvent) {
		return nil, unknown
	}
	if err != nil {
		return nil, err
	}
	if e.own, err = r.ownDomains(ctx, e.conn.ID); err != nil {
		return nil, err
	}
	l.posting, l.rank = e.posting(), rankOf(r.query.sort, &e)
	return l, nil
}

// before reports whether the file of p's message comes strictly after the place, in the order of p's stream.
func (l *place) before(p posting, file int, ascending bool) bool {
	c := cmp.Or(compare(l.posting, p), cmp.Compare(l.file, file))
	return c != 0 && c < 0 == ascending
}

// files yields the indexes of a message's files in the order of their events.
func files(m *forensic.Message, ascending bool) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range m.Files {
			if !ascending {
				i = len(m.Files) - 1 - i
			}
			if !yield(i) {
				return
			}
		}
	}
}

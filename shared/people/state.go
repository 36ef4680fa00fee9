package people

import (
	"context"
	"fmt"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/table"
)

// Phase is what a census does.
type Phase string

const (
	Sweeping  Phase = "sweep"   // everybody is read
	Leaving   Phase = "leavers" // people whom the sweep did not list are looked up one by one
	Changing  Phase = "changes" // what changed is read
	Expanding Phase = "groups"  // the groups of the scope are read
)

// State is how far the census of a connection has come. It also holds the lease that lets one run at a time
// take it.
type State struct {
	Phase    Phase     // under way, or ""
	Begun    time.Time // when the pass under way, or the last one, began
	People   int64     // that the directory listed in that pass
	Finished time.Time // when the last pass ended; zero before the first
	Swept    time.Time // when everybody was last read to the end
	Failures int64     // runs that failed in a row
	// Problem says what was wrong with the last run, for an administrator; "" when nothing was.
	Problem   string
	NotBefore time.Time // the directory is left alone until then

	Link  string // where the phase goes on: at a page, or after a person
	Delta string // where the next changes are
	next  string // the Delta of when the sweep under way began

	size  int64  // people of a page that is asked for; 0 is usualSize
	pages int64  // read since the first page of a list
	trap  string // the hash of a link, which the links that follow are compared with

	list   string   // of the groups' people, under way; "" is none
	group  ObjectID // that is being read into it
	scoped int64    // the revision of the scope that it is for

	// doubted is when the look-up of a single person was last refused. It is an item of its own, which needs no lease.
	doubted time.Time

	lease table.Lease
}

// since is when the connection last had a whole census, or when its first one began.
func (s State) since() time.Time {
	if s.Finished.IsZero() {
		return s.Begun
	}
	return s.Finished
}

// State returns how far the census of a connection has come; all zero before the first run.
func (r *Roster) State(ctx context.Context, c connection.ID) (State, error) {
	items, err := r.Table.GetMany(ctx, []table.Key{censusKey(c), doubtKey(c)})
	if err != nil {
		return State{}, fmt.Errorf("read the census of connection %s: %w", c, err)
	}
	var item table.Item
	var doubted time.Time
	for _, i := range items {
		if i.Sort == doubtSort {
			doubted = table.TimeOf(i.Attrs["at"])
		} else {
			item = i
		}
	}
	s := stateOf(item)
	s.doubted = doubted
	return s, nil
}

func stateOf(item table.Item) State {
	a := item.Attrs
	text := func(name string) string { s, _ := a[name].(string); return s }
	number := func(name string) int64 { n, _ := a[name].(int64); return n }
	return State{
		Phase:     Phase(text("phase")),
		Begun:     table.TimeOf(a["begun"]),
		People:    number("people"),
		Finished:  table.TimeOf(a["finished"]),
		Swept:     table.TimeOf(a["swept"]),
		Failures:  number("failures"),
		Problem:   text("problem"),
		NotBefore: table.TimeOf(a["notbefore"]),
		Link:      text("link"),
		Delta:     text("delta"),
		next:      text("next"),
		size:      number("size"),
		pages:     number("pages"),
		trap:      text("trap"),
		list:      text("list"),
		group:     ObjectID(text("group")),
		scoped:    number("scoped"),
		lease:     table.LeaseOf(item),
	}
}

// attrs are the state's attributes but for its lease.
func (s State) attrs() table.Attrs {
	return table.Attrs{
		"phase":     string(s.Phase),
		"begun":     table.Stamp(s.Begun),
		"people":    s.People,
		"finished":  table.Stamp(s.Finished),
		"swept":     table.Stamp(s.Swept),
		"failures":  s.Failures,
		"problem":   cut(s.Problem),
		"notbefore": table.Stamp(s.NotBefore),
		"link":      s.Link,
		"delta":     s.Delta,
		"next":      s.next,
		"size":      s.size,
		"pages":     s.pages,
		"trap":      s.trap,
		"list":      s.list,
		"group":     string(s.group),
		"scoped":    s.scoped,
	}
}

// doubt asks for a pass of the census soon, because the directory refused a look-up: the census reports that to
// the connection.
func (r *Roster) doubt(ctx context.Context, c connection.ID) error {
	if err := r.Table.Load(ctx, table.Item{Key: doubtKey(c),
		Attrs: table.Attrs{"at": table.Stamp(r.Now())}}); err != nil {
		return fmt.Errorf("ask for a census of connection %s: %w", c, err)
	}
	return nil
}

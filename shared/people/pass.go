package people

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/pace"
	"github.com/mailtrail/mailtrail/shared/table"
)

// pass is one run of the census of a connection, under its lease.
type pass struct {
	*Census
	conn  connection.Connection
	state State
	told  int

	circling bool // the list that is being read leads in a circle
}

// run does the phases of the pass, from where it was left to its end.
func (p *pass) run(ctx context.Context) error {
	for p.state.Phase != "" {
		var err error
		switch p.state.Phase {
		case Sweeping:
			err = p.sweep(ctx)
		case Leaving:
			err = p.leavers(ctx)
		case Changing:
			err = p.changes(ctx)
		default:
			err = p.groups(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// turn ends a phase and begins the next one; "" ends the pass.
func (p *pass) turn(ctx context.Context, next Phase) error {
	p.state.Phase, p.state.Link = next, ""
	p.unwind()
	if next == "" {
		p.state.Finished = moment(p.Now())
	}
	return p.save(ctx)
}

// save stores how far the pass has come.
func (p *pass) save(ctx context.Context) error {
	item, err := p.state.lease.Save(ctx, p.Roster.Table, censusKey(p.conn.ID), p.state.attrs())
	if err != nil {
		return fmt.Errorf("save the census of connection %s: %w", p.conn.ID, err)
	}
	p.state = stateOf(item)
	return nil
}

// end gives the lease back, with what came of the run.
func (p *pass) end(ctx context.Context, outcome error) error {
	now := moment(p.Now())
	switch {
	case outcome == nil:
		p.state.Failures, p.state.NotBefore = 0, time.Time{}
	// the next run goes on at once
	case errors.Is(outcome, context.DeadlineExceeded), errors.Is(outcome, context.Canceled):
	default:
		p.state.Failures++
		p.state.Problem = p.problem(outcome, now)
		wait := fault.Wait(outcome)
		if wait == 0 {
			wait = pace.Backoff{First: 2 * time.Second, Longest: maxBackoff}.After(int(p.state.Failures))
			if errors.Is(outcome, fault.Refused) {
				wait = min(wait, deniedBackoff)
			}
		}
		p.state.NotBefore = now.Add(min(wait, maxWait))
	}
	err := p.state.lease.Release(ctx, p.Roster.Table, censusKey(p.conn.ID), p.state.attrs())
	if errors.Is(err, table.ErrConflict) { // the lease expired, and another run has it
		return nil
	}
	return err
}

// report reports to the connection whether the directory was refused, if that is news. If the report fails, a later
// pass repeats it: one is due for as long as the connection says that the directory is refused.
func (p *pass) report(ctx context.Context, outcome error) error {
	refused := errors.Is(outcome, fault.Refused) && !errors.Is(outcome, fault.Ours)
	if !refused && (outcome != nil || p.conn.Denied == "") {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reportTime)
	defer cancel()
	return p.Connections.ReportDirectory(ctx, p.conn.ID, outcome)
}

// reportTime bounds a report, which the end of a run does not end.
const reportTime = 15 * time.Second

// spreading is how long after a consent missing permissions are no problem of the tenant's.
const spreading = time.Hour

// problem is what a failure means to an administrator.
func (p *pass) problem(err error, now time.Time) string {
	switch {
	case errors.Is(err, fault.Ours):
		return "The census waits until the operator of this service has mended its credential. Nothing needs to be " +
			"done in the tenant."
	case errors.Is(err, errCircle):
		return "The pages of the tenant's directory lead in a circle at Microsoft. It is read anew, in smaller pages."
	case errors.Is(err, ErrTooLarge):
		return fmt.Sprintf("The pages of the tenant's directory are too large, or take Microsoft too long. It is read "+
			"anew, "+
			"in pages of %d people.", p.size())
	case !errors.Is(err, fault.Refused):
		return "Microsoft did not answer, or asked to wait. The census goes on by itself."
	case connection.CauseOf(fault.Code(err)).Spreads && now.Before(p.conn.Consented.Add(spreading)):
		return "The permissions were granted a short while ago and are still spreading through Microsoft's directory. " +
			"This can take up to an hour; nothing needs to be done."
	}
	return connection.CauseOf(fault.Code(err)).Reason(p.conn.DisplayName)
}

// page asks for a page, at once again when Microsoft's servers fail without asking for a wait.
func page[T any](ctx context.Context, link string, ask func(ctx context.Context, link string) (T, error)) (T, error) {
	for attempt := 1; ; attempt++ {
		got, err := ask(ctx, link)
		var failure *fault.Error
		if attempt == maxAsks || ctx.Err() != nil || !errors.As(err, &failure) || failure.Status < 500 ||
			failure.After > 0 {
			if err != nil && ctx.Err() != nil {
				err = ctx.Err()
			}
			return got, err
		}
	}
}

// sweep reads everybody. The link for later changes is taken before the first page.
func (p *pass) sweep(ctx context.Context) error {
	if p.state.Link == "" {
		latest, err := page(ctx, "", p.listed(p.Directory.Changes))
		if err != nil {
			return err
		}
		p.state.next, p.state.Begun, p.state.People = latest.Delta, moment(p.Now()), 0
		p.unwind()
		if err := p.save(ctx); err != nil {
			return err
		}
		p.learn(ctx)
	}
	for {
		got, err := page(ctx, p.state.Link, p.listed(p.Directory.Users))
		if errors.Is(err, ErrResync) || errors.Is(err, ErrTooLarge) {
			if errors.Is(err, ErrTooLarge) {
				p.smaller()
			}
			p.state.Link = ""
			return errors.Join(err, p.save(ctx))
		}
		if err != nil {
			return err
		}
		if err := p.store(ctx, got.Changes); err != nil {
			return err
		}
		if p.circles(got.Next) && p.smaller() {
			p.state.Link = ""
			return errors.Join(errCircle, p.save(ctx))
		} else if p.circling {
			got.Next = "" // whoever was not listed is looked up, and the next sweep lists who is new
		}
		if p.state.Link = got.Next; got.Next == "" {
			return p.turn(ctx, Leaving)
		}
		if err := p.save(ctx); err != nil {
			return err
		}
	}
}

// listed binds a list of the directory to the tenant.
func (p *pass) listed(
	list func(context.Context, connection.Tenant, string, int) (Page, error),
) func(context.Context, string) (Page, error) {
	return func(ctx context.Context, link string) (Page, error) { return list(ctx, p.conn.Tenant, link, p.size()) }
}

const (
	// usualSize is how many people are asked for on a page at first. With all the plans of a large subscription a person
	// is about 20 KB.
	usualSize    = 200
	smallestSize = 5
)

// errCircle means that the links of a list lead back to a page that was read before.
var errCircle = errors.New("the pages of the directory lead in a circle")

func (p *pass) size() int {
	if p.state.size == 0 {
		return usualSize
	}
	return int(p.state.size)
}

// smaller halves the pages that are asked for, and reports whether it could. The list is to be begun anew,
// since a link holds the size of its pages.
func (p *pass) smaller() bool {
	half := p.size() / 2
	if half < smallestSize {
		return false
	}
	p.state.size = int64(half)
	p.unwind()
	return true
}

// unwind forgets the links of a list that is begun anew.
func (p *pass) unwind() { p.state.pages, p.state.trap, p.circling = 0, "", false }

// circles reports whether a link leads back to a page that was read before. It keeps one link out of all, that of the
// last page whose number is a power of two: in a circle the links come back to it (Brent).
func (p *pass) circles(link string) bool {
	if link == "" {
		return false
	}
	sum := sha256.Sum256([]byte(link))
	hash := hex.EncodeToString(sum[:8])
	if hash == p.state.trap {
		p.circling = true
		return true
	}
	if p.state.pages++; p.state.pages&(p.state.pages-1) == 0 {
		p.state.trap = hash
	}
	return false
}

// learn asks for the domains of the tenant. If the tenant refuses, that is no failure: the names of members
// show most of them.
func (p *pass) learn(ctx context.Context) {
	domains, err := p.Directory.Domains(ctx, p.conn.Tenant)
	if err == nil {
		err = p.Roster.LearnDomains(ctx, p.conn.ID, domains...)
	}
	if err != nil {
		p.Log.DebugContext(ctx, "the domains of a tenant were not told", "connection", p.conn.ID, "code", fault.Code(err),
			"err", err)
	}
}

// store saves the people of a page. A person who came only in part is looked up.
func (p *pass) store(ctx context.Context, changes []Change) error {
	var people []Person
	var left []ObjectID
	for _, ch := range changes {
		switch {
		case ch.Removed:
			left = append(left, ch.ID)
		case ch.Partial:
			whole, err := p.ask(ctx, ch.ID)
			if errors.Is(err, ErrUnknown) {
				left = append(left, ch.ID)
				continue
			}
			if err != nil {
				return err
			}
			people = append(people, whole)
		default:
			people = append(people, ch.Person)
		}
	}
	if err := p.Roster.Put(ctx, p.conn.ID, people...); err != nil {
		return err
	}
	if err := p.Roster.LearnDomains(ctx, p.conn.ID, principalDomains(people)...); err != nil {
		return err
	}
	p.told += len(changes)
	p.state.People += int64(len(changes))
	return p.Roster.Remove(ctx, p.conn.ID, left...)
}

func (p *pass) ask(ctx context.Context, id ObjectID) (Person, error) {
	return page(ctx, string(id), func(ctx context.Context, name string) (Person, error) {
		return p.Directory.User(ctx, p.conn.Tenant, name)
	})
}

// leavers looks up everybody whom the sweep did not list, since pages may miss a person while the directory
// changes. Those who are not found have left. The link is the last person who was looked up.
func (p *pass) leavers(ctx context.Context) error {
	after := ObjectID(p.state.Link)
	for chunk, err := range p.Roster.chunks(ctx, p.conn.ID, after) {
		if err != nil {
			return err
		}
		var changes []Change
		for _, e := range chunk {
			if e.gone.IsZero() && e.seen.Before(p.state.Begun) {
				changes = append(changes, Change{Person: Person{ID: e.ID}, Partial: true})
			}
		}
		if len(changes) == 0 {
			continue
		}
		if err := p.store(ctx, changes); err != nil {
			return err
		}
		p.state.Link = string(chunk[len(chunk)-1].ID)
		if err := p.save(ctx); err != nil {
			return err
		}
	}
	p.state.Swept, p.state.Delta, p.state.next = moment(p.Now()), p.state.next, ""
	return p.turn(ctx, Expanding)
}

// changes reads what changed since the last pass. A link that is too old begins a sweep.
func (p *pass) changes(ctx context.Context) error {
	if p.state.Link == "" {
		p.state.Link = p.state.Delta
	}
	for {
		got, err := page(ctx, p.state.Link, p.listed(p.Directory.Changes))
		if errors.Is(err, ErrResync) || errors.Is(err, ErrTooLarge) || err == nil && p.circles(got.Next) {
			p.state.Delta = ""
			return p.turn(ctx, Sweeping)
		}
		if err != nil {
			return err
		}
		if err := p.store(ctx, got.Changes); err != nil {
			return err
		}
		if got.Next == "" {
			p.state.Delta = got.Delta
			return p.turn(ctx, Expanding)
		}
		p.state.Link = got.Next
		if err := p.save(ctx); err != nil {
			return err
		}
	}
}

// groups reads the people of the scope's groups into a new list, and makes the scope refer to it when it is
// complete. A group that is not there has nobody. A run that is broken off goes on at the same page. If the
// scope changes meanwhile, the list is left to be tidied away, and another is begun.
func (p *pass) groups(ctx context.Context) error {
	scope, err := p.Roster.Scope(ctx, p.conn.ID)
	if err != nil {
		return err
	}
	if p.state.list == "" || p.state.scoped != scope.revision {
		p.state.Problem = ""
	}
	if scope.Kind == Groups && len(scope.Groups) > 0 {
		if err := p.expandAll(ctx, scope); err != nil {
			return err
		}
	}
	if err := p.Roster.tidy(ctx, p.conn.ID); err != nil {
		return err
	}
	return p.turn(ctx, "")
}

// expandAll reads the groups of a scope, from where the last run stopped.
func (p *pass) expandAll(ctx context.Context, scope Scope) error {
	left := scope.Groups
	at := slices.Index(left, p.state.group)
	if p.state.list == "" || p.state.scoped != scope.revision || at < 0 {
		list, err := p.Roster.newList(ctx, p.conn.ID)
		if err != nil {
			return err
		}
		p.state.list, p.state.scoped, p.state.group, p.state.Link = list, scope.revision, left[0], ""
		p.unwind()
		if err := p.save(ctx); err != nil {
			return err
		}
		at = 0
	}
	for _, g := range left[at:] {
		if p.state.group != g {
			p.state.group, p.state.Link = g, ""
			p.unwind()
			if err := p.save(ctx); err != nil {
				return err
			}
		}
		if err := p.expand(ctx, p.state.list, g); err != nil {
			return err
		}
	}
	err := p.Roster.store(ctx, p.conn.ID, scope.expanded(p.state.list, moment(p.Now())))
	p.state.list, p.state.group, p.state.Link = "", "", ""
	if errors.Is(err, table.ErrConflict) {
		return nil
	}
	return err
}

// expand reads the people of a group from the link of the state on.
func (p *pass) expand(ctx context.Context, list string, g ObjectID) error {
	for {
		got, err := page(ctx, p.state.Link, func(ctx context.Context, link string) (Members, error) {
			return p.Directory.Members(ctx, p.conn.Tenant, g, link, p.size())
		})
		switch {
		case errors.Is(err, ErrUnknown):
			p.state.Problem = fmt.Sprintf("The group %s of the scope is not in the tenant's directory: it has nobody in it.",
				g)
			return nil
		case errors.Is(err, ErrResync), errors.Is(err, ErrTooLarge):
			if errors.Is(err, ErrTooLarge) {
				p.smaller()
			}
			p.state.Link = ""
			return errors.Join(err, p.save(ctx))
		case err != nil:
			return err
		}
		ids := make([]string, len(got.IDs))
		for i, id := range got.IDs {
			ids[i] = string(id)
		}
		if err := p.Roster.enlist(ctx, p.conn.ID, list, ids); err != nil {
			return err
		}
		if p.circles(got.Next) && p.smaller() {
			p.state.Link = ""
			return errors.Join(errCircle, p.save(ctx))
		} else if p.circling {
			p.state.Problem = fmt.Sprintf("The list of the people in group %s leads in a circle at Microsoft: some of them "+
				"may be missing from the scope.", g)
			got.Next = ""
		}
		if p.state.Link = got.Next; got.Next == "" {
			return nil
		}
		if err := p.save(ctx); err != nil {
			return err
		}
	}
}

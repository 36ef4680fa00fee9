package people_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/access"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/people"
	"github.com/mailtrail/mailtrail/shared/table"
	m365sim "github.com/mailtrail/mailtrail/sim/m365"
	"github.com/mailtrail/mailtrail/sim/m365/world"
)

// partly is a table that once does the end of a Load and not its beginning, as the contract lets it.
type partly struct {
	table.Table
	left int // loads until it happens
}

func (p *partly) Load(ctx context.Context, items ...table.Item) error {
	if p.left--; p.left != 0 || len(items) < 2 {
		return p.Table.Load(ctx, items...)
	}
	return errors.Join(p.Table.Load(ctx, items[len(items)-1:]...), errors.New("throttled"))
}

// TestSomebodyWhoWasStoredInPartIsFoundByEveryName breaks off every Load of a first census, and then of a
// single look-up, one after the other.
func TestSomebodyWhoWasStoredInPartIsFoundByEveryName(t *testing.T) {
	for name, begin := range map[string]func(*town) error{
		"census": func(w *town) error { _, err := w.census.Run(t.Context()); return err },
		"look-up": func(w *town) error {
			_, _ = w.monitor().Judge(t.Context(), conn, w.who.Tenant, []people.Send{w.by(address(0))})
			return nil
		},
	} {
		for left := 1; left < 6; left++ {
			w := found(t, m365sim.Options{}, []world.Person{resident(0)})
			w.on(&partly{w.table, left})
			w.must(begin(w))
			w.clock.advance(time.Minute)
			w.take()
			got := w.judge(w.monitor(), w.by(address(0)), w.by("alias0@contoso.onmicrosoft.com"))
			verdicts(t, got, people.Kept, people.Kept)
			if t.Failed() {
				t.Fatalf("after load %d of the %s", left, name)
			}
		}
	}
}

// TestWhoIsBackHasTheAddressBack has an account that is deleted, another one that gets its address, and the
// first one restored from the directory's recycle bin, as it is when the wrong account was deleted.
func TestWhoIsBackHasTheAddressBack(t *testing.T) {
	w := found(t, m365sim.Options{}, []world.Person{resident(0), resident(1)})
	w.take()
	day := func() { w.clock.advance(25 * time.Hour); w.take() }
	w.must(w.sim.RemovePeople(tenantID, id(0)))
	day()
	other := resident(0)
	other.ID = id(500)
	w.must(w.sim.AddPeople(tenantID, other))
	day()
	w.must(w.sim.RemovePeople(tenantID, id(500)))
	day()
	w.must(w.sim.AddPeople(tenantID, resident(0)))
	day()
	w.clock.advance(time.Hour)
	verdicts(t, w.judge(w.monitor(), w.by(address(0)), w.by("alias0@contoso.onmicrosoft.com")), people.Kept, people.Kept)
}

// TestAnAddressThatPassesOnBelongsToWhoHasItNow deletes an account and gives its address to another one, on the
// same day.
func TestAnAddressThatPassesOnBelongsToWhoHasItNow(t *testing.T) {
	w := found(t, m365sim.Options{}, []world.Person{resident(0), resident(1)})
	w.take()
	other := resident(0)
	other.ID = id(500)
	w.must(w.sim.RemovePeople(tenantID, id(0)))
	w.must(w.sim.AddPeople(tenantID, other))
	w.clock.advance(25 * time.Hour)
	w.take()
	w.clock.advance(time.Hour)
	verdicts(t, w.judge(w.monitor(), w.by(address(0)), w.by("alias0@contoso.onmicrosoft.com")), people.Kept, people.Kept)
}

// TestMailOfSomebodyWhoLeftTheGroupsOfTheScopeIsKept has the same day as
// TestMailOfSomebodyWhoseAccountWasClosedIsKept, where the scope is a group: a deleted account is in no group
// any more, and one that is closed is often taken out.
func TestMailOfSomebodyWhoLeftTheGroupsOfTheScopeIsKept(t *testing.T) {
	const staff = "e0000000-0000-4000-8000-000000000001"
	for what, leave := range map[string]func(*town){
		"deleted": func(w *town) { w.must(w.sim.RemovePeople(tenantID, id(0))) },
		"taken out": func(w *town) {
			w.must(w.sim.AddGroups(tenantID,
				world.Group{ID: staff, Members: []string{id(1)}}))
		},
		"whole group": func(w *town) { w.must(w.sim.RemoveGroups(tenantID, staff)) },
	} {
		w := found(t, m365sim.Options{}, []world.Person{resident(0), resident(1), resident(2)}, "GroupMember.Read.All")
		w.must(w.sim.AddGroups(tenantID, world.Group{ID: staff, Members: []string{id(0), id(1)}}))
		_, err := w.roster.SetScope(t.Context(), conn, people.Groups, people.Premium, []people.ObjectID{staff})
		w.must(err)
		w.take()
		w.clock.advance(25 * time.Hour)
		w.take()
		w.clock.advance(23 * time.Hour)
		mail, never := w.by(address(0)), w.by(address(2))
		w.clock.advance(time.Hour)
		leave(w)
		w.clock.advance(time.Hour)
		w.take()
		w.who.Denied = "Authorization_RequestDenied" // another census, soon after
		w.on(w.table)
		w.clock.advance(time.Minute)
		w.take()
		w.clock.advance(time.Hour)
		if got := w.judge(w.monitor(), mail, w.by(address(0)), never); got[0] != people.Kept ||
			got[1] != people.Unmonitored || got[2] != people.Unmonitored {
			t.Errorf("%s: verdicts %v", what, got)
		}
		w.who.Denied = ""
		w.on(w.table)
		for range 3 {
			w.clock.advance(25 * time.Hour)
			w.take()
		}
		if got := w.judge(w.monitor(), mail); got[0] != people.Unmonitored {
			t.Errorf("%s: days later %v", what, got)
		}
		if n := w.count(string(conn) + "|lists"); n > 3 {
			t.Errorf("%s: %d lists are kept", what, n)
		}
	}
}

func TestNothingIsStoredOfAConnectionThatIsBeingDeleted(t *testing.T) {
	d := newDesk(t, []world.Person{resident(0)})
	d.who.Purge = connection.Purge{Asked: d.clock.Now(), By: "key-admin"}
	for path, body := range map[string]string{"scope": `{"kind":"all","gate":"any"}`,
		"scope/users": "email\nada@contoso.test\n"} {
		kind := "application/json"
		if path == "scope/users" {
			kind = "text/csv"
		}
		if w := d.call(access.Admin, http.MethodPut, string(conn)+"/"+path, kind, body); w.Code != http.StatusConflict ||
			!strings.Contains(w.Body.String(), "PURGING") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	if w := d.call(access.Admin, http.MethodGet, string(conn)+"/scope", "", ""); w.Code != http.StatusOK {
		t.Errorf("it cannot be looked at: %d", w.Code)
	}
}

func TestAFullListMayHaveEmptyAndRepeatedRows(t *testing.T) {
	d := newDesk(t, []world.Person{resident(0)})
	var list strings.Builder
	list.WriteString("email,name\n")
	for n := range people.MaxListed {
		list.WriteString(address(n))
		list.WriteByte('\n')
	}
	list.WriteString(address(0) + "\n,,\n" + address(1) + "\n")
	if w := d.call(access.Admin, http.MethodPut, string(conn)+"/scope/users", "text/csv",
		list.String()); w.Code != http.StatusOK {
		t.Errorf("%d %.300s", w.Code, w.Body)
	}
}

// TestUnderTheGateAnyALeaverNeedsNoPlan closes the account of somebody who never had the plan.
func TestUnderTheGateAnyALeaverNeedsNoPlan(t *testing.T) {
	plain := resident(0)
	plain.Plans = nil
	w := found(t, m365sim.Options{}, []world.Person{plain, resident(1)})
	_, err := w.roster.SetScope(t.Context(), conn, people.Everybody, people.Any, nil)
	w.must(err)
	w.take()
	mail := w.by(address(0))
	plain.Enabled = false
	w.must(w.sim.AddPeople(tenantID, plain))
	w.clock.advance(25 * time.Hour)
	w.take()
	w.clock.advance(time.Hour)
	verdicts(t, w.judge(w.monitor(), mail, w.by(address(0))), people.Kept, people.Unmonitored)
	_, err = w.roster.SetScope(t.Context(), conn, people.Everybody, people.Premium, nil)
	w.must(err)
	verdicts(t, w.judge(w.monitor(), mail), people.Unmonitored)
}

// TestWhoIsInOtherGroupsIsNotInTheScope has an administrator choose another group: nobody is judged by the old
// one's people, neither before the new one is read nor afterwards, whenever the mail was sent.
func TestWhoIsInOtherGroupsIsNotInTheScope(t *testing.T) {
	groups := []people.ObjectID{"e0000000-0000-4000-8000-000000000001", "e0000000-0000-4000-8000-000000000002"}
	w := found(t, m365sim.Options{}, []world.Person{resident(0), resident(1)}, "GroupMember.Read.All")
	for i, g := range groups {
		w.must(w.sim.AddGroups(tenantID, world.Group{ID: string(g), Members: []string{id(i)}}))
	}
	choose := func(g people.ObjectID) {
		_, err := w.roster.SetScope(t.Context(), conn, people.Groups, people.Premium, []people.ObjectID{g})
		w.must(err)
	}
	choose(groups[0])
	for range 2 {
		w.take()
		w.clock.advance(25 * time.Hour)
	}
	mails := []people.Send{w.by(address(0)), w.by(address(1))}
	choose(groups[1])
	if _, err := w.monitor().Judge(t.Context(), conn, w.who.Tenant, mails); !errors.Is(err, fault.Retry) {
		t.Errorf("before the group is read: %v", err)
	}
	w.clock.advance(time.Minute)
	w.take()
	verdicts(t, w.judge(w.monitor(), mails...), people.Unmonitored, people.Kept)
}

// TestAnAddressThatSomebodyHadFindsNobody takes an address away between two look-ups, which leave names behind.
func TestAnAddressThatSomebodyHadFindsNobody(t *testing.T) {
	w := found(t, m365sim.Options{}, []world.Person{resident(0)})
	verdicts(t, w.judge(w.monitor(), w.by(address(0))), people.Kept)
	changed := resident(0)
	changed.ProxyAddresses = []string{"SMTP:" + address(0), "smtp:new@contoso.test"}
	w.must(w.sim.AddPeople(tenantID, changed))
	verdicts(t, w.judge(w.monitor(), w.by("new@contoso.test"), w.by("alias0@contoso.onmicrosoft.com")), people.Kept,
		people.Kept)
	verdicts(t, w.judge(w.monitor(), w.by("new@contoso.test"), w.by("alias0@contoso.onmicrosoft.com")), people.Kept,
		people.Unknown)
}

// TestAnAddressThatMovesInOneCensusIsKnownWithoutAsking moves an alias from one person to another.
func TestAnAddressThatMovesInOneCensusIsKnownWithoutAsking(t *testing.T) {
	const alias = "alias0@contoso.onmicrosoft.com"
	w := found(t, m365sim.Options{}, []world.Person{resident(0), resident(1)})
	w.take()
	from, to := resident(0), resident(1)
	from.ProxyAddresses, to.ProxyAddresses = from.ProxyAddresses[:1], append(to.ProxyAddresses, "smtp:"+alias)
	w.must(w.sim.AddPeople(tenantID, from, to))
	w.clock.advance(25 * time.Hour)
	w.take()
	w.sim.ResetHistory()
	verdicts(t, w.judge(w.monitor(), w.by(alias)), people.Kept)
	if n := len(w.sim.History(m365sim.Filter{Op: "graph.user"})); n != 0 {
		t.Errorf("the directory was asked %d times", n)
	}
	if p, err := w.roster.Find(t.Context(), conn, alias); err != nil || p.Principal != address(1) {
		t.Errorf("it is %q's, %v", p.Principal, err)
	}
}

package people_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/people"
	"github.com/mailtrail/mailtrail/shared/table/tabletest"
	m365sim "github.com/mailtrail/mailtrail/sim/m365"
	"github.com/mailtrail/mailtrail/sim/m365/world"
)

func contains(s, part string) bool { return strings.Contains(s, part) }

func verdicts(t *testing.T, got []people.Verdict, want ...people.Verdict) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("verdicts %v, want %v", got, want)
	}
}

func TestAMailIsKeptIfItsActorOrTheOwnerOfItsMailboxIsMonitored(t *testing.T) {
	all, _ := crowd(7)
	w := found(t, m365sim.Options{}, all)
	w.take()
	m, now := w.monitor(), w.clock.Now()
	verdicts(t, w.judge(m,
		w.by(address(0)), w.by(address(1)), w.by(address(3)),
		people.Send{At: now, Actor: address(1), Mailbox: strings.ToUpper(address(0))},
		people.Send{At: now, Actor: "alias0@contoso.onmicrosoft.com", Mailbox: address(3)},
		people.Send{At: now, Actor: "S-1-5-18", Mailbox: "S-1-5-18"},
		people.Send{At: now, Actor: "service@contoso.test", Mailbox: address(1)},
		w.by("service@contoso.test"), people.Send{At: now}),
		people.Kept, people.Unmonitored, people.Unmonitored, people.Kept, people.Kept, people.Unknown, people.Unmonitored,
		people.Unknown, people.Unknown)
}

func TestAnUnknownSenderIsAskedForAtOnceAndOnce(t *testing.T) {
	w := found(t, m365sim.Options{}, []world.Person{resident(0)})
	w.take()
	w.must(w.sim.AddPeople(tenantID, resident(5)))
	w.sim.ResetHistory()
	m := w.monitor()
	for range 3 {
		verdicts(t, w.judge(m, w.by(address(5)), w.by("alias5@contoso.onmicrosoft.com"), w.by("nobody@contoso.test")),
			people.Kept, people.Kept, people.Unknown)
	}
	// Another process believes what the first one found out.
	verdicts(t, w.judge(w.monitor(), w.by(address(5)), w.by("nobody@contoso.test")), people.Kept, people.Unknown)
	if n := len(w.sim.History(m365sim.Filter{Op: "graph.user"})); n != 3 {
		t.Errorf("the directory was asked %d times for 3 names", n)
	}
	// Somebody new is known within the hour.
	w.must(w.sim.AddPeople(tenantID, world.Person{ID: id(9), UserPrincipalName: "nobody@contoso.test",
		Mail: "nobody@contoso.test", UserType: "Member", Enabled: true, Plans: resident(0).Plans}))
	w.clock.advance(time.Hour)
	verdicts(t, w.judge(m, w.by("nobody@contoso.test")), people.Kept)
}

func TestNothingIsJudgedWhileTheDirectoryDoesNotAnswer(t *testing.T) {
	w := found(t, m365sim.Options{}, []world.Person{resident(0)})
	m := w.monitor()
	for _, f := range []m365sim.Fault{{Status: 429, RetryAfter: time.Minute}, {Status: 500}, {Reset: true},
		{Code: "Authorization_RequestDenied"}, {Status: 405}} {
		f.Op = "graph"
		broken := w.sim.Fault(f)
		_, err := m.Judge(t.Context(), conn, w.who.Tenant, []people.Send{w.by(address(0))})
		if err == nil || errors.Is(err, fault.Poison) || fault.Wait(err) != f.RetryAfter {
			t.Errorf("%+v: %v", f, err)
		}
		w.sim.ClearFaults(broken)
	}
	verdicts(t, w.judge(m, w.by(address(0))), people.Kept)
}

// TestMailOfSomebodyWhoseAccountWasClosedIsKept has the order of the day on which somebody leaves: a mail at
// nine, the account is closed at ten, and Microsoft's audit log reports the mail at eleven.
func TestMailOfSomebodyWhoseAccountWasClosedIsKept(t *testing.T) {
	closed := resident(0)
	closed.Enabled = false
	for what, leave := range map[string]func(*town){
		"disabled":           func(w *town) { w.must(w.sim.AddPeople(tenantID, closed)) },
		"licence taken away": func(w *town) { p := resident(0); p.Plans = nil; w.must(w.sim.AddPeople(tenantID, p)) },
		"deleted":            func(w *town) { w.must(w.sim.RemovePeople(tenantID, id(0))) },
	} {
		w := found(t, m365sim.Options{}, []world.Person{resident(0), resident(1)})
		w.take()
		w.clock.advance(25 * time.Hour)
		mail := w.by(address(0))
		w.clock.advance(time.Hour)
		leave(w)
		w.take()
		w.clock.advance(time.Hour)
		late := w.by(address(0))
		if got := w.judge(w.monitor(), mail, late); got[0] != people.Kept || got[1] != people.Unmonitored {
			t.Errorf("%s: verdicts %v", what, got)
		}
		if p, err := w.roster.Find(t.Context(), conn, address(0)); err == nil && p.Coverage == people.Monitored {
			t.Errorf("%s: %+v", what, p)
		}
	}
}

func TestAChangeOfGateOrScopeCountsAtOnce(t *testing.T) {
	all, _ := crowd(7)
	w := found(t, m365sim.Options{}, all)
	w.take()
	m := w.monitor()
	verdicts(t, w.judge(m, w.by(address(0)), w.by(address(1))), people.Kept, people.Unmonitored)
	_, err := w.roster.SetScope(t.Context(), conn, people.Everybody, people.Any, nil)
	w.must(err)
	verdicts(t, w.judge(m, w.by(address(0)), w.by(address(1))), people.Kept, people.Kept)
	if got := w.sums().ByCoverage; got[people.Monitored] != 4 || got[people.NoLicence] != 0 {
		t.Errorf("under the gate any: %v", got)
	}

	_, err = w.roster.ReplaceUsers(t.Context(), conn, []string{"alias1@contoso.onmicrosoft.com", address(3),
		"later@contoso.test"})
	w.must(err)
	verdicts(t, w.judge(m, w.by(address(0))), people.Kept) // the list waits to be chosen
	_, err = w.roster.SetScope(t.Context(), conn, people.Users, people.Any, nil)
	w.must(err)
	verdicts(t, w.judge(m, w.by(address(0)), w.by(address(1)), w.by(address(3))), people.Unmonitored, people.Kept,
		people.Unmonitored)
	if got := w.sums().ByCoverage; got[people.Monitored] != 1 || got[people.Disabled] != 1 ||
		got[people.OutOfScope] != 5 {
		t.Errorf("with two on the list: %v", got)
	}
	_, err = w.roster.ReplaceUsers(t.Context(), conn, []string{address(0)})
	w.must(err)
	verdicts(t, w.judge(m, w.by(address(0)), w.by(address(1))), people.Kept, people.Unmonitored)
}

// TestAListThatFailsAtAnyWriteIsTheOldOneOrTheNewOne fails each write in turn, both ways: not done, and done
// and said to have failed.
func TestAListThatFailsAtAnyWriteIsTheOldOneOrTheNewOne(t *testing.T) {
	w := found(t, m365sim.Options{}, []world.Person{resident(0), resident(1)})
	w.take()
	_, err := w.roster.SetScope(t.Context(), conn, people.Users, people.Premium, nil)
	w.must(err)
	whole := w.table
	for _, done := range []bool{false, true} {
		for n := 1; n <= 4; n++ {
			w.on(whole)
			_, err := w.roster.ReplaceUsers(t.Context(), conn, []string{address(0)})
			w.must(err)
			writes := 0
			fail := func(op string, _ int) error {
				if op == "commit" || op == "load" {
					if writes++; writes == n {
						return errTold
					}
				}
				return nil
			}
			faulty := &tabletest.Faulty{Table: whole}
			if done {
				faulty.After = fail
			} else {
				faulty.Before = fail
			}
			w.on(faulty)
			_, failed := w.roster.ReplaceUsers(t.Context(), conn, []string{address(1)})
			w.on(whole)
			got := w.judge(w.monitor(), w.by(address(0)), w.by(address(1)))
			before, after := slices.Equal(got, []people.Verdict{people.Kept, people.Unmonitored}),
				slices.Equal(got, []people.Verdict{people.Unmonitored, people.Kept})
			if failed == nil && !after || failed != nil && !before {
				t.Errorf("write %d, done %v: %v, verdicts %v", n, done, failed, got)
			}
		}
	}
}

func TestAScopeOfGroupsIsExpandedAndWaitedFor(t *testing.T) {
	const outer, inner = "e0000000-0000-4000-8000-000000000001", "e0000000-0000-4000-8000-000000000002"
	all, _ := crowd(21)
	w := found(t, m365sim.Options{GraphPageSize: 2}, all, "GroupMember.Read.All")
	w.must(w.sim.AddGroups(tenantID,
		world.Group{ID: outer, Members: []string{inner, id(0)}},
		world.Group{ID: inner, Members: []string{outer, id(7), id(14), id(1)}}))
	w.take()
	m := w.monitor()
	_, err := w.roster.SetScope(t.Context(), conn, people.Groups, people.Premium,
		[]people.ObjectID{outer, "e0000000-0000-4000-8000-00000000000f"})
	w.must(err)
	if _, err := m.Judge(t.Context(), conn, w.who.Tenant, []people.Send{w.by(address(0))}); !errors.Is(err,
		fault.Retry) {
		t.Errorf("before the groups are read: %v", err)
	}
	state := w.take()
	verdicts(t, w.judge(m, w.by(address(0)), w.by(address(7)), w.by(address(1)), w.by(address(6))), people.Kept,
		people.Kept, people.Unmonitored, people.Unmonitored)
	if got := w.sums().ByCoverage; got[people.Monitored] != 3 || got[people.NoLicence] != 1 ||
		got[people.OutOfScope] != 17 {
		t.Errorf("coverage %v", got)
	}
	if !contains(state.Problem, "e0000000-0000-4000-8000-00000000000f") {
		t.Errorf("the group that is not there: %q", state.Problem)
	}
	// The members of the next day are the next census's, and the lists before are taken away.
	w.must(w.sim.AddGroups(tenantID, world.Group{ID: inner, Members: []string{id(6)}}))
	w.clock.advance(25 * time.Hour)
	w.take()
	verdicts(t, w.judge(m, w.by(address(7)), w.by(address(6))), people.Unmonitored, people.Kept)
	w.clock.advance(25 * time.Hour)
	w.take()
	if n := w.count(string(conn) + "|lists"); n != 2 { // this one, and the one before
		t.Errorf("%d lists are kept", n)
	}
}

func TestAScopeOfGroupsWithoutThePermissionSaysWhich(t *testing.T) {
	w := found(t, m365sim.Options{}, []world.Person{resident(0)})
	w.take()
	_, err := w.roster.SetScope(t.Context(), conn, people.Groups, people.Premium,
		[]people.ObjectID{"e0000000-0000-4000-8000-000000000001"})
	w.must(err)
	w.clock.advance(2 * time.Hour)
	outcome, err := w.census.Run(t.Context())
	w.must(err)
	state, err := w.roster.State(t.Context(), conn)
	w.must(err)
	if outcome.Failed != 1 || !contains(state.Problem, "GroupMember.Read.All") {
		t.Errorf("%+v %q", outcome, state.Problem)
	}
	if len(w.told) != 1 || fault.Code(w.told[0]) != connection.GroupsDenied {
		t.Errorf("the connection was told %v", w.told)
	}
}

// TestARefusedDirectoryIsToldToTheConnection has a tenant that takes User.Read.All away between two daily
// censuses: a person whom nobody knows sends something, the look-up is refused, and the next census, which was
// not due, reports that to the connection, tries again within minutes, and also reports when all is well.
func TestARefusedDirectoryIsToldToTheConnection(t *testing.T) {
	w := found(t, m365sim.Options{}, []world.Person{resident(0)})
	w.take()
	w.clock.advance(2 * time.Hour)
	if outcome, err := w.census.Run(t.Context()); err != nil || outcome.Connections != 0 || len(w.told) != 0 {
		t.Errorf("without need: %+v, %v, told %v", outcome, err, w.told)
	}
	denied := w.sim.Fault(m365sim.Fault{Op: "graph", Code: "Authorization_RequestDenied"})
	if _, err := w.monitor().Judge(t.Context(), conn, w.who.Tenant, []people.Send{w.by(address(5))}); !errors.Is(err,
		fault.Refused) {
		t.Errorf("judged: %v", err)
	}
	for range 12 { // the longest wait is five minutes
		_, err := w.census.Run(t.Context())
		w.must(err)
		state, err := w.roster.State(t.Context(), conn)
		w.must(err)
		wait := state.NotBefore.Sub(w.clock.Now())
		if wait <= 0 || wait > 5*time.Minute || fault.Code(w.told[len(w.told)-1]) != "Authorization_RequestDenied" {
			t.Fatalf("waits %s, told %v", wait, w.told)
		}
		w.clock.advance(wait)
	}
	w.sim.ClearFaults(denied)
	w.who.Denied = "Authorization_RequestDenied"
	w.on(w.table)
	w.take()
	if last := w.told[len(w.told)-1]; last != nil {
		t.Errorf("told at last: %v", last)
	}
	// Whatever became of telling it: a connection that says so is looked at again.
	w.told = nil
	w.clock.advance(time.Minute)
	if w.take(); len(w.told) != 1 || w.told[0] != nil {
		t.Errorf("told %v", w.told)
	}
	w.who.Denied = ""
	w.on(w.table)
	if outcome, err := w.census.Run(t.Context()); err != nil || outcome.Connections != 0 {
		t.Errorf("the doubt stays: %+v, %v", outcome, err)
	}
}

// TestPain15SendsMissingForSomeUsersBecauseOfTheLicence shows for each person whether the mail is recorded, or
// why not, and who is monitored and yet sent nothing for 30 days: the sign of a mailbox that Microsoft does not
// audit.
func TestPain15SendsMissingForSomeUsersBecauseOfTheLicence(t *testing.T) {
	all, _ := crowd(14)
	w := found(t, m365sim.Options{}, all)
	w.take()
	m := w.monitor()
	w.clock.advance(40 * 24 * time.Hour)
	w.judge(m, w.by(address(0)), people.Send{At: w.clock.Now().Add(-31 * 24 * time.Hour), Actor: address(6)},
		w.by(address(1)))
	for name, want := range map[string]struct {
		coverage people.Coverage
		quiet    bool
		sent     bool
	}{
		address(0):                       {people.Monitored, false, true},
		"ALIAS0@contoso.onmicrosoft.com": {people.Monitored, false, true},
		address(6):                       {people.Monitored, true, true},
		address(7):                       {people.Monitored, true, false},
		address(1):                       {people.NoLicence, false, true},
		address(2):                       {people.NoLicence, false, false},
		address(3):                       {people.Disabled, false, false},
		address(4):                       {people.NoMailbox, false, false},
	} {
		p, err := w.roster.Find(t.Context(), conn, name)
		w.must(err)
		if p.Coverage != want.coverage || p.Quiet != want.quiet || p.LastSend.IsZero() == want.sent ||
			p.Reason == "" {
			t.Errorf("%s: %s, quiet %v, last send %s", name, p.Coverage, p.Quiet, p.LastSend)
		}
	}
	if sums := w.sums(); sums.Quiet != 3 || sums.ByCoverage[people.Monitored] != 4 {
		t.Errorf("sums %+v", sums)
	}
	// A backlog that is read late does not move the last send back.
	w.judge(w.monitor(), people.Send{At: w.clock.Now().Add(-48 * time.Hour), Actor: address(0)})
	if p, err := w.roster.Find(t.Context(), conn, address(0)); err != nil || !p.LastSend.Equal(w.clock.Now()) {
		t.Errorf("last send %s %v", p.LastSend, err)
	}
}

func TestStrangersAreAskedForAFewAtATimeAndListed(t *testing.T) {
	w := found(t, m365sim.Options{}, []world.Person{resident(0)})
	m := w.monitor()
	var sends []people.Send
	for i := range 300 {
		sends = append(sends, w.by(fmt.Sprintf("stranger%d@elsewhere.test", i)))
	}
	for _, v := range w.judge(m, sends...) {
		if v != people.Unknown {
			t.Fatalf("a stranger is %v", v)
		}
	}
	n := 0
	for _, err := range w.roster.Unknowns(t.Context(), conn, "") {
		w.must(err)
		n++
	}
	if n != 300 {
		t.Errorf("%d unknown senders are remembered", n)
	}
}

// Whatever Microsoft delivers is kept under the gate none, whoever sent it; only the scope drops mail.
func TestEverySendThatMicrosoftDeliversIsKept(t *testing.T) {
	all, _ := crowd(7)
	w := found(t, m365sim.Options{}, all)
	w.roster.Gate = func(context.Context, connection.ID) (people.Gate, error) { return people.None, nil }
	w.take()
	now := w.clock.Now()
	shared := address(3) // its account is disabled, as those of shared mailboxes are
	sends := []people.Send{
		w.by(address(0)), w.by(address(1)), w.by(shared),
		{At: now, Actor: "S-1-5-18", Mailbox: shared, From: shared},
		{At: now, Actor: address(0), Mailbox: "team@contoso.test", From: "team@contoso.test"}, // SendAs of a group
		w.by("nobody@elsewhere.test"),
	}
	want := []people.Coverage{
		people.Monitored, people.NoLicence, people.Disabled, people.Disabled, people.Monitored, people.Stranger,
	}
	check := func(want ...people.Judgement) {
		t.Helper()
		got, err := w.monitor().Judge(t.Context(), conn, w.who.Tenant, sends)
		w.must(err)
		if !slices.Equal(got, want) {
			t.Errorf("judged %v, want %v", got, want)
		}
	}
	kept := make([]people.Judgement, len(sends))
	for i := range sends {
		kept[i] = people.Judgement{Verdict: people.Kept, Coverage: want[i]}
	}
	check(kept...)

	// The directory is down: nothing depends on it, and nobody waits.
	w.sim.Fault(m365sim.Fault{Op: "graph", Status: 500})
	sends = append(sends, w.by("another@elsewhere.test"))
	check(append(kept, people.Judgement{Verdict: people.Kept})...)
	w.sim.ClearFaults()

	// A list of users drops the others; it may name a group's address, which the directory has no user for.
	_, err := w.roster.ReplaceUsers(t.Context(), conn, []string{shared, "team@contoso.test"})
	w.must(err)
	_, err = w.roster.SetScope(t.Context(), conn, people.Users, people.None, nil)
	w.must(err)
	verdicts(t, w.judge(w.monitor(), sends[:6]...),
		people.Unmonitored, people.Unmonitored, people.Kept, people.Kept, people.Kept, people.Unknown)

	// Whoever chooses the gate premium has it, and reads what it loses.
	s, err := w.roster.SetScope(t.Context(), conn, people.Everybody, people.Premium, nil)
	w.must(err)
	verdicts(t, w.judge(w.monitor(), sends[:4]...), people.Kept, people.Unmonitored, people.Unmonitored,
		people.Unmonitored)
	if !strings.Contains(s.Gate.Sentence(), "cannot be had again after 7 days") {
		t.Errorf("premium is said to be: %s", s.Gate.Sentence())
	}
}

// An event says what its sender's coverage was when the mail was sent, not when it was read; changes are kept for 90
// days.
func TestTheCoverageOfThatTimeIsSaid(t *testing.T) {
	all, _ := crowd(1)
	w := found(t, m365sim.Options{}, all)
	w.roster.Gate = func(context.Context, connection.ID) (people.Gate, error) { return people.None, nil }
	w.take()
	before := w.clock.Now()
	was := all[0]
	later := was
	later.Plans = nil
	w.must(w.sim.AddPeople(tenantID, later))
	w.clock.advance(25 * time.Hour)
	w.take()
	at := func(at time.Time) people.Coverage {
		t.Helper()
		send := people.Send{At: at, Actor: address(0), Mailbox: address(0)}
		judged, err := w.monitor().Judge(t.Context(), conn, w.who.Tenant, []people.Send{send})
		w.must(err)
		return judged[0].Coverage
	}
	if got := at(before); got != people.Monitored {
		t.Errorf("before the licence went the coverage was %s", got)
	}
	if got := at(w.clock.Now()); got != people.NoLicence {
		t.Errorf("now the coverage is %s", got)
	}
	p, err := w.roster.Find(t.Context(), conn, address(0))
	w.must(err)
	if len(p.Changes) != 1 || p.Changes[0].Coverage != people.Monitored {
		t.Errorf("changes %+v", p.Changes)
	}
	w.clock.advance(91 * 24 * time.Hour)
	w.take()
	if p, err = w.roster.Find(t.Context(), conn, address(0)); err != nil || len(p.Changes) != 0 {
		t.Errorf("after 91 days: %+v, %v", p.Changes, err)
	}
}

// The news of somebody who is back may never come. So whoever had left and sends again is asked for at once.
func TestWhoeverIsBackIsAskedForAtOnce(t *testing.T) {
	all, _ := crowd(2)
	w := found(t, m365sim.Options{DeltaHidesRestored: true}, all)
	w.take()
	w.must(w.sim.RemovePeople(tenantID, id(0)))
	w.clock.advance(25 * time.Hour)
	w.take()
	verdicts(t, w.judge(w.monitor(), w.by(address(0))), people.Unmonitored)
	w.must(w.sim.RestorePerson(tenantID, id(0)))
	w.clock.advance(25 * time.Hour)
	w.take() // the changes do not say
	verdicts(t, w.judge(w.monitor(), w.by(address(0))), people.Kept)
}

package people_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/people"
	"github.com/mailtrail/mailtrail/shared/table/tabletest"
	m365sim "github.com/mailtrail/mailtrail/sim/m365"
	"github.com/mailtrail/mailtrail/sim/m365/world"
)

// TestTheCensusCountsEverybodyInAHostileWorld has pages of seven, refusals, throttles and torn bodies.
func TestTheCensusCountsEverybodyInAHostileWorld(t *testing.T) {
	opts := m365sim.Hostile(3)
	opts.RolePropagation, opts.Latency, opts.RefuseRate = 0, 0, 0.1
	all, truth := crowd(700)
	w := found(t, opts, all)
	state := w.take()
	same(t, w.sums(), truth)
	if state.Phase != "" || state.People != 700 || !state.Swept.Equal(state.Finished) || state.Problem != "" ||
		state.Failures != 0 {
		t.Errorf("state %+v", state)
	}
	throttled := len(w.sim.History(m365sim.Filter{Op: "graph.users", Status: 429}))
	if pages := len(w.sim.History(m365sim.Filter{Op: "graph.users", Status: 200})); pages < 100 || pages > 120 ||
		throttled == 0 {
		t.Errorf("%d pages were read, %d refused", pages, throttled)
	}
	if domains, err := w.roster.Domains(t.Context(), conn); err != nil ||
		!slices.Equal(domains, []string{"contoso.onmicrosoft.com", "contoso.test"}) {
		t.Errorf("domains %v %v", domains, err)
	}
}

func TestWhatMicrosoftAsksToWaitIsWaited(t *testing.T) {
	w := found(t, m365sim.Options{}, []world.Person{resident(1)})
	w.sim.Fault(m365sim.Fault{Op: "graph.users", Status: 429, RetryAfter: 5 * time.Minute, Times: 1})
	run := func() people.Outcome {
		t.Helper()
		outcome, err := w.census.Run(t.Context())
		w.must(err)
		return outcome
	}
	if got := run(); got.Failed != 1 {
		t.Errorf("the throttled run: %+v", got)
	}
	asked := len(w.sim.History(m365sim.Filter{Op: "graph"}))
	w.clock.advance(299 * time.Second)
	if got := run(); got.Connections != 0 || len(w.sim.History(m365sim.Filter{Op: "graph"})) != asked {
		t.Errorf("asked before the time: %+v", got)
	}
	w.clock.advance(time.Second)
	if got := run(); got.Finished != 1 {
		t.Errorf("the run after the wait: %+v", got)
	}
}

// TestACrashAtAnyWriteReadsOnePageAgainAtMost fails each write in turn, both ways: not done, and done and said
// to have failed.
func TestACrashAtAnyWriteReadsOnePageAgainAtMost(t *testing.T) {
	all, truth := crowd(21)
	for _, done := range []bool{false, true} {
		for n := 1; ; n++ {
			w := found(t, m365sim.Options{GraphPageSize: 7}, all)
			broke := false
			writes := 0
			fail := func(op string, _ int) error {
				if op == "commit" || op == "load" {
					if writes++; writes == n {
						broke = true
						return errTold
					}
				}
				return nil
			}
			faulty := &tabletest.Faulty{Table: w.table}
			if done {
				faulty.After = fail
			} else {
				faulty.Before = fail
			}
			w.on(faulty)
			w.take()
			same(t, w.sums(), truth)
			if pages := len(w.sim.History(m365sim.Filter{Op: "graph.users"})); pages > 4 {
				t.Errorf("write %d, done %v: %d pages of 3 were read", n, done, pages)
			}
			if t.Failed() || !broke {
				if n < 10 {
					t.Fatalf("only %d writes", n)
				}
				break
			}
		}
	}
}

func TestDailyChangesAreReadWithoutReadingEverybody(t *testing.T) {
	all, _ := crowd(70)
	w := found(t, m365sim.Options{GraphPageSize: 10}, all)
	w.take()
	w.sim.ResetHistory()

	disabled, licensed := resident(0), resident(1) // 1 had no plan
	disabled.Enabled = false
	w.must(w.sim.AddPeople(tenantID, disabled, licensed, resident(1000)))
	w.must(w.sim.RemovePeople(tenantID, id(6), id(7)))
	before := w.sums()
	w.clock.advance(25 * time.Hour)
	w.take()
	got := w.sums()
	for coverage, change := range map[people.Coverage]int64{people.Monitored: -1, people.NoLicence: -1,
		people.Disabled: +1} {
		if got.ByCoverage[coverage]-before.ByCoverage[coverage] != change {
			t.Errorf("%s went from %d to %d", coverage, before.ByCoverage[coverage], got.ByCoverage[coverage])
		}
	}
	if got.People != before.People-1 {
		t.Errorf("%d people, %d before", got.People, before.People)
	}
	if n := len(w.sim.History(m365sim.Filter{Op: "graph.users"})); n != 0 {
		t.Errorf("%d pages of everybody were read", n)
	}
}

func TestADeltaThatIsTooOldBeginsAnew(t *testing.T) {
	all, truth := crowd(30)
	w := found(t, m365sim.Options{GraphPageSize: 10}, all)
	w.take()
	w.must(w.sim.RemovePeople(tenantID, id(0)))
	truth[people.Monitored]--
	w.sim.Fault(m365sim.Fault{Op: "graph.delta", Code: "syncStateNotFound", Times: 1})
	w.clock.advance(25 * time.Hour)
	state := w.take()
	same(t, w.sums(), truth)
	if !state.Swept.Equal(state.Finished) {
		t.Errorf("state %+v", state)
	}
}

// TestEverybodyIsReadOnceAWeek takes changes that no delta reported.
func TestEverybodyIsReadOnceAWeek(t *testing.T) {
	all, truth := crowd(30)
	w := found(t, m365sim.Options{GraphPageSize: 10}, all)
	first := w.take()
	w.must(w.sim.RemovePeople(tenantID, id(0)))
	truth[people.Monitored]--
	w.sim.Fault(m365sim.Fault{Op: "graph.delta", Status: 503, RetryAfter: time.Minute, Times: 1})
	w.clock.advance(8 * 24 * time.Hour)
	if state := w.take(); !state.Swept.After(first.Swept) {
		t.Errorf("swept at %s, then at %s", first.Swept, state.Swept)
	}
	same(t, w.sums(), truth)
}

func TestOneRunHoldsTheCensusOfAConnection(t *testing.T) {
	w := found(t, m365sim.Options{GraphPageSize: 1, Latency: time.Millisecond}, []world.Person{resident(0), resident(1),
		resident(2)})
	hang := w.sim.Fault(m365sim.Fault{Op: "graph.users", Hang: true, Times: 1})
	defer w.sim.ClearFaults(hang)
	first := make(chan people.Outcome)
	w.census.Patience = 500 * time.Millisecond
	go func() {
		outcome, _ := w.census.Run(t.Context())
		first <- outcome
	}()
	for len(w.sim.History(m365sim.Filter{Op: "graph.users"})) == 0 {
		time.Sleep(time.Millisecond)
	}
	other := *w.census
	outcome, err := other.Run(t.Context())
	if err != nil || outcome.Busy != 1 {
		t.Errorf("beside another run: %+v %v", outcome, err)
	}
	if outcome := <-first; outcome.Failed != 0 || outcome.Finished != 0 {
		t.Errorf("the run whose patience ended: %+v", outcome)
	}
	if state := w.take(); state.People != 3 {
		t.Errorf("state %+v", state)
	}
}

func TestAMissingPermissionIsSaid(t *testing.T) {
	w := found(t, m365sim.Options{}, []world.Person{resident(0)})
	problem := func() string {
		t.Helper()
		_, err := w.census.Run(t.Context())
		w.must(err)
		state, err := w.roster.State(t.Context(), conn)
		w.must(err)
		return state.Problem
	}
	denied := w.sim.Fault(m365sim.Fault{Op: "graph", Code: "Authorization_RequestDenied"})
	if got := problem(); !contains(got, "still spreading") {
		t.Errorf("in the first hour: %q", got)
	}
	w.clock.advance(2 * time.Hour)
	if got := problem(); !contains(got, "User.Read.All") {
		t.Errorf("later: %q", got)
	}
	w.sim.ClearFaults(denied)
	if state := w.take(); state.Problem != "" {
		t.Errorf("after it was granted: %q", state.Problem)
	}
}

func TestPurgeLeavesNothing(t *testing.T) {
	all, _ := crowd(40)
	w := found(t, m365sim.Options{}, all)
	w.take()
	w.judge(w.monitor(), w.by(address(0)), w.by("nobody@contoso.test"))
	_, err := w.roster.ReplaceUsers(t.Context(), conn, []string{address(0)})
	w.must(err)
	for done, steps := false, 0; !done; steps++ {
		var n int
		n, done, err = w.roster.Purge(t.Context(), conn, 50)
		w.must(err)
		if n > 50 || steps > 20 {
			t.Fatalf("step %d deleted %d", steps, n)
		}
	}
	if sums := w.sums(); sums.People != 0 {
		t.Errorf("%d people are left", sums.People)
	}
	scope, err := w.roster.Scope(t.Context(), conn)
	w.must(err)
	state, err := w.roster.State(t.Context(), conn)
	w.must(err)
	domains, err := w.roster.Domains(t.Context(), conn)
	w.must(err)
	if scope.Listed != 0 || state.Delta != "" || len(domains) != 0 || fmt.Sprint(scope.Kind) != "all" {
		t.Errorf("left: %+v %+v %v", scope, state, domains)
	}
	for name := range w.roster.Unknowns(t.Context(), conn, "") {
		t.Errorf("%s is left", name)
	}
}

// run takes the census over and over, as a schedule does, until it is finished.
func (w *town) run(most int) people.State {
	w.t.Helper()
	for range most {
		_, err := w.census.Run(w.t.Context())
		w.must(err)
		state, err := w.roster.State(w.t.Context(), conn)
		w.must(err)
		if state.Phase == "" && !state.Finished.IsZero() {
			return state
		}
		w.clock.advance(time.Hour)
	}
	state, _ := w.roster.State(w.t.Context(), conn)
	w.t.Fatalf("the census is not finished after %d runs: %+v", most, state)
	return people.State{}
}

// With all the plans of a large subscription a page may be larger than is taken, or Microsoft may not have it
// in time.
func TestPagesOfPeopleAdapt(t *testing.T) {
	all, truth := crowd(400)
	for name, options := range map[string]m365sim.Options{
		"pages that are too large":   {PeoplePageBytes: 20_000},
		"pages that take too long":   {LargeTop: 100},
		"pages of a size that is ok": {LargeTop: 200},
	} {
		t.Run(name, func(t *testing.T) {
			w := found(t, options, all)
			state := w.run(12)
			if state.People != 400 || state.Problem != "" {
				t.Errorf("%+v", state)
			}
			if got := w.sums().ByCoverage; !maps.Equal(got, truth) {
				t.Errorf("sums %v, want %v", got, truth)
			}
			first := len(w.sim.History(m365sim.Filter{Op: "graph.users", Status: 504}))
			w.clock.advance(8 * 24 * time.Hour)
			w.run(3)
			again := len(w.sim.History(m365sim.Filter{Op: "graph.users", Status: 504})) - first
			if name != "pages of a size that is ok" && again > 3 {
				t.Errorf("the next sweep asked for pages that are too large %d times", again)
			}
		})
	}
}

// Links in a circle were seen when the people of a group are listed.
func TestACircleOfLinksIsNoticed(t *testing.T) {
	all, _ := crowd(30)
	w := found(t, m365sim.Options{GraphPageSize: 3, MembersCycle: true}, all, "GroupMember.Read.All")
	group := world.Group{ID: "e0000000-0000-4000-8000-000000000001"}
	for i := range 20 {
		group.Members = append(group.Members, id(i))
	}
	w.must(w.sim.AddGroups(tenantID, group))
	_, err := w.roster.SetScope(t.Context(), conn, people.Groups, people.None,
		[]people.ObjectID{people.ObjectID(group.ID)})
	w.must(err)
	state := w.run(12)
	if !strings.Contains(state.Problem, "in a circle") {
		t.Errorf("the problem is %q", state.Problem)
	}
	if got := w.sums(); got.People-got.ByCoverage[people.OutOfScope] != 20 {
		t.Errorf("sums %+v", got)
	}
}

// An expansion of groups that is broken off goes on where it stopped, also in another process.
func TestAnExpansionOfGroupsGoesOnWhereItStopped(t *testing.T) {
	all, _ := crowd(40)
	w := found(t, m365sim.Options{GraphPageSize: 2}, all, "GroupMember.Read.All")
	var ids []people.ObjectID
	for g := range 2 {
		group := world.Group{ID: fmt.Sprintf("e0000000-0000-4000-8000-%012d", g)}
		for i := range 20 {
			group.Members = append(group.Members, id(20*g+i))
		}
		w.must(w.sim.AddGroups(tenantID, group))
		ids = append(ids, people.ObjectID(group.ID))
	}
	_, err := w.roster.SetScope(t.Context(), conn, people.Groups, people.None, ids)
	w.must(err)
	w.sim.Fault(m365sim.Fault{Op: "graph.members", Rate: 0.3, Status: 429, RetryAfter: time.Minute})
	w.run(60)
	asked := len(w.sim.History(m365sim.Filter{Op: "graph.members", Status: 200}))
	if got := w.sums(); got.ByCoverage[people.OutOfScope] != 0 || asked != 20 {
		t.Errorf("%d pages were read of 20; sums %+v", asked, got)
	}
}

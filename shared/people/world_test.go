package people_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/embedded"
	"github.com/mailtrail/mailtrail/shared/m365"
	"github.com/mailtrail/mailtrail/shared/people"
	"github.com/mailtrail/mailtrail/shared/table"
	m365sim "github.com/mailtrail/mailtrail/sim/m365"
	"github.com/mailtrail/mailtrail/sim/m365/world"
)

const (
	clientID  = "11111111-1111-4111-8111-111111111111"
	publisher = "22222222-2222-4222-8222-222222222222"
	tenantID  = "33333333-3333-4333-8333-333333333333"
	conn      = connection.ID("aaaaaaaaaaaa")
)

var morning = time.Date(2026, 11, 16, 9, 0, 0, 0, time.UTC)

// clock is a clock that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// registry has one connection.
type registry struct {
	connection.Connection
	told *[]error // what was reported of the directory
}

func (r registry) Followed(context.Context) ([]connection.Connection, error) {
	return []connection.Connection{r.Connection}, nil
}

func (r registry) ReportDirectory(_ context.Context, _ connection.ID, outcome error) error {
	if r.told != nil {
		*r.told = append(*r.told, outcome)
	}
	return nil
}

// town is a simulated tenant, our client for it, and a roster in a real store.
type town struct {
	t      *testing.T
	clock  *clock
	sim    *m365sim.Server
	client *m365.Client
	table  table.Table
	roster *people.Roster
	census *people.Census
	who    connection.Connection
	told   []error // reported to the connection
}

// found makes a tenant with these people, whose administrator has consented.
func found(t *testing.T, opts m365sim.Options, crowd []world.Person, roles ...string) *town {
	t.Helper()
	w := &town{t: t, clock: &clock{now: morning}}
	opts.Now = w.clock.Now
	w.sim = m365sim.New(opts)
	w.sim.AddApp(m365sim.App{
		ClientID: clientID, HomeTenant: publisher, Secrets: []m365sim.Secret{{Value: "s3cret"}},
		ActivityRoles: []string{"ActivityFeed.Read"}, GraphRoles: append([]string{"User.Read.All"}, roles...),
	})
	w.sim.AddTenant(world.Tenant{ID: tenantID, DefaultDomain: "contoso.test",
		Domains: []string{"contoso.test", "contoso.onmicrosoft.com"}}, crowd)
	w.must(w.sim.Grant(tenantID, clientID))
	server := httptest.NewServer(w.sim.Handler())
	t.Cleanup(server.Close)
	var err error
	w.client, err = m365.New(m365.Config{
		ClientID: clientID, Secret: "s3cret", Publisher: publisher, RedirectURL: "http://localhost/back",
		HTTP: server.Client(), Now: w.clock.Now,
		Endpoints: map[connection.Cloud]m365.Endpoints{connection.Commercial: {
			Login: server.URL + "/login", Activity: server.URL + "/manage", Graph: server.URL + "/graph",
			ActivityScope: "https://manage.office.com/.default", GraphScope: "https://graph.microsoft.com/.default",
		}},
	})
	w.must(err)
	store, err := embedded.Open(t.TempDir(), embedded.Options{Now: w.clock.Now, Log: slog.New(slog.DiscardHandler)})
	w.must(err)
	t.Cleanup(func() { w.must(store.Close()) })
	w.table = store.Table("people")
	w.who = connection.Connection{ID: conn, DisplayName: "Contoso",
		Tenant: connection.Tenant{ID: tenantID, Cloud: connection.Commercial}, Consented: morning}
	w.on(w.table)
	return w
}

// on puts the roster and the census on another table.
func (w *town) on(tab table.Table) {
	w.roster = &people.Roster{Table: tab, Now: w.clock.Now, Rand: rand.Reader}
	w.census = &people.Census{
		Connections: registry{w.who, &w.told}, Directory: w.client, Roster: w.roster, Now: w.clock.Now, Holder: rand.Text,
		Log: slog.New(slog.DiscardHandler),
	}
}

func (w *town) monitor() *people.Monitor {
	return &people.Monitor{Roster: w.roster, Directory: w.client}
}

func (w *town) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// take runs the census until a pass ends, and moves the clock over what Microsoft asks to wait.
func (w *town) take() people.State {
	w.t.Helper()
	for range 10_000 {
		outcome, err := w.census.Run(w.t.Context())
		w.must(err)
		state, err := w.roster.State(w.t.Context(), conn)
		w.must(err)
		if outcome.Finished == 1 || outcome.Connections == 0 && state.Phase == "" {
			return state
		}
		if wait := state.NotBefore.Sub(w.clock.Now()); wait > 0 {
			w.clock.advance(wait)
		}
		if outcome.Busy > 0 { // a run died with the lease
			w.clock.advance(11 * time.Minute)
		}
	}
	w.t.Fatal("the census does not come to its end")
	return people.State{}
}

func (w *town) sums() people.Sums {
	w.t.Helper()
	sums, err := w.roster.Sums(w.t.Context(), conn)
	w.must(err)
	return sums
}

func (w *town) judge(m *people.Monitor, sends ...people.Send) []people.Verdict {
	w.t.Helper()
	judged, err := m.Judge(w.t.Context(), conn, w.who.Tenant, sends)
	w.must(err)
	verdicts := make([]people.Verdict, len(judged))
	for i, j := range judged {
		verdicts[i] = j.Verdict
	}
	return verdicts
}

// by is a mail that somebody sends from the own mailbox now.
func (w *town) by(address string) people.Send {
	return people.Send{At: w.clock.Now(), Actor: address, Mailbox: address}
}

func id(i int) string { return fmt.Sprintf("d0000000-0000-4000-8000-%012d", i) }

func address(i int) string { return fmt.Sprintf("p%d@contoso.test", i) }

// resident is a person with a mailbox and the plan.
func resident(i int) world.Person {
	return world.Person{
		ID: id(i), DisplayName: fmt.Sprintf("Person %d", i), UserPrincipalName: address(i), Mail: address(i),
		UserType: "Member", Enabled: true,
		ProxyAddresses: []string{"SMTP:" + address(i), fmt.Sprintf("smtp:alias%d@contoso.onmicrosoft.com", i)},
		Plans:          []world.Plan{{ID: people.AdvancedAuditing, CapabilityStatus: "Enabled"}},
	}
}

// crowd is n people of every sort, and how many of each coverage they are under the gate premium.
func crowd(n int) ([]world.Person, map[people.Coverage]int64) {
	var all []world.Person
	truth := map[people.Coverage]int64{people.OutOfScope: 0}
	for i := range n {
		p, coverage := resident(i), people.Monitored
		switch i % 7 {
		case 1:
			p.Plans, coverage = nil, people.NoLicence
		case 2:
			p.Plans[0].CapabilityStatus, coverage = "Suspended", people.NoLicence
		case 3:
			p.Enabled, coverage = false, people.Disabled
		case 4:
			p.Mail, p.ProxyAddresses, coverage = "", nil, people.NoMailbox
		case 5:
			p.UserType, coverage = "Guest", people.NoMailbox
		case 6:
			p.Plans[0].CapabilityStatus = "Warning"
		}
		truth[coverage]++
		all = append(all, p)
	}
	return all, truth
}

func same(t *testing.T, got people.Sums, want map[people.Coverage]int64) {
	t.Helper()
	var n int64
	for coverage, w := range want {
		if n += w; got.ByCoverage[coverage] != w {
			t.Errorf("%d people are %s, want %d", got.ByCoverage[coverage], coverage, w)
		}
	}
	if got.People != n {
		t.Errorf("%d people, want %d", got.People, n)
	}
}

// count counts the items of a partition.
func (w *town) count(partition string) (n int) {
	w.t.Helper()
	for _, err := range w.table.Query(w.t.Context(), table.Query{Partition: partition}) {
		w.must(err)
		n++
	}
	return n
}

var errTold = errors.New("told that it failed")

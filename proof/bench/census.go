package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/embedded"
	"github.com/mailtrail/mailtrail/shared/m365"
	"github.com/mailtrail/mailtrail/shared/people"
	m365sim "github.com/mailtrail/mailtrail/sim/m365"
	"github.com/mailtrail/mailtrail/sim/m365/world"
)

const (
	inhabitants  = 100_000
	censusTenant = "00000000-1111-4222-8333-444444444444"
)

// directory is what the process that simulates a large tenant reports about it. It is another process, so that its
// memory is not ours.
type directory struct {
	Login, Manage, Graph, Control string
	Truth                         map[people.Coverage]int64 // under the gate premium
}

// serveDirectory simulates a tenant of many people, refusing one request of twenty, until its input ends.
func serveDirectory(ctx context.Context, in io.Reader, out io.Writer) error {
	sim := m365sim.New(m365sim.Options{Seed: 1, RefuseRate: 0.05, TornRate: 0.02})
	sim.AddApp(m365sim.App{ClientID: clientID, HomeTenant: publisher, Secrets: []m365sim.Secret{{Value: "bench-secret"}},
		GraphRoles: []string{"User.Read.All"}})
	all, truth := inhabit()
	sim.AddTenant(world.Tenant{ID: censusTenant, DefaultDomain: "large.example", Domains: []string{"large.example"}}, all)
	if err := sim.Grant(censusTenant, clientID); err != nil {
		return err
	}
	doors, err := sim.Start(ctx, "127.0.0.1:0", "127.0.0.1:0")
	if err != nil {
		return err
	}
	told := directory{Login: doors.Login, Manage: doors.Manage, Graph: doors.Graph, Control: doors.Control, Truth: truth}
	if err := json.NewEncoder(out).Encode(told); err != nil {
		return errors.Join(err, doors.Close())
	}
	_, err = io.Copy(io.Discard, in)
	return errors.Join(err, doors.Close())
}

// inhabit creates people of every sort, and counts them.
func inhabit() ([]world.Person, map[people.Coverage]int64) {
	truth := map[people.Coverage]int64{people.OutOfScope: 0}
	all := make([]world.Person, inhabitants)
	for i := range all {
		address, status := fmt.Sprintf("somebody.number%d@large.example", i), "Enabled"
		p := world.Person{
			ID: fmt.Sprintf("1a59e000-0000-4000-8000-%012d", i), DisplayName: fmt.Sprintf("Somebody Number %d", i),
			UserPrincipalName: address, Mail: address,
			ProxyAddresses: []string{"SMTP:" + address, fmt.Sprintf("smtp:n%d@large.onmicrosoft.example", i)},
			UserType:       "Member", Enabled: true,
		}
		coverage := people.Monitored
		switch i % 10 {
		case 0:
			p.Enabled, coverage = false, people.Disabled
		case 1:
			p.Mail, p.ProxyAddresses, coverage = "", nil, people.NoMailbox
		case 2:
			p.UserType, coverage = "Guest", people.NoMailbox
		case 3:
			status = "Warning"
		case 4:
			status, coverage = "Suspended", people.NoLicence
		}
		if i%10 == 5 || i%10 == 6 {
			coverage = people.NoLicence
		} else {
			p.Plans = append(p.Plans, world.Plan{ID: people.AdvancedAuditing, Service: "exchange", CapabilityStatus: status})
		}
		p.Plans = subscription(len(p.Plans) > 0, status)
		truth[coverage]++
		all[i] = p
	}
	return all, truth
}

// plansEach is how many plans a person has, as in a large subscription.
const plansEach = 111

//nolint:gochecknoglobals // people share their plans, for they fill the memory
var subscriptions = map[string][]world.Plan{}

// subscription returns the plans of a person, with or without the one for auditing.
func subscription(audited bool, status string) []world.Plan {
	if !audited {
		status = ""
	}
	plans := subscriptions[status]
	if plans == nil {
		if audited {
			plans = append(plans, world.Plan{ID: people.AdvancedAuditing, Service: "exchange", CapabilityStatus: status})
		}
		for plan := len(plans); plan < plansEach; plan++ { // what else a subscription contains
			plans = append(plans, world.Plan{
				ID: fmt.Sprintf("b0000000-0000-4000-8000-%012d", plan), Service: "other", CapabilityStatus: "Enabled",
			})
		}
		subscriptions[status] = plans
	}
	return plans
}

// oneConnection is a registry that has one.
type oneConnection struct{ connection.Connection }

func (o oneConnection) Followed(context.Context) ([]connection.Connection, error) {
	return []connection.Connection{o.Connection}, nil
}

func (o oneConnection) ReportDirectory(context.Context, connection.ID, error) error { return nil }

// census measures the census of a tenant of 100,000 people: read in pages, with throttles and torn answers, and
// stored with their names, synced. The first speed includes the waits that Microsoft asks for; the second does not.
func census(ctx context.Context, r *report) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	child := exec.CommandContext(ctx, self, "-child", "serve-directory")
	child.Stderr = os.Stderr
	in, err := child.StdinPipe()
	if err != nil {
		return err
	}
	out, err := child.StdoutPipe()
	if err != nil {
		return err
	}
	if err := child.Start(); err != nil {
		return err
	}
	var d directory
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &d)
	}
	if err == nil {
		err = d.census(ctx, r)
	}
	return errors.Join(err, in.Close(), child.Wait())
}

func (d directory) census(ctx context.Context, r *report) error {
	dir, err := os.MkdirTemp("", "mailtrail-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	log := slog.New(slog.DiscardHandler)
	store, err := embedded.Open(dir, embedded.Options{Log: log})
	if err != nil {
		return err
	}
	client, err := m365.New(m365.Config{
		ClientID: clientID, Secret: "bench-secret", Publisher: publisher, RedirectURL: "http://localhost/consent/callback",
		Endpoints: map[connection.Cloud]m365.Endpoints{connection.Commercial: {
			Login: d.Login, Activity: d.Manage, Graph: d.Graph,
			ActivityScope: "https://manage.office.com/.default", GraphScope: "https://graph.microsoft.com/.default",
		}},
	})
	if err != nil {
		return errors.Join(err, store.Close())
	}
	c := connection.Connection{ID: "aaaaaaaaaaaa",
		Tenant: connection.Tenant{ID: censusTenant, Cloud: connection.Commercial}}
	people := &people.Census{
		Connections: oneConnection{c}, Directory: client, Now: time.Now, Holder: rand.Text, Log: log,
		Roster: &people.Roster{Table: store.Table("people"), Now: time.Now, Rand: rand.Reader},
	}
	return errors.Join(d.take(ctx, r, people, c.ID), store.Close())
}

// take runs the whole census, compares it with the truth, and counts again as the API does.
func (d directory) take(ctx context.Context, r *report, c *people.Census, id connection.ID) error {
	start, waited := time.Now(), time.Duration(0)
	failures := 0
	for {
		outcome, err := c.Run(ctx)
		if err != nil {
			return err
		}
		if outcome.Finished == 1 {
			break
		}
		failures += outcome.Failed
		state, err := c.Roster.State(ctx, id)
		if err != nil {
			return err
		}
		wait := time.Until(state.NotBefore)
		waited += max(wait, 0)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
	took := time.Since(start)
	start = time.Now()
	sums, err := c.Roster.Sums(ctx, id)
	if err != nil {
		return err
	}
	counting := time.Since(start)
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	resident, err := used()
	if err != nil {
		return err
	}
	wrong := 0
	for coverage, n := range d.Truth {
		fmt.Fprintf(os.Stderr, "census: %d people are %s, %d in the simulator\n", sums.ByCoverage[coverage], coverage, n)
		if sums.ByCoverage[coverage] != n {
			wrong++
		}
	}
	return errors.Join(
		r.below("census.wrong_sums", float64(wrong), "coverage sums that differ from the simulator's truth", 1),
		r.tell("census.people", float64(sums.People), "people"),
		r.tell("census.broken_off", float64(failures), "runs that Microsoft broke off, with a throttle or a failure"),
		r.atLeast("census.speed", inhabitants/took.Seconds(), "people/s, Microsoft's waits included", 500),
		r.tell("census.speed_without_waits", inhabitants/(took-waited).Seconds(), "people/s"),
		r.tell("census.sums", counting.Seconds(), "s to count everybody by coverage"),
		// Sys never shrinks: it is the program's peak, without the store's own tables, whose size does not depend on the
		// tenant.
		r.below("census.peak", float64(memory.Sys)/(1<<20),
			"MB, all of the program but the tables that the store keeps in memory", 64),
		r.tell("census.resident", resident.peak, "MB, those included"),
	)
}

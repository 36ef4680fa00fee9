package machine_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/local/machine"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/forensic"
	"github.com/mailtrail/mailtrail/shared/table"
	m365sim "github.com/mailtrail/mailtrail/sim/m365"
	"github.com/mailtrail/mailtrail/sim/m365/company"
)

// If the waiting messages of one connection cannot be swept, that must not hold back the watermarks of the
// connections after it.
func TestASweepThatFailsForOneConnectionHoldsNoOtherUp(t *testing.T) {
	dir := t.TempDir()
	same := func(_ *world, c *machine.Config) { c.Dir = dir }
	options := m365sim.Options{Seed: 1, StrictPublisher: true}
	w := startWith(t, options, machine.Config{Everybody: true}, same)
	for i := range 2 {
		c := company.New(company.Options{Seed: uint64(i) + 1, TenantID: fmt.Sprintf("1111111%d-1111-4222-8333-444444444444",
			i)})
		w.sim.AddTenant(c.Tenant(), c.People())
		w.connect(c)
	}
	all, err := w.machine.Registry.Followed(t.Context())
	if err != nil || len(all) != 2 {
		t.Fatalf("%d connections are polled, %v", len(all), err)
	}
	// The state of the first sweep is unreadable. The second connection has the mark of a message that was never
	// stored.
	idle := fmt.Sprintf("%012x-%s", time.Now().Add(-time.Hour).UnixMilli(), forensic.RecordID("never-stored").Hash())
	err = w.machine.Desk.Events.Load(t.Context(),
		table.Item{Key: table.Key{Partition: forensic.WaitingPartition(all[0].ID), Sort: "sweep"},
			Attrs: table.Attrs{"began": "once"}},
		table.Item{
			Key:   table.Key{Partition: forensic.WaitingPartition(all[1].ID), Sort: idle},
			Attrs: table.Attrs{"record": "never-stored", "stored": "2020-01-01T00:00:00.000Z"},
		})
	if err != nil {
		t.Fatal(err)
	}
	w.stop()

	again := startWith(t, options, machine.Config{Everybody: true}, same)
	again.wait("the second connection to be swept", func() bool { return waitingOf(t, again, all[1].ID) == 0 })
}

func waitingOf(t *testing.T, w *world, c connection.ID) int {
	t.Helper()
	n, err := w.machine.Desk.Waiting(t.Context(), c, 1)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

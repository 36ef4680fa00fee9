package machine_test

import (
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/connection"
	m365sim "github.com/mailtrail/mailtrail/sim/m365"
	"github.com/mailtrail/mailtrail/sim/m365/company"
)

// set changes the scope of a connection over the API.
func (w *world) set(id connection.ID, body string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPut, w.base+"/v1/connections/"+string(id)+"/scope",
		strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	w.do(req, http.StatusOK, nil)
}

// licensed is what the people of a company with the plan really sent, and how many sends are of others.
func licensed(c *company.Company, from, to time.Time) (lines map[string]int, unlicensed int64) {
	slice := c.Between(from, to)
	all := slice.Truth
	slice.Truth = nil
	for _, sent := range all {
		switch {
		case sent.Premium:
			slice.Truth = append(slice.Truth, sent)
		case !sent.Noise && len(sent.Files) > 0:
			unlicensed++
		}
	}
	return lined(slice), unlicensed
}

// TestMailOfWhoIsNotMonitoredIsCountedAndNotKept follows a company under the gate premium, and then without a gate:
// what is read after the change is kept whoever sent it, and what was read before stays as it was judged.
func TestMailOfWhoIsNotMonitoredIsCountedAndNotKept(t *testing.T) {
	opts := m365sim.Hostile(11)
	opts.RolePropagation, opts.LateBy, opts.TokenLife = 300*time.Millisecond, time.Second, 2*time.Second
	w := start(t, opts)
	c := company.New(company.Options{Seed: 11, MailsPerHour: 120, Noise: 5})
	w.sim.AddTenant(c.Tenant(), c.People())
	noon := morning.Add(time.Hour)

	first := w.day(c, morning, noon)
	id := w.connect(c, `{"kind":"all","gate":"premium"}`)
	w.ended(id, first)
	kept, unlicensed := licensed(c, morning, noon)
	same(t, shown(w.search(everything, "@timestamp", 100)), kept)
	sums, err := w.machine.Ledger.Sums(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if identity(sums.Tally) != sums.Tally.Sends || sums.Tally.Unmonitored < unlicensed || unlicensed == 0 ||
		sums.Tally.Unknown != 0 {
		t.Errorf("%d sends are of nobody with the plan; the ledger says %+v", unlicensed, sums.Tally)
	}

	w.set(id, `{"kind":"all","gate":"none"}`)
	second := company.Blobs(c.Between(noon, noon.Add(time.Hour)).Records, 1, 60)
	for _, records := range second {
		if _, err := w.sim.Publish(c.Tenant().ID, contentType, w.sim.Now(), records); err != nil {
			t.Fatal(err)
		}
	}
	w.ended(id, first+int64(len(second)))
	maps.Copy(kept, truth(c, noon, noon.Add(time.Hour))) // no line is of both hours
	same(t, shown(w.search(everything, "@timestamp", 100)), kept)
}

func identity(t audit.Tally) int64 {
	return t.Noise + t.Failed + t.Unmonitored + t.Messages + t.Repeated
}

package enrich_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/enrich"
	m365sim "github.com/mailtrail/mailtrail/sim/m365"
)

// failing is a roster whose table fails for a while.
type failing struct{ off *bool }

func (f failing) IDs(ctx context.Context, c connection.ID, addresses []string) (map[string]string, error) {
	if *f.off {
		return nil, errors.New("the table of people does not answer")
	}
	return roster{}.IDs(ctx, c, addresses)
}

// TestAFailureOfOurOwnTablesIsNoReason lets our own table fail for an hour, far beyond the deadline: the message waits,
// for Microsoft was not asked, and is found afterwards.
func TestAFailureOfOurOwnTablesIsNoReason(t *testing.T) {
	off := true
	o := newOffice(t, m365sim.Options{}, mailRead(), func(c *enrich.Config) { c.People = failing{&off} })
	a := file(1, "q3.pdf", 50_000)
	at := noon.Add(-time.Hour)
	o.put(letter(1, ada, adasMail, at, "<1@x>", "x", a))
	o.read(record(1, adasMail, at, "<1@x>", "x", a))
	o.live(time.Hour)
	if m := o.message(1); !m.Waiting || m.Copy.Looks != 0 || m.Copy.Reason != "" {
		t.Errorf("while our table fails the message is %+v", m.Copy)
	}
	off = false
	o.live(time.Hour)
	o.whole(1, a)
}

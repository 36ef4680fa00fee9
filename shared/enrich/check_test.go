package enrich_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/enrich"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/forensic"
	m365sim "github.com/mailtrail/mailtrail/sim/m365"
	"github.com/mailtrail/mailtrail/sim/m365/world"
)

// tallied keeps what was counted: the client, and whether attachments were missing from the record.
type tallied struct {
	counted []string
	err     error
}

func (c *tallied) Checked(_ context.Context, _ connection.ID, client string, missing bool) error {
	if c.err == nil {
		c.counted = append(c.counted, map[bool]string{true: "missing ", false: "fine "}[missing]+client)
	}
	return c.err
}

// A send whose record names no attachments is looked for, and what the mailbox has is counted.
func TestASendWithoutAttachmentsIsChecked(t *testing.T) {
	inline := file(1, "logo.png", 1000)
	inline.Inline = true
	for name, c := range map[string]struct {
		attached []world.Attachment
		want     []string
	}{
		"it has none":              {nil, []string{"fine OWA"}},
		"it has one":               {[]world.Attachment{file(1, "q3.pdf", 1000)}, []string{"missing OWA"}},
		"it has inline ones alone": {[]world.Attachment{inline}, []string{"fine OWA"}},
	} {
		t.Run(name, func(t *testing.T) {
			checks := &tallied{}
			st := newStage(t, m365sim.Options{}, staff(), mailRead(), func(c *enrich.Config) { c.Checks = checks })
			st.put(mail(c.attached...))
			if err := st.agent.Enrich(t.Context(), st.checkOf(told())); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(checks.counted, c.want) {
				t.Errorf("counted %q, want %q", checks.counted, c.want)
			}
			if _, settled := st.shelf.found(told().Record); settled {
				t.Error("a message was settled: none is stored of this send")
			}
		})
	}
}

// One that is not there, or cannot be looked for, is left out of the sample: it waits until the deadline and no longer.
func TestACheckThatFindsNothingCountsNothing(t *testing.T) {
	checks := &tallied{}
	st := newStage(t, m365sim.Options{}, staff(), mailRead(), func(c *enrich.Config) { c.Checks = checks })
	body := st.checkOf(told())
	if err := st.agent.Enrich(t.Context(), body); !errors.Is(err, fault.Retry) || fault.Wait(err) == 0 {
		t.Fatalf("at first: %v", err)
	}
	st.sim.Advance(enrich.DefaultDeadline)
	if err := st.agent.Enrich(t.Context(), body); err != nil || len(checks.counted) != 0 {
		t.Errorf("at the deadline: %v, counted %q", err, checks.counted)
	}

	// A count that fails comes back.
	st.put(mail())
	checks.err = errors.New("the table does not answer")
	if err := st.agent.Enrich(t.Context(), st.checkOf(told())); !errors.Is(err, checks.err) {
		t.Errorf("a count that fails gives %v", err)
	}
}

// checkOf is the queued check of a message as if its record named no attachments.
func (st *stage) checkOf(m forensic.Message) []byte {
	st.Helper()
	body, err := json.Marshal(forensic.Waiting{Connection: fernhill, Record: m.Record, Check: &forensic.Check{
		Operation: "Send", Actor: m.Actor, Mailbox: m.Mailbox, InternetMessageID: m.InternetMessageID,
		Sent: m.Observed, Queued: st.sim.Now().UTC().Truncate(time.Millisecond), Client: "OWA",
	}})
	if err != nil {
		st.Fatal(err)
	}
	return body
}

package connection

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Pain 6: connected, but no data, and nobody says why. Every way of waiting has its sentence, and what flows has none.
func TestAConnectionWithoutDataSaysWhatItWaitsFor(t *testing.T) {
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	c := Connection{
		ID:         "aaaaaaaaaaaa",
		Tenant:     Tenant{ID: "t"},
		Status:     Monitoring,
		Since:      now.Add(-48 * time.Hour),
		Subscribed: now.Add(-48 * time.Hour),
	}
	p := Progress{
		LastPoll: now.Add(-time.Minute),
		LastBlob: now.Add(-time.Hour),
		LastSend: now.Add(-2 * time.Hour),
		Read:     now.Add(-time.Minute),
		Listed:   9,
	}
	for _, step := range []struct {
		name   string
		change func(*Connection, *Progress)
		want   string // part of the sentence; "" for none
	}{
		{"data flows", func(*Connection, *Progress) {}, ""},
		{"some of it is being read", func(_ *Connection, p *Progress) { p.Open = 3 }, ""},
		{"nobody has consented", func(c *Connection, _ *Progress) { c.Tenant.ID, c.Status, c.Reason = "", Initializing, waitsForConsent }, "Waiting for an administrator"},
		{"nothing was listed yet", func(c *Connection, p *Progress) { c.Status, c.Reason, *p = Initializing, permissionsSpread, Progress{} }, "still spreading"},
		{"no blob yet", func(_ *Connection, p *Progress) { p.Listed, p.LastBlob, p.LastSend = 0, time.Time{}, time.Time{} }, "Subscribed since 2026-11-24 12:00 UTC, and Microsoft has not offered anything"},
		{"the first blobs", func(_ *Connection, p *Progress) { p.LastSend, p.Open = time.Time{}, 4 }, "first blobs to be read: 4 of 9"},
		{"no sends", func(_ *Connection, p *Progress) { p.LastSend = time.Time{} }, "9 blobs were read, and none of them reports a sent mail"},
		{"reading is behind", func(_ *Connection, p *Progress) { p.Open, p.Read = 2, now.Add(-2*time.Hour) }, "2 blobs wait to be read"},
		{"nobody works", func(_ *Connection, p *Progress) { p.LastBlob = now.Add(-30 * time.Hour) }, "nothing new since 2026-11-25 06:00 UTC"},
		{"Microsoft does not answer", func(_ *Connection, p *Progress) { p.LastPoll, p.Failures = now.Add(-time.Hour), 7 }, "Nothing could be listed since 2026-11-26 11:00 UTC, and 7 attempts"},
		{"the reason says it", func(c *Connection, _ *Progress) { c.Status, c.Reason = Error, "The audit log is inaccessible." }, ""},
		{"it is stopped", func(c *Connection, _ *Progress) { c.Status = Deauthorized }, ""},
		{"it is being stopped", func(c *Connection, _ *Progress) { c.Status, c.Stopping = Deauthorized, now }, "Microsoft has not stopped the subscription yet"},
		{"work is parked", func(c *Connection, p *Progress) { c.Status, p.Open = Deauthorized, 5 }, "5 blobs are parked"},
		{"work is parked, and it is being stopped", func(c *Connection, p *Progress) { c.Status, c.Stopping, p.Open = Deauthorized, now, 5 }, "5 blobs are parked until"},
		{"deleting will begin", func(c *Connection, _ *Progress) { c.Status, c.Since, c.Purge.Asked = Deauthorized, now, now }, "The deletion begins at 2026-11-26 12:16 UTC"},
		{"deleting goes on", func(c *Connection, _ *Progress) { c.Status, c.Purge = Deauthorized, Purge{Asked: now, Deleted: 12} }, "12 items so far"},
	} {
		c, p := c, p
		step.change(&c, &p)
		got := detail(c, p, nil, now)
		switch {
		case step.want == "" && got.WaitingFor != nil:
			t.Errorf("%s: it waits for %q", step.name, *got.WaitingFor)
		case step.want != "" && (got.WaitingFor == nil || !strings.Contains(*got.WaitingFor, step.want)):
			t.Errorf("%s: it waits for %v, want %q", step.name, deref(got.WaitingFor), step.want)
		}
		if parked := got.ParkedBlobs; (c.Status == Deauthorized) != (got.Lag == nil) && !p.Read.IsZero() ||
			parked != 0 && c.Status != Deauthorized {
			t.Errorf("%s: %d parked, lag %v", step.name, parked, deref(got.Lag))
		}
	}
	if got := detail(c, p, nil, now); *got.Lag != 60 {
		t.Errorf("the lag is %d s", *got.Lag)
	}
}

func deref[T any](v *T) string {
	if v == nil {
		return "null"
	}
	return fmt.Sprint(*v)
}

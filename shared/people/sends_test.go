package people_test

import (
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/people"
	m365sim "github.com/mailtrail/mailtrail/sim/m365"
	"github.com/mailtrail/mailtrail/sim/m365/world"
)

// Whoever sends mail without attachments only is audited all the same, and not quiet.
func TestMailWithoutAttachmentsEndsQuiet(t *testing.T) {
	w := found(t, m365sim.Options{}, []world.Person{resident(0), resident(5)})
	w.take()
	m := w.monitor()
	w.clock.advance(40 * 24 * time.Hour)
	now := w.clock.Now()
	w.judge(m, people.Send{At: now.Add(-35 * 24 * time.Hour), Actor: address(0), Mailbox: address(0)})
	if p := w.person(address(0)); !p.Quiet || !p.LastMail.Equal(p.LastSend) {
		t.Errorf("before: %+v", p)
	}
	w.must(m.Sent(t.Context(), conn, map[string]time.Time{
		" " + address(0): now, "nobody@elsewhere.example": now, "S-1-5-18": now,
	}))
	p := w.person(address(0))
	if p.Quiet || !p.LastMail.Equal(now) || !p.LastSend.Equal(now.Add(-35*24*time.Hour)) {
		t.Errorf("after: quiet %v, last mail %s, last with attachments %s", p.Quiet, p.LastMail, p.LastSend)
	}

	// An older one, read late by another process, takes nothing back; and one with attachments moves both.
	w.must(w.monitor().Sent(t.Context(), conn, map[string]time.Time{address(0): now.Add(-time.Hour)}))
	w.clock.advance(48 * time.Hour)
	if p := w.person(address(0)); !p.LastMail.Equal(now) {
		t.Errorf("a late one took it back to %s", p.LastMail)
	}
	w.judge(m, people.Send{At: w.clock.Now(), Actor: address(0)})
	if p := w.person(address(0)); !p.LastMail.Equal(w.clock.Now()) || !p.LastSend.Equal(w.clock.Now()) {
		t.Errorf("with attachments: last mail %s, last with attachments %s", p.LastMail, p.LastSend)
	}
}

// The directory is not asked for anybody whose mail has no attachments.
func TestMailWithoutAttachmentsAsksNoDirectory(t *testing.T) {
	w := found(t, m365sim.Options{}, []world.Person{resident(0)})
	before := len(w.sim.History(m365sim.Filter{}))
	w.must(
		w.monitor().Sent(t.Context(), conn, map[string]time.Time{address(0): w.clock.Now(), "x@y.example": w.clock.Now()}),
	)
	if asked := len(w.sim.History(m365sim.Filter{})) - before; asked != 0 {
		t.Errorf("%d calls of Microsoft, want none", asked)
	}
}

func (w *town) person(name string) people.Covered {
	w.t.Helper()
	p, err := w.roster.Find(w.t.Context(), conn, name)
	w.must(err)
	return p
}

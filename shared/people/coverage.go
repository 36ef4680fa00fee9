package people

import (
	"time"
)

// Gate says what a person needs to be monitored.
type Gate string

const (
	// Premium wants the plan AdvancedAuditing, as the product that we follow does (Incydr: "a subscription that
	// includes Advanced Audit").
	Premium Gate = "premium"
	// Any wants no plan: since 2024 Microsoft audits the sends of E3 and G3 too, and does not say of whom else.
	Any Gate = "any"
)

// Coverage says whether a person is monitored, or why not.
type Coverage string

// The values of Coverage, in the order in which they are decided: the first that is true of a person counts.
const (
	OutOfScope Coverage = "outOfScope"
	NoMailbox  Coverage = "noMailbox"
	Disabled   Coverage = "disabled"
	NoLicence  Coverage = "noLicence"
	Monitored  Coverage = "monitored"
)

// Coverages are all of them.
func Coverages() []Coverage { return []Coverage{Monitored, NoLicence, Disabled, NoMailbox, OutOfScope} }

// Sentence says to an administrator what a coverage means, and what changes it.
func (c Coverage) Sentence() string {
	switch c {
	case Monitored:
		return "The files that this person mails are recorded."
	case NoLicence:
		return "Not monitored: the person has no subscription that includes Audit (Premium), or it is suspended. " +
			"Assign one in the Microsoft 365 admin center, or set the gate of this connection to \"any\"."
	case Disabled:
		return "Not monitored: the account is disabled, so nobody can sign in as this person."
	case NoMailbox:
		return "Not monitored: the person has no mailbox in this tenant."
	case OutOfScope:
		return "Not monitored: the person is not in the scope of this connection."
	}
	return ""
}

// passes tells whether facts are enough for the gate.
func (g Gate) passes(f Facts) bool { return f.Mailbox && f.Enabled && (g == Any || f.Licensed()) }

// coverage decides.
func (g Gate) coverage(f Facts, inScope bool) Coverage {
	switch {
	case !inScope:
		return OutOfScope
	case !f.Mailbox:
		return NoMailbox
	case !f.Enabled:
		return Disabled
	case !g.passes(f):
		return NoLicence
	}
	return Monitored
}

// remembered is how long somebody whom the directory does not have any more is kept: longer than any mail of
// theirs can take to come, and as long as Microsoft keeps a deleted user.
const remembered = 30 * 24 * time.Hour

// entry is a person as this room keeps it.
type entry struct {
	Person
	since time.Time // when we first heard of the person
	seen  time.Time // when the directory last told of the person
	gone  time.Time // since when it does not have the person any more; zero while it has
	// untilPremium and untilAny are when we saw that the person does not pass the gate any more; zero while that
	// never happened.
	untilPremium, untilAny time.Time
}

// passed tells whether a mail of this moment is of somebody who passes the gate: now, or still at that moment
// for all we know. An account is closed when somebody leaves, often before the audit log tells what was mailed
// in the last hour; that mail is the one to keep.
func (e entry) passed(g Gate, at time.Time) bool {
	if e.gone.IsZero() && g.passes(e.Facts) {
		return true
	}
	if g == Any {
		return at.Before(e.untilAny)
	}
	return at.Before(e.untilPremium)
}

// after is the entry as the directory's news leave it. news.gone means that the person is not there any more.
func (e entry) after(news entry) entry {
	next := news
	if !news.gone.IsZero() {
		next.Person = e.Person // the last that was known
	}
	next.since, next.untilPremium, next.untilAny = e.since, e.untilPremium, e.untilAny
	if next.since.IsZero() {
		next.since = news.seen
	}
	if e.ID == "" || !e.gone.IsZero() {
		return next
	}
	if e.lapses(Premium, next) {
		next.untilPremium = next.seen
	}
	if e.lapses(Any, next) {
		next.untilAny = next.seen
	}
	return next
}

func (e entry) lapses(g Gate, next entry) bool {
	return g.passes(e.Facts) && (!next.gone.IsZero() || !g.passes(next.Facts))
}

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
	// Any wants no plan, but a mailbox and an account that is enabled.
	Any Gate = "any"
	// None wants nothing: every send that Microsoft delivers is kept, whoever pressed the button, be it in a shared
	// mailbox, as a group or by an application. Only the scope may drop mail. New connections have it.
	None Gate = "none"
)

// Sentence says what the gate keeps, and what it loses.
func (g Gate) Sentence() string {
	switch g {
	case Premium:
		return "Only mail of people with an enabled account and a subscription that includes Audit (Premium) is kept. " +
			"Microsoft also delivers the sends of others, of shared mailboxes and of applications: they are dropped when " +
			"they are read, and cannot be had again after 7 days. Set the gate to \"none\" to keep them."
	case Any:
		return "Only mail of people with a mailbox and an enabled account is kept. Sends from shared mailboxes by " +
			"applications are dropped when they are read, and cannot be had again after 7 days. Set the gate to " +
			"\"none\" to keep them."
	}
	return "Every send that Microsoft delivers is kept, within the scope."
}

// coverageChange is what a person's coverage was until a time, leaving the scope aside.
type coverageChange struct {
	Until    time.Time `json:"until"`
	Coverage Coverage  `json:"coverage"`
}

// changesFor is how long changes of a person's coverage are kept.
const changesFor = 90 * 24 * time.Hour

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

// Stranger is the coverage of a sender whom the directory does not know.
const Stranger Coverage = "unknown"

// Coverages are all of them.
func Coverages() []Coverage { return []Coverage{Monitored, NoLicence, Disabled, NoMailbox, OutOfScope} }

// describe explains to an administrator what a coverage means under a gate, and what changes it.
func (g Gate) describe(c Coverage) string {
	if g == None {
		switch c {
		case Monitored:
			return "The files that this person mails are recorded."
		case NoLicence:
			return "Recorded if Microsoft delivers it: the person has no subscription that includes Audit (Premium). " +
				"Microsoft audits the sends of many of them too, and does not say of whom."
		case Disabled:
			return "Recorded if somebody sends from this mailbox: the account is disabled, as those of shared mailboxes are."
		case NoMailbox:
			return "Nothing to record: the person has no mailbox in this tenant. What they send from another is recorded."
		case OutOfScope:
			return "Not recorded: the person is not in the scope of this connection."
		}
	}
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

// passes reports whether facts are enough for the gate.
func (g Gate) passes(f Facts) bool {
	return g == None || f.Mailbox && f.Enabled && (g == Any || f.Licensed())
}

// coverage decides. Under None it says what it would be under Premium: whose mail Microsoft is sure to audit.
func (g Gate) coverage(f Facts, inScope bool) Coverage {
	switch {
	case !inScope:
		return OutOfScope
	case !f.Mailbox:
		return NoMailbox
	case !f.Enabled:
		return Disabled
	case g != Any && !f.Licensed():
		return NoLicence
	}
	return Monitored
}

// coverageAt is what the coverage of somebody was when a mail was sent.
func (e entry) coverageAt(g Gate, inScope bool, at time.Time) Coverage {
	if !inScope {
		return OutOfScope
	}
	was := Premium.coverage(e.Facts, true)
	for _, c := range e.changes { // the oldest first
		if at.Before(c.Until) {
			was = c.Coverage
			break
		}
	}
	if g == Any && was == NoLicence {
		return Monitored
	}
	return was
}

// remembered is how long somebody whom the directory does not have any more is kept: longer than any mail of
// theirs can take to come, and as long as Microsoft keeps a deleted user.
const remembered = 30 * 24 * time.Hour

// entry is a person as this room keeps it.
type entry struct {
	Person
	since time.Time // when we first heard of the person
	seen  time.Time // when the directory last listed the person
	gone  time.Time // since when it does not have the person any more; zero while it has
	// untilPremium and untilAny are when we saw that the person does not pass the gate any more; zero while that
	// never happened.
	untilPremium, untilAny time.Time
	changes                []coverageChange // of the last 90 days, the oldest first
}

// passed reports whether a mail of this moment is of somebody who passes the gate: now, or still at that moment for all
// we know. An account is closed when somebody leaves, often before the audit log reports what was mailed in the last
// hour; that mail is the one to keep.
func (e entry) passed(g Gate, at time.Time) bool {
	if g == None || e.gone.IsZero() && g.passes(e.Facts) {
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
	next.changes = e.changedTo(next)
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

// changedTo returns the changes of an entry whose facts become those of next.
func (e entry) changedTo(next entry) []coverageChange {
	var kept []coverageChange
	for _, c := range e.changes {
		if next.seen.Sub(c.Until) < changesFor {
			kept = append(kept, c)
		}
	}
	was := Premium.coverage(e.Facts, true)
	if e.ID != "" && was != Premium.coverage(next.Facts, true) {
		kept = append(kept, coverageChange{next.seen, was})
	}
	return kept
}

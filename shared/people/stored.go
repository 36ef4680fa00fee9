package people

import (
	"slices"
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/table"
)

// moment is a time as this room keeps it: UTC, whole milliseconds.
func moment(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

const (
	maxText      = 1024 // bytes that are kept of a name or a principal
	maxAddresses = 500  // addresses that are kept of a person; Exchange takes 400
)

// item is a person as stored. Texts come from Microsoft, and are cut to what can be stored.
func (e entry) item(c connection.ID) table.Item {
	item := table.Item{Key: personKey(c, e.ID), Attrs: table.Attrs{
		"principal": cut(e.Principal), "name": cut(e.Name), "addresses": e.Addresses,
		"enabled": e.Enabled, "guest": e.Guest, "mailbox": e.Mailbox, "plan": cut(e.Plan),
		"since": table.Stamp(e.since), "seen": table.Stamp(e.seen), "gone": table.Stamp(e.gone),
		"untilpremium": table.Stamp(e.untilPremium),
		"untilany":     table.Stamp(e.untilAny),
	}}
	if len(e.changes) > 0 {
		changes := make([]string, len(e.changes))
		for i, change := range e.changes {
			changes[i] = table.Stamp(change.Until) + " " + string(change.Coverage)
		}
		item.Attrs["changes"] = changes
	}
	if !e.gone.IsZero() {
		item.Expires = e.gone.Add(remembered)
	}
	return item
}

func readEntry(item table.Item) entry {
	a := item.Attrs
	text := func(name string) string { s, _ := a[name].(string); return s }
	yes := func(name string) bool { b, _ := a[name].(bool); return b }
	addresses, _ := a["addresses"].([]string)
	var changes []coverageChange
	stored, _ := a["changes"].([]string)
	for _, change := range stored {
		until, coverage, _ := strings.Cut(change, " ")
		changes = append(changes, coverageChange{table.TimeOf(until), Coverage(coverage)})
	}
	return entry{
		Person: Person{
			ID: ObjectID(item.Sort), Principal: text("principal"), Name: text("name"), Addresses: addresses,
			Facts: Facts{Enabled: yes("enabled"), Guest: yes("guest"), Mailbox: yes("mailbox"), Plan: text("plan")},
		},
		since: table.TimeOf(a["since"]), seen: table.TimeOf(a["seen"]), gone: table.TimeOf(a["gone"]),
		untilPremium: table.TimeOf(a["untilpremium"]), untilAny: table.TimeOf(a["untilany"]),
		changes: changes,
	}
}

// cleaned is a person with those addresses that can be keys, and no more of them than Exchange allows.
func (p Person) cleaned() Person {
	p.Addresses = slices.DeleteFunc(slices.Clone(p.Addresses), func(a string) bool {
		return a == "" ||
			len(a) > maxName
	})
	if len(p.Addresses) > maxAddresses {
		p.Addresses = p.Addresses[:maxAddresses]
	}
	return p
}

// names are what a person can be found by: the addresses and the principal's name, in lower case, each once.
func (p Person) names() []string {
	names := slices.Clone(p.Addresses)
	if principal := Fold(p.Principal); principal != "" && len(principal) <= maxName &&
		!slices.Contains(names, principal) {
		names = append(names, principal)
	}
	return names
}

// cut is s as UTF-8 of at most maxText bytes.
func cut(s string) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText], "")
}

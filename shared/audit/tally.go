package audit

import (
	"time"

	"github.com/mailtrail/mailtrail/shared/table"
)

// count is one number of a tally, under the name that it is stored by.
type count struct {
	name string
	n    *int64
}

func (t *Tally) counts() []count {
	return []count{
		{"records", &t.Records},
		{"sends", &t.Sends},
		{"noise", &t.Noise},
		{"failed", &t.Failed},
		{"unmonitored", &t.Unmonitored},
		{"unknown", &t.Unknown},
		{"messages", &t.Messages},
		{"repeated", &t.Repeated},
		{"events", &t.Events},
		{"unreadable", &t.Unreadable},
	}
}

// Plus adds two tallies.
func (t Tally) Plus(u Tally) Tally {
	more := u.counts()
	for i, c := range t.counts() {
		*c.n += *more[i].n
	}
	t.See(u.LastSend)
	return t
}

// See notes that a message was sent at a time.
func (t *Tally) See(sent time.Time) {
	if sent.After(t.LastSend) {
		t.LastSend = sent
	}
}

func (t Tally) attrs() table.Attrs {
	attrs := table.Attrs{}
	for _, c := range t.counts() {
		attrs[c.name] = *c.n
	}
	if !t.LastSend.IsZero() {
		attrs["lastsend"] = stamp(t.LastSend)
	}
	return attrs
}

func readTally(attrs table.Attrs) Tally {
	var t Tally
	for _, c := range t.counts() {
		*c.n = attrNumber(attrs[c.name])
	}
	t.LastSend = unstamp(attrs["lastsend"])
	return t
}

package m365sim

import (
	"slices"
	"testing"

	"github.com/mailtrail/mailtrail/sim/m365/world"
)

func TestClausesAreRead(t *testing.T) {
	for filter, want := range map[string][]clause{
		"":                 nil,
		"isDraft eq false": {{"isDraft", "eq", "false"}},
		"subject eq 'it''s and that' and isDraft eq true": {{"subject", "eq", "it's and that"}, {"isDraft", "eq",
			"true"}},
		"  subject   eq   ''  ": {{"subject", "eq", ""}},
	} {
		if got, ok := readClauses(filter); !ok || !slices.Equal(got, want) {
			t.Errorf("%q gave %v %t, want %v", filter, got, ok, want)
		}
	}
	for _, filter := range []string{"x", "x eq", "x eq 'open", "x eq 'a' or y eq 'b'", "x eq 'a' and", "x eq " +
		"'a'and y eq 'b'"} {
		if got, ok := readClauses(filter); ok {
			t.Errorf("%q was read as %v", filter, got)
		}
	}
}

// A filter that was read can be applied, and one clause written anew is read as the same clause.
func FuzzFilter(f *testing.F) {
	for _, seed := range []string{
		"internetMessageId eq '<a''b@c>'", "isDraft eq false and subject eq 'x'", "accountEnabled eq true",
		"assignedPlans/any(p:p/servicePlanId eq 2f442157-a11c-46b9-ae5b-6e39ff4e5849 and p/capabilityStatus eq " +
			"'Enabled')",
		"sentDateTime ge 2026-05-04T11:00:00Z", "assignedPlans/any(", "'", "a eq ''' and",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, filter string) {
		if accepts, ok := readUserFilter(filter); ok {
			accepts(world.Person{Plans: []world.Plan{{}}})
		}
		clauses, ok := readClauses(filter)
		if !ok {
			return
		}
		for _, c := range clauses {
			c.accepts(&world.Message{})
			if again, ok := readClauses(c.field + " " + c.op + " " + quoted(c.value)); !ok || !slices.Equal(again,
				[]clause{c}) {
				t.Errorf("%+v written anew is %+v", c, again)
			}
		}
	})
}

func quoted(value string) string {
	text := []byte{'\''}
	for _, b := range []byte(value) {
		if b == '\'' {
			text = append(text, b)
		}
		text = append(text, b)
	}
	return string(append(text, '\''))
}

package m365sim

import (
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/sim/m365/world"
)

// clause is one comparison of a $filter.
type clause struct{ field, op, value string }

// readClauses reads comparisons joined by "and". It knows quoted strings, in which a quote is written twice.
func readClauses(filter string) ([]clause, bool) {
	var clauses []clause
	for rest := strings.TrimSpace(filter); rest != ""; {
		field, after, ok := strings.Cut(rest, " ")
		op, after, ok2 := strings.Cut(strings.TrimLeft(after, " "), " ")
		value, after, ok3 := readValue(strings.TrimLeft(after, " "))
		if !ok || !ok2 || !ok3 {
			return nil, false
		}
		clauses = append(clauses, clause{field, op, value})
		rest = strings.TrimSpace(after)
		if rest == "" {
			break
		}
		if rest, ok = strings.CutPrefix(rest, "and "); !ok {
			return nil, false
		}
		rest = strings.TrimSpace(rest)
	}
	return clauses, true
}

func readValue(text string) (value, rest string, ok bool) {
	if !strings.HasPrefix(text, "'") {
		value, rest, _ = strings.Cut(text, " ")
		return value, rest, value != ""
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		if text[i] != '\'' {
			b.WriteByte(text[i])
			continue
		}
		if i+1 < len(text) && text[i+1] == '\'' {
			b.WriteByte('\'')
			i++
			continue
		}
		rest = text[i+1:]
		return b.String(), rest, rest == "" || rest[0] == ' '
	}
	return "", "", false
}

// readAliases reads a filter that is proxyAddresses/any(p:p eq 'smtp:...'), or several of them joined by "or".
func readAliases(filter string) (aliases []string, ok bool) {
	const begin, middle = "proxyAddresses/any(", " eq "
	for rest := filter; ; {
		inner, found := strings.CutPrefix(rest, begin)
		name, body, ok := strings.Cut(inner, ":")
		body, named := strings.CutPrefix(body, name+middle)
		if !found || !ok || !named || !strings.HasPrefix(body, "'") {
			return nil, false
		}
		end := closingQuote(body)
		if end < 0 || !strings.HasPrefix(body[end+1:], ")") {
			return nil, false
		}
		value, _, good := readValue(body[:end+1])
		if !good {
			return nil, false
		}
		aliases = append(aliases, value)
		if rest = body[end+2:]; rest == "" {
			return aliases, true
		}
		if rest, ok = strings.CutPrefix(rest, " or "); !ok {
			return nil, false
		}
	}
}

// closingQuote is where the quoted string at the beginning of text ends; -1 when it does not. A quote in it is doubled.
func closingQuote(text string) int {
	for i := 1; i < len(text); i++ {
		if text[i] != '\'' {
			continue
		}
		if i+1 == len(text) || text[i+1] != '\'' {
			return i
		}
		i++
	}
	return -1
}

// readUserFilter reads the filters of /users that are simulated: accountEnabled, mail, userPrincipalName, userType
// and assignedPlans/any(p: ...), joined by "and".
func readUserFilter(filter string) (accepts func(world.Person) bool, ok bool) {
	var plans []func(world.Plan) bool
	for {
		begin := strings.Index(filter, "assignedPlans/any(")
		if begin < 0 {
			break
		}
		length := strings.Index(filter[begin:], ")")
		if length < 0 {
			return nil, false
		}
		inner := filter[begin+len("assignedPlans/any(") : begin+length]
		plan, ok := readPlanFilter(inner)
		if !ok {
			return nil, false
		}
		plans = append(plans, plan)
		// The lambda is replaced by a comparison that is always true, so that what surrounds it can be read.
		filter = filter[:begin] + "lambda eq true" + filter[begin+length+1:]
	}
	clauses, ok := readClauses(filter)
	if !ok {
		return nil, false
	}
	for _, c := range clauses {
		if _, known := userField(world.Person{}, c.field); !known || c.op != "eq" {
			return nil, false
		}
	}
	return func(p world.Person) bool {
		for _, c := range clauses {
			if value, _ := userField(p, c.field); !strings.EqualFold(value, c.value) {
				return false
			}
		}
		for _, accepts := range plans {
			if !anyPlan(p, accepts) {
				return false
			}
		}
		return true
	}, true
}

func anyPlan(p world.Person, accepts func(world.Plan) bool) bool {
	for _, plan := range p.Plans {
		if accepts(plan) {
			return true
		}
	}
	return false
}

func userField(p world.Person, field string) (string, bool) {
	switch field {
	case "lambda":
		return "true", true
	case "accountEnabled":
		return yesNo(p.Enabled), true
	case "mail":
		return p.Mail, true
	case "userPrincipalName":
		return p.UserPrincipalName, true
	case "userType":
		return p.UserType, true
	}
	return "", false
}

// readPlanFilter reads the inside of any(): p:p/servicePlanId eq GUID and p/capabilityStatus eq 'Enabled'.
func readPlanFilter(inner string) (func(world.Plan) bool, bool) {
	name, body, ok := strings.Cut(inner, ":")
	clauses, ok2 := readClauses(body)
	if !ok || !ok2 || len(clauses) == 0 {
		return nil, false
	}
	prefix := strings.TrimSpace(name) + "/"
	for i, c := range clauses {
		field, ok := strings.CutPrefix(c.field, prefix)
		if _, known := planField(world.Plan{}, field); !ok || !known || c.op != "eq" {
			return nil, false
		}
		clauses[i].field = field
	}
	return func(p world.Plan) bool {
		for _, c := range clauses {
			if value, _ := planField(p, c.field); !strings.EqualFold(value, c.value) {
				return false
			}
		}
		return true
	}, true
}

func planField(p world.Plan, field string) (string, bool) {
	switch field {
	case "servicePlanId":
		return p.ID, true
	case "capabilityStatus":
		return p.CapabilityStatus, true
	case "service":
		return p.Service, true
	}
	return "", false
}

func yesNo(b bool) string {
	if b {
		return "true"
	}
	return "false"
}

// accepts reports whether a message meets the clause; known is false when the clause is not simulated.
func (c clause) accepts(m *world.Message) (yes, known bool) {
	switch c.field {
	case "internetMessageId":
		return m.InternetMessageID == c.value, c.op == "eq"
	case "subject":
		return strings.EqualFold(m.Subject, c.value), c.op == "eq"
	case "isDraft":
		return yesNo(m.Draft) == c.value, c.op == "eq"
	case "hasAttachments":
		return yesNo(hasAttachments(m)) == c.value, c.op == "eq"
	case "sentDateTime", "receivedDateTime":
		t, err := time.Parse(time.RFC3339, c.value)
		if err != nil {
			return false, false
		}
		return compares(m.Sent.Truncate(time.Second).Compare(t), c.op)
	}
	return false, false
}

func compares(order int, op string) (yes, known bool) {
	switch op {
	case "eq":
		return order == 0, true
	case "ge":
		return order >= 0, true
	case "gt":
		return order > 0, true
	case "le":
		return order <= 0, true
	case "lt":
		return order < 0, true
	}
	return false, false
}

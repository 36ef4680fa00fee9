package search

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/mailtrail/mailtrail/shared/connection"
)

// filtered is a query with one filter.
func filtered(filter string) string { return `{"groups":[{"filters":[` + filter + `]}]}` }

// with is a query with more than its groups.
func with(members string) string { return strings.TrimSuffix(anything, "}") + "," + members + "}" }

func values(n int, v string) string {
	return "[" + strings.TrimSuffix(strings.Repeat(v+",", n), ",") + "]"
}

// nested is a query of so many levels of groups.
func nested(levels int) string {
	group := `{"filters":[{"term":"event.id","operator":"EXISTS"}]}`
	for range levels - 1 {
		group = `{"subgroups":[` + group + `]}`
	}
	return `{"groups":[` + group + `]}`
}

func TestParseProblems(t *testing.T) {
	for _, c := range []struct {
		name  string
		query string
		want  ProblemType
		says  string // part of the description
	}{
		{"no JSON", `{`, IllegalValue, "JSON"},
		{"no object", `[]`, IllegalValue, "object"},
		{"no UTF-8", filtered(`{"term":"file.name","value":"` + "\xff" + `"}`), IllegalValue, "UTF-8"},
		{"two objects", anything + anything, IllegalValue, "one JSON object"},
		{"null", `null`, IllegalValue, "object"},
		{"no groups", `{}`, MissingGroups, "groups"},
		{"null groups", `{"groups":null}`, MissingGroups, "groups"},
		{"empty groups", `{"groups":[]}`, MissingGroups, "groups"},
		{"groups as text", `{"groups":"x"}`, IllegalGroup, "groups: "},
		{"a key twice", `{"groups":[],` + anything[1:], IllegalGroup, "groups: The field may be given once"},
		{"a key twice in a filter", filtered(`{"term":"file.name","value":"x","value":"y"}`), IllegalValue,
			"groups[0].filters[0].value: "},
		{"a key twice in a value", filtered(`{"term":"file.name","value":{"x":1,"x":2}}`), IllegalValue, "value.x: "},
		{"a key in other letter case", filtered(`{"Term":"file.name","value":"x"}`), IllegalValue,
			"filters[0].Term: The field is not known. It is written term."},
		{"an unknown field", with(`"pageSize":7`), IllegalValue, "pageSize: The field is not known."},
		{"an unknown field of a group", `{"groups":[{"clause":"AND"}]}`, IllegalValue, "groups[0].clause: "},
		{"half of a surrogate pair", filtered(`{"term":"file.name","value":"\ud83d"}`), IllegalValue, "filters[0].value: "},
		{"a term as number", filtered(`{"term":7,"value":"x"}`), IllegalValue,
			"filters[0].term: The value must be a string."},
		{"deep JSON", `{"groups":` + strings.Repeat("[", 100_000), IllegalValue, "nested"},
		{"unknown clause", with(`"groupClause":"XOR"`), IllegalGroup, `groupClause is "XOR"`},
		{"filters and subgroups", `{"groups":[{"filters":[{"term":"file.name","value":"x"}],"subgroups":[{}]}]}`,
			IllegalGroup, "both"},
		{"too deep", nested(MaxDepth + 1), MaxGroupsExceeded, "10 levels"},
		{"too many groups", `{"groups":` + values(MaxCriteria+1, `{}`) + `}`, MaxGroupsExceeded, "1024 groups"},
		{"too many filters", filtered(strings.Trim(values(MaxCriteria+1, `{"term":"file.name","value":"x"}`), "[]")),
			MaxFiltersExceeded, "1024 criteria"},
		{"too many criteria",
			filtered(`{"term":"file.name","value":"x"},{"term":"file.name","operator":"IS_ANY","value":` + values(MaxCriteria,
				`"x"`) + `}`), MaxFiltersExceeded, "1024 criteria"},
		{"too many values", filtered(`{"term":"file.name","operator":"IS_ANY","value":` + values(MaxCriteria+1, `"x"`) + `}`),
			MaxValuesExceeded, "file.name IS_ANY"},
		{"unknown term", filtered(`{"term":"file.nmae","value":"x"}`), IllegalValue, `"file.nmae"`},
		{"no term", filtered(`{"value":"x"}`), IllegalValue, `""`},
		{"unknown operator", filtered(`{"term":"file.name","operator":"LIKE","value":"x"}`), IllegalOperator,
			`"LIKE"; file.name has IS, IS_NOT,`},
		{"operator of numbers", filtered(`{"term":"file.name","operator":"LESS_THAN","value":1}`), IllegalOperator,
			"file.name is a text"},
		{"operator of texts", filtered(`{"term":"@timestamp","value":"2026-10-01"}`), IllegalOperator,
			"@timestamp is a time, which has no operator IS; it has ON, ON_OR_AFTER, ON_OR_BEFORE, WITHIN_THE_LAST, EXISTS, DOES_NOT_EXIST."},
		{"operator of lists", filtered(`{"term":"risk.trusted","operator":"IS_ANY","value":[true]}`), IllegalOperator,
			"risk.trusted is a boolean"},
		{"missing value", filtered(`{"term":"file.name","operator":"IS"}`), MissingValue, "file.name IS"},
		{"null value", filtered(`{"term":"file.name","value":null}`), MissingValue, "file.name IS"},
		{"empty value", filtered(`{"term":"file.name","value":""}`), MissingValue, "file.name IS"},
		{"no values", filtered(`{"term":"file.name","operator":"IS_ANY","value":[]}`), MissingValue, "file.name IS_ANY"},
		{"null among values", filtered(`{"term":"file.name","operator":"IS_ANY","value":["x",null]}`), MissingValue,
			"file.name"},
		{"empty among values", filtered(`{"term":"file.name","operator":"IS_NONE","value":["x",""]}`), MissingValue,
			"file.name"},
		{"unexpected value", filtered(`{"term":"file.name","operator":"EXISTS","value":"x"}`), UnexpectedValue,
			"file.name EXISTS"},
		{"list for one", filtered(`{"term":"file.name","value":["x"]}`), IllegalValue, "file.name is a text"},
		{"one for list", filtered(`{"term":"file.name","operator":"IS_ANY","value":"x"}`), IllegalValue, "array"},
		{"object", filtered(`{"term":"file.name","value":{"x":1}}`), IllegalValue, "file.name"},
		{"no number", filtered(`{"term":"risk.score","operator":"GREATER_THAN","value":"many"}`), IllegalValue, `"many"`},
		{"fraction", filtered(`{"term":"risk.score","operator":"GREATER_THAN","value":1.5}`), IllegalValue, "risk.score"},
		{"huge number", filtered(`{"term":"risk.score","value":99999999999999999999}`), IllegalValue, "risk.score"},
		{"no boolean", filtered(`{"term":"risk.trusted","value":"maybe"}`), IllegalValue, `"maybe"`},
		{"no date", filtered(`{"term":"@timestamp","operator":"ON","value":"yesterday"}`), IllegalValue, `"yesterday"`},
		{"no such day", filtered(`{"term":"@timestamp","operator":"ON","value":"2026-02-30"}`), IllegalValue, `"2026-02-30"`},
		{"date as number", filtered(`{"term":"@timestamp","operator":"ON_OR_AFTER","value":1759320000}`), IllegalValue,
			"@timestamp"},
		{"no duration", filtered(`{"term":"@timestamp","operator":"WITHIN_THE_LAST","value":"10 days"}`), IllegalValue,
			`"10 days"`},
		{"long value", filtered(`{"term":"file.name","value":"` + strings.Repeat("x", MaxValue+1) + `"}`), MaxLengthExceeded,
			"file.name"},
		{"long body", filtered(`{"term":"file.name","value":"` + strings.Repeat("x", MaxBody) + `"}`), MaxLengthExceeded,
			"query"},
		{"page size 0", with(`"pgSize":0`), InvalidPageSize, "pgSize is 0"},
		{"large page", with(`"pgSize":10001`), InvalidPageSize, "10000"},
		{"page size as text", with(`"pgSize":"10"`), InvalidPageSize, "pgSize"},
		{"page 0", with(`"pgNum":0`), InvalidPageNumber, "pgNum is 0"},
		{"far page", with(`"pgNum":101,"pgSize":100`), InvalidPageNumber, "pgToken"},
		{"very far page", with(`"pgNum":9223372036854775807,"pgSize":10000`), InvalidPageNumber, "pgToken"},
		{"page as fraction", with(`"pgNum":1.5`), InvalidPageNumber, "pgNum"},
		{"token as number", with(`"pgToken":7`), InvalidPageToken, "pgToken"},
		{"unknown sort key", with(`"srtKey":"size"`), IllegalSort, `"size"`},
		{"unknown direction", with(`"srtDir":"up"`), IllegalSort, `"up"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse([]byte(c.query), start)
			problems := problemsOf(err)
			if len(problems) == 0 || problems[0].Type != c.want || !strings.Contains(problems[0].Description, c.says) {
				t.Errorf("%.200v, want %s that says %q", err, c.want, c.says)
			}
		})
	}
}

// TestBadFilterIsWhatTheCallerWrote shows names as they came, and neither long names nor long values whole.
func TestBadFilterIsWhatTheCallerWrote(t *testing.T) {
	long := strings.Repeat("ü", 300)
	for _, c := range []struct{ term, operator, shown string }{
		{`"größe"\`, "IS", `"größe"\`},
		{long, "IS", strings.Repeat("ü", longest/2) + "…"},
	} {
		body, err := json.Marshal(
			map[string]any{
				"groups": []any{
					map[string]any{"filters": []any{map[string]any{"term": c.term, "operator": c.operator, "value": "x"}}},
				},
			},
		)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Parse(body, start)
		problems := problemsOf(err)
		if len(problems) != 1 || problems[0].BadFilter == nil || problems[0].BadFilter.Term != c.shown ||
			problems[0].BadFilter.Operator != c.operator {
			t.Errorf("%q: %+v", c.term, problems)
		}
	}
}

// TestParseTellsAll of what is wrong at once.
func TestParseTellsAll(t *testing.T) {
	_, err := Parse(
		[]byte(`{"groups":[{"filters":[{"term":"x","value":"y"},{"term":"file.name"}]},{}],"pgSize":0,"srtDir":"up"}`),
		start,
	)
	var got []ProblemType
	for _, p := range problemsOf(err) {
		got = append(got, p.Type)
	}
	if want := []ProblemType{IllegalValue, MissingValue, MissingFilters, InvalidPageSize, IllegalSort}; !slices.Equal(got,
		want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestParseDefaults(t *testing.T) {
	for query, want := range map[string]string{
		anything:                         `"@timestamp" asc=false page=1 size=100 after=""`,
		with(`"pgToken":""`):             `"@timestamp" asc=false page=0 size=100 after=""`,
		with(`"pgToken":"x","pgNum":-5`): `"@timestamp" asc=false page=0 size=100 after="x"`,
		with(`"pgNum":100,"srtDir":"ASC","srtKey":"event.id"`): `"event.id" asc=true page=100 size=100 after=""`,
		nested(MaxDepth): `"@timestamp" asc=false page=1 size=100 after=""`,
	} {
		q, err := Parse([]byte(query), start)
		if err != nil {
			t.Errorf("%s: %v", query, err)
			continue
		}
		if got := fmt.Sprintf("%q asc=%v page=%d size=%d after=%q", q.sort.name, q.ascending, q.page, q.size,
			q.after); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
}

// TestMoments reads what filters on times mean, at noon of 20 October 2026.
func TestMoments(t *testing.T) {
	for _, c := range []struct {
		operator Operator
		value    string
		inside   string
		outside  string
	}{
		{On, "2026-10-01", "2026-10-01T23:59:59.999Z", "2026-10-02T00:00:00Z"},
		{On, "2026-10-01T15:00:00.000Z", "2026-10-01T00:00:00Z", "2026-09-30T23:59:59.999Z"},
		{On, "1969-07-20", "1969-07-20T20:17:00Z", "1969-07-21T00:00:00Z"},
		{OnOrAfter, "2026-10-01", "2026-10-01T00:00:00Z", "2026-09-30T23:59:59.999Z"},
		{OnOrAfter, "2026-10-01T12:00:00", "2026-10-01T12:00:00Z", "2026-10-01T11:59:59.999Z"},
		{OnOrAfter, "2026-10-01T12:00:00+02:00", "2026-10-01T10:00:00Z", "2026-10-01T09:59:59.999Z"},
		{OnOrAfter, "2026-10-01T12:00:00.000+0200", "2026-10-01T10:00:00Z", "2026-10-01T09:59:59.999Z"},
		{OnOrAfter, "2026-10-01T12:00-0530", "2026-10-01T17:30:00Z", "2026-10-01T17:29:59.999Z"},
		{OnOrAfter, "2026-10-01 12:00", "2026-10-01T12:00:00Z", "2026-10-01T11:59:59.999Z"},
		{On, "2026-10-01T23:30:00-01:00", "2026-10-02T12:00:00Z", "2026-10-01T23:59:59.999Z"},
		{OnOrBefore, "2026-10-01", "2026-10-01T23:59:59.999Z", "2026-10-02T00:00:00Z"},
		{OnOrBefore, "2026-10-01T12:00:00.000Z", "2026-10-01T12:00:00Z", "2026-10-01T12:00:00.001Z"},
		{OnOrBefore, "2026-10-01T12:00:00.123456Z", "2026-10-01T12:00:00.123Z", "2026-10-01T12:00:00.124Z"},
		{WithinTheLast, "P10D", "2026-10-10T12:00:00Z", "2026-10-10T11:59:59Z"},
		{WithinTheLast, "PT15M", "2026-10-20T11:45:00Z", "2026-10-20T11:44:59Z"},
		{WithinTheLast, "P1DT2H", "2026-10-19T10:00:00Z", "2026-10-19T09:59:59Z"},
		{WithinTheLast, "P1W", "2026-10-13T12:00:00Z", "2026-10-13T11:59:59Z"},
		{WithinTheLast, "P1M", "2026-09-20T12:00:00Z", "2026-09-20T11:59:59Z"},
		{WithinTheLast, "P1Y", "2025-10-20T12:00:00Z", "2025-10-20T11:59:59Z"},
		{WithinTheLast, "PT1M", "2026-10-20T11:59:00Z", "2026-10-20T11:58:59Z"},
		{WithinTheLast, "p999999y", "0001-01-01T00:00:00Z", ""},
	} {
		s, err := during(c.operator, c.value, start)
		if err != nil {
			t.Errorf("%s %s: %v", c.operator, c.value, err)
			continue
		}
		in, _, _ := parseMoment(c.inside)
		out, _, outErr := parseMoment(c.outside)
		if !s.has(in) || outErr == nil && s.has(out) {
			t.Errorf("%s %s: %s inside is %v, %s outside is %v", c.operator, c.value, c.inside, s.has(in), c.outside,
				!s.has(out))
		}
	}
	for _, s := range []string{"", "P", "PT", "10D", "P10", "P-1D", "P1.5D", "P1DT", "PT1D", "P1D2M", "P1H", "P1234567D",
		"PTT1H", "P1D "} {
		if p, err := parsePeriod(s); err == nil {
			t.Errorf("%q is the duration %v", s, p)
		}
	}
}

// FuzzParse takes any body without a panic; what it accepts can be evaluated and planned, and is small.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		anything, nested(3), `{"groups":[{}]}`, with(`"pgNum":2,"pgSize":7,"pgToken":"","srtKey":"file.name","srtDir":"asc"`),
		filtered(`{"term":"@timestamp","operator":"WITHIN_THE_LAST","value":"P1DT2H"}`),
		filtered(`{"term":"@timestamp","operator":"ON","value":"2026-10-01T12:00:00.000Z"}`),
		filtered(`{"term":"file.name","operator":"IS_ANY","value":["*.p?f","a\\*b",1]}`),
		filtered(`{"term":"risk.trusted","value":"TRUE"},{"term":"risk.score","operator":"GREATER_THAN","value":1}`),
	} {
		f.Add([]byte(s))
	}
	m := exampleMessages()["full"]
	e := event{message: &m, conn: &connection.Connection{DisplayName: "M365 corp"}}
	f.Fuzz(func(t *testing.T, body []byte) {
		q, err := Parse(body, start)
		if err != nil {
			for _, p := range problemsOf(err) {
				if _, err := json.Marshal(p); err != nil || len(p.Description) > 1000 {
					t.Errorf("problem %v: %v", p, err)
				}
			}
			if len(problemsOf(err)) == 0 {
				t.Errorf("%v tells no problem", err)
			}
			return
		}
		if q.condition.match(&e) != q.condition.fold().match(&e) {
			t.Errorf("%s: folding changes what matches", body)
		}
		if q.size < 1 || q.page*q.size > MaxRows {
			t.Errorf("%s: page %d of %d events", body, q.page, q.size)
		}
		for _, p := range q.condition.conjuncts() {
			p.lookups()
		}
		observed, arrived := bounds(q.condition.fold())
		if q.condition.match(&e) && !(observed.has(m.Observed.UnixMilli()) && arrived.has(m.Arrival.UnixMilli())) {
			t.Errorf("%s: matches outside of its bounds", body)
		}
	})
}

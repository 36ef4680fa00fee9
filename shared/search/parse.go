package search

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/shared/access"
)

// Limits of a query. Those of criteria and rows are Incydr's; the others keep one caller from slowing all.
const (
	MaxBody     = 256 << 10 // bytes: each query is one item in the trail
	MaxCriteria = 1024      // filters; an IS_ANY or IS_NONE counts once for each value
	MaxDepth    = 10        // levels of groups
	MaxValue    = 4096      // bytes of one value
	MaxRows     = 10_000    // events of one page, and pgNum*pgSize

	defaultPageSize = 100
)

// Query is a search that was checked and can be run.
type Query struct {
	condition *tree
	sort      *term
	ascending bool
	page      int    // from 1; 0 in token mode
	size      int    // 1 to MaxRows
	after     string // token mode: the event id that rows come after; "" is from the start
}

// inTokens reports whether the query is in token mode.
func (q *Query) inTokens() bool { return q.page == 0 }

// request is the wire form (Incydr: file event query v2).
type request struct {
	Groups      []group `json:"groups"`
	GroupClause *string `json:"groupClause"`
	PgNum       *int    `json:"pgNum"`
	PgSize      *int    `json:"pgSize"`
	PgToken     *string `json:"pgToken"`
	SrtKey      *string `json:"srtKey"`
	SrtDir      *string `json:"srtDir"`
}

// group holds either filters or groups. A display belongs to Incydr's console; it is accepted and means nothing.
type group struct {
	FilterClause   *string         `json:"filterClause"`
	Filters        []filter        `json:"filters"`
	SubgroupClause *string         `json:"subgroupClause"`
	Subgroups      []group         `json:"subgroups"`
	Display        json.RawMessage `json:"display"`
}

type filter struct {
	Term     string          `json:"term"`
	Operator *string         `json:"operator"`
	Value    json.RawMessage `json:"value"`
	Display  json.RawMessage `json:"display"`
}

// Parse reads a query. WITHIN_THE_LAST counts back from now. The error is a *Problem, or several joined.
func Parse(body []byte, now time.Time) (Query, error) {
	if len(body) > MaxBody {
		return Query{}, problem(MaxLengthExceeded, "The query has more than %d bytes.", MaxBody)
	}
	var r request
	p := parser{now: now}
	for _, wrong := range access.Decode(body, &r) {
		p.add(malformed(wrong))
	}
	if len(p.problems) > 0 {
		return Query{}, errors.Join(p.problems...)
	}
	if len(r.Groups) == 0 {
		return Query{}, problem(MissingGroups, "groups is missing or empty.")
	}
	q := Query{}
	q.condition = p.groups("groupClause", r.GroupClause, r.Groups, 1)
	p.paging(&q, r)
	p.sorting(&q, r)
	if len(p.problems) > 0 {
		return Query{}, errors.Join(p.problems...)
	}
	return q, nil
}

// malformed turns what is wrong with a body that does not decode into Incydr's kind of problem.
func malformed(p access.Problem) *Problem {
	if p.Field == "" {
		return problem(IllegalValue, "%s", p.Description)
	}
	types := map[string]ProblemType{
		"pgNum": InvalidPageNumber, "pgSize": InvalidPageSize, "pgToken": InvalidPageToken,
		"srtKey": IllegalSort, "srtDir": IllegalSort, "groups": IllegalGroup, "groupClause": IllegalGroup,
	}
	t, ok := types[p.Field]
	if !ok {
		t = IllegalValue
	}
	return problem(t, "%s: %s", p.Field, p.Description)
}

// parser collects up to maxProblems problems of a query.
type parser struct {
	now      time.Time
	criteria int
	problems []error
}

const maxProblems = 20

func (p *parser) add(err *Problem) {
	if len(p.problems) < maxProblems {
		p.problems = append(p.problems, err)
	}
}

// groups parses groups that are joined by the clause of that name. After a problem the tree is useless.
func (p *parser) groups(name string, clause *string, groups []group, depth int) *tree {
	t := &tree{any: p.clause(name, clause)}
	if depth > MaxDepth {
		p.add(problem(MaxGroupsExceeded, "Groups are nested more than %d levels deep.", MaxDepth))
		return t
	}
	if len(groups) > MaxCriteria {
		p.add(problem(MaxGroupsExceeded, "There are more than %d groups.", MaxCriteria))
		return t
	}
	for _, g := range groups {
		switch {
		case len(g.Filters) > 0 && len(g.Subgroups) > 0:
			p.add(problem(IllegalGroup, "A group has both filters and subgroups; put the filters into a subgroup of their own."))
		case len(g.Subgroups) > 0:
			t.branches = append(t.branches, p.groups("subgroupClause", g.SubgroupClause, g.Subgroups, depth+1))
		case len(g.Filters) > 0:
			t.branches = append(t.branches, p.filters(g))
		default:
			p.add(problem(MissingFilters, "A group has neither filters nor subgroups."))
		}
	}
	return t
}

// clause reports whether the clause is OR; a missing one is AND.
func (p *parser) clause(name string, clause *string) (any bool) {
	switch {
	case clause == nil || strings.EqualFold(*clause, "AND"):
		return false
	case strings.EqualFold(*clause, "OR"):
		return true
	}
	p.add(problem(IllegalGroup, "%s is %s; it must be AND or OR.", name, clip(*clause)))
	return false
}

func (p *parser) filters(g group) *tree {
	t := &tree{any: p.clause("filterClause", g.FilterClause)}
	for _, f := range g.Filters {
		if p.criteria++; p.criteria > MaxCriteria {
			p.exceeded()
			return t
		}
		predicate, err := p.filter(f)
		if err != nil {
			err.BadFilter = f.bad()
			p.add(err)
			continue
		}
		t.branches = append(t.branches, &tree{predicate: predicate})
	}
	return t
}

// exceeded adds the problem that there are too many criteria, once.
func (p *parser) exceeded() {
	limit := tooMany()
	if !slices.ContainsFunc(p.problems, func(err error) bool { return err.Error() == limit.Error() }) {
		p.add(limit)
	}
}

func tooMany() *Problem {
	return problem(MaxFiltersExceeded, "There are more than %d criteria; each value of IS_ANY and IS_NONE is one.",
		MaxCriteria)
}

func (p *parser) paging(q *Query, r request) {
	q.page, q.size = 1, defaultPageSize
	if r.PgSize != nil {
		q.size = *r.PgSize
	}
	if q.size < 1 || q.size > MaxRows {
		p.add(problem(InvalidPageSize, "pgSize is %d; it must be from 1 to %d.", q.size, MaxRows))
		return
	}
	if r.PgToken != nil {
		q.page, q.after = 0, *r.PgToken
		return
	}
	if r.PgNum != nil {
		q.page = *r.PgNum
	}
	switch {
	case q.page < 1:
		p.add(problem(InvalidPageNumber, "pgNum is %d; the first page is 1.", q.page))
	case q.page > MaxRows/q.size:
		p.add(problem(InvalidPageNumber, "Page %d of %d events each is beyond the first %d events; use pgToken to go on.",
			q.page, q.size, MaxRows))
	}
}

func (p *parser) sorting(q *Query, r request) {
	key, direction := "@timestamp", "desc"
	if r.SrtKey != nil && *r.SrtKey != "" {
		key = *r.SrtKey
	}
	if r.SrtDir != nil && *r.SrtDir != "" {
		direction = *r.SrtDir
	}
	sort, ok := theSchema().lookup(key)
	if !ok {
		p.add(problem(IllegalSort, "srtKey %s is not a term.", clip(key)))
	}
	q.sort, q.ascending = sort, strings.EqualFold(direction, "asc")
	if !q.ascending && !strings.EqualFold(direction, "desc") {
		p.add(problem(IllegalSort, "srtDir is %s; it must be asc or desc.", clip(direction)))
	}
}

// bad is the filter as a problem shows it: long names are cut, and a long value is left out.
func (f filter) bad() *BadFilter {
	b := &BadFilter{Term: cut(f.Term)}
	if f.Operator != nil {
		b.Operator = cut(*f.Operator)
	}
	if len(f.Value) > 0 && len(f.Value) <= MaxValue {
		b.Value = f.Value
	}
	return b
}

// filter turns a filter into a predicate.
func (p *parser) filter(f filter) (*predicate, *Problem) {
	t, ok := theSchema().lookup(f.Term)
	if !ok {
		return nil, problem(IllegalValue, "There is no term %s.", clip(f.Term))
	}
	operator := Is
	if f.Operator != nil && *f.Operator != "" {
		operator = Operator(*f.Operator)
	}
	if !slices.Contains(t.kind.operators(), operator) {
		if !operator.known() {
			return nil, problem(IllegalOperator, "There is no operator %s; %s has %s.",
				clip(string(operator)), t.name, listed(t.kind.operators()))
		}
		return nil, problem(IllegalOperator, "%s is a %s, which has no operator %s; it has %s.",
			t.name, t.kind, operator, listed(t.kind.operators()))
	}
	values, err := p.values(t, operator, f.Value)
	if err != nil {
		return nil, err
	}
	out := &predicate{term: t, operator: operator}
	for _, v := range values {
		if err := p.take(out, v); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// listed joins operators for a sentence.
func listed(operators []Operator) string {
	names := make([]string, len(operators))
	for i, o := range operators {
		names[i] = string(o)
	}
	return strings.Join(names, ", ")
}

// values returns the filter's values as text: none, one or several, depending on the operator.
func (p *parser) values(t *term, operator Operator, raw json.RawMessage) ([]string, *Problem) {
	absent := len(raw) == 0 || bytes.Equal(raw, []byte("null")) || bytes.Equal(raw, []byte(`""`))
	switch {
	case operator == Exists || operator == DoesNotExist:
		if !absent {
			return nil, problem(UnexpectedValue, "%s %s takes no value.", t.name, operator)
		}
		return nil, nil
	case absent:
		return nil, problem(MissingValue, "%s %s needs a value.", t.name, operator)
	case operator != IsAny && operator != IsNone:
		v, err := p.value(t, raw)
		return []string{v}, err
	}

	var elements []json.RawMessage
	if err := json.Unmarshal(raw, &elements); err != nil {
		return nil, problem(IllegalValue, "%s %s takes an array of values.", t.name, operator)
	}
	if len(elements) == 0 {
		return nil, problem(MissingValue, "%s %s needs at least one value.", t.name, operator)
	}
	if len(elements) > MaxCriteria {
		return nil, problem(MaxValuesExceeded, "%s %s has more than %d values.", t.name, operator, MaxCriteria)
	}
	if p.criteria += len(elements) - 1; p.criteria > MaxCriteria {
		return nil, tooMany()
	}
	values := make([]string, len(elements))
	for i, e := range elements {
		v, err := p.value(t, e)
		if err != nil {
			return nil, err
		}
		values[i] = v
	}
	return values, nil
}

// value returns one JSON value as text.
func (p *parser) value(t *term, raw json.RawMessage) (string, *Problem) {
	if len(raw) > 2*MaxValue {
		return "", problem(MaxLengthExceeded, "A value of %s has more than %d bytes.", t.name, MaxValue)
	}
	var v any
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	if err := decoder.Decode(&v); err != nil {
		return "", problem(IllegalValue, "A value of %s is not JSON.", t.name)
	}
	switch v := v.(type) {
	case string:
		if len(v) > MaxValue {
			return "", problem(MaxLengthExceeded, "A value of %s has more than %d bytes.", t.name, MaxValue)
		}
		return v, nil
	case json.Number:
		if t.kind != boolean && t.kind != moment {
			return v.String(), nil
		}
	case bool:
		if t.kind == boolean || t.kind == text {
			return strconv.FormatBool(v), nil
		}
	case nil:
		return "", problem(MissingValue, "A value of %s is null.", t.name)
	}
	return "", problem(IllegalValue, "%s is a %s, and its value cannot be %s.", t.name, t.kind, clip(string(raw)))
}

// take adds a value to the predicate.
func (p *parser) take(out *predicate, v string) *Problem {
	switch out.term.kind {
	case number:
		n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
		if err != nil {
			return problem(IllegalValue, "%s is a number, and %s is not a whole number of 64 bits.", out.term.name, clip(v))
		}
		out.numbers = append(out.numbers, n)
	case boolean:
		switch {
		case strings.EqualFold(v, "true"):
			out.numbers = append(out.numbers, 1)
		case strings.EqualFold(v, "false"):
			out.numbers = append(out.numbers, 0)
		default:
			return problem(IllegalValue, "%s is true or false, not %s.", out.term.name, clip(v))
		}
	case moment:
		within, err := during(out.operator, v, p.now)
		if err != nil {
			return problem(IllegalValue, "%s: %s is not a %s.", out.term.name, clip(v), momentWanted(out.operator))
		}
		out.within = within
	default:
		if v == "" {
			return problem(MissingValue, "A value of %s is empty.", out.term.name)
		}
		out.patterns = append(out.patterns, newPattern(v))
	}
	return nil
}

func momentWanted(o Operator) string {
	if o == WithinTheLast {
		return "duration in ISO 8601, such as P30D or PT15M"
	}
	return "date or time in ISO 8601, such as 2026-10-01 or 2026-10-01T12:00:00.000Z"
}

// longest is how many bytes of a caller's text a problem repeats.
const longest = 100

// cut cuts a caller's text to a length that fits into a sentence.
func cut(s string) string {
	if len(s) <= longest {
		return s
	}
	return strings.ToValidUTF8(s[:longest], "") + "…"
}

// clip cuts a caller's text and quotes it.
func clip(s string) string { return fmt.Sprintf("%q", cut(s)) }

package search

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits of a query. Incydr's are those of criteria, page and rows; the others keep one caller from hurting all.
const (
	MaxBody     = 256 << 10 // bytes: every query stands in the trail, as one item
	MaxCriteria = 1024      // filters, an IS_ANY or IS_NONE counting as many as it has values
	MaxDepth    = 10        // levels of groups
	MaxValue    = 4096      // bytes of one value
	MaxRows     = 10_000    // events of one page, and pgNum*pgSize

	defaultPageSize = 100
)

// Query is a search, checked and made ready.
type Query struct {
	condition *tree
	sort      *term
	ascending bool
	page      int    // from 1; 0 in token mode
	size      int    // 1 to MaxRows
	after     string // token mode: the event id that rows come after; "" is from the start
}

// inTokens tells whether pages follow each other by token.
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

// group holds filters or groups. Their "display", the console's own, is passed over.
type group struct {
	FilterClause   *string  `json:"filterClause"`
	Filters        []filter `json:"filters"`
	SubgroupClause *string  `json:"subgroupClause"`
	Subgroups      []group  `json:"subgroups"`
}

type filter struct {
	Term     string          `json:"term"`
	Operator *string         `json:"operator"`
	Value    json.RawMessage `json:"value"`
}

// Parse reads a query. now is what WITHIN_THE_LAST counts from. The error is a *Problem or several, joined.
func Parse(body []byte, now time.Time) (Query, error) {
	if len(body) > MaxBody {
		return Query{}, problem(MaxLengthExceeded, "The query has more than %d bytes.", MaxBody)
	}
	if !utf8.Valid(body) { // the trail, which holds queries as they came, takes text alone
		return Query{}, problem(IllegalValue, "The body is not UTF-8.")
	}
	var r request
	if err := json.Unmarshal(body, &r); err != nil {
		return Query{}, malformed(err)
	}
	if len(r.Groups) == 0 {
		return Query{}, problem(MissingGroups, "groups is missing or empty.")
	}
	q := Query{}
	p := parser{now: now}
	q.condition = p.groups("groupClause", r.GroupClause, r.Groups, 1)
	p.paging(&q, r)
	p.sorting(&q, r)
	if len(p.problems) > 0 {
		return Query{}, errors.Join(p.problems...)
	}
	return q, nil
}

// malformed says what is wrong with a body that does not decode.
func malformed(err error) *Problem {
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) {
		return problem(IllegalValue, "The body is not one JSON object.")
	}
	field := wrong.Field
	if field == "" {
		return problem(IllegalValue, "The body is a JSON %s, not an object.", wrong.Value)
	}
	types := map[string]ProblemType{
		"pgNum": InvalidPageNumber, "pgSize": InvalidPageSize, "pgToken": InvalidPageToken,
		"srtKey": IllegalSort, "srtDir": IllegalSort, "groups": IllegalGroup, "groupClause": IllegalGroup,
	}
	t, ok := types[field]
	if !ok {
		t = IllegalValue
	}
	return problem(t, "%s cannot be a JSON %s.", field, wrong.Value)
}

// parser collects what is wrong with a query, up to maxProblems.
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

// groups parses groups that are joined by the clause of that name. After a problem the tree is of no use.
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

// clause tells whether the clause is OR; without one it is AND.
func (p *parser) clause(name string, clause *string) (any bool) {
	switch {
	case clause == nil || strings.EqualFold(*clause, "AND"):
		return false
	case strings.EqualFold(*clause, "OR"):
		return true
	}
	p.add(problem(IllegalGroup, "%s is %s; it can be AND or OR.", name, clip(*clause)))
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

// exceeded says once that there are too many criteria.
func (p *parser) exceeded() {
	limit := problem(MaxFiltersExceeded, "There are more than %d criteria; each value of IS_ANY and IS_NONE is one.", MaxCriteria)
	if !slices.ContainsFunc(p.problems, func(err error) bool { return err.Error() == limit.Error() }) {
		p.add(limit)
	}
}

func (p *parser) paging(q *Query, r request) {
	q.page, q.size = 1, defaultPageSize
	if r.PgSize != nil {
		q.size = *r.PgSize
	}
	if q.size < 1 || q.size > MaxRows {
		p.add(problem(InvalidPageSize, "pgSize is %d; it can be 1 to %d.", q.size, MaxRows))
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
		p.add(problem(InvalidPageNumber, "pgNum is %d; pages count from 1.", q.page))
	case q.page > MaxRows/q.size:
		p.add(problem(InvalidPageNumber, "pgNum %d of %d events each lies beyond the first %d events; use pgToken to go on.", q.page, q.size, MaxRows))
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
		p.add(problem(IllegalSort, "srtKey %s is no term.", clip(key)))
	}
	q.sort, q.ascending = sort, strings.EqualFold(direction, "asc")
	if !q.ascending && !strings.EqualFold(direction, "desc") {
		p.add(problem(IllegalSort, "srtDir is %s; it can be asc or desc.", clip(direction)))
	}
}

// longest is how many bytes of what a caller wrote stand in a problem.
const longest = 100

// cut is what a caller wrote, cut to what fits into a sentence.
func cut(s string) string {
	if len(s) <= longest {
		return s
	}
	return strings.ToValidUTF8(s[:longest], "") + "…"
}

// clip quotes what a caller wrote, cut to what fits into a sentence.
func clip(s string) string { return fmt.Sprintf("%q", cut(s)) }

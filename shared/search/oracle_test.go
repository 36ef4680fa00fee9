package search

import (
	"cmp"
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The oracle answers queries without index, plan or parser: it filters and sorts the documents of all events, by rules
// written down once more.

type document struct {
	id     string
	order  [4]string // for ties of time: record, connection, file
	fields map[string]any
}

func documentsOf(events []event) []document {
	docs := make([]document, len(events))
	for i := range events {
		e := &events[i]
		docs[i] = document{id: e.id(), order: [4]string{string(e.message.Record), string(e.conn.ID),
			strconv.Itoa(100 + e.file)}}
		if err := json.Unmarshal(theSchema().appendDocument(nil, e), &docs[i].fields); err != nil {
			panic(err)
		}
	}
	return docs
}

// at are the values under a dotted name, through arrays.
func at(v any, path []string) []any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		var all []any
		for _, e := range v {
			all = append(all, at(e, path)...)
		}
		return all
	case map[string]any:
		if len(path) == 0 {
			return nil
		}
		return at(v[path[0]], path[1:])
	}
	if len(path) > 0 {
		return nil
	}
	return []any{v}
}

func (d document) values(term string) []any { return at(d.fields, strings.Split(term, ".")) }

type oracleFilter struct {
	Term     string `json:"term"`
	Operator string `json:"operator"`
	Value    any    `json:"value,omitempty"`
}

type oracleGroup struct {
	FilterClause   string         `json:"filterClause,omitempty"`
	Filters        []oracleFilter `json:"filters,omitempty"`
	SubgroupClause string         `json:"subgroupClause,omitempty"`
	Subgroups      []oracleGroup  `json:"subgroups,omitempty"`
}

type oracleQuery struct {
	GroupClause string        `json:"groupClause,omitempty"`
	Groups      []oracleGroup `json:"groups"`
	PgNum       int           `json:"pgNum,omitempty"`
	PgSize      int           `json:"pgSize,omitempty"`
	PgToken     *string       `json:"pgToken,omitempty"`
	SrtKey      string        `json:"srtKey,omitempty"`
	SrtDir      string        `json:"srtDir,omitempty"`
}

func (q oracleQuery) json() string { return string(must(json.Marshal(q))) }

func joined(clause string, n int, holds func(int) bool) bool {
	for i := range n {
		if holds(i) == (clause == "OR") {
			return clause == "OR"
		}
	}
	return clause != "OR"
}

func (q oracleQuery) match(d document, now time.Time) bool {
	return joined(q.GroupClause, len(q.Groups), func(i int) bool { return q.Groups[i].match(d, now) })
}

func (g oracleGroup) match(d document, now time.Time) bool {
	if len(g.Filters) > 0 {
		return joined(g.FilterClause, len(g.Filters), func(i int) bool { return g.Filters[i].match(d, now) })
	}
	return joined(g.SubgroupClause, len(g.Subgroups), func(i int) bool { return g.Subgroups[i].match(d, now) })
}

func (f oracleFilter) match(d document, now time.Time) bool {
	values := d.values(f.Term)
	some := func(holds func(any) bool) bool { return slices.ContainsFunc(values, holds) }
	is := func(want any) bool { return some(func(v any) bool { return same(v, want) }) }
	wanted, _ := f.Value.([]any)
	stamp := func(v any) time.Time { return must(time.Parse(time.RFC3339, v.(string))) }
	switch f.Operator {
	case "EXISTS":
		return len(values) > 0
	case "DOES_NOT_EXIST":
		return len(values) == 0
	case "IS":
		return is(f.Value)
	case "IS_NOT":
		return !is(f.Value)
	case "IS_ANY":
		return slices.ContainsFunc(wanted, is)
	case "IS_NONE":
		return !slices.ContainsFunc(wanted, is)
	case "GREATER_THAN":
		return some(func(v any) bool { return v.(float64) > float64(f.Value.(int)) })
	case "LESS_THAN":
		return some(func(v any) bool { return v.(float64) < float64(f.Value.(int)) })
	case "ON":
		return some(func(v any) bool { return v.(string)[:10] == f.Value.(string)[:10] })
	case "ON_OR_AFTER":
		return some(func(v any) bool { return !stamp(v).Before(stamp(f.Value)) })
	case "ON_OR_BEFORE":
		return some(func(v any) bool { return !stamp(v).After(stamp(f.Value)) })
	case "WITHIN_THE_LAST":
		days := must(strconv.Atoi(strings.Trim(f.Value.(string), "PD")))
		return some(func(v any) bool { return !stamp(v).Before(now.AddDate(0, 0, -days)) })
	}
	panic(f.Operator)
}

func same(v, want any) bool {
	switch v := v.(type) {
	case float64:
		return strconv.Itoa(int(v)) == want || v == float64(wholeNumber(want))
	case bool:
		return v == want || strings.EqualFold(strconv.FormatBool(v), textual(want))
	}
	return compiled(strings.ToLower(textual(want))).MatchString(strings.ToLower(v.(string)))
}

// patterns keeps what compiled has made, for each is asked of many events.
var patterns sync.Map

func compiled(text string) *regexp.Regexp {
	if known, ok := patterns.Load(text); ok {
		return known.(*regexp.Regexp)
	}
	expr := "(?s)^"
	pattern := []rune(text)
	for i := 0; i < len(pattern); i++ {
		switch r := pattern[i]; {
		case r == '\\' && i+1 < len(pattern) && strings.ContainsRune(`*?\`, pattern[i+1]):
			i++
			expr += regexp.QuoteMeta(string(pattern[i]))
		case r == '*':
			expr += ".*"
		case r == '?':
			expr += "."
		default:
			expr += regexp.QuoteMeta(string(r))
		}
	}
	made := regexp.MustCompile(expr + "$")
	patterns.Store(text, made)
	return made
}

func textual(v any) string { s, _ := v.(string); return s }

func wholeNumber(v any) int {
	if n, ok := v.(int); ok {
		return n
	}
	return -1 << 40
}

// answer is the ids of all matches in order.
func (q oracleQuery) answer(docs []document, now time.Time) []string {
	var found []document
	for _, d := range docs {
		if q.match(d, now) {
			found = append(found, d)
		}
	}
	slices.SortFunc(found, q.compare)
	ids := make([]string, len(found))
	for i, d := range found {
		ids[i] = d.id
	}
	return ids
}

func (q oracleQuery) compare(a, b document) int {
	sign := -1
	if strings.EqualFold(q.SrtDir, "asc") {
		sign = 1
	}
	if q.SrtKey == "" || q.SrtKey == "@timestamp" {
		at := strings.Compare(a.fields["@timestamp"].(string), b.fields["@timestamp"].(string))
		return sign * cmp.Or(at, slices.Compare(a.order[:], b.order[:]))
	}
	x, y := a.values(q.SrtKey), b.values(q.SrtKey)
	if len(x) == 0 || len(y) == 0 {
		if len(x) != len(y) {
			return cmp.Compare(len(y), len(x)) * min(1, len(x)+len(y))
		}
		return sign * strings.Compare(a.id, b.id)
	}
	return sign * cmp.Or(compareValues(x[0], y[0]), strings.Compare(a.id, b.id))
}

func compareValues(x, y any) int {
	switch x := x.(type) {
	case float64:
		return cmp.Compare(x, y.(float64))
	case string:
		return strings.Compare(strings.ToLower(x), strings.ToLower(y.(string)))
	}
	return strings.Compare(strconv.FormatBool(x.(bool)), strconv.FormatBool(y.(bool)))
}

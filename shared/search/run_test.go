package search

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestOracle asks random queries of random mails, and compares every page with what filtering and sorting all events gives.
func TestOracle(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			o := newOffice(t)
			o.fill(rng, 150*int(1+seed))
			docs := documentsOf(o.events)
			g := generator{Rand: rng, docs: docs, office: o}
			for range 150 {
				q := g.query()
				want := q.answer(docs, o.now)
				q.PgSize = 1 + len(want)/8 + rng.IntN(1+len(want)/2)
				if got := o.byNumber(q); !slices.Equal(got, want) {
					t.Fatalf("by page number: %s\n got %d %v\nwant %d %v", q.json(), len(got), got, len(want), want)
				}
				if got := o.byToken(q); !slices.Equal(got, want) {
					t.Fatalf("by token: %s\n got %d %v\nwant %d %v", q.json(), len(got), got, len(want), want)
				}
				if got := o.ask(q.json()).TotalCount; got != len(want) {
					t.Fatalf("%s: total %d, want %d", q.json(), got, len(want))
				}
			}
		})
	}
}

// byNumber reads all pages by their numbers.
func (o *office) byNumber(q oracleQuery) []string {
	ids := []string{}
	for q.PgNum = 1; ; q.PgNum++ {
		p := o.ask(q.json())
		if p.NextPgToken != nil {
			o.t.Fatalf("%s: a token where none was asked for", q.json())
		}
		ids = append(ids, p.ids()...)
		if len(p.FileEvents) < q.PgSize {
			return ids
		}
	}
}

// byToken reads all pages as the official clients do.
func (o *office) byToken(q oracleQuery) []string {
	ids, token := []string{}, ""
	for q.PgToken = &token; ; {
		p := o.ask(q.json())
		ids = append(ids, p.ids()...)
		if p.NextPgToken == nil {
			return ids
		}
		if len(p.FileEvents) != q.PgSize || *p.NextPgToken != ids[len(ids)-1] {
			o.t.Fatalf("%s: the token is not the last id of a full page", q.json())
		}
		token = *p.NextPgToken
	}
}

// generator makes queries of which many match something.
type generator struct {
	*rand.Rand
	docs   []document
	office *office
}

func (g generator) pick(list ...string) string { return list[g.IntN(len(list))] }

func (g generator) query() oracleQuery {
	q := oracleQuery{
		GroupClause: g.pick("AND", "OR", ""), SrtDir: g.pick("asc", "desc", ""),
		SrtKey: g.pick("", "", "@timestamp", "event.id", "event.id", "event.ingested", "event.inserted", "file.name", "file.sizeInBytes",
			"destination.email.recipients", "user.email", "risk.score", "file.owner", "event.detectorDisplayName", "risk.trusted", "file.acquiredFrom.md5"),
	}
	for range 1 + g.IntN(2) {
		q.Groups = append(q.Groups, g.group(1))
	}
	return q
}

func (g generator) group(depth int) oracleGroup {
	if depth < 3 && g.IntN(4) == 0 {
		out := oracleGroup{SubgroupClause: g.pick("AND", "OR")}
		for range 1 + g.IntN(2) {
			out.Subgroups = append(out.Subgroups, g.group(depth+1))
		}
		return out
	}
	out := oracleGroup{FilterClause: g.pick("AND", "OR", "")}
	for range 1 + g.IntN(3) {
		out.Filters = append(out.Filters, g.filter())
	}
	return out
}

func (g generator) filter() oracleFilter {
	switch g.IntN(12) {
	case 0:
		return oracleFilter{g.pick("@timestamp", "event.ingested", "event.inserted"), "WITHIN_THE_LAST", fmt.Sprintf("P%dD", g.IntN(90))}
	case 1, 2:
		f := oracleFilter{Term: g.pick("@timestamp", "@timestamp", "event.ingested", "event.inserted"), Operator: g.pick("ON", "ON_OR_AFTER", "ON_OR_BEFORE")}
		f.Value = g.docs[g.IntN(len(g.docs))].values(f.Term)[0]
		return f
	case 3:
		return oracleFilter{g.pick("file.sizeInBytes", "risk.score", "risk.indicators.weight", "report.count"), g.pick("IS", "IS_NOT", "GREATER_THAN", "LESS_THAN"), g.IntN(5) * 1000}
	case 4:
		return oracleFilter{g.pick("risk.trusted", "file.passwordProtected"), g.pick("IS", "IS_NOT"), g.pick("TRUE", "FALSE", "true")}
	}
	terms := []string{
		"file.name", "file.name", "source.email.sender", "source.email.from", "user.email", "destination.email.recipients", "risk.untrustedValues.domains",
		"source.email.messageId", "destination.email.subject", "event.id", "event.detectorDisplayName", "file.category", "file.mimeTypeByExtension",
		"risk.indicators.name", "risk.severity", "event.observer", "user.id", "file.hash.md5", "source.ip", "file.acquiredFrom.md5", "source.tabs.url",
	}
	f := oracleFilter{Term: g.pick(terms...), Operator: g.pick("IS", "IS", "IS", "IS_NOT", "IS_ANY", "IS_NONE", "EXISTS", "DOES_NOT_EXIST")}
	switch f.Operator {
	case "IS", "IS_NOT":
		f.Value = g.value(f.Term)
	case "IS_ANY", "IS_NONE":
		var values []any
		for range 1 + g.IntN(3) {
			values = append(values, g.value(f.Term))
		}
		f.Value = values
	}
	return f
}

// value is a value of the term, often one that some event has, often with wildcards.
func (g generator) value(term string) string {
	s := "nothing has this"
	if values := g.docs[g.IntN(len(g.docs))].values(term); len(values) > 0 {
		s = values[g.IntN(len(values))].(string)
	}
	runes := []rune(s)
	cut := g.IntN(len(runes))
	switch g.IntN(8) {
	case 0:
		return string(runes[:cut]) + "*"
	case 1:
		return "*" + string(runes[cut:])
	case 2:
		return "*" + string(runes[cut]) + "*"
	case 3:
		return string(runes[:cut]) + "?" + string(runes[cut+1:])
	case 4:
		return string(runes[:cut]) + "*" + string(runes[len(runes)-min(3, len(runes)-cut):])
	case 5:
		return g.pick(`a\*b\?.txt`, `*\\*`, "*.pdf", "*.", "*@rival.example", "?*", "p*.D*", `back\slash.c`)
	}
	return s
}

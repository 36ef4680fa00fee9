package search

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
)

// numbered is n different values as JSON.
func numbered(n int, format string) string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf(`"`+format+`"`, i)
	}
	return "[" + strings.Join(all, ",") + "]"
}

// TestBroadQueries counts the queries of the table that the broadest searches take.
func TestBroadQueries(t *testing.T) {
	o := newOffice(t)
	o.fill(rand.New(rand.NewPCG(20, 20)), 60) // in 3 connections and 3 or 4 months each
	const sections = 3 * 4
	deep := `{"filterClause":"OR","filters":[{"term":"user.email","value":"alice@corp.example"},{"term":"user.email","value":"dave@rival.example"},{"term":"destination.email.subject","value":"plans"}]}`
	for range MaxDepth - 2 {
		deep = `{"subgroupClause":"AND","subgroups":[` + deep + `,{"filters":[{"term":"destination.email.subject","value":"*"}]}]}`
	}
	for _, c := range []struct {
		name, query string
		most        int
	}{
		{"as many names as there can be", filtered(`{"term":"file.name","operator":"IS_ANY","value":` + numbered(MaxCriteria,
			"n%d.pdf") + `}`), 2 * MaxCriteria * sections},
		{"as many wildcards as there can be",
			filtered(`{"term":"file.name","operator":"IS_ANY","value":` + numbered(MaxCriteria, "n%d*") + `}`),
			maxScan/readCost + 500},
		{"what no index has, under many levels", `{"groups":[` + deep + `]}`, 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := o.table.queries
			p := o.ask(c.query)
			if queries := o.table.queries - before; queries > c.most {
				t.Errorf("%d queries for %d events, want at most %d", queries, p.TotalCount, c.most)
			}
		})
	}
}

// TestReadsTogether reads what does not depend on each other at once, and never more than width of it.
func TestReadsTogether(t *testing.T) {
	o := newOffice(t)
	o.fill(rand.New(rand.NewPCG(21, 21)), 60)
	together, limit := make(chan struct{}), time.After(time.Minute)
	var waiting atomic.Int64
	o.table.opening = func() {
		if waiting.Add(1) == 3+width { // the days of 3 connections were read before
			close(together)
		}
		if waiting.Load() > 3 {
			select {
			case <-together:
			case <-limit:
				t.Error("reads wait for each other")
			}
		}
	}
	p := o.ask(filtered(`{"term":"file.name","operator":"IS_ANY","value":` + strings.Replace(numbered(50, "n%d.pdf"),
		`"n0.pdf"`, `"plan.pdf"`, 1) + `}`))
	if p.TotalCount == 0 || o.table.most != width {
		t.Errorf("%d events, %d reads at once, want %d", p.TotalCount, o.table.most, width)
	}
}

// TestOddTexts finds what is hard to find: values longer than keys hold, letters whose case is odd, the separator of
// keys.
func TestOddTexts(t *testing.T) {
	o := newOffice(t)
	names := []string{
		strings.Repeat("x", 600) + ".pdf", strings.Repeat("x", 600) + ".PNG", strings.Repeat("ü",
			256) + "1", strings.Repeat("ü", 256) + "2",
		strings.Repeat("a", 511) + "é.txt", "İstanbul.DOC", "istanbul.doc", "ΟΔΟΣ.pdf", "οδος.pdf", "K.pdf", "k.pdf",
		"a\x1fb.c", "a b.c", "x." + strings.Repeat("e", 600),
		"*", "?", "**?.pdf", `a\b`, `a\*b`, " ", "tail.", "..", "e\u0301.pdf", "é.pdf", "%_.pdf", "日本語.zip",
	}
	for i, name := range names {
		at := o.now.Add(-time.Duration(i) * time.Hour)
		o.deliver(mail{record: fmt.Sprint(i), conn: i % 3, at: at, user: "a@corp.example",
			recipients: []string{name + "@" + name}, subject: name, files: name + " (1b)"})
	}
	docs := documentsOf(o.events)
	escape := strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`)
	var values []string
	for _, name := range names {
		runes := []rune(name)
		half := len(runes) / 2
		values = append(
			values,
			name,
			escape.Replace(name),
			escape.Replace(strings.ToUpper(name)),
			escape.Replace(strings.ToLower(name)),
			escape.Replace(string(runes[:half]))+"*",
			"*"+escape.Replace(string(runes[half:])),
			"?"+escape.Replace(string(runes[1:])),
			escape.Replace(
				string(runes[:len(runes)-1]),
			)+"?",
			"*"+escape.Replace(string(runes[half]))+"*",
			"*@"+escape.Replace(name),
			"*."+escape.Replace(name),
		)
	}
	for _, term := range []string{"file.name", "destination.email.recipients", "risk.untrustedValues.domains",
		"destination.email.subject"} {
		for _, operator := range []string{"IS", "IS_NOT"} {
			for _, value := range values {
				q := oracleQuery{Groups: []oracleGroup{{Filters: []oracleFilter{{term, operator, value}}}}, PgSize: 1000}
				if got, want := o.ask(q.json()).ids(), q.answer(docs, o.now); !slices.Equal(got, want) {
					t.Errorf("%s %s %.80q: %d events, want %d", term, operator, value, len(got), len(want))
				}
			}
		}
	}
}

// TestSearchWhileMailComes checkpoints and searches while mails are stored: nothing is missed, nothing comes twice,
// and no answer is torn.
func TestSearchWhileMailComes(t *testing.T) {
	o := newOffice(t)
	rng := rand.New(rand.NewPCG(22, 22))
	o.fill(rng, 40)
	clock := &atomic.Int64{} // what has arrived and is settled
	clock.Store(o.now.Add(-time.Minute).UnixNano())
	s := &Search{
		Events: o.table, Connections: o, Log: o.search.Log, Now: func() time.Time { return start.AddDate(0, 1, 0) },
		Watermarks: settledAt(func() time.Time { return time.Unix(0, clock.Load()) }),
	}
	mails := o.randomMails(rng, 150)
	stored := make(chan struct{})
	go func() {
		defer close(stored)
		for len(mails) > 0 {
			arrival := o.now
			o.deliver(mails[:5]...)
			mails = mails[5:]
			clock.Store(arrival.UnixNano())
		}
	}()
	var got []string
	token := ""
	for last := false; ; {
		select {
		case <-stored:
			last = true
		default:
		}
		q := oracleQuery{Groups: []oracleGroup{{Filters: []oracleFilter{{"file.name", "EXISTS", nil}}}}, PgSize: 7,
			PgToken: &token, SrtKey: "event.id", SrtDir: "asc"}
		parsed, err := Parse([]byte(q.json()), start)
		if err != nil {
			t.Fatal(err)
		}
		result, err := s.Run(t.Context(), parsed)
		if err != nil {
			t.Fatal(err)
		}
		for i := range result.events {
			token = result.events[i].id()
			got = append(got, token)
		}
		if last && result.Len() == 0 {
			break
		}
	}
	var want []string
	for i := range o.events {
		want = append(want, o.events[i].id())
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got %d events, want %d, each once and in order", len(got), len(want))
	}
}

// settledAt is a watermark that moves.
type settledAt func() time.Time

func (f settledAt) Watermark(context.Context, connection.ID) (time.Time, error) { return f(), nil }

package segment_test

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/mailtrail/mailtrail/shared/segment"
)

// The schema of a file event, about as searches need it.
var eventSchema = segment.Schema{
	Fields: []segment.Field{
		{Name: "record", Ordinals: true}, {Name: "name", Parts: true, Ordinals: true}, {Name: "ext", Ordinals: true},
		{Name: "sender", Parts: true, Ordinals: true}, {Name: "recipient", Parts: true, Ordinals: true},
		{Name: "domain", Ordinals: true},
		{Name: "subject", Parts: true}, {Name: "md5"}, {Name: "sha256"},
	},
	Columns: []string{"size", "place"},
	Key:     "record",
}

var (
	nouns = strings.Fields("report budget invoice plan contract offer minutes roster draft summary statement forecast " +
		"payroll design spec review audit tender quote order")
	kinds = strings.Fields("alpha beta gamma delta north south east west spring summer autumn winter final " +
		"signed internal public client vendor board team")
	exts = strings.Fields("pdf docx xlsx png jpg pptx zip txt csv dwg msg html xml gif doc xls " +
		"mp4 json log ics eml rtf odt heic svg ppt py sql bak key")
)

// bigStore builds n file events of a company of 5,000 people over 90 days: segments of 64k rows, merged four at a time.
func bigStore(b *testing.B, n int) (*store, *segment.Segment) {
	b.Helper()
	r := rand.New(rand.NewPCG(42, uint64(n)))
	who, where := rand.NewZipf(r, 1.2, 20, 4999), rand.NewZipf(r, 1.2, 8, 19_999)
	ext, pool := rand.NewZipf(r, 1.3, 2, uint64(len(exts)-1)), rand.NewZipf(r, 1.3, 10, 9999)
	s := newStore()
	var tiers [][]*segment.Segment
	var rows []segment.Row
	made, runs := 0, 0
	name := func() string { return nouns[r.IntN(len(nouns))] + " " + kinds[r.IntN(len(kinds))] }
	var merge func(tier int, seg *segment.Segment)
	merge = func(tier int, seg *segment.Segment) {
		if tier == len(tiers) {
			tiers = append(tiers, nil)
		}
		if tiers[tier] = append(tiers[tier], seg); len(tiers[tier]) < 4 {
			return
		}
		runs++
		var sources []segment.Source
		for _, one := range tiers[tier] {
			sources = append(sources, segment.Source{Segment: one})
		}
		if err := segment.Merge(b.Context(), s, segment.Run(fmt.Sprint("merge", runs)), nil, sources...); err != nil {
			b.Fatal(err)
		}
		for a := range s.blocks {
			if slices.ContainsFunc(tiers[tier], func(one *segment.Segment) bool { return one.Run() == a.Run }) {
				delete(s.blocks, a)
			}
		}
		tiers[tier] = nil
		merge(tier+1, open(b, s, segment.Run(fmt.Sprint("merge", runs))))
	}
	flush := func() {
		runs++
		run := segment.Run(fmt.Sprint("build", runs))
		if err := segment.Build(b.Context(), s, run, eventSchema, rows); err != nil {
			b.Fatal(err)
		}
		rows = rows[:0]
		merge(0, open(b, s, run))
	}
	docs := segment.NewDocuments(s, "docs")
	for made < n {
		var key [8]byte
		binary.BigEndian.PutUint64(key[:], r.Uint64())
		sender := fmt.Sprintf("person%04d.name@corp.example", who.Uint64())
		at := int64(made) * 7776000 / int64(n)
		var to, domains []string
		for range 1 + min(r.IntN(4), r.IntN(4)) {
			d := fmt.Sprintf("partner%05d.example", where.Uint64())
			if r.IntN(2) == 0 {
				d = "corp.example"
				to = append(to, fmt.Sprintf("person%04d.name@corp.example", who.Uint64()))
			} else {
				to = append(to, fmt.Sprintf("contact%02d@%s", r.IntN(40), d))
			}
			domains = append(domains, d)
		}
		subject := name()
		files := 1 + min(r.IntN(7), r.IntN(7), r.IntN(7))
		var doc strings.Builder
		fmt.Fprintln(&doc, hex.EncodeToString(key[:]), at, sender, to, subject)
		var parts []segment.Row
		for i := range min(files, n-made) {
			e := exts[ext.Uint64()]
			file := fmt.Sprintf("%s %d.%s", name(), r.IntN(100_000), e)
			content := fmt.Sprint("unique", made)
			if r.IntN(10) < 3 {
				content = fmt.Sprint("pool", pool.Uint64())
			}
			m, h := md5.Sum([]byte(content)), sha256.Sum256([]byte(content))
			size := int64(1000 + r.IntN(2_000_000))
			fmt.Fprintln(&doc, file, size, hex.EncodeToString(m[:]), hex.EncodeToString(h[:]))
			parts = append(parts, segment.Row{Time: at, Part: i, Numbers: []int64{size, at*1000 + int64(r.IntN(1000))},
				Terms: [][]string{
					{string(key[:])}, {file}, {e}, {sender}, to, domains, {subject}, {string(m[:10])}, {string(h[:10])},
				}})
			made++
		}
		where, err := docs.Add(b.Context(), []byte(doc.String()))
		if err != nil {
			b.Fatal(err)
		}
		for i := range parts {
			parts[i].Document = where
		}
		if rows = append(rows, parts...); len(rows) >= 64_000 {
			flush()
		}
	}
	if err := docs.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
	flush()
	var sources []segment.Source
	for _, tier := range tiers {
		for _, one := range tier {
			sources = append(sources, segment.Source{Segment: one})
		}
	}
	if err := segment.Merge(b.Context(), s, "all", nil, sources...); err != nil {
		b.Fatal(err)
	}
	return s, open(b, s, "all")
}

func BenchmarkAsk(b *testing.B) {
	const n = 1_000_000
	s, seg := bigStore(b, n)
	perKind := map[uint32]int{}
	total, docs := 0, 0
	for a, block := range s.blocks {
		if a.Run == "docs" {
			docs += len(block)
		} else if a.Run == "all" {
			total += len(block)
			perKind[a.Number>>27] += len(block)
		}
	}
	b.Logf("%.1f bytes an event of documents, %.1f of the segment; by kind %v", float64(docs)/n, float64(total)/n, perKind)
	cache := segment.NewCache(s, 256<<20)
	seg = open(b, cache, seg.Run())
	is := func(field int, terms ...string) func(*testing.B) segment.Set {
		return func(b *testing.B) segment.Set {
			x, err := seg.Is(b.Context(), field, terms...)
			if err != nil {
				b.Fatal(err)
			}
			return x
		}
	}
	like := func(field int, prefix, part string) func(*testing.B) segment.Set {
		return func(b *testing.B) segment.Set {
			match := func(t []byte) bool { return strings.HasPrefix(string(t), prefix) && strings.Contains(string(t), part) }
			x, err := seg.Like(b.Context(), field, segment.Pattern{Prefix: prefix, Parts: []string{part}, Match: match})
			if err != nil {
				b.Fatal(err)
			}
			return x
		}
	}
	page := func(set func(*testing.B) segment.Set) func(*testing.B) {
		return func(b *testing.B) {
			x := set(b)
			if _, err := x.Count(b.Context()); err != nil {
				b.Fatal(err)
			}
			var at []segment.Document
			for row, err := range x.Descending(b.Context(), n) {
				if err != nil {
					b.Fatal(err)
				}
				where, _, err := seg.DocumentAt(b.Context(), row)
				if err != nil {
					b.Fatal(err)
				}
				if at = append(at, where); len(at) == 50 {
					break
				}
			}
		}
	}
	top := func(set func(*testing.B) segment.Set) func(*testing.B) {
		return func(b *testing.B) {
			if _, err := seg.Top(b.Context(), set(b), segment.Order{Column: 0, Descending: true}, nil, 50); err != nil {
				b.Fatal(err)
			}
		}
	}
	all := func(*testing.B) segment.Set { return seg.All() }
	for _, q := range []struct {
		name string
		do   func(b *testing.B)
	}{
		{"sender common", page(is(3, "person0000.name@corp.example"))},
		{"sender rare", page(is(3, "person4500.name@corp.example"))},
		{"domain common", page(is(5, "partner00000.example"))},
		{"extension pdf", page(is(2, "pdf"))},
		{"prefix common", page(like(1, "budget", ""))},
		{"substring common", page(like(1, "", "forecast"))},
		{"substring rare", page(like(1, "", "forecast north 7777"))},
		{"substring none", page(like(1, "", "qqqq"))},
		{"substring 4821", page(like(1, "", "4821"))},
		{"substring ar", page(like(1, "", "ar"))},
		{"and", page(func(b *testing.B) segment.Set {
			return segment.And(is(5, "partner00000.example")(b), is(2, "pdf")(b))
		})},
		{"not", page(func(b *testing.B) segment.Set { return segment.Not(is(3, "person0000.name@corp.example")(b)) })},
		{"newest", page(all)},
		{"by size, pdf", top(is(2, "pdf"))},
		{"by size, all", top(all)},
		{"six facets and 90 bars", func(b *testing.B) {
			x := is(2, "pdf")(b)
			for _, field := range []int{1, 2, 3, 4, 5, 5} {
				t, err := seg.Tally(b.Context(), x, field)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := segment.Facet(b.Context(), []*segment.Tally{t}, 10); err != nil {
					b.Fatal(err)
				}
			}
			edges := make([]int64, 91)
			for i := range edges {
				edges[i] = int64(i) * 86400
			}
			if _, err := seg.Histogram(b.Context(), x, edges); err != nil {
				b.Fatal(err)
			}
		}},
	} {
		b.Run(q.name, func(b *testing.B) {
			before := s.reads
			q.do(b)
			cold := s.reads - before
			b.ReportMetric(float64(cold), "blocks-cold")
			for b.Loop() {
				q.do(b)
			}
			b.ReportMetric(float64(cold), "blocks-cold")
		})
	}
}

package search

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestPattern(t *testing.T) {
	for _, c := range []struct {
		pattern string
		match   []string
		not     []string
	}{
		{"plan.pdf", []string{"plan.pdf"}, []string{"plan.pdfx", "xplan.pdf", ""}},
		{"PLAN.*", []string{"plan.pdf", "plan."}, []string{"plan"}},
		{"*", []string{"", "x"}, nil},
		{"?", []string{"x", "ß"}, []string{"", "xy"}},
		{"*a?", []string{"xax", "aaaa", "ab"}, []string{"a", "abc"}},
		{"a*b*c", []string{"abc", "aXbXc", "abbcc"}, []string{"ac", "acb", "abcd"}},
		{"*?b*?d", []string{"abcd", "abbdd"}, []string{"bd", "abd"}},
		{"a*a", []string{"aa", "aba"}, []string{"a"}},
		{`100\*`, []string{"100*"}, []string{"1000", `100\*`}},
		{`c:\users\*`, []string{`c:\users*`}, []string{`c:\users\x`}},
		{`c:\\users\\*`, []string{`c:\users\x`}, []string{`c:\users`}},
		{`back\slash`, []string{`back\slash`}, nil},
		{`end\`, []string{`end\`}, nil},
		{"GRÖSSE*", []string{"grösse.x"}, []string{"größe"}},
	} {
		p := newPattern(c.pattern)
		for _, s := range c.match {
			if !p.match(s) {
				t.Errorf("%q does not match %q", c.pattern, s)
			}
		}
		for _, s := range c.not {
			if p.match(s) {
				t.Errorf("%q matches %q", c.pattern, s)
			}
		}
	}
}

// TestPatternCost matches what would take a careless matcher years.
func TestPatternCost(t *testing.T) {
	done := make(chan bool)
	go func() { done <- newPattern(strings.Repeat("?*a", 1000) + "b").match(strings.Repeat("a", 100_000)) }()
	select {
	case matched := <-done:
		if matched {
			t.Error("matches")
		}
	case <-time.After(time.Minute):
		t.Fatal("takes too long")
	}
}

// FuzzPattern matches as the regular expression does that says the same.
func FuzzPattern(f *testing.F) {
	f.Add("a*b?c", "aXbYc")
	f.Add(`*\*?`, "**ß")
	f.Add("?*?", "日本")
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if len(pattern) > 50 || len(s) > 200 {
			return
		}
		s = lower(s)
		expr := "(?s)^"
		for rest := lower(pattern); rest != ""; {
			switch {
			case len(rest) > 1 && rest[0] == '\\' && strings.IndexByte(`*?\`, rest[1]) >= 0:
				expr, rest = expr+regexp.QuoteMeta(rest[1:2]), rest[2:]
			case rest[0] == '*':
				expr, rest = expr+".*", rest[1:]
			case rest[0] == '?':
				expr, rest = expr+".", rest[1:]
			default:
				expr, rest = expr+regexp.QuoteMeta(rest[:1]), rest[1:]
			}
		}
		p := newPattern(pattern)
		if got, want := p.match(s), regexp.MustCompile(expr+"$").MatchString(s); got != want {
			t.Errorf("%q matches %q: %v, want %v", pattern, s, got, want)
		}
		if p.match(s) && !(strings.HasPrefix(s, p.head()) && strings.HasSuffix(s, p.tail())) {
			t.Errorf("%q matches %q, which has not its head %q and tail %q", pattern, s, p.head(), p.tail())
		}
	})
}

package search

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// pattern is a text value of a filter. It ignores case; "*" stands for any text and "?" for any one character. A
// backslash before "*", "?" or a backslash makes it literal. Any other backslash is literal itself, because file
// paths have them.
type pattern struct {
	parts   []part // what is between the stars, in order
	literal string // the whole value, if it has no wildcard
	wild    bool
}

// part is a piece of a pattern without stars.
type part struct {
	runes []rune // anyRune is "?"
	text  string // the same, if it has no "?"
	exact bool   // text counts
}

const anyRune rune = -1

func newPattern(s string) pattern {
	var p pattern
	var literal strings.Builder
	current := part{exact: true}
	s = strings.ToLower(strings.ToValidUTF8(s, "\ufffd"))
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		i += size
		switch {
		case r == '*':
			p.wild = true
			p.parts = append(p.parts, current)
			current = part{exact: true}
			continue
		case r == '?':
			p.wild = true
			r, current.exact = anyRune, false
		case r == '\\' && i < len(s) && strings.IndexByte(`*?\`, s[i]) >= 0:
			r = rune(s[i])
			i++
		}
		current.runes = append(current.runes, r)
		if r != anyRune {
			literal.WriteRune(r)
		}
	}
	p.parts = append(p.parts, current)
	for i := range p.parts {
		if p.parts[i].exact {
			p.parts[i].text = string(p.parts[i].runes)
		}
	}
	if !p.wild {
		p.literal = literal.String()
	}
	return p
}

// match reports whether the pattern matches s, which is in lower case. Parts between stars are found leftmost first,
// which never costs more than the product of the lengths.
func (p pattern) match(s string) bool {
	if !p.wild {
		return s == p.literal
	}
	last := len(p.parts) - 1
	rest, ok := p.parts[0].prefix(s)
	if !ok {
		return false
	}
	if last == 0 {
		return rest == ""
	}
	for _, middle := range p.parts[1:last] {
		if rest, ok = middle.find(rest); !ok {
			return false
		}
	}
	return p.parts[last].suffix(rest)
}

// prefix cuts the part off the front of s.
func (p part) prefix(s string) (rest string, ok bool) {
	if p.exact {
		return strings.CutPrefix(s, p.text)
	}
	for _, want := range p.runes {
		r, size := utf8.DecodeRuneInString(s)
		if size == 0 || (want != anyRune && want != r) {
			return "", false
		}
		s = s[size:]
	}
	return s, true
}

// find cuts off everything up to and including the first occurrence of the part in s.
func (p part) find(s string) (rest string, ok bool) {
	if p.exact {
		_, rest, ok = strings.Cut(s, p.text)
		return rest, ok
	}
	for {
		if rest, ok := p.prefix(s); ok {
			return rest, true
		}
		_, size := utf8.DecodeRuneInString(s)
		if size == 0 {
			return "", false
		}
		s = s[size:]
	}
}

// suffix reports whether s ends with the part.
func (p part) suffix(s string) bool {
	if p.exact {
		return strings.HasSuffix(s, p.text)
	}
	start := len(s)
	for range p.runes {
		if start == 0 {
			return false
		}
		_, size := utf8.DecodeLastRuneInString(s[:start])
		start -= size
	}
	rest, ok := p.prefix(s[start:])
	return ok && rest == ""
}

// head is the literal text that every match begins with.
func (p pattern) head() string {
	first := p.parts[0]
	for i, r := range first.runes {
		if r == anyRune {
			return string(first.runes[:i])
		}
	}
	return string(first.runes)
}

// tail is the literal text that every match ends with.
func (p pattern) tail() string {
	last := p.parts[len(p.parts)-1]
	for i := len(last.runes) - 1; i >= 0; i-- {
		if last.runes[i] == anyRune {
			return string(last.runes[i+1:])
		}
	}
	return string(last.runes)
}

// blank reports whether the pattern is nothing but wildcards.
func (p pattern) blank() bool {
	return !p.some(func(r rune) bool { return r != anyRune })
}

// separated reports whether the pattern contains the separator of the term index's keys.
func (p pattern) separated() bool {
	return p.some(func(r rune) bool { return r == '\x1f' })
}

func (p pattern) some(test func(rune) bool) bool {
	return slices.ContainsFunc(p.parts, func(part part) bool { return slices.ContainsFunc(part.runes, test) })
}

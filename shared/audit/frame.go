package audit

import "bytes"

// frame finds where an object or an array ends. It takes the bytes in pieces of any size, as they arrive.
//
// It looks neither at each byte nor at each string: it leaps from one bracket to the next and counts the quotes in
// between, because a bracket is inside a string if an odd number of quotes precedes it. Leaping and counting are
// vector code in package bytes. In a record only about one byte in a hundred is a bracket, but one in eleven is a
// quote. Brackets of the other kind need no counting, because they are balanced inside.
type frame struct {
	open, close byte
	depth       int
	inString    bool
	escaped     bool // the last byte seen was a backslash that escapes the next one
}

// scan takes the next piece. It returns how many of its bytes belong to the value, and whether the value ends there.
func (f *frame) scan(piece []byte) (n int, whole bool) {
	for {
		shut := bytes.IndexByte(piece[n:], f.close)
		span := piece[n:]
		if shut >= 0 {
			span = span[:shut]
		}

		for {
			opens := bytes.IndexByte(span, f.open)
			if opens < 0 {
				break
			}
			if f.pass(span[:opens]); f.structural() {
				f.depth++
			}
			span = span[opens+1:]
		}
		f.pass(span)

		if shut < 0 {
			return len(piece), false
		}
		n += shut + 1
		if f.structural() {
			if f.depth--; f.depth == 0 {
				return n, true
			}
		}
	}
}

// structural reports whether the bracket at this point is structure and not part of a string, and steps over it.
func (f *frame) structural() bool {
	f.escaped = false // no JSON escapes a bracket, but a record that does must not swallow the next ones
	return !f.inString
}

// pass takes a span without brackets, to know whether a string is open after it.
func (f *frame) pass(span []byte) {
	if len(span) == 0 {
		return
	}

	quotes := bytes.Count(span, []byte{'"'})
	if f.escaped {
		if span[0] == '"' {
			quotes--
		}
		span = span[1:]
		f.escaped = false
	}
	for {
		i := bytes.IndexByte(span, '\\')
		if i < 0 {
			break
		}
		if f.escaped = i+1 == len(span); f.escaped {
			break
		}
		if span[i+1] == '"' {
			quotes--
		}
		span = span[i+2:]
	}
	f.inString = f.inString != (quotes&1 == 1)
}

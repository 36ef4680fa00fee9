package audit

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// fields walks over the members of one JSON object in order, duplicates too. It checks only what it must know to
// find their borders, so it takes all that encoding/json takes, and more.
type fields struct {
	rest  []byte // the object, then what follows the member
	value []byte // of the member, raw
	err   error  // why the walk ended early

	inside bool
	lower  [32]byte // the member's name, if it is short enough to be one that we know
	length int
}

var (
	errNoObject  = errors.New("not an object")
	errCut       = errors.New("an object is not closed")
	errMember    = errors.New("a member of an object is malformed")
	errFollowing = errors.New("something follows the object")
)

// next moves to the next member. It returns false after the last one, and when err is set.
func (f *fields) next() bool {
	c, rest := token(f.rest)
	switch {
	case f.inside && c == ',':
		return f.member(rest)
	case f.inside && c == '}':
		return f.end(rest)
	case f.inside && c == 0:
		return f.fail(errCut)
	case f.inside:
		return f.fail(errMember)
	case c != '{':
		return f.fail(errNoObject)
	}

	f.inside = true
	if c, after := token(rest); c == '}' {
		return f.end(after)
	}
	return f.member(rest)
}

func (f *fields) member(b []byte) bool {
	key, b := cutValue(b)
	c, b := token(b)
	if len(key) == 0 || key[0] != '"' || c != ':' {
		return f.fail(errMember)
	}
	if f.value, f.rest = cutValue(b); len(f.value) == 0 {
		return f.fail(errMember)
	}
	f.setName(key)
	return true
}

func (f *fields) end(b []byte) bool {
	if c, _ := token(b); c != 0 {
		f.err = errFollowing
	}
	f.rest = nil
	return false
}

func (f *fields) fail(err error) bool {
	f.err = err
	return false
}

// name returns the name of the member in lower case, or nothing if it is longer than any that we know. It is valid
// until the next call of next.
func (f *fields) name() []byte { return f.lower[:f.length] }

func (f *fields) setName(key []byte) {
	f.length = 0
	inner := key[1 : len(key)-1]
	for i, c := range inner {
		if c == '\\' || c >= utf8.RuneSelf {
			f.setRareName(textOf(key))
			return
		}
		if i == len(f.lower) {
			return
		}
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		f.lower[i] = c
	}
	f.length = len(inner)
}

// setRareName takes a name with escapes or letters beyond ASCII. Two of these count as the letters s and k for
// encoding/json, so they do here.
func (f *fields) setRareName(name string) {
	name = strings.Map(func(c rune) rune {
		switch {
		case 'A' <= c && c <= 'Z':
			return c | 0x20
		case c == '\u017f':
			return 's'
		case c == '\u212a':
			return 'k'
		}
		return c
	}, name)
	f.length = copy(f.lower[:], name) // cut off, a name is longer still than any that we know
}

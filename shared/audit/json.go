package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// fields walks over the members of one JSON object in order, including duplicates. It checks only what it must know
// to find their borders, so it accepts everything that encoding/json accepts, and more.
type fields struct {
	rest  []byte // the object, then what follows the member
	value []byte // the raw value of the member
	err   error  // why the walk ended early

	inside bool
	lower  [32]byte // the name of the member, if it is short enough to be one of ours
	length int
}

var (
	errNoObject  = errors.New("not an object")
	errCut       = errors.New("an object is not closed")
	errMember    = errors.New("a member of an object is malformed")
	errFollowing = errors.New("something follows the object")
)

// next moves to the next member. It returns false after the last one, or if err is set.
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

// name returns the name of the member in lower case, or nothing if it is longer than any name that we know. It is
// valid until the next call of next.
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

// setRareName takes a name with escapes or letters beyond ASCII. encoding/json treats two of these as the letters s
// and k, so they are treated so here.
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
	f.length = copy(f.lower[:], name) // even cut off, such a name is longer than any that we know
}

// cutValue cuts the JSON value off the front of b, with the white space before it. The value is empty if there is
// none.
func cutValue(b []byte) (value, rest []byte) {
	for len(b) > 0 && isSpace(b[0]) {
		b = b[1:]
	}
	if len(b) == 0 {
		return nil, nil
	}

	n := 0
	switch b[0] {
	case '"':
		n = stringLen(b)
	case '{', '[':
		f := frame{open: b[0], close: b[0] + 2} // in ASCII, } and ] are two after { and [
		if end, whole := f.scan(b); whole {
			n = end
		}
	default:
		for n < len(b) && !endsBare(b[n]) {
			n++
		}
	}
	return b[:n], b[n:]
}

// stringLen returns the length of the string at the start of b, including its quotes, or 0 if it is not closed.
func stringLen(b []byte) int {
	n := 1
	for {
		i := bytes.IndexByte(b[n:], '"')
		if i < 0 {
			return 0
		}
		n += i
		slashes := 0
		for b[n-1-slashes] == '\\' {
			slashes++
		}
		n++
		if slashes%2 == 0 {
			return n
		}
	}
}

// token returns the first byte of b that is not white space, and the bytes after it. It returns 0 at the end; JSON
// never contains that byte.
func token(b []byte) (byte, []byte) {
	for i, c := range b {
		if !isSpace(c) {
			return c, b[i+1:]
		}
	}
	return 0, nil
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }

// endsBare reports whether a number, true, false or null ends before c.
func endsBare(c byte) bool {
	return isSpace(c) || c == ',' || c == ':' || c == '"' || c == '[' || c == ']' || c == '{' || c == '}'
}

// textOf returns a value as a string: a string without its quotes and escapes, null as "", anything else as it is
// written. Bytes that are not UTF-8 are replaced.
func textOf(value []byte) string {
	switch {
	case isNull(value):
		return ""
	case value[0] != '"':
		return string(bytes.ToValidUTF8(value, []byte("\ufffd")))
	}

	inner := value[1 : len(value)-1]
	if bytes.IndexByte(inner, '\\') < 0 && utf8.Valid(inner) {
		return string(inner)
	}
	var s string
	if json.Unmarshal(value, &s) != nil { // e.g. a bare line feed, or \x: better to keep it as it is than to lose it
		return string(bytes.ToValidUTF8(inner, []byte("\ufffd")))
	}
	return s
}

// numberOf returns a value as an integer: a number, or a string that holds one. ok is false for anything else.
func numberOf(value []byte) (n int64, ok bool) {
	s := strings.TrimSpace(textOf(value))
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, true
	}
	x, err := strconv.ParseFloat(s, 64)
	if err != nil || x != math.Trunc(x) || math.Abs(x) >= 1<<63 {
		return 0, false
	}
	return int64(x), true
}

// truthOf returns a value as a bool. It accepts true, 1, or a string that holds one of them, and the same for false.
// ok is false for anything else.
func truthOf(value []byte) (is, ok bool) {
	is, err := strconv.ParseBool(strings.ToLower(strings.TrimSpace(textOf(value))))
	return is, err == nil
}

func isNull(value []byte) bool { return string(value) == "null" }

// unwrapped returns a value, or, if the value is a string, the JSON inside it.
func unwrapped(value []byte) []byte {
	if value[0] == '"' {
		return []byte(textOf(value))
	}
	return value
}

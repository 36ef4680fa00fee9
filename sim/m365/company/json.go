package company

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// object writes one JSON object member by member. It is written by hand because the order of the members and the
// spelling of the values are part of what a reader of audit records has to cope with, and encoding/json fixes both.
type object struct {
	json []byte
	spelling
}

// spelling is how a writer writes what means the same.
type spelling struct {
	numbersAsText bool // "RecordType":"2", as exported records have it
	escaped       bool // \u00e9 and \/ instead of é and /
}

func (o *object) key(name string) {
	if n := len(o.json); n > 0 && o.json[n-1] != '{' && o.json[n-1] != '[' {
		o.json = append(o.json, ',')
	}
	if name != "" { // an element of an array has none
		o.json = append(o.quote(name), ':')
	}
}

func (o *object) open(name string)        { o.key(name); o.json = append(o.json, '{') }
func (o *object) close()                  { o.json = append(o.json, '}') }
func (o *object) list(name string)        { o.key(name); o.json = append(o.json, '[') }
func (o *object) endList()                { o.json = append(o.json, ']') }
func (o *object) null(name string)        { o.raw(name, "null") }
func (o *object) text(name, value string) { o.key(name); o.json = o.quote(value) }

func (o *object) raw(name, json string) { o.key(name); o.json = append(o.json, json...) }

func (o *object) number(name string, value int64) {
	if o.numbersAsText {
		o.text(name, strconv.FormatInt(value, 10))
		return
	}
	o.key(name)
	o.json = strconv.AppendInt(o.json, value, 10)
}

func (o *object) flag(name string, value bool) {
	o.key(name)
	o.json = strconv.AppendBool(o.json, value)
}

// pairs writes [{"Name":…,"Value":…},…] of names and values in turn, the shape of Microsoft's property lists.
func (o *object) pairs(name string, namesAndValues ...string) {
	o.list(name)
	for i := 0; i+1 < len(namesAndValues); i += 2 {
		o.open("")
		o.text("Name", namesAndValues[i])
		o.text("Value", namesAndValues[i+1])
		o.close()
	}
	o.endList()
}

// quote appends s as a JSON string.
func (o *object) quote(s string) []byte {
	b := append(o.json, '"')
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\' || c == '/' && o.escaped:
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, '\\', 'n')
		case c == '\r':
			b = append(b, '\\', 'r')
		case c < ' ':
			b = appendEscape(b, rune(c))
		case c < utf8.RuneSelf:
			b = append(b, c)
		default:
			r, size := utf8.DecodeRuneInString(s[i:])
			if o.escaped {
				b = appendEscape(b, r)
			} else {
				b = utf8.AppendRune(b, r)
			}
			i += size
			continue
		}
		i++
	}
	return append(b, '"')
}

// appendEscape appends \uXXXX, twice for what lies beyond the first plane.
func appendEscape(b []byte, r rune) []byte {
	if high, low := utf16.EncodeRune(r); high != utf8.RuneError {
		return appendEscape(appendEscape(b, high), low)
	}
	return append(b, '\\', 'u', lowerHex[r>>12&15], lowerHex[r>>8&15], lowerHex[r>>4&15], lowerHex[r&15])
}

package search

import (
	"encoding/json"
	"strconv"
	"time"
)

// node is a place in the event document (Incydr: event document v2): an object, an array of objects, or a term's value.
// Every object is always present; a missing value is null, or [] where the document has a list.
type node struct {
	key   string // its name as JSON text with the colon; "" at the root
	term  *term  // nil for objects and arrays of objects
	kids  []*node
	array bool   // of objects, whose i-th has the i-th value of each kid
	fixed []byte // its text, if that is the same for every event
}

// add puts the term at its place below n.
func (n *node) add(t *term, path []string) {
	if t.shape == hidden {
		return
	}
	if len(path) == 1 {
		n.array = n.array || t.shape == column
		n.kids = append(n.kids, &node{key: quoted(path[0]) + ":", term: t})
		return
	}
	for _, kid := range n.kids {
		if kid.key == quoted(path[0])+":" {
			kid.add(t, path[1:])
			return
		}
	}
	kid := &node{key: quoted(path[0]) + ":"}
	n.kids = append(n.kids, kid)
	kid.add(t, path[1:])
}

// settle writes once what is the same for every event, and reports whether that is the whole node.
func (n *node) settle() bool {
	same := true
	for _, kid := range n.kids {
		same = kid.settle() && same
	}
	if n.term != nil {
		same = n.term.constant || n.term.get == nil
	}
	if same {
		n.fixed = n.append(nil, nil)
	}
	return same
}

func quoted(s string) string { return string(appendText(nil, s)) }

// appendDocument appends the event's document.
func (s schema) appendDocument(b []byte, e *event) []byte { return s.root.append(b, e) }

func (n *node) append(b []byte, e *event) []byte {
	switch {
	case n.fixed != nil:
		return append(b, n.fixed...)
	case n.term != nil:
		return n.term.append(b, n.term.of(e))
	case n.array:
		return n.appendArray(b, e)
	}
	b = append(b, '{')
	for i, kid := range n.kids {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, kid.key...)
		b = kid.append(b, e)
	}
	return append(b, '}')
}

func (n *node) appendArray(b []byte, e *event) []byte {
	columns := make([]value, len(n.kids))
	for i, kid := range n.kids {
		columns[i] = kid.term.of(e)
	}
	b = append(b, '[')
	for row := range columns[0].size() {
		if row > 0 {
			b = append(b, ',')
		}
		b = append(b, '{')
		for i, kid := range n.kids {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, kid.key...)
			b = kid.term.append(b, columns[i].at(row))
		}
		b = append(b, '}')
	}
	return append(b, ']')
}

// of is the term's value for e.
func (t *term) of(e *event) value {
	if t.get == nil {
		return value{}
	}
	return t.get(e)
}

// size is how many values v holds.
func (v value) size() int { return max(len(v.texts), len(v.nums)) }

// at is the i-th value of a column.
func (v value) at(i int) value {
	if len(v.texts) > 0 {
		return textOf(v.texts[i])
	}
	return numberOf(v.nums[i])
}

// append appends v as JSON.
func (t *term) append(b []byte, v value) []byte {
	switch {
	case t.shape == list:
		b = append(b, '[')
		for i, s := range v.texts {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendText(b, s)
		}
		return append(b, ']')
	case v.missing():
		return append(b, "null"...)
	case t.kind == number:
		return strconv.AppendInt(b, v.num, 10)
	case t.kind == boolean:
		return strconv.AppendBool(b, v.num != 0)
	case t.kind == moment:
		b = append(b, '"')
		b = time.UnixMilli(v.num).UTC().AppendFormat(b, momentFormat)
		return append(b, '"')
	}
	return appendText(b, v.text)
}

// appendText appends s as a JSON string; in most cases nothing in it needs escaping.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x80 || c == '"' || c == '\\' {
			escaped, err := json.Marshal(s)
			if err != nil {
				return append(b, `""`...) // a string always marshals
			}
			return append(b, escaped...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

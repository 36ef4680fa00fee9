package exported

import (
	"bufio"
	"bytes"
	"io"
)

// arrays reads the elements of JSON arrays. It looks no deeper than it must to find where an element ends, so an
// element that is not a record costs nothing but itself. An element that is torn shows in one of two ways: a line ends
// inside a string, which JSON forbids, or a line begins as the lines begin that records start on. Either way reading
// goes on at the next line that begins so. (An undamaged record of several lines, without indentation, in which an
// object begins a line with the name that the record begins with, would look torn too. No exporter writes such.)
type arrays struct {
	in   *bufio.Reader
	sink *sink
	line int

	margin  []byte // the line so far, while it has only blanks and commas
	written bool   // the line has something else
	opening []byte // how lines begin that records start on, through the first member's name; empty until one was seen

	element []byte
	start   int // the line that the element starts on
	long    bool
	depth   int
	quoted  bool // inside a string
	escaped bool // after a backslash in a string
}

// maxMargin is the longest indentation that an opening may have.
const maxMargin = 200

// read reads arrays until the file ends. What stands outside of them is read as lines are, so that nothing is lost of
// lines that merely begin with a bracket.
func (a *arrays) read() error {
	for {
		c, err := a.skip(" \t\r\n")
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if c == '[' {
			a.margin, a.written = a.margin[:0], false // a record beside the bracket opens like those on lines below
			err = a.array()
		} else {
			err = a.outside()
		}
		if err != nil {
			return err
		}
	}
}

// outside reads the rest of a line that belongs to no array. Its first byte is read already.
func (a *arrays) outside() error {
	if err := a.in.UnreadByte(); err != nil {
		return err
	}
	l := lines{in: a.in}
	text, long, err := l.next(maxLine)
	if err != nil {
		return err
	}
	line := a.line
	a.newLine()
	if long {
		a.sink.reject(line, tooLong)
		return nil
	}
	return a.sink.offer(line, text)
}

// array reads the elements up to the closing bracket.
func (a *arrays) array() error {
	for {
		c, err := a.skip(" \t\r\n,")
		if err == io.EOF {
			a.sink.reject(a.line, "the array is not closed")
			return nil
		}
		if err != nil || c == ']' {
			return err
		}
		closed, err := a.one()
		if err != nil || closed {
			return err
		}
	}
}

// skip returns the first byte that is none of these, and counts lines.
func (a *arrays) skip(these string) (byte, error) {
	for {
		c, err := a.in.ReadByte()
		switch {
		case err != nil:
			return 0, err
		case c == '\n':
			a.newLine()
		case bytes.IndexByte([]byte(these), c) < 0:
			return c, nil
		case len(a.margin) < maxMargin:
			a.margin = append(a.margin, c)
		}
	}
}

func (a *arrays) newLine() {
	a.line++
	a.margin, a.written = a.margin[:0], false
}

// one reads an element, of which the first byte was just read, and what ends it. It says whether that closed the array.
func (a *arrays) one() (closed bool, err error) {
	if err := a.in.UnreadByte(); err != nil {
		return false, err
	}
	a.element, a.long, a.start = a.element[:0], false, a.line
	a.depth, a.quoted, a.escaped = 0, false, false
	first := !a.written && len(a.margin) < maxMargin // the first on its line, so how it opens can be learned
	a.written = true
	for {
		c, err := a.advance()
		if err == io.EOF {
			return true, a.fileEnds()
		}
		if err != nil {
			return false, err
		}
		if first {
			a.learn()
		}
		first = false
		if c == '\n' {
			if torn, err := a.lineEnds(); torn || err != nil {
				return false, err
			}
			a.keep([]byte{c})
			continue
		}
		if !a.written { // the comma begins a line
			a.margin = append(a.margin, c)
		}
		return c == ']', a.finish()
	}
}

// advance reads the element up to the next byte that is not merely a part of it, and returns that byte: a line feed,
// or the comma or bracket that ends the element.
func (a *arrays) advance() (byte, error) {
	for {
		if _, err := a.in.Peek(1); err != nil {
			return 0, err
		}
		ahead, _ := a.in.Peek(a.in.Buffered()) // these are there
		n := a.follow(ahead)
		a.keep(ahead[:n])
		if _, err := a.in.Discard(n); err != nil {
			return 0, err
		}
		if n < len(ahead) {
			return a.in.ReadByte()
		}
	}
}

// follow keeps track of strings and brackets, and returns how many of the bytes are merely a part of the element.
func (a *arrays) follow(ahead []byte) int {
	for i, c := range ahead {
		switch {
		case c == '\n':
			return i
		case a.escaped:
			a.escaped = false
		case a.quoted:
			a.escaped, a.quoted = c == '\\', c != '"'
		case c == '"':
			a.quoted = true
		case c == '{' || c == '[':
			a.depth++
		case a.depth == 0 && (c == ',' || c == ']'):
			return i
		case (c == '}' || c == ']') && a.depth > 0:
			a.depth--
		}
	}
	return len(ahead)
}

// keep adds to the element, as long as it is not too long.
func (a *arrays) keep(text []byte) {
	if a.long = a.long || len(a.element)+len(text) > MaxRecord; !a.long {
		a.element = append(a.element, text...)
	}
}

// finish hands over the element.
func (a *arrays) finish() error {
	if a.long {
		a.sink.reject(a.start, tooLong)
		return nil
	}
	return a.sink.offer(a.start, a.element)
}

// learn remembers how the element's line begins, if it is a record's: its indentation and the name of its first
// member, or the bracket alone where that stands alone. A bracket alone at the margin could be any object's, and is
// not remembered.
func (a *arrays) learn() {
	if len(a.element) == 0 || a.element[0] != '{' {
		return
	}
	head, _, _ := bytes.Cut(a.element[:min(len(a.element), maxMargin)], []byte("\n"))
	if name := bytes.IndexByte(head, ':'); name > 0 {
		head = head[:name+1]
	} else if head = bytes.TrimRight(head, " \t\r"); len(head) > 1 || len(a.margin) == 0 {
		return
	}
	a.opening = append(append(a.opening[:0], a.margin...), head...)
}

// fileEnds takes what is left of the last element of an array that nothing closes.
func (a *arrays) fileEnds() error {
	if a.depth > 0 || a.quoted {
		a.sink.reject(a.start, "the file ends inside the record")
		return nil
	}
	err := a.finish()
	a.sink.reject(a.line, "the array is not closed")
	return err
}

// lineEnds looks, at a line feed within an element, whether the element is torn there. If so it counts it and moves to
// the next line that opens a record.
func (a *arrays) lineEnds() (torn bool, err error) {
	opens, err := a.opens()
	if err != nil || !opens && !a.quoted {
		a.newLine()
		a.written = a.depth > 0
		return false, err
	}
	if a.depth > 0 || a.quoted {
		a.sink.reject(a.start, "torn: the line ends inside the record")
	} else if err := a.finish(); err != nil { // whole, but no comma follows
		return false, err
	}
	a.newLine()
	for !opens {
		l := lines{in: a.in}
		if _, _, err := l.next(0); err != nil {
			return true, ignoreEOF(err)
		}
		if _, err := a.in.Peek(1); err != nil { // no line follows
			return true, ignoreEOF(err)
		}
		a.newLine()
		if opens, err = a.opens(); err != nil {
			return true, err
		}
	}
	return true, nil
}

// opens says whether the line that comes begins as a record's line does.
func (a *arrays) opens() (bool, error) {
	if len(a.opening) == 0 {
		return false, nil
	}
	ahead, err := a.in.Peek(len(a.opening))
	return bytes.Equal(ahead, a.opening), ignoreEOF(err)
}

// ignoreEOF drops the error that the next read meets again.
func ignoreEOF(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

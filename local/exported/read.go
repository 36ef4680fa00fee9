// Package exported reads audit logs that somebody exported: the CSV of a Purview audit search, records one to a line
// (NDJSON), or a JSON array of records, as the Management Activity API serves them. Objects may also be rows of an
// audit search, which have the record in AuditData.
//
// Exports are long, and often damaged: cut off, joined, edited. Reading streams, in memory that does not grow with the
// file, and no record that can be read is given up for one that cannot.
package exported

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/mailtrail/mailtrail/shared/fault"
)

// MaxRecord is the size in bytes of the longest record that is read. Longer ones are unreadable.
const MaxRecord = 4 << 20

// maxProblems is how many unreadable places a Summary describes; it counts them all.
const maxProblems = 100

// Form is how records are laid out in a file.
type Form string

const (
	CSV   Form = "csv"    // a table whose column AuditData holds the records
	Lines Form = "ndjson" // one record a line
	Array Form = "json"   // a JSON array of records, or several one after another
)

// Summary is what was found in a file.
type Summary struct {
	Form       Form
	Records    int       // handed over
	Unreadable int       // lines, rows or elements that hold no readable record
	Problems   []Problem // the first hundred of these, in the order of the file
}

// Problem is one place that could not be read.
type Problem struct {
	Line   int // the first line of the record, counted from 1
	Reason string
}

// Read finds out the form of an export by its content and calls record for every readable record, in the order of the
// file, with the line that the record starts on. A readable record is a JSON object; whether it makes sense is not
// looked at. Its bytes are only valid until record returns.
//
// What is unreadable is counted and described in the Summary, and reading goes on. Read fails if the form cannot be
// read at all (fault.Poison: a table without the column AuditData, a text in UTF-16), if r fails, if the context ends,
// or if record fails, with its error; the Summary then says how far it came.
func Read(ctx context.Context, r io.Reader, record func(line int, raw []byte) error) (Summary, error) {
	in := bufio.NewReaderSize(obedient{ctx, r}, sniffed)
	form, err := tell(in)
	s := &sink{ctx: ctx, record: record, Summary: Summary{Form: form}}
	if err != nil {
		return s.Summary, fmt.Errorf("detect the form of an exported audit log: %w", err)
	}
	switch form {
	case CSV:
		err = readTable(&lines{in: in}, s)
	case Array:
		err = (&arrays{in: in, sink: s, line: 1}).read()
	default:
		err = readLines(&lines{in: in}, s)
	}
	if err != nil {
		return s.Summary, fmt.Errorf("read an exported audit log (%s): %w", form, err)
	}
	return s.Summary, nil
}

// sniffed is how many bytes of the file may be read to detect its form.
const sniffed = 64 << 10

// tell looks at the first bytes and skips a byte order mark. JSON begins with its bracket. What starts with something
// else is a table, unless objects begin on lines further down: then it is lines of which the first is torn.
func tell(in *bufio.Reader) (Form, error) {
	start, err := in.Peek(sniffed)
	if err != nil && err != io.EOF {
		return "", err
	}
	if bytes.HasPrefix(start, []byte("\xff\xfe")) || bytes.HasPrefix(start, []byte("\xfe\xff")) {
		return "", poison("the file is UTF-16: save it as UTF-8")
	}
	if bytes.HasPrefix(start, []byte("\x1f\x8b")) || bytes.HasPrefix(start, []byte("PK\x03\x04")) {
		return "", poison("the file is compressed (gzip or ZIP): unpack it")
	}
	if mark := []byte("\xef\xbb\xbf"); bytes.HasPrefix(start, mark) {
		start = start[len(mark):]
		if _, err := in.Discard(len(mark)); err != nil {
			return "", err
		}
	}
	text := bytes.TrimLeft(start, " \t\r\n")
	first, rest, _ := bytes.Cut(text, []byte("\n"))
	switch {
	case bytes.Equal(bytes.TrimSpace(first), []byte("{")) && bytes.HasPrefix(rest, []byte(" ")):
		return "", poison("records go over several lines: " +
			"write each on a line of its own (jq -c .), or all into an array (jq -s .)")
	case len(text) == 0 || text[0] == '{':
		return Lines, nil
	case text[0] == '[':
		return Array, nil
	case bytes.Contains(bytes.ToLower(first), []byte(strings.ToLower(column))):
		return CSV, nil
	case bytes.HasPrefix(rest, []byte("{")) || bytes.Contains(rest, []byte("\n{")):
		return Lines, nil
	default:
		return CSV, nil
	}
}

// poison is the error of a file that cannot be read at all, as a sentence for its owner.
func poison(format string, args ...any) error {
	return &fault.Error{Kind: fault.Poison, Err: fmt.Errorf(format, args...)}
}

// obedient ends a read when the context ends.
type obedient struct {
	ctx context.Context
	r   io.Reader
}

func (o obedient) Read(p []byte) (int, error) {
	if err := o.ctx.Err(); err != nil {
		return 0, err
	}
	return o.r.Read(p)
}

// sink takes what a reader found: records, and what should have been one.
type sink struct {
	Summary
	ctx    context.Context
	record func(line int, raw []byte) error
}

// offer hands over the text if it is a record, or the record that it wraps, and counts it as unreadable if it is
// neither.
func (s *sink) offer(line int, text []byte) error {
	text = bytes.TrimSpace(text)
	if reason := amiss(text); reason != "" {
		s.reject(line, reason)
		return nil
	}
	if inner, ok := unwrap(text); ok {
		if reason := amiss(inner); reason != "" {
			s.reject(line, column+": "+reason)
			return nil
		}
		text = inner
	}
	if err := s.ctx.Err(); err != nil {
		return err
	}
	if err := s.record(line, text); err != nil {
		return fmt.Errorf("the record on line %d: %w", line, err)
	}
	s.Records++
	return nil
}

// amiss says why the text is no JSON object, or "".
func amiss(text []byte) string {
	switch {
	case len(text) > MaxRecord:
		return tooLong
	case !json.Valid(text):
		return "not valid JSON: torn or edited"
	case text[0] != '{':
		return "JSON, but not an object"
	}
	return ""
}

// unwrap is the record within a row of an audit search: in AuditData, as text (Search-UnifiedAuditLog and
// ConvertTo-Json) or as an object (Graph's auditLogRecord). Where there is no such member, the object is the record
// itself.
func unwrap(object []byte) (record []byte, ok bool) {
	if !bytes.Contains(object, []byte("uditData")) { // A or a before it; this settles nearly all
		return nil, false
	}
	var row struct{ AuditData json.RawMessage }
	if json.Unmarshal(object, &row) != nil || row.AuditData == nil {
		return nil, false
	}
	var text *string
	if json.Unmarshal(row.AuditData, &text) == nil && text != nil {
		return bytes.TrimSpace([]byte(*text)), true
	}
	return row.AuditData, true
}

const tooLong = "longer than 4 MiB"

func (s *sink) reject(line int, reason string) {
	s.Unreadable++
	if len(s.Problems) < maxProblems {
		s.Problems = append(s.Problems, Problem{line, reason})
	}
}

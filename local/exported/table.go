package exported

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

// column is the name of the column that holds the records, in any letter case.
const column = "AuditData"

// maxRow is the size of the longest row that is read: a record whose every byte is a doubled quote, and 64 KiB for the
// other columns.
const maxRow = 2*MaxRecord + 64<<10

// table reads the rows of a CSV: RFC 4180, with a comma, semicolon or tab between fields.
type table struct {
	*lines
	separator byte
	columns   int
	records   int    // which column holds the records
	raw       []byte // the lines of the row in progress
	current   row    // the row in progress
}

// readTable reads a header and the records of the rows below it. Blank lines mean nothing.
func readTable(l *lines, s *sink) error {
	t := &table{lines: l}
	if err := t.header(); err != nil {
		return err
	}
	for {
		r, line, err := t.row(s)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		switch {
		case r == nil: // a blank line, or a row that was counted already
		case len(r.ends) != t.columns:
			s.reject(line, fmt.Sprintf("the row has %d fields, the header %d", len(r.ends), t.columns))
		case len(bytes.TrimSpace(r.field(t.records))) == 0:
			s.reject(line, column+" is empty")
		default:
			if err := s.offer(line, r.field(t.records)); err != nil {
				return err
			}
		}
	}
}

// header reads the first line and finds the separator and the column of the records. Windows PowerShell writes a
// line before it that names a type.
func (t *table) header() error {
	text, long, err := t.next(maxRow)
	for err == nil && (len(bytes.TrimSpace(text)) == 0 && !long || bytes.HasPrefix(text, []byte("#TYPE "))) {
		text, long, err = t.next(maxRow)
	}
	if err != nil && err != io.EOF {
		return err
	}
	var found []string
	for _, separator := range []byte(",;\t") {
		var r row
		r.begin(separator)
		if done, problem := r.add(text); !done || problem != "" {
			continue
		}
		names := r.fields()
		for i, name := range names {
			if strings.EqualFold(name, column) {
				t.separator, t.columns, t.records = separator, len(names), i
				return nil
			}
		}
		if len(names) > len(found) {
			found = names
		}
	}
	return poison("no column %s; found columns %s", column, listed(found))
}

// listed quotes names for an error, so many that the error stays readable.
func listed(names []string) string {
	const most = 20
	var quoted []string
	for _, name := range names[:min(len(names), most)] {
		quoted = append(quoted, fmt.Sprintf("%.60q", name))
	}
	if len(names) > most {
		quoted = append(quoted, fmt.Sprintf("and %d more", len(names)-most))
	}
	return strings.Join(quoted, ", ")
}

// row reads one row and returns the line that it starts on; no row for a blank line or a row that it counted as
// unreadable. A quote that a torn row leaves open swallows the lines that follow, until something in them shows that
// this is not a field. Then only the first line is given up and the others are read once more.
func (t *table) row(s *sink) (*row, int, error) {
	r := &t.current
	r.begin(t.separator)
	t.raw = t.raw[:0]
	start, pending := 0, t.back
	for {
		text, long, err := t.next(maxRow)
		if start == 0 {
			start = t.number
		}
		problem := ""
		switch {
		case err == io.EOF && len(t.raw) > 0:
			problem = "a quoted field is not closed"
		case err != nil:
			return nil, 0, err
		case long:
			s.reject(t.number, tooLong)
			if len(t.raw) == 0 {
				return nil, 0, nil
			}
			problem = "a quoted field is not closed"
		case len(t.raw) == 0 && len(bytes.TrimSpace(text)) == 0:
			return nil, 0, nil
		default:
			t.raw = append(append(t.raw, text...), '\n')
			var done bool
			if done, problem = r.add(text); done {
				return r, start, nil
			}
			if problem == "" && len(t.raw) > maxRow {
				problem = tooLong
			}
		}
		if problem != "" {
			s.reject(start, problem)
			t.giveBack(start, pending)
			return nil, 0, nil
		}
	}
}

// giveBack makes all lines of the row but its first be read again. They either came from the file, and are copied, or
// all of them had been given back before: pending is what was, when the row began.
func (t *table) giveBack(start int, pending []byte) {
	others := pending
	if len(t.back) == 0 {
		others = bytes.Clone(t.raw)
	}
	_, others, _ = bytes.Cut(others, []byte("\n"))
	t.again(others, start+1)
}

// row is a row of which some lines are read.
type row struct {
	separator byte
	text      []byte // the fields one after another, without their quotes
	ends      []int  // where each finished field ends in text
	quoted    bool   // inside quotes
	closed    bool   // after the closing quote of a field
}

// begin makes it an empty row. What the row before returned is no longer valid.
func (r *row) begin(separator byte) {
	*r = row{separator: separator, text: r.text[:0], ends: r.ends[:0]}
}

// add reads one more line of the row. The row is done at the end of a line that is not inside quotes.
func (r *row) add(line []byte) (done bool, problem string) {
	if r.quoted {
		r.text = append(r.text, '\n')
	}
	for len(line) > 0 {
		c := line[0]
		switch {
		case r.quoted:
			line = r.inside(line)
		case c == r.separator:
			r.end()
			line = line[1:]
		case r.closed:
			return false, "text after a closing quote"
		case c == '"' && r.empty():
			r.quoted = true
			line = line[1:]
		case c == '"':
			return false, "a quote inside a field that is not quoted"
		default:
			n := bytes.IndexFunc(line, func(c rune) bool { return c == '"' || c == rune(r.separator) })
			if n < 0 {
				n = len(line)
			}
			r.text = append(r.text, line[:n]...)
			line = line[n:]
		}
	}
	if r.quoted {
		return false, ""
	}
	r.end()
	return true, ""
}

// inside reads on to the next quote of a quoted field and returns what follows it.
func (r *row) inside(line []byte) []byte {
	n := bytes.IndexByte(line, '"')
	if n < 0 {
		r.text = append(r.text, line...)
		return nil
	}
	r.text = append(r.text, line[:n]...)
	if n+1 < len(line) && line[n+1] == '"' {
		r.text = append(r.text, '"')
		return line[n+2:]
	}
	r.quoted, r.closed = false, true
	return line[n+1:]
}

func (r *row) end() {
	r.ends = append(r.ends, len(r.text))
	r.closed = false
}

// start is where the i-th field starts in text.
func (r *row) start(i int) int {
	if i == 0 {
		return 0
	}
	return r.ends[i-1]
}

// empty says that the field in progress has no text yet.
func (r *row) empty() bool { return r.start(len(r.ends)) == len(r.text) }

func (r *row) field(i int) []byte { return r.text[r.start(i):r.ends[i]] }

// fields are the fields as a header has them: names without blanks around.
func (r *row) fields() []string {
	names := make([]string, len(r.ends))
	for i := range names {
		names[i] = strings.TrimSpace(string(r.field(i)))
	}
	return names
}

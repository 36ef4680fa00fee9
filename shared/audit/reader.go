package audit

import (
	"fmt"
	"io"

	"github.com/mailtrail/mailtrail/shared/fault"
)

// MaxRecord is the size in bytes of the largest record that is read: 4 MiB. A mail record is 1 to 3 KB; a thousand
// recipients, the most that Microsoft lists, add about 100 KB. A larger record is counted and skipped.
const MaxRecord = 4 << 20

const (
	firstBuffer    = 64 << 10
	keptUnreadable = 100
	emptyReads     = 100 // as bufio does: a source that returns nothing this often in a row is broken
)

// Reader splits a content blob, a JSON array of audit records, into its records. It returns only those that may be a
// send with attachments, a few in a hundred, and skips the others without decoding them.
//
// Its memory is one buffer: 64 KiB, or up to four times the largest record so far, and never more than MaxRecord. The
// size of the blob does not matter. Only the borders of records are checked here; their contents are for Decode to
// judge. A Reader is for one goroutine.
type Reader struct {
	// Plain, if it is set, takes each send without attachments while Next passes it. The bytes are valid during the call.
	// A record of which that is not certain is a candidate, and returned.
	Plain func(record []byte)

	src     io.Reader
	readErr error // the last error of src, including io.EOF; nothing is read after it

	buf      []byte // buf[pos:end] has been read from src and not been consumed yet
	pos, end int
	base     int64 // position of buf[0] in the blob

	place      place
	offset     int64
	counts     Counts
	unreadable []Unreadable
	err        error // what Next returns from now on
}

// place is the position of the reader in the array.
type place int

const (
	beforeArray place = iota
	beforeFirst
	afterElement
)

// Counts says what a Reader has passed so far.
type Counts struct {
	Records    int64 // elements of the array, of any kind
	Candidates int64 // those that Next returned
	Unreadable int64 // those that are not objects, or larger than MaxRecord
}

// Unreadable is an element of the array that was skipped because it cannot be a record.
type Unreadable struct {
	Offset int64 // of its first byte in the blob
	Size   int64 // in bytes
	Reason string
	Raw    string // its beginning, if it was decoded; "" if it is not an object
}

// NewReader returns a Reader of the blob that src streams.
func NewReader(src io.Reader) *Reader {
	return &Reader{src: src}
}

// Reset makes r a Reader of the blob that src streams. It keeps the buffer and Plain, and forgets everything else.
func (r *Reader) Reset(src io.Reader) {
	*r = Reader{src: src, buf: r.buf, Plain: r.Plain}
}

// Next returns the next record that may be a send with attachments, as Microsoft wrote it. The bytes are valid until
// the next call. In doubt it returns the record: whoever decodes it sees what it is.
//
// At the end of a complete array it returns io.EOF. Any other error ends the blob too, and is returned again by each
// call: io.ErrUnexpectedEOF, wrapped, if the blob is torn or empty; fault.Poison, wrapped, if the blob is not an
// array of elements, or if bytes follow the array, after all its records were returned; and the error of src,
// wrapped.
func (r *Reader) Next() ([]byte, error) {
	for r.err == nil {
		var record []byte
		if record, r.err = r.element(); record != nil {
			return record, nil
		}
	}
	return nil, r.err
}

// Counts returns what has been passed so far.
func (r *Reader) Counts() Counts { return r.counts }

// Offset returns the position in the blob, in bytes, of the record that Next returned last.
func (r *Reader) Offset() int64 { return r.offset }

// Unreadable returns the first hundred elements that cannot be records, in order.
func (r *Reader) Unreadable() []Unreadable { return r.unreadable }

// element passes one element, and returns it if it is a candidate.
func (r *Reader) element() ([]byte, error) {
	first, err := r.seek()
	if err != nil {
		return nil, err
	}

	start := r.base + int64(r.pos)
	record, reason, err := r.value(first)
	if err != nil {
		return nil, err
	}
	r.place = afterElement
	r.counts.Records++

	if reason != "" {
		r.counts.Unreadable++
		if len(r.unreadable) < keptUnreadable {
			r.unreadable = append(r.unreadable, Unreadable{Offset: start, Size: r.base + int64(r.pos) - start, Reason: reason})
		}
		return nil, nil
	}
	if !maySendFiles(record) {
		if r.Plain != nil && sends(record) {
			r.Plain(record)
		}
		return nil, nil
	}
	r.counts.Candidates++
	r.offset = start
	return record, nil
}

// seek moves to the next element and returns its first byte, or io.EOF if the array and the blob end here.
func (r *Reader) seek() (byte, error) {
	if r.place == beforeArray {
		if err := r.open(); err != nil {
			return 0, err
		}
	}

	c, err := r.nextToken()
	switch {
	case err != nil:
		return 0, r.cut(err)
	case c == ']':
		r.pos++
		return 0, r.close()
	case r.place == beforeFirst:
		return c, nil
	case c != ',':
		return 0, r.malformed("found %q where a comma or the end of the array belongs", c)
	}

	r.pos++
	if c, err = r.nextToken(); err != nil {
		return 0, r.cut(err)
	}
	return c, nil
}

// open passes the byte order mark, if there is one, and the bracket that opens the array.
func (r *Reader) open() error {
	for i, mark := range []byte("\xef\xbb\xbf") {
		c, err := r.peek()
		if err != nil {
			return r.cut(err)
		}
		if c != mark && i > 0 {
			return r.malformed("found %q in a byte order mark", c)
		}
		if c != mark {
			break
		}
		r.pos++
	}

	c, err := r.nextToken()
	if err != nil {
		return r.cut(err)
	}
	if c != '[' {
		return r.malformed("found %q where an array belongs", c)
	}
	r.pos++
	r.place = beforeFirst
	return nil
}

// close makes sure that nothing follows the array.
func (r *Reader) close() error {
	c, err := r.nextToken()
	switch {
	case err == io.EOF:
		return io.EOF
	case err != nil:
		return r.cut(err)
	}
	return r.malformed("found %q after the end of the array", c)
}

// cut reports that the blob ended, or its source failed, too early.
func (r *Reader) cut(err error) error {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read content blob up to byte %d: %w", r.base+int64(r.end), err)
}

func (r *Reader) malformed(format string, c byte) error {
	return fmt.Errorf("content blob is malformed at byte %d: "+format+": %w", r.base+int64(r.pos), c, fault.Poison)
}

// value passes the element that begins with first. It returns the bytes of an object, or the reason why the element
// cannot be a record.
func (r *Reader) value(first byte) (record []byte, reason string, err error) {
	switch {
	case first == '{':
		return r.object()
	case first == '[':
		_, err = r.bracketed(frame{open: '[', close: ']'}, 0)
		return nil, "an array, not an object", err
	case first == '"':
		return nil, "a string, not an object", r.passString()
	case first == 't', first == 'f', first == 'n', first == '-', '0' <= first && first <= '9':
		return nil, "a bare value, not an object", r.passBare()
	}
	return nil, "", r.malformed("found %q where a record belongs", first)
}

func (r *Reader) object() (record []byte, reason string, err error) {
	size, err := r.bracketed(frame{open: '{', close: '}'}, MaxRecord)
	switch {
	case err != nil:
		return nil, "", err
	case size == 0:
		return nil, "larger than 4 MiB", nil
	}
	return r.buf[r.pos-size : r.pos], "", nil
}

// bracketed passes an object or an array. It returns its size if the whole value is in the buffer, just before pos,
// which it allows up to keep bytes. A larger value is dropped while it is read, and the size is 0.
func (r *Reader) bracketed(f frame, keep int) (size int, err error) {
	kept := true
	for {
		n, whole := f.scan(r.buf[r.pos+size : r.end])
		size += n
		if whole {
			break
		}
		if kept = kept && size < keep; !kept {
			r.pos, size = r.end, 0
		}
		if err := r.fill(); err != nil {
			return 0, r.cut(err)
		}
	}

	r.pos += size
	if !kept {
		return 0, nil
	}
	return size, nil
}

func (r *Reader) passString() error {
	r.pos++
	escaped := false
	for {
		c, err := r.peek()
		if err != nil {
			return r.cut(err)
		}
		r.pos++
		if c == '"' && !escaped {
			return nil
		}
		escaped = c == '\\' && !escaped
	}
}

// passBare passes a number, true, false or null.
func (r *Reader) passBare() error {
	for {
		c, err := r.peek()
		if err != nil {
			return r.cut(err)
		}
		if endsBare(c) {
			return nil
		}
		r.pos++
	}
}

// nextToken passes white space and returns the byte after it, or the error of the source.
func (r *Reader) nextToken() (byte, error) {
	for {
		c, err := r.peek()
		if err != nil || !isSpace(c) {
			return c, err
		}
		r.pos++
	}
}

// peek returns the byte at pos, or the error of the source.
func (r *Reader) peek() (byte, error) {
	if r.pos == r.end {
		if err := r.fill(); err != nil {
			return 0, err
		}
	}
	return r.buf[r.pos], nil
}

// fill reads more from the source, and keeps buf[pos:end]. The caller makes sure that this is always less than
// MaxRecord bytes.
func (r *Reader) fill() error {
	if r.readErr != nil {
		return r.readErr
	}
	if r.pos == r.end || r.end == len(r.buf) {
		r.makeRoom()
	}

	for range emptyReads {
		n, err := r.src.Read(r.buf[r.end:])
		r.end += n
		r.readErr = err
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	r.readErr = io.ErrNoProgress
	return r.readErr
}

// makeRoom moves buf[pos:end] to the front, or into a buffer of twice the size if it would fill more than half of
// this one.
func (r *Reader) makeRoom() {
	rest := r.buf[r.pos:r.end]
	if len(rest) >= len(r.buf)/2 && len(r.buf) < MaxRecord {
		r.buf = make([]byte, max(firstBuffer, min(2*len(r.buf), MaxRecord)))
	}
	r.base += int64(r.pos)
	r.pos, r.end = 0, copy(r.buf, rest)
}

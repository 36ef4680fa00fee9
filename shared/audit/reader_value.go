package audit

import "io"

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

// bracketed passes an object or an array. It returns its size if it has kept all of it in the buffer, just before
// pos, which it does up to keep bytes; beyond that it drops what it has seen, and returns 0.
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

// nextToken passes white space and returns the byte after it, or what the source answered.
func (r *Reader) nextToken() (byte, error) {
	for {
		c, err := r.peek()
		if err != nil || !isSpace(c) {
			return c, err
		}
		r.pos++
	}
}

// peek returns the byte at pos, or what the source answered instead.
func (r *Reader) peek() (byte, error) {
	if r.pos == r.end {
		if err := r.fill(); err != nil {
			return 0, err
		}
	}
	return r.buf[r.pos], nil
}

// fill reads more from the source, and keeps buf[pos:end]. The caller lets that never be MaxRecord bytes.
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

// makeRoom moves buf[pos:end] to the front, into a buffer of twice the size if it would fill more than half of this one.
func (r *Reader) makeRoom() {
	rest := r.buf[r.pos:r.end]
	if len(rest) >= len(r.buf)/2 && len(r.buf) < MaxRecord {
		r.buf = make([]byte, max(firstBuffer, min(2*len(r.buf), MaxRecord)))
	}
	r.base += int64(r.pos)
	r.pos, r.end = 0, copy(r.buf, rest)
}

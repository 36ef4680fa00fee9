package exported

import (
	"bufio"
	"bytes"
	"io"
)

// lines hands out the lines of a file one by one.
type lines struct {
	in     *bufio.Reader
	taken  int    // lines taken from the file
	number int    // of the line that next returned, counted from 1
	buffer []byte // of the line that next returned
	back   []byte // lines to hand out once more before the file goes on, each with its line feed
}

// next returns a line without its line end, or io.EOF after the last. Of a line that is longer than most bytes, with
// its line end, it returns long and nothing else. The text is valid until the next call.
func (l *lines) next(most int) (text []byte, long bool, err error) {
	if len(l.back) > 0 {
		text, l.back, _ = bytes.Cut(l.back, []byte("\n"))
		l.number++
		return text, false, nil
	}
	l.buffer = l.buffer[:0]
	for any := false; ; any = true {
		piece, err := l.in.ReadSlice('\n')
		if err == io.EOF && (any || len(piece) > 0) {
			err = nil // the last line has no line end
		}
		if err != nil && err != bufio.ErrBufferFull {
			return nil, false, err
		}
		if long = long || len(l.buffer)+len(piece) > most; !long {
			l.buffer = append(l.buffer, piece...)
		}
		if err == nil {
			break
		}
	}
	l.taken++
	l.number = l.taken
	if long {
		return nil, true, nil
	}
	return bytes.TrimSuffix(bytes.TrimSuffix(l.buffer, []byte("\n")), []byte("\r")), false, nil
}

// again makes next return these lines once more. The first of them has the given number.
func (l *lines) again(text []byte, number int) {
	l.back, l.number = text, number-1
}

// maxLine is the size of the longest record with its line end.
const maxLine = MaxRecord + len("\r\n")

// readLines reads one record a line. Blank lines mean nothing.
func readLines(l *lines, s *sink) error {
	for {
		text, long, err := l.next(maxLine)
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case long:
			s.reject(l.number, tooLong)
		case len(bytes.TrimSpace(text)) > 0:
			if err := s.offer(l.number, text); err != nil {
				return err
			}
		}
	}
}

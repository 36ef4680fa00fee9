package m365

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/mailtrail/mailtrail/shared/connection"
)

// OpenEncoded streams the bytes of a file attachment out of its JSON ("Get attachment": contentBytes). That is a third
// longer than $value, but shows where it ends: a cut answer, or a proxy's page in its place, cannot be taken for the
// file.
func (c *Client) OpenEncoded(
	ctx context.Context,
	t connection.Tenant,
	mailbox, message, attachment string,
) (io.ReadCloser, error) {
	what := fmt.Sprintf("open an attachment of tenant %s as JSON", t.ID)
	u, err := c.graphURL(t, attachmentPath(mailbox, message, attachment), nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	resp, err := c.send(ctx, mailCall(what, t, u))
	if err != nil {
		return nil, mailFailure(err)
	}
	e := &encoded{what: what, in: bufio.NewReaderSize(resp.Body, 8<<10), body: resp.Body}
	e.bytes = base64.NewDecoder(base64.StdEncoding, &base64Text{e: e})
	return e, nil
}

// errNoFile means that the JSON is cut off, or is not that of a file.
var errNoFile = errors.New("the answer is not the whole JSON of a file attachment")

// encoded reads the member contentBytes of a JSON object, wherever it stands, in bounded memory. It returns io.EOF only
// when the object was closed and nothing follows it.
type encoded struct {
	what  string
	in    *bufio.Reader
	body  io.Closer
	bytes io.Reader
	depth int
}

func (e *encoded) Close() error { return e.body.Close() }

// Read returns io.EOF at the file's true end; any other error is of kind fault.Retry.
func (e *encoded) Read(p []byte) (int, error) {
	n, err := e.bytes.Read(p)
	var corrupt base64.CorruptInputError
	if errors.Is(err, errNoFile) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &corrupt) {
		err = unreadable(e.what, errNoFile.Error())
	}
	return n, err
}

// base64Text is the file as the JSON writes it.
type base64Text struct {
	e     *encoded
	begun bool
	ended error // io.EOF or the failure that everything ended with
}

func (t *base64Text) Read(p []byte) (n int, err error) {
	if t.ended != nil {
		return 0, t.ended
	}
	if !t.begun {
		if err := t.e.find(); err != nil {
			t.ended = err
			return 0, err
		}
		t.begun = true
	}
	for n < len(p) {
		b, err := t.e.next()
		switch {
		case err != nil:
			t.ended = err
		case b == '"':
			t.ended = t.e.close()
		case b == '\\':
			if p[n], err = t.e.escaped(); err != nil {
				t.ended = err
				break
			}
			n++
			continue
		default:
			p[n] = b
			n++
			continue
		}
		break
	}
	return n, t.ended
}

// next returns one byte of the answer, which must not end here.
func (e *encoded) next() (byte, error) {
	b, err := e.in.ReadByte()
	if err == io.EOF {
		return 0, errNoFile
	}
	return b, err
}

// escaped returns the letter that an escape stands for. JSON may write any letter of base64 as \u and its number, and a
// slash as \/. Taking \u002B literally would yield five letters of base64 instead of one: a different file, and no
// error.
func (e *encoded) escaped() (byte, error) {
	b, err := e.next()
	if err != nil || b == '/' {
		return b, err
	}
	if b != 'u' {
		return 0, errNoFile
	}
	var number [4]byte
	for i := range number {
		if number[i], err = e.next(); err != nil {
			return 0, err
		}
	}
	letter, err := strconv.ParseUint(string(number[:]), 16, 7)
	if err != nil {
		return 0, errNoFile
	}
	return byte(letter), nil
}

// find reads up to the first letter of contentBytes.
func (e *encoded) find() error {
	key := ""
	for {
		b, err := e.next()
		if err != nil {
			return err
		}
		switch b {
		case '{', '[':
			e.depth++
		case '}', ']':
			if e.depth--; e.depth <= 0 { // there was no such member
				return errNoFile
			}
		case '"':
			if e.depth == 1 && key == "contentBytes:" {
				return nil
			}
			if key, err = e.skip(); err != nil {
				return err
			}
		case ':':
			key += ":"
		case ' ', '\t', '\r', '\n':
		default:
			key = ""
		}
	}
}

// skip reads to the end of a string, and returns its beginning as it is written.
func (e *encoded) skip() (begin string, err error) {
	const longest = 32
	var kept []byte
	for {
		b, err := e.next()
		if err != nil {
			return "", err
		}
		switch b {
		case '"':
			return string(kept), nil
		case '\\':
			if _, err := e.next(); err != nil {
				return "", err
			}
			b = '\\'
		}
		if len(kept) < longest {
			kept = append(kept, b)
		}
	}
}

// close reads on until the object is closed, and fails if anything follows it.
func (e *encoded) close() error {
	for e.depth > 0 {
		b, err := e.next()
		if err != nil {
			return err
		}
		switch b {
		case '{', '[':
			e.depth++
		case '}', ']':
			e.depth--
		case '"':
			if _, err := e.skip(); err != nil {
				return err
			}
		}
	}
	for {
		switch b, err := e.in.ReadByte(); {
		case err != nil:
			return err // io.EOF: the file's true end
		case b != ' ' && b != '\t' && b != '\r' && b != '\n':
			return errNoFile
		}
	}
}

package trigger

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/events"
)

// MaxAnswer is the limit of an answer's body in bytes, after compression if it is compressed. Lambda limits an answer
// to 6 MB ("Lambda quotas", invocation payload); this is what remains for base64 after 64 KiB of headers.
const MaxAnswer = (6<<20 - 64<<10) / 4 * 3

const (
	maxText = 512 << 10 // bytes of a body that is written as text: escaped at its worst it still fits
)

var errTooLarge = errors.New("answer too large")

// bounded is a buffer that takes MaxAnswer bytes.
type bounded struct{ bytes.Buffer }

// Write takes all of p, or nothing and returns errTooLarge.
func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > MaxAnswer {
		return 0, errTooLarge
	}
	return b.Buffer.Write(p)
}

// answer collects what a handler writes. It never holds more than MaxAnswer bytes.
type answer struct {
	header http.Header // as the handler sets it
	sent   http.Header // as it was when the status was written: what is set later does not count
	status int
	body   bounded
	empty  bool  // the answer has no body, whatever is written: to HEAD, 204, 304
	failed error // of the first write that failed
}

func newAnswer(r *http.Request) *answer {
	return &answer{header: http.Header{}, empty: r.Method == http.MethodHead}
}

// Header returns the headers of the answer, which count until the status is written.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader sets the status, once. An informational one is not passed on.
func (a *answer) WriteHeader(status int) {
	if a.status != 0 || status < 200 {
		return
	}
	a.status, a.sent = status, a.header.Clone()
	a.empty = a.empty || status == http.StatusNoContent || status == http.StatusNotModified
}

// Write takes a part of the body. Its error means that the answer is too large; further writes fail too.
func (a *answer) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.WriteHeader(http.StatusOK)
	}
	if a.failed != nil || a.empty {
		return len(p), a.failed
	}
	if a.sent.Get("Content-Type") == "" {
		a.sent.Set("Content-Type", http.DetectContentType(p)) // as net/http does
	}
	_, a.failed = a.body.Write(p)
	return len(p), a.failed
}

// close ends the body; errTooLarge means that it cannot be sent.
func (a *answer) close() error {
	if a.status == 0 {
		a.WriteHeader(http.StatusOK)
	}
	return a.failed
}

// encode returns the answer in API Gateway's form.
func (a *answer) encode() ([]byte, error) {
	a.sent.Del("Content-Length") // API Gateway counts itself
	out := events.APIGatewayV2HTTPResponse{StatusCode: a.status, Headers: map[string]string{},
		Cookies: a.sent.Values("Set-Cookie")}
	for name, values := range a.sent {
		if name != "Set-Cookie" { // the only one whose values cannot be joined
			out.Headers[name] = strings.Join(values, ", ")
		}
	}
	if body := a.body.Bytes(); a.sent.Get("Content-Encoding") == "" && len(body) <= maxText && utf8.Valid(body) {
		out.Body = string(body)
	} else {
		out.Body, out.IsBase64Encoded = base64.StdEncoding.EncodeToString(body), true
	}
	encoded, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("encode the answer: %w", err)
	}
	return encoded, nil
}

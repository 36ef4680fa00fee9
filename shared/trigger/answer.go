package trigger

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/events"
)

// MaxAnswer is how many bytes the body of an answer may have, compressed if it is: what is left of the 6 MB that Lambda lets a
// function answer ("Lambda quotas", invocation payload) after 64 KiB for the headers, in base64.
const MaxAnswer = (6<<20 - 64<<10) / 4 * 3

const (
	zipFrom = 16 << 10  // bytes from which compressing pays
	maxText = 512 << 10 // bytes of a body that is written as text: escaped at its worst it still fits
)

var errTooLarge = errors.New("answer too large")

// bounded is a buffer that takes MaxAnswer bytes.
type bounded struct{ bytes.Buffer }

// Write takes all of p, or nothing and says errTooLarge.
func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > MaxAnswer {
		return 0, errTooLarge
	}
	return b.Buffer.Write(p)
}

// answer gathers what a handler writes. It never holds more than MaxAnswer bytes.
type answer struct {
	header http.Header // as the handler sets it
	sent   http.Header // as it was when the status was written: what is set later does not count
	status int
	body   bounded
	mayZip bool
	empty  bool         // the answer has no body, whatever is written: to HEAD, 204, 304
	zip    *gzip.Writer // into body; nil while the body is plain
	failed error        // of the first write that failed
}

func newAnswer(r *http.Request) *answer {
	return &answer{header: http.Header{}, mayZip: acceptsGzip(r.Header.Get("Accept-Encoding")), empty: r.Method == http.MethodHead}
}

// Header are the headers of the answer, until the status is written.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader sets the status, once. An informational one is not passed on.
func (a *answer) WriteHeader(status int) {
	if a.status != 0 || status < 200 {
		return
	}
	a.status, a.sent = status, a.header.Clone()
	a.empty = a.empty || status == http.StatusNoContent || status == http.StatusNotModified
	a.mayZip = a.mayZip && a.sent.Get("Content-Encoding") == ""
}

// Write takes a part of the body. Its error tells that the answer is too large: writing more is useless.
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
	if a.zip == nil && a.mayZip && a.body.Len()+len(p) > zipFrom {
		a.failed = a.compress()
	}
	switch {
	case a.failed != nil:
	case a.zip != nil:
		_, a.failed = a.zip.Write(p)
	default:
		_, a.failed = a.body.Write(p)
	}
	return len(p), a.failed
}

// compress goes on with gzip, and begins with what was written.
func (a *answer) compress() error {
	plain := bytes.Clone(a.body.Bytes())
	a.body.Reset()
	// Answers of tens of megabytes are repetitive text, and the function's processor is slow: the fastest level is the right one.
	zip, err := gzip.NewWriterLevel(&a.body, gzip.BestSpeed)
	if err != nil {
		return err
	}
	a.zip = zip
	_, err = a.zip.Write(plain)
	return err
}

// close ends the body; errTooLarge tells that it cannot be sent.
func (a *answer) close() error {
	if a.status == 0 {
		a.WriteHeader(http.StatusOK)
	}
	if a.zip != nil && a.failed == nil {
		a.failed = a.zip.Close()
	}
	return a.failed
}

// encode is the answer as API Gateway takes it.
func (a *answer) encode() ([]byte, error) {
	if a.zip != nil {
		a.sent.Set("Content-Encoding", "gzip")
		a.sent.Add("Vary", "Accept-Encoding")
	}
	a.sent.Del("Content-Length") // API Gateway counts itself
	out := events.APIGatewayV2HTTPResponse{StatusCode: a.status, Headers: map[string]string{}, Cookies: a.sent.Values("Set-Cookie")}
	for name, values := range a.sent {
		if name != "Set-Cookie" { // the only one whose values cannot be joined
			out.Headers[name] = strings.Join(values, ", ")
		}
	}
	if body := a.body.Bytes(); a.zip == nil && len(body) <= maxText && utf8.Valid(body) {
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

// acceptsGzip reads an Accept-Encoding (RFC 9110, 12.5.3). A caller who names none is not asked to unpack anything.
func acceptsGzip(header string) bool {
	star := false
	for element := range strings.SplitSeq(header, ",") {
		coding, weight, _ := strings.Cut(element, ";")
		_, q, _ := strings.Cut(strings.ReplaceAll(weight, " ", ""), "=")
		wanted := q == "" || strings.Trim(q, "0.") != ""
		switch strings.ToLower(strings.TrimSpace(coding)) {
		case "gzip":
			return wanted
		case "*":
			star = wanted
		}
	}
	return star
}

package m365sim

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
)

const (
	mostParts     = 20
	partsAtOnce   = 4 // that Graph sends to Outlook at a time
	longestInside = 4 << 20
)

// part is one request inside a batch.
type part struct {
	ID        string            `json:"id"`
	Method    string            `json:"method"`
	URL       string            `json:"url"`
	Headers   map[string]string `json:"headers"`
	Body      json.RawMessage   `json:"body"`
	DependsOn []string          `json:"dependsOn"`
}

// partAnswer is the answer to one part.
type partAnswer struct {
	ID      string            `json:"id"`
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`
	Body    any               `json:"body,omitempty"`
}

// batch runs up to 20 requests, four at a time, and answers 200 whatever became of them.
func batch(c *call) {
	if c.token.resource != graph || c.tenant == nil {
		c.allow([]string{"any"})
		return
	}
	var body struct {
		Requests []part `json:"requests"`
	}
	err := json.NewDecoder(io.LimitReader(c.r.Body, longestInside)).Decode(&body)
	if err != nil || len(body.Requests) == 0 {
		c.badRequest("Invalid batch payload format.")
		return
	}
	if message := checkParts(body.Requests); message != "" {
		c.badRequest(message)
		return
	}
	answers := make([]partAnswer, len(body.Requests))
	places := make(chan struct{}, partsAtOnce)
	var running sync.WaitGroup
	for i, p := range body.Requests {
		places <- struct{}{}
		running.Go(func() {
			// From the back, since Graph does not keep the order either.
			answers[len(answers)-1-i] = c.runPart(p)
			<-places
		})
	}
	running.Wait()
	c.json(http.StatusOK, map[string]any{"responses": answers})
}

// checkParts says what is wrong with a batch as a whole, or nothing.
func checkParts(parts []part) string {
	if len(parts) > mostParts {
		return "Number of batch request steps exceeds the maximum value of 20."
	}
	seen := map[string]bool{}
	for _, p := range parts {
		id := strings.ToLower(p.ID)
		switch {
		case id == "" || seen[id]:
			return "Every request of a batch needs an id of its own."
		case len(p.DependsOn) > 0:
			return "dependsOn is not simulated."
		case !strings.HasPrefix(p.URL, "/") || strings.HasPrefix(p.URL, "/$batch"):
			return "The url of a batch request must be relative to the version and must not be a batch."
		}
		seen[id] = true
	}
	return ""
}

// runPart sends one part through the protocol door like any other request.
func (c *call) runPart(p part) partAnswer {
	request, err := http.NewRequestWithContext(c.r.Context(), p.Method, "/graph/v1.0"+p.URL, bytes.NewReader(p.Body))
	if err != nil {
		return partAnswer{ID: p.ID, Status: http.StatusBadRequest}
	}
	request.Host, request.TLS = c.r.Host, c.r.TLS
	request.Header.Set("Authorization", c.r.Header.Get("Authorization"))
	for name, value := range p.Headers {
		if !strings.EqualFold(name, "Authorization") {
			request.Header.Set(name, value)
		}
	}
	taken := &partWriter{header: http.Header{}, status: http.StatusOK}
	taken.serve(c.inner, request)
	answer := partAnswer{ID: p.ID, Status: taken.status, Headers: map[string]string{}}
	for name := range taken.header {
		answer.Headers[name] = taken.header.Get(name)
	}
	if json.Valid(taken.body.Bytes()) {
		answer.Body = json.RawMessage(taken.body.Bytes())
	} else if taken.body.Len() > 0 {
		answer.Body = base64.StdEncoding.EncodeToString(taken.body.Bytes())
	}
	return answer
}

// partWriter takes the answer to a part into memory.
type partWriter struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// serve runs the part. A fault that breaks the connection becomes the 504 of a gateway whose backend broke.
func (w *partWriter) serve(h http.Handler, r *http.Request) {
	defer func() {
		if broken := recover(); broken != nil {
			if broken != http.ErrAbortHandler {
				panic(broken)
			}
			w.status = http.StatusGatewayTimeout
			w.body.Reset()
		}
	}()
	h.ServeHTTP(w, r)
}

func (w *partWriter) Header() http.Header         { return w.header }
func (w *partWriter) WriteHeader(status int)      { w.status = status }
func (w *partWriter) Write(p []byte) (int, error) { return w.body.Write(p) }

package trigger

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"github.com/mailtrail/mailtrail/shared/access"
)

// HTTP answers requests from an HTTP API of API Gateway ("Create AWS Lambda proxy integrations for HTTP APIs", payload
// format 2.0).
//
// The request's Host is the domain name by which the caller reached API Gateway, and its RemoteAddr is the caller's
// address with port 0. A handler's context ends a little before the function's time does. An answer above 16 KiB is
// compressed if the client accepts gzip. If it is then still larger than MaxAnswer, it becomes a 413 (Incydr:
// RESPONSE_CONTENT_TOO_LARGE). A panic becomes a 500 that holds nothing but a reference to the line in the log.
type HTTP struct {
	Handler http.Handler
	Log     *slog.Logger
}

const wantHTTP = "HTTP requests of API Gateway (payload format 2.0)"

// Invoke answers one request.
func (t *HTTP) Invoke(ctx context.Context, event []byte) ([]byte, error) {
	work, cancel := early(ctx)
	defer cancel()
	r, err := request(work, event)
	if err != nil {
		return nil, errors.Join(refuse(ctx, t.Log, event, wantHTTP), err)
	}
	return t.serve(r).encode()
}

// serve runs the handler, and replaces an answer that cannot be sent by one of our own.
func (t *HTTP) serve(r *http.Request) (a *answer) {
	a = newAnswer(r)
	defer func() {
		if why := recover(); why != nil {
			id := reference(r.Context())
			t.Log.ErrorContext(r.Context(), "panic while a request was answered", "reference", id, "method", r.Method, "path",
				r.URL.Path,
				"panic", fmt.Sprint(why), "stack", string(debug.Stack()))
			a = newAnswer(r)
			access.WriteProblems(a, http.StatusInternalServerError, access.Problem{
				Type: "INTERNAL", Description: "This failed on our side. The log says why under " + id + ".",
			})
		}
	}()
	access.Compress(t.Handler).ServeHTTP(a, r)
	if err := a.close(); err != nil {
		t.Log.WarnContext(r.Context(), "answer too large", "method", r.Method, "path", r.URL.Path, "status", a.status,
			"encoding", a.sent.Get("Content-Encoding"))
		a = newAnswer(r)
		access.WriteProblems(a, http.StatusRequestEntityTooLarge, access.Problem{
			Type: "RESPONSE_CONTENT_TOO_LARGE",
			Description: fmt.Sprintf("The answer has more than the %d bytes that can be sent at once. Ask for less at a "+
				"time, page by token, or accept gzip.", MaxAnswer),
		})
	}
	return a
}

// reference returns the id of the invocation, which Lambda's own log lines have too.
func reference(ctx context.Context) string {
	if lc, ok := lambdacontext.FromContext(ctx); ok {
		return lc.AwsRequestID
	}
	return "no request id"
}

// request returns the request that an event describes.
func request(ctx context.Context, event []byte) (*http.Request, error) {
	var e events.APIGatewayV2HTTPRequest
	if err := json.Unmarshal(event, &e); err != nil {
		return nil, fmt.Errorf("read the event: %w", err)
	}
	at := e.RequestContext
	if e.Version != "2.0" || at.HTTP.Method == "" || at.DomainName == "" || !strings.HasPrefix(e.RawPath, "/") {
		return nil, errors.New("version 2.0, a method, a domain name or a path is missing")
	}
	body := []byte(e.Body)
	if e.IsBase64Encoded {
		var err error
		if body, err = base64.StdEncoding.DecodeString(e.Body); err != nil {
			return nil, fmt.Errorf("read the body: %w", err)
		}
	}
	r, err := http.NewRequestWithContext(ctx, at.HTTP.Method, "/", bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("read the request: %w", err)
	}
	// API Gateway has decoded the path, and only the path. Decoding it again would turn %252F into a slash.
	r.URL = &url.URL{Path: e.RawPath, RawQuery: e.RawQueryString}
	r.RequestURI = r.URL.RequestURI()
	r.Host = at.DomainName
	r.RemoteAddr = net.JoinHostPort(at.HTTP.SourceIP, "0")
	for name, value := range e.Headers {
		r.Header.Set(name, value) // several values of one name came joined by commas, which means the same (RFC 9110, 5.3)
	}
	r.Header.Del("Host")
	if len(e.Cookies) > 0 {
		r.Header.Set("Cookie", strings.Join(e.Cookies, "; "))
	}
	return r, nil
}

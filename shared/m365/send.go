package m365

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
)

// errSilent means that an answer was silent for longer than patience.
var errSilent = errors.New("no bytes came for " + patience.String())

// call is one request to the Activity API or to Graph.
type call struct {
	what     string // what is tried, in our nouns: every error begins with it
	tenant   connection.Tenant
	resource resource // whose token it carries, and whose errors it returns
	method   string
	url      *url.URL
	header   http.Header // beside Authorization and Accept; nil is none
	body     []byte      // JSON, or nil
	blob     bool        // a content blob is asked for, so that "not found" is its end
	role     string      // Graph: the application permission that the call needs; "" when any may do
	once     bool        // it must not be repeated with a fresh token, for Microsoft counts it
	raw      bool        // the answer is a file's bytes, of any content type
	download bool        // a redirect to the file is a good answer too
	public   bool        // the address itself grants access, and gets no token
}

// send makes the call with the tenant's token, and returns the answer if it is 200 with JSON, or 200 with anything if
// the call is raw. If the API does not accept the token, send drops it and makes the call once more with a fresh one,
// because permissions change while a token lives.
func (c *Client) send(ctx context.Context, call call) (*http.Response, error) {
	key := tokenKey{call.tenant, call.resource}
	for first := true; ; first = false {
		tok, err := c.tokens.get(ctx, key)
		if err != nil {
			return nil, tokenFailure(call.what, err)
		}
		resp, err := c.carry(ctx, call, tok)
		if err != nil {
			return nil, unreachable(call.what, err, tok.value)
		}
		if resp.StatusCode == http.StatusOK || call.download && redirected(resp.StatusCode) {
			c.scoped.allowed(call, tok)
			return readable(call, resp)
		}
		err = c.scoped.refused(call, tok, call.refusal(readAnswer(call.what, resp, c.config.Now(), tok.value)))
		switch {
		case !first || !refusesToken(resp.StatusCode, err) || !c.tokens.refused(key, tok):
			return nil, c.naming(ctx, call.tenant, err)
		case call.once && fault.Code(err) == "": // nobody has refused more than the token, which is dropped now
			return nil, &fault.Error{Kind: fault.Retry, Status: resp.StatusCode, Err: errors.New(err.Error())}
		case call.once:
			return nil, c.naming(ctx, call.tenant, err)
		}
	}
}

// refusal classifies an unsuccessful answer by the codes of its resource.
func (call call) refusal(a answer) error {
	if call.resource == graph {
		return a.graphError()
	}
	return a.activityError(call.tenant.ID, call.blob)
}

// refusesToken says whether a fresh token may help. Throttles of the Activity API and policies of one mailbox in Graph
// have status 403 too, and no token changes those.
func refusesToken(status int, err error) bool {
	code := fault.Code(err)
	return status == http.StatusUnauthorized ||
		status == http.StatusForbidden && !throttles(code) && code != "ErrorAccessDenied"
}

// readable keeps pages of proxies, which come with status 200, away from the decoders.
func readable(call call, resp *http.Response) (*http.Response, error) {
	if call.raw || isJSON(resp.Header) {
		return resp, nil
	}
	resp.Body.Close()
	return nil, unreadable(call.what, "the answer is not JSON")
}

func unreadable(what, why string) error {
	return &fault.Error{Kind: fault.Retry, Code: Unreadable, Status: http.StatusOK, Err: fmt.Errorf("%s: %s", what, why)}
}

// tokenFailure adds what the token was for. An error without a kind comes from the caller's context or from our
// configuration.
func tokenFailure(what string, err error) error {
	if f := new(*fault.Error); errors.As(err, f) {
		return fmt.Errorf("%s: %w", what, err)
	}
	return unreachable(what, err)
}

// carry makes one request. The caller closes the answer's body. It fails if nothing arrives for longer than patience,
// be it the header or the next byte of the body.
func (c *Client) carry(ctx context.Context, call call, tok token) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	watch := time.AfterFunc(patience, func() { cancel(errSilent) })
	req, err := c.request(ctx, call, tok)
	if err != nil {
		watch.Stop()
		cancel(nil)
		return nil, err
	}
	resp, err := c.http.Do(req)
	watch.Stop()
	if err != nil {
		err = silence(ctx, err)
		cancel(nil)
		return nil, err
	}
	resp.Body = &watched{what: call.what, body: resp.Body, ctx: ctx, cancel: cancel, watch: watch}
	return resp, nil
}

// request builds the HTTP request, with the token of its resource.
func (c *Client) request(ctx context.Context, call call, tok token) (*http.Request, error) {
	u := call.url
	if call.resource == activity {
		u = c.identified(call.tenant.Cloud, u)
	}
	var body io.Reader
	if call.body != nil {
		body = bytes.NewReader(call.body)
	}
	req, err := http.NewRequestWithContext(ctx, call.method, u.String(), body)
	if err != nil {
		return nil, err
	}
	maps.Copy(req.Header, call.header)
	if call.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if call.raw {
		req.Header.Set("Accept-Encoding", "identity") // otherwise net/http would ask for compression and undo it
	} else {
		req.Header.Set("Accept", "application/json")
	}
	if !call.public {
		req.Header.Set("Authorization", "Bearer "+tok.value)
	}
	return req, nil
}

// silence replaces "context canceled" by our own reason.
func silence(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errSilent) {
		return errSilent
	}
	return err
}

// watched is a body that fails when it stalls. The clock runs only during a Read, so a slow reader does not count as a
// stall.
type watched struct {
	what   string
	body   io.ReadCloser
	ctx    context.Context
	cancel context.CancelCauseFunc
	watch  *time.Timer
}

// Read returns io.EOF at the body's true end; any other error is a *fault.Error of kind Retry.
func (w *watched) Read(p []byte) (int, error) {
	w.watch.Reset(patience)
	n, err := w.body.Read(p)
	w.watch.Stop()
	if err != nil && err != io.EOF {
		err = unreachable(w.what, silence(w.ctx, err))
	}
	return n, err
}

func (w *watched) Close() error {
	w.watch.Stop()
	w.cancel(nil)
	return w.body.Close()
}

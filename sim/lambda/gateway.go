package lambdasim

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Gateway is an HTTP API of API Gateway in front of functions: it makes an event of each request and a response of
// each answer ("Create AWS Lambda proxy integrations for HTTP APIs", payload format 2.0).
type Gateway struct {
	Domain string // that the API is reached by; "" is the request's own Host
	// Route is the function that answers the request, nil for a 404.
	Route func(r *http.Request) *Running
	// Failed gets the cause of a failed invocation, which the caller never sees. It may be nil, and is called
	// concurrently.
	Failed func(r *http.Request, err error)
}

// maxRequest is how many bytes of a body API Gateway takes.
const maxRequest = 10 << 20

func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	function := g.Route(r)
	if function == nil {
		say(w, http.StatusNotFound, "Not Found")
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		say(w, http.StatusRequestEntityTooLarge, "Request Entity Too Large")
		return
	}
	event, err := g.event(r, body)
	if err != nil {
		say(w, http.StatusBadRequest, "Bad Request")
		return
	}
	answer, err := function.Invoke(r.Context(), event)
	if err == nil {
		err = respond(w, answer)
	}
	if err != nil {
		if g.Failed != nil {
			g.Failed(r, err)
		}
		say(w, http.StatusInternalServerError, "Internal Server Error")
	}
}

func say(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "{\"message\":%q}", message) // a caller that hung up does not miss it
}

// event is the event of a request. Written from API Gateway's documentation, not from the room that reads events.
func (g *Gateway) event(r *http.Request, body []byte) ([]byte, error) {
	headers, cookies := map[string]string{}, []string{}
	for name, values := range r.Header {
		if name == "Cookie" {
			for _, v := range values {
				for c := range strings.SplitSeq(v, ";") {
					cookies = append(cookies, strings.TrimSpace(c))
				}
			}
			continue
		}
		headers[strings.ToLower(name)] = strings.Join(values, ",")
	}
	domain := g.Domain
	if domain == "" {
		domain = r.Host
	}
	headers["host"] = domain
	source, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC()
	prefix, _, _ := strings.Cut(domain, ".")
	e := map[string]any{
		"version": "2.0", "routeKey": "$default", "rawPath": r.URL.Path, "rawQueryString": r.URL.RawQuery, "headers": headers,
		"requestContext": map[string]any{
			"accountId": "000000000000", "apiId": prefix, "domainName": domain, "domainPrefix": prefix, "routeKey": "$default",
			"stage":     "$default",
			"requestId": "local", "time": now.Format("02/Jan/2006:15:04:05 -0700"), "timeEpoch": now.UnixMilli(),
			"http": map[string]string{"method": r.Method, "path": r.URL.Path, "protocol": r.Proto, "sourceIp": source,
				"userAgent": r.UserAgent()},
		},
		"isBase64Encoded": false,
	}
	if len(cookies) > 0 {
		e["cookies"] = cookies
	}
	if parameters := parameters(r); len(parameters) > 0 {
		e["queryStringParameters"] = parameters
	}
	switch {
	case len(body) == 0:
	case isText(r.Header.Get("Content-Type")):
		e["body"] = string(body)
	default:
		e["body"], e["isBase64Encoded"] = base64.StdEncoding.EncodeToString(body), true
	}
	return json.Marshal(e)
}

func parameters(r *http.Request) map[string]string {
	all := map[string]string{}
	for name, values := range r.URL.Query() {
		all[name] = strings.Join(values, ",")
	}
	return all
}

// isText reports whether API Gateway passes a body of this type on as text. It encodes a form.
func isText(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	return err == nil && (strings.HasPrefix(kind, "text/") ||
		slices.Contains([]string{"application/json", "application/javascript", "application/xml"}, kind))
}

func respond(w http.ResponseWriter, answer []byte) error {
	var a struct {
		StatusCode      int               `json:"statusCode"`
		Headers         map[string]string `json:"headers"`
		Cookies         []string          `json:"cookies"`
		Body            string            `json:"body"`
		IsBase64Encoded bool              `json:"isBase64Encoded"`
	}
	if err := json.Unmarshal(answer, &a); err != nil {
		return fmt.Errorf("the answer is no response: %w", err)
	}
	if a.StatusCode < 200 || a.StatusCode > 599 {
		return errors.New("the answer has no status")
	}
	body := []byte(a.Body)
	if a.IsBase64Encoded {
		var err error
		if body, err = base64.StdEncoding.DecodeString(a.Body); err != nil {
			return fmt.Errorf("the answer's body: %w", err)
		}
	}
	for name, value := range a.Headers {
		w.Header().Set(name, value)
	}
	for _, cookie := range a.Cookies {
		w.Header().Add("Set-Cookie", cookie)
	}
	w.WriteHeader(a.StatusCode)
	_, _ = w.Write(body) // a caller that hung up does not miss it
	return nil
}

package lambdasim_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	lambdasim "github.com/mailtrail/mailtrail/sim/lambda"
)

// TestTheGatewayMakesEventsAsAPIGatewayDoes has the function answer with the event that it was given.
func TestTheGatewayMakesEventsAsAPIGatewayDoes(t *testing.T) {
	r := start(t, lambdasim.Function{Env: map[string]string{"ROLE": "mirror"}, Timeout: time.Minute})
	server := httptest.NewServer(&lambdasim.Gateway{Domain: "api.example.com",
		Route: func(req *http.Request) *lambdasim.Running {
			if req.URL.Path == "/nowhere" {
				return nil
			}
			return r
		}})
	t.Cleanup(server.Close)
	ask := func(path, contentType, body string) (*http.Response, string) {
		req, err := http.NewRequestWithContext(t.Context(), "POST", server.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", contentType)
		req.Header.Set("Cookie", "a=1; b=2")
		req.Header["X-Many"] = []string{"one", "two"}
		answer, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer, string(text)
	}

	answer, text := ask("/a%20b%252F?x=1&x=%20", "application/x-www-form-urlencoded", "a=b")
	var got struct {
		RawPath, RawQueryString, Body  string
		IsBase64Encoded                bool
		Cookies                        []string
		Headers, QueryStringParameters map[string]string
		RequestContext                 struct{ DomainName string }
	}
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if got.RawPath != "/a b%2F" || got.RawQueryString != "x=1&x=%20" || got.QueryStringParameters["x"] != "1, " {
		t.Errorf("path %q, query %q, parameters %q", got.RawPath, got.RawQueryString, got.QueryStringParameters)
	}
	if got.Body != "YT1i" || !got.IsBase64Encoded {
		t.Errorf("a form came as %q", got.Body)
	}
	if !slices.Equal(got.Cookies, []string{"a=1", "b=2"}) || got.Headers["cookie"] != "" ||
		got.Headers["x-many"] != "one,two" {
		t.Errorf("cookies %q, headers %q", got.Cookies, got.Headers)
	}
	if got.RequestContext.DomainName != "api.example.com" || got.Headers["host"] != "api.example.com" {
		t.Errorf("domain %q, host %q", got.RequestContext.DomainName, got.Headers["host"])
	}
	if answer.StatusCode != http.StatusTeapot ||
		!slices.Equal(answer.Header.Values("Set-Cookie"), []string{"c=3", "d=4"}) {
		t.Errorf("status %d, cookies %q", answer.StatusCode, answer.Header.Values("Set-Cookie"))
	}
	if _, text := ask("/", "application/json", `{"a":1}`); !strings.Contains(text, `"body":"{\"a\":1}"`) {
		t.Errorf("JSON came as %s", text)
	}
	if answer, text := ask("/nowhere", "text/plain", ""); answer.StatusCode != http.StatusNotFound ||
		text != `{"message":"Not Found"}` {
		t.Errorf("%d %s", answer.StatusCode, text)
	}
	if answer, _ := ask("/", "text/plain", "panic"); answer.StatusCode != http.StatusInternalServerError {
		t.Errorf("%d when the function fails", answer.StatusCode)
	}
}

package functions_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	lambdasim "github.com/mailtrail/mailtrail/sim/lambda"
)

// TestTheAddressOfTheAPI sends requests to the consent, at addresses of the API and at others.
func TestTheAddressOfTheAPI(t *testing.T) {
	const own = "a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com"
	for _, c := range []struct {
		configured, domain string
		want               int
	}{
		{"", own, http.StatusOK},
		{"", strings.ToUpper(own), http.StatusOK},
		{"", own + ".cn", http.StatusOK},
		{"", "mailtrail.example.com", http.StatusMisdirectedRequest},
		{"", own + ".example.com", http.StatusMisdirectedRequest},
		{"", "a1b2c3d4e5.execute-api.us-east-1.amazonaws.com", http.StatusMisdirectedRequest},
		{"", "execute-api.eu-central-1.amazonaws.com", http.StatusMisdirectedRequest},
		{"", "." + own, http.StatusMisdirectedRequest},
		{"https://mailtrail.example.com", "mailtrail.example.com", http.StatusOK},
		{"https://mailtrail.example.com", own, http.StatusOK},
	} {
		env := environment("consent", newAmazon(t))
		env["MAILTRAIL_BASE_URL"] = c.configured
		f, err := start(t, "consent", env)
		if err != nil {
			t.Fatal(err)
		}
		if status, body := get(t, f, c.domain, "/consent/style.css"); status != c.want || c.want == http.StatusOK &&
			!strings.Contains(body, "{") {
			t.Errorf("configured %q, asked at %q: %d %s", c.configured, c.domain, status, body)
		}
	}
}

func TestAFunctionAnswersUnderFewAddresses(t *testing.T) {
	f, err := start(t, "connections", environment("connections", newAmazon(t)))
	if err != nil {
		t.Fatal(err)
	}
	for i, api := range []string{"a", "b", "a", "c", "d", "e", "a"} {
		want := http.StatusUnauthorized // for there is no token
		if api == "e" {
			want = http.StatusMisdirectedRequest // the fifth
		}
		if status, body := get(t, f, api+".execute-api.eu-central-1.amazonaws.com", "/v1/connections"); status != want {
			t.Errorf("request %d, to %s: %d %s", i, api, status, body)
		}
	}
}

// TestEveryDoorIsClosedToWhoHasNoToken requests every route that is not public, and some that do not exist.
func TestEveryDoorIsClosedToWhoHasNoToken(t *testing.T) {
	for _, c := range []struct {
		function, method, path string
		want                   int
	}{
		{"connections", "GET", "/v1/connections", 401},
		{"connections", "POST", "/v1/connections", 401},
		{"connections", "GET", "/v1/connections/c0ffee00c0ff", 401},
		{"connections", "POST", "/v1/connections/c0ffee00c0ff/link", 401},
		{"connections", "POST", "/v1/connections/c0ffee00c0ff/deauthorize", 401},
		{"connections", "POST", "/v1/connections/c0ffee00c0ff/resume", 401},
		{"connections", "DELETE", "/v1/connections", 405},
		{"connections", "POST", "/v2/file-events", 404},
		{"search", "POST", "/v2/file-events", 401},
		{"search", "GET", "/v2/file-events", 405},
		{"search", "GET", "/v1/connections", 404},
		{"consent", "GET", "/v1/connections", 404},
	} {
		a := newAmazon(t)
		f, err := start(t, c.function, environment(c.function, a))
		if err != nil {
			t.Fatal(err)
		}
		a.calls()
		if status, body := ask(t, f, c.method, "x.execute-api.eu-central-1.amazonaws.com", c.path); status != c.want {
			t.Errorf("%s %s at %s: %d %s", c.method, c.path, c.function, status, body)
		}
		if calls := a.calls(); len(calls) > 0 {
			t.Errorf("%s %s at %s: AWS was asked for %q", c.method, c.path, c.function, calls)
		}
	}
}

func get(t *testing.T, f *lambdasim.Running, domain, path string) (status int, body string) {
	t.Helper()
	return ask(t, f, http.MethodGet, domain, path)
}

// ask sends a request through a gateway at a domain.
func ask(t *testing.T, f *lambdasim.Running, method, domain, path string) (status int, body string) {
	t.Helper()
	w := httptest.NewRecorder()
	gateway := &lambdasim.Gateway{Domain: domain, Route: func(*http.Request) *lambdasim.Running { return f }}
	gateway.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, nil))
	answer := w.Result()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

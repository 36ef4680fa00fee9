package trigger_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/trigger"
)

var update = flag.Bool("update", false, "write the golden files anew")

// told describes a request as a handler sees it.
func told(r *http.Request) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\nhost %s\nfrom %s\npath %q\n", r.Method, r.RequestURI, r.Host, r.RemoteAddr, r.URL.Path)
	query := r.URL.Query()
	for _, name := range slices.Sorted(maps.Keys(query)) {
		fmt.Fprintf(&b, "parameter %s %q\n", name, query[name])
	}
	for _, c := range r.Cookies() {
		fmt.Fprintf(&b, "cookie %s=%s\n", c.Name, c.Value)
	}
	fmt.Fprintf(&b, "length %d\n\n", r.ContentLength)
	_ = r.Header.Write(&b)
	body, err := io.ReadAll(r.Body)
	fmt.Fprintf(&b, "\n%s%v\n", body, err)
	return strings.ReplaceAll(b.String(), "\r\n", "\n")
}

func TestRequestsReachTheHandlerAsTheyWereSent(t *testing.T) {
	for _, name := range []string{
		"http-oauth", "http-oauth-form", "http-search", "http-search-base64", "http-consent-begin",
		"http-consent-callback-cookies", "http-unknown-route",
	} {
		t.Run(name, func(t *testing.T) {
			var got string
			log, _ := logger()
			h := &trigger.HTTP{Log: log, Handler: http.HandlerFunc(func(w http.ResponseWriter,
				r *http.Request) {
				got = told(r)
			})}
			if _, err := h.Invoke(invocation(t, time.Minute), event(t, name)); err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("the handler saw\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestEventsOfOtherTriggersAreRefusedAndNamed(t *testing.T) {
	log, said := logger()
	handlers := map[string]interface {
		Invoke(ctx, []byte) ([]byte, error)
	}{
		"http": &trigger.HTTP{Log: log, Handler: http.HandlerFunc(func(http.ResponseWriter,
			*http.Request) {
			t.Error("the handler was called")
		})},
		"queue": &trigger.Queue{Log: log, Work: func(ctx, []byte) error { t.Error("work was done"); return nil }},
		"schedule": &trigger.Schedule{Log: log, Tick: func(ctx, time.Time,
			trigger.Shard) error {
			t.Error("ticked")
			return nil
		}},
	}
	cases := []struct{ event, names, own string }{
		{"http-search", `[\"body\"`, "http"},
		{"sqs-one-blob", `from \"aws:sqs\" with the keys [\"Records\"]`, "queue"},
		{"schedule-tick", `[\"shard\" \"shards\" \"time\"]`, "schedule"},
		{"create-client", `[\"createClient\"]`, ""},
		{"unknown-s3", `from \"aws:s3\"`, ""},
		{"unknown-eventbridge", `from \"aws.events\"`, ""},
		{"unknown-rest-api", `\"httpMethod\"`, ""},
		{"unknown-shard", `[\"shard\" \"shards\" \"time\"]`, ""},
		{"unknown-text", "no JSON object, 7 bytes", ""},
	}
	for _, c := range cases {
		for name, h := range handlers {
			if name == c.own {
				continue
			}
			_, err := h.Invoke(invocation(t, time.Minute), event(t, c.event))
			if !errors.Is(err, trigger.ErrUnknown) {
				t.Errorf("%s as %s: %v", c.event, name, err)
				continue
			}
			all := said.String()
			if line := all[strings.LastIndex(strings.TrimSpace(all), "\n")+1:]; !strings.Contains(line, c.names) {
				t.Errorf("%s as %s: the log says %s", c.event, name, line)
			}
		}
	}
	if strings.Contains(said.String(), "Bearer") {
		t.Error("the log repeats what events hold")
	}
}

func TestMalformedHTTPEventsAreRefused(t *testing.T) {
	whole := string(event(t, "http-search-base64"))
	for _, c := range []struct{ from, to string }{
		{`"version": "2.0"`, `"version": "1.0"`},
		{`"method": "POST"`, `"method": ""`},
		{`"method": "POST"`, `"method": "PO ST"`},
		{`"domainName": "a1`, `"domain": "a1`},
		{`"rawPath": "/v2`, `"rawPath": "v2`},
		{`"body": "`, `"body": "*`},
		{`"headers": {`, `"headers": 1, "was": {`},
	} {
		log, _ := logger()
		h := &trigger.HTTP{Log: log, Handler: http.HandlerFunc(func(http.ResponseWriter,
			*http.Request) {
			t.Errorf("%s: handled", c.to)
		})}
		broken := strings.Replace(whole, c.from, c.to, 1)
		if broken == whole {
			t.Fatalf("the event has no %s", c.from)
		}
		if _, err := h.Invoke(t.Context(), []byte(broken)); !errors.Is(err, trigger.ErrUnknown) {
			t.Errorf("%s: %v", c.to, err)
		}
	}
}

func FuzzHTTP(f *testing.F) {
	// Small ones: the fuzzer would spend its time on making the golden events smaller.
	for _, seed := range []string{
		`{"version":"2.0","rawPath":"/a b%2F","rawQueryString":"x=%20","cookies":["a=1"],` +
			`"requestContext":{"domainName":"d","http":{"method":"GET"}}}`,
		`{"version":"2.0","rawPath":"/","headers":{"A":"b,c"},"requestContext":{"domainName":"d",` +
			`"http":{"method":"PUT"}},"body":"/w==","isBase64Encoded":true}`,
		`{"version":"1.0","path":"/"}`, `"ping"`,
	} {
		f.Add([]byte(seed))
	}
	log, _ := logger()
	f.Fuzz(func(t *testing.T, event []byte) {
		var sent struct {
			RawPath, RawQueryString string
		}
		h := &trigger.HTTP{Log: log, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := json.Unmarshal(event, &sent); err != nil {
				t.Fatal(err)
			}
			if r.URL.Path != sent.RawPath || r.URL.RawQuery != sent.RawQueryString {
				t.Errorf("path %q, query %q became %q, %q", sent.RawPath, sent.RawQueryString, r.URL.Path, r.URL.RawQuery)
			}
			if path, err := url.PathUnescape(r.URL.EscapedPath()); err != nil || path != sent.RawPath {
				t.Errorf("path %q is sent on as %q", sent.RawPath, r.URL.EscapedPath())
			}
			told := told(r)
			fmt.Fprint(w, told)
		})}
		answer, err := h.Invoke(t.Context(), event)
		if err != nil {
			return
		}
		if a := decode(t, answer); a.status != http.StatusOK {
			t.Errorf("answered %d: %s", a.status, a.body)
		}
	})
}

package access_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/mailtrail/mailtrail/shared/access"
)

func TestLongAnswersAreCompressed(t *testing.T) {
	long := strings.Repeat("plan.pdf\n", 10_000)
	writes := func(parts ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusAccepted)
			for _, p := range parts {
				if _, err := io.WriteString(w, p); err != nil {
					t.Error(err)
				}
			}
		}
	}
	for _, step := range []struct {
		name, method, accept string
		handler              http.HandlerFunc
		status               int
		body                 string
		zipped               bool
	}{
		{"long", "GET", "gzip, deflate", writes(long), 202, long, true},
		{"long, in parts", "GET", "br, gzip;q=0.5", writes(strings.SplitAfter(long, "\n")...), 202, long, true},
		{"any coding", "GET", "*", writes(long), 202, long, true},
		{"short", "GET", "gzip", writes("x", "y"), 202, "xy", false},
		{"not accepted", "GET", "br, gzip;q=0", writes(long), 202, long, false},
		{"nothing said", "GET", "", writes(long), 202, long, false},
		{"to HEAD", "HEAD", "gzip", writes(), 202, "", false},
		{"nothing written", "GET", "gzip", func(http.ResponseWriter, *http.Request) {}, 200, "", false},
		{"no status", "GET", "gzip", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, long) }, 200,
			long, true},
		{"no content", "DELETE", "gzip", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, 204, "", false},
		{"compressed already", "GET", "gzip", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "br")
			_, _ = io.WriteString(w, long)
		}, 200, long, false},
	} {
		t.Run(step.name, func(t *testing.T) {
			server := httptest.NewServer(access.Compress(step.handler))
			defer server.Close()
			r, err := http.NewRequestWithContext(t.Context(), step.method, server.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Accept-Encoding", step.accept)
			resp, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			if zipped := resp.Header.Get("Content-Encoding") == "gzip"; zipped != step.zipped ||
				zipped != (resp.Header.Get("Vary") == "Accept-Encoding") {
				t.Errorf("headers %v", resp.Header)
			}
			if step.zipped {
				z, err := gzip.NewReader(bytes.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				if len(body) > len(step.body)/10 || resp.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
					t.Errorf("%d of %d bytes, %v", len(body), len(step.body), resp.Header)
				}
				if body, err = io.ReadAll(z); err != nil {
					t.Fatal(err)
				}
			}
			if resp.StatusCode != step.status || string(body) != step.body {
				t.Errorf("%d, %d bytes; want %d, %d", resp.StatusCode, len(body), step.status, len(step.body))
			}
		})
	}
}

// An answer that breaks off is not ended as if it were whole.
func TestACompressedAnswerThatBreaksOffIsNotWhole(t *testing.T) {
	server := httptest.NewServer(access.Compress(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("plan.pdf\n", 100_000))
		panic(http.ErrAbortHandler)
	})))
	defer server.Close()
	r, err := http.NewRequestWithContext(t.Context(), "GET", server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultTransport.RoundTrip(r) // which accepts gzip and unpacks it
	if err != nil {
		return
	}
	defer resp.Body.Close()
	if n, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Errorf("%d bytes, and the end", n)
	}
}

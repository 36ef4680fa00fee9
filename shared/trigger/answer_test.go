package trigger_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/trigger"
)

type ctx = context.Context

// answer is an answer as the caller receives it.
type answer struct {
	status  int
	header  map[string]string
	cookies []string
	body    string
	base64  bool
	gzip    bool
}

func decode(t *testing.T, b []byte) answer {
	t.Helper()
	if len(b) > 6<<20 {
		t.Fatalf("the answer has %d bytes: Lambda refuses it", len(b))
	}
	var out struct {
		StatusCode      int
		Headers         map[string]string
		Cookies         []string
		Body            string
		IsBase64Encoded bool
	}
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	a := answer{status: out.StatusCode, header: out.Headers, cookies: out.Cookies, body: out.Body,
		base64: out.IsBase64Encoded}
	if a.base64 {
		plain, err := base64.StdEncoding.DecodeString(a.body)
		if err != nil {
			t.Fatal(err)
		}
		a.body = string(plain)
	}
	if a.gzip = a.header["Content-Encoding"] == "gzip"; a.gzip {
		z, err := gzip.NewReader(strings.NewReader(a.body))
		if err != nil {
			t.Fatal(err)
		}
		plain, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		a.body = string(plain)
	}
	return a
}

// ask has h answer a request that differs from the golden search in its method and what it accepts.
func ask(t *testing.T, method, accept string, h http.HandlerFunc) (answer, string) {
	t.Helper()
	e := strings.ReplaceAll(string(event(t, "http-search")), `"method": "POST"`, `"method": "`+method+`"`)
	e = strings.Replace(e, `"accept-encoding": "gzip, deflate"`, `"accept-encoding": "`+accept+`"`, 1)
	log, said := logger()
	b, err := (&trigger.HTTP{Handler: h, Log: log}).Invoke(invocation(t, time.Minute), []byte(e))
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, b), said.String()
}

func TestAnswersArriveAsTheyWereWritten(t *testing.T) {
	text := strings.Repeat("Gehälter \"2025\".xlsx\n", 2000)
	noise := make([]byte, 100<<10)
	for i := range noise {
		noise[i] = byte(rand.IntN(256))
	}
	noise[0] = 0xff
	for _, c := range []struct {
		name, method, accept string
		write                http.HandlerFunc
		want                 answer
	}{
		{"nothing", "GET", "gzip", func(w http.ResponseWriter, r *http.Request) {}, answer{status: 200}},
		{"a status", "GET", "gzip", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(404) }, answer{status: 404}},
		{"the first status counts", "GET", "gzip", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(100)
			w.WriteHeader(303)
			w.WriteHeader(500)
		}, answer{status: 303}},
		{"text", "GET", "gzip", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ä\x00<&>") },
			answer{status: 200, body: "ä\x00<&>"}},
		{"bytes", "GET", "", func(w http.ResponseWriter, r *http.Request) { w.Write(noise) },
			answer{status: 200, body: string(noise), base64: true}},
		{"much text", "GET", "gzip", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, text) },
			answer{status: 200, body: text, base64: true, gzip: true}},
		{"much text in small parts", "GET", "br, gzip;q=0.5", func(w http.ResponseWriter, r *http.Request) {
			for _, part := range strings.SplitAfter(text, "\n") {
				io.WriteString(w, part)
			}
		}, answer{status: 200, body: text, base64: true, gzip: true}},
		{"much text for who does not unpack", "GET", "br, gzip;q=0",
			func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, text) }, answer{status: 200, body: text}},
		{"text that is packed", "GET", "gzip", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "br")
			w.Write(noise)
		}, answer{status: 200, body: string(noise), base64: true}},
		{"to HEAD", "HEAD", "gzip", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, text) },
			answer{status: 200}},
		{"204", "GET", "gzip", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(204); io.WriteString(w, text) },
			answer{status: 204}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, _ := ask(t, c.method, c.accept, c.write)
			if got.status != c.want.status || got.body != c.want.body || got.base64 != c.want.base64 || got.gzip != c.want.gzip {
				t.Errorf("status %d, %d bytes, base64 %t, gzip %t; want %d, %d, %t, %t",
					got.status, len(got.body), got.base64, got.gzip, c.want.status, len(c.want.body), c.want.base64, c.want.gzip)
			}
			if got.gzip && got.header["Vary"] != "Accept-Encoding" {
				t.Errorf("Vary is %q", got.header["Vary"])
			}
		})
	}
}

func TestHeadersAndCookiesOfAnswers(t *testing.T) {
	got, _ := ask(t, "GET", "", func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Add("Allow", "GET")
		h.Add("Allow", "POST")
		h.Set("Content-Length", "3")
		h.Add("Set-Cookie", "a=1; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT")
		h.Add("Set-Cookie", "b=2")
		io.WriteString(w, "<p>")
		h.Set("X-Late", "1")
	})
	want := map[string]string{"Allow": "GET, POST", "Content-Type": "text/html; charset=utf-8"}
	if len(got.header) != len(want) || got.header["Allow"] != want["Allow"] ||
		got.header["Content-Type"] != want["Content-Type"] {
		t.Errorf("headers %q, want %q", got.header, want)
	}
	if !slices.Equal(got.cookies, []string{"a=1; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "b=2"}) {
		t.Errorf("cookies %q", got.cookies)
	}
}

func TestAnswersAreBoundedByWhatLambdaTakes(t *testing.T) {
	worst := bytes.Repeat([]byte{1}, trigger.MaxAnswer) // escaped it would be six times as long
	packed := make([]byte, trigger.MaxAnswer)
	source := rand.New(rand.NewPCG(1, 2))
	for i := range packed {
		packed[i] = byte(source.IntN(256))
	}
	write := func(parts ...[]byte) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			for _, p := range parts {
				if _, err := w.Write(p); err != nil {
					return
				}
			}
		}
	}
	many := slices.Repeat([][]byte{[]byte(strings.Repeat("row after row\n", 5000))}, 500) // 35 MB
	for _, c := range []struct {
		name, accept string
		write        http.HandlerFunc
		want         int
	}{
		{"all that fits", "", write(worst), 200},
		{"a byte more", "", write(worst, []byte{1}), 413},
		{"all of it packed", "gzip", write(worst, worst), 200},
		{"tens of megabytes packed", "gzip", write(many...), 200},
		{"tens of megabytes", "", write(many...), 413},
		{"what does not get smaller", "gzip", write(packed, packed), 413},
		{"what gets larger by packing", "gzip", write(packed), 413},
		{"a handler that goes on writing", "", func(w http.ResponseWriter, r *http.Request) {
			for range 10 {
				w.Write(worst)
			}
		}, 413},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, said := ask(t, "GET", c.accept, c.write)
			if got.status != c.want {
				t.Fatalf("status %d, want %d", got.status, c.want)
			}
			if c.want == 413 && (!strings.Contains(got.body, `"type":"RESPONSE_CONTENT_TOO_LARGE"`) ||
				!strings.Contains(said, "answer too large")) {
				t.Errorf("answered %s, logged %s", got.body, said)
			}
		})
	}
}

func TestAPanicTellsTheCallerNothingButAReference(t *testing.T) {
	got, said := ask(t, "POST", "gzip", func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "half", Value: "done"})
		w.WriteHeader(200)
		io.WriteString(w, "half of an answer")
		panic("index out of reach")
	})
	if got.status != 500 || len(got.cookies) > 0 || strings.Contains(got.body, "half") ||
		strings.Contains(got.body, "reach") || !strings.Contains(got.body, reference) {
		t.Errorf("%d %s %q", got.status, got.body, got.cookies)
	}
	if !strings.Contains(said, reference) || !strings.Contains(said, "index out of reach") ||
		!strings.Contains(said, "answer_test.go") {
		t.Errorf("the log says %s", said)
	}
	if strings.Contains(said, "Bearer") {
		t.Error("the log holds a token")
	}
}

func TestAHandlersTimeEndsBeforeTheFunctions(t *testing.T) {
	invoked := invocation(t, time.Hour)
	end, _ := invoked.Deadline()
	h := &trigger.HTTP{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if own, ok := r.Context().Deadline(); !ok || !own.Before(end) {
			t.Errorf("the handler may take until %s, the function until %s", own, end)
		}
	})}
	if _, err := h.Invoke(invoked, event(t, "http-search")); err != nil {
		t.Fatal(err)
	}
}

package search

import (
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/mailtrail/mailtrail/shared/access"
	"github.com/mailtrail/mailtrail/shared/trigger"
)

// lambdaPayload is how many bytes a function may answer ("Lambda quotas").
const lambdaPayload = 6 << 20

// byLambda sends a query by way of the function's trigger.
func (o *office) byLambda(query, accept string) (status int, zipped bool, body []byte) {
	o.t.Helper()
	event := must(json.Marshal(map[string]any{
		"version": "2.0", "rawPath": "/v2/file-events", "body": query,
		"headers": map[string]string{"content-type": "application/json", "accept-encoding": accept},
		"requestContext": map[string]any{"domainName": "a1.execute-api.eu-central-1.amazonaws.com",
			"http": map[string]string{"method": http.MethodPost}},
	}))
	door := o.search.Routes()[0].Handler
	known := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		door.ServeHTTP(w, r.WithContext(access.With(r.Context(),
			access.Caller{ID: "key-analyst", Roles: []access.Role{access.Analyst}})))
	})
	answer := must((&trigger.HTTP{Handler: known, Log: o.search.Log}).Invoke(o.t.Context(), event))
	if len(answer) > lambdaPayload {
		o.t.Fatalf("the function answers %d bytes, and Lambda takes %d", len(answer), lambdaPayload)
	}
	var out struct {
		StatusCode      int
		Headers         map[string]string
		Body            string
		IsBase64Encoded bool
	}
	if err := json.Unmarshal(answer, &out); err != nil {
		o.t.Fatal(err)
	}
	body = []byte(out.Body)
	if out.IsBase64Encoded {
		body = must(base64.StdEncoding.DecodeString(out.Body))
	}
	if zipped = out.Headers["Content-Encoding"] == "gzip"; zipped {
		body = must(io.ReadAll(must(gzip.NewReader(strings.NewReader(string(body))))))
	}
	return out.StatusCode, zipped, body
}

// wide fills an office with 200 events of 70 KB each: 14 MB. The words of noise are as hard to compress as text gets,
// and further apart than gzip looks back.
func wide(t *testing.T, noise bool) *office {
	t.Helper()
	o := newOffice(t)
	o.search.MaxAnswer = trigger.MaxAnswer
	rng := rand.New(rand.NewPCG(61, 62))
	for i := range 10 {
		m := mail{record: fmt.Sprintf("wide-%d", i), at: o.now.AddDate(0, 0, -i), user: "alice@corp.example"}
		for j := range 600 {
			word := fmt.Sprintf("%060d", j)
			if noise {
				letters := make([]byte, 60)
				for k := range letters {
					letters[k] = "abcdefghijklmnopqrstuvwxyz0123456789"[rng.IntN(36)]
				}
				word = string(letters)
			}
			m.recipients = append(m.recipients, word[:40]+"@"+word[40:]+".example")
		}
		for j := range 20 {
			m.files += fmt.Sprintf("; plan %d of mail %d.pdf (%db)", j, i, 1000+j)
		}
		m.files = strings.TrimPrefix(m.files, "; ")
		o.deliver(m)
	}
	return o
}

func (o *office) allIDs() []string {
	var ids []string
	for i := range o.events {
		ids = append(ids, o.events[i].id())
	}
	slices.Sort(ids)
	return ids
}

// TestAnAnswerThatWouldPassLambdasSixMegabytesComesInPagesByToken asks for all events at once, with and without gzip,
// in several orders: pages are shorter than was asked for, and every event is on one of them.
func TestAnAnswerThatWouldPassLambdasSixMegabytesComesInPagesByToken(t *testing.T) {
	plain, noise := wide(t, false), wide(t, true)
	for _, c := range []struct {
		office        *office
		accept, order string
	}{
		{plain, "", `"srtKey":"event.id","srtDir":"asc"`},
		{plain, "", `"srtKey":"@timestamp","srtDir":"desc"`},
		{plain, "", `"srtKey":"file.sizeInBytes","srtDir":"asc"`},
		{plain, "gzip", `"srtKey":"event.id","srtDir":"desc"`},
		{noise, "gzip", `"srtKey":"@timestamp","srtDir":"asc"`},
	} {
		o, want, got, token := c.office, c.office.allIDs(), []string{}, `""`
		for pages := 0; token != ""; pages++ {
			o.trail = nil
			status, zipped, body := o.byLambda(with(`"pgSize":10000,"pgToken":`+token+`,`+c.order), c.accept)
			var p page
			if err := json.Unmarshal(body, &p); err != nil || status != http.StatusOK || zipped != (c.accept == "gzip") {
				t.Fatalf("%q, %s: answered %d, gzip %t, %.300s (%v)", c.accept, c.order, status, zipped, body, err)
			}
			ids := p.ids()
			if len(ids) == 0 || len(ids) == len(want) || p.TotalCount != len(want) || pages > len(want) {
				t.Fatalf("%q, %s: page %d has %d events of %d, totalCount %d", c.accept, c.order, pages, len(ids), len(want),
					p.TotalCount)
			}
			if o.trail[0].Count != int64(len(ids)) {
				t.Errorf("the trail says %d events, and %d left", o.trail[0].Count, len(ids))
			}
			got, token = append(got, ids...), ""
			if p.NextPgToken != nil {
				token = fmt.Sprintf("%q", *p.NextPgToken)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%q, %s: %d events came, want %d, each once", c.accept, c.order, len(got), len(want))
		}
	}
}

// TestPagesByNumberLoseNoEvents: they cannot be shorter, so they are compressed, or refused in words.
func TestPagesByNumberLoseNoEvents(t *testing.T) {
	for _, c := range []struct {
		noise  bool
		accept string
		want   int
	}{
		{false, "gzip", http.StatusOK},
		{false, "", http.StatusRequestEntityTooLarge},
		{true, "gzip", http.StatusRequestEntityTooLarge},
	} {
		o := wide(t, c.noise)
		status, _, body := o.byLambda(with(`"pgSize":10000`), c.accept)
		var p page
		if err := json.Unmarshal(body, &p); err != nil || status != c.want {
			t.Fatalf("accepting %q: answered %d %.300s (%v)", c.accept, status, body, err)
		}
		if status == http.StatusOK && len(p.FileEvents) != len(o.events) {
			t.Errorf("%d events, want %d", len(p.FileEvents), len(o.events))
		}
		if status != http.StatusOK && (len(p.Problems) != 1 || p.Problems[0].Type != "RESPONSE_CONTENT_TOO_LARGE" ||
			!strings.Contains(p.Problems[0].Description, "token")) {
			t.Errorf("the problem is %.300s", body)
		}
	}
}

// TestAPageHasAtLeastOneEvent: else a client would ask for the same page for ever.
func TestAPageHasAtLeastOneEvent(t *testing.T) {
	o := newOffice(t)
	o.fill(rand.New(rand.NewPCG(63, 64)), 5)
	o.search.MaxAnswer = 1
	for range o.events {
		p := o.ask(with(`"pgSize":10,"pgToken":""`))
		if len(p.FileEvents) != 1 || p.NextPgToken == nil {
			t.Fatalf("%d events, token %v", len(p.FileEvents), p.NextPgToken)
		}
	}
	o.search.MaxAnswer = 0
	if p := o.ask(with(`"pgSize":10000,"pgToken":""`)); len(p.FileEvents) != len(o.events) || p.NextPgToken != nil {
		t.Errorf("without a limit there are %d events on the page, want %d", len(p.FileEvents), len(o.events))
	}
}

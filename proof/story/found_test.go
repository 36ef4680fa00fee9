package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/mailtrail/mailtrail/sim/m365/company"
)

func TestWhatIsFoundIsHeldAgainstWhatWasSent(t *testing.T) {
	event := func(id, name string) found {
		var e found
		document := `{"@timestamp":"2026-11-16T09:00:00.000Z","event":{"id":"` + id +
			`"},"user":{"email":"A@x.example"},"file":{"name":"` + name + `","hash":{"sha256":"0a","sha256Error":null}},` +
			`"source":{"email":{"sender":"a@x.example","from":"a@X.example"}},"destination":{"email":{"subject":"s",` +
			`"recipients":["b@y.example"]}}}`
		if err := json.Unmarshal([]byte(document), &e); err != nil {
			t.Fatal(err)
		}
		return e
	}
	one, two := event("1", "a.pdf"), event("2", "b.pdf")
	sent := map[string]int{one.line(): 1, two.line(): 1}
	for _, c := range []struct {
		name   string
		events []found
		says   string
	}{
		{"all", []found{one, two}, ""},
		{"not all yet", []found{two}, ""},
		{"nothing", nil, ""},
		{"one that was not sent", []found{one, event("3", "c.pdf")}, "found 1 times, sent 0 times"},
		{"one too often", []found{one, event("4", "a.pdf")}, "found 2 times, sent 1 times"},
		{"one event twice", []found{one, one}, "event 1 is found twice"},
	} {
		if err := compare(c.events, sent); (err != nil) != (c.says != "") || err != nil &&
			!strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestTheTruthCountsEachAttachmentThatWasSent(t *testing.T) {
	c := company.New(company.Options{Seed: 7, MailsPerHour: 150, Noise: 10})
	slice := c.Between(morning(), morning().Add(1e12))
	want := 0
	for _, sent := range slice.Truth {
		if !sent.Noise {
			want += len(sent.Files)
		}
	}
	lines, err := truth(c, slice)
	if err != nil {
		t.Fatal(err)
	}
	if got := total(lines); got != want || want == 0 {
		t.Errorf("%d attachments, want %d", got, want)
	}
}

package m365sim_test

import (
	"fmt"
	"strings"
	"testing"

	m365sim "github.com/mailtrail/mailtrail/sim/m365"
)

func TestBatchAnswersEveryPart(t *testing.T) {
	m := mailed(t, m365sim.Options{})
	send := func(body string) reply {
		header := bearer(m.token(contoso, "graph"))
		header.Set("Content-Type", "application/json")
		return m.do("POST", "/graph/v1.0/$batch", header, strings.NewReader(body))
	}
	r := send(`{"requests":[
		{"id":"1","method":"GET","url":"/users/ben@contoso.test?$select=id"},
		{"id":"2","method":"GET","url":"/users/nobody@contoso.test"},
		{"id":"3","method":"GET","url":"/users/ben@contoso.test/messages/I1?$select=id","headers":{"Prefer":"IdType=\"ImmutableId\""}},
		{"id":"4","method":"GET","url":"/users/ben@contoso.test/messages/S1/attachments/A1/$value"}]}`)
	type answer struct {
		ID     string
		Status int
		Body   any
	}
	statuses := map[string]int{}
	for _, a := range into[struct{ Responses []answer }](t, r).Responses {
		statuses[a.ID] = a.Status
		if _, text := a.Body.(string); text != (a.ID == "4") {
			t.Errorf("body of part %s: %.60v", a.ID, a.Body)
		}
	}
	if r.status != 200 || fmt.Sprint(statuses) != "map[1:200 2:404 3:200 4:200]" {
		t.Errorf("batch: %d %v", r.status, statuses)
	}
	many := strings.Repeat(`{"id":"%d","method":"GET","url":"/organization"},`, 21)
	for i := range 21 {
		many = strings.Replace(many, "%d", fmt.Sprint(i), 1)
	}
	for name, body := range map[string]string{
		"21 parts":      `{"requests":[` + strings.TrimSuffix(many, ",") + `]}`,
		"one id twice":  `{"requests":[{"id":"a","method":"GET","url":"/organization"},{"id":"A","method":"GET","url":"/organization"}]}`,
		"whole address": `{"requests":[{"id":"a","method":"GET","url":"https://graph.microsoft.com/v1.0/organization"}]}`,
		"no parts":      `{"requests":[]}`,
		"no JSON":       `{`,
	} {
		if r := send(body); r.status != 400 {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
}

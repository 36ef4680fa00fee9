package trigger_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/trigger"
)

type order struct {
	Name  string   `json:"name"`
	Roles []string `json:"roles"`
}

func TestACommandIsRunAndEverythingElseGoesOn(t *testing.T) {
	for _, c := range []struct {
		name, event string
		want        string // the answer, or what the error holds
		fails       bool
		requests    int
	}{
		{"a command", string(event(t, "create-client")), `{"secret":"hush"}`, false, 0},
		{"a request", string(event(t, "http-search")), `"statusCode":200`, false, 1},
		{"a request whose body is a command", strings.Replace(string(event(t, "http-search")), `"body": "`,
			`"body": "{\"createClient\":{}}`, 1), `"statusCode":200`, false, 1},
		{"a request that also is a command", strings.Replace(string(event(t, "http-search")), `{`,
			`{"createClient":{"name":"x","roles":[]},`, 1), `"statusCode":200`, false, 1},
		{"an unknown field", `{"createClient":{"name":"x","rules":[]}}`, "rules", true, 0},
		{"no object", `{"createClient":7}`, "createClient", true, 0},
		{"a command that fails", `{"createClient":{"name":"fail"}}`, "it failed", true, 0},
		{"another command", `{"dropClient":{}}`, "dropClient", true, 0},
		{"something else", string(event(t, "unknown-s3")), "aws:s3", true, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			log, said := logger()
			requests := 0
			h := &trigger.Command[order]{
				Name: "createClient", Log: log,
				Run: func(_ ctx, o order) (any, error) {
					if o.Name == "fail" {
						return nil, errors.New("it failed")
					}
					if o.Name != "first" || len(o.Roles) != 2 {
						t.Errorf("ran with %+v", o)
					}
					return map[string]string{"secret": "hush"}, nil
				},
				Else: &trigger.HTTP{Log: log, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests++ })},
			}
			answer, err := h.Invoke(invocation(t, time.Minute), []byte(c.event))
			got := string(answer)
			if err != nil {
				got = err.Error()
			}
			if (err != nil) != c.fails || !strings.Contains(got, c.want) || requests != c.requests {
				t.Errorf("%s, %d requests", got, requests)
			}
			if strings.Contains(said.String(), "hush") {
				t.Error("the log holds the answer")
			}
			if c.fails && !strings.Contains(said.String(), "level=ERROR") {
				t.Errorf("the log says %s", said)
			}
		})
	}
}

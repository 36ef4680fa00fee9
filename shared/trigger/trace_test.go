package trigger_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/trigger"
)

// TestWorkIsTracedToTheInvocationThatItBeganWith: a message with a trace passes it on, and one with none, or with
// nonsense, begins with this invocation.
func TestWorkIsTracedToTheInvocationThatItBeganWith(t *testing.T) {
	var records []map[string]any
	for i, trace := range []string{"of-the-tick", "", strings.Repeat("x", 200)} {
		records = append(records, map[string]any{
			"eventSource": "aws:sqs", "messageId": fmt.Sprint(i), "receiptHandle": "r", "body": fmt.Sprint(i),
			"messageAttributes": map[string]any{"trace": map[string]string{"dataType": "String", "stringValue": trace}},
		})
	}
	event, err := json.Marshal(map[string]any{"Records": records})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var got []string
	log, _ := logger()
	q := &trigger.Queue{Log: log, Work: func(ctx ctx, body []byte) error {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, string(body)+" "+trigger.Trace(ctx))
		return nil
	}}
	if _, err := q.Invoke(invocation(t, time.Minute), event); err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	if want := []string{"0 of-the-tick", "1 " + reference, "2 " + reference}; !slices.Equal(got, want) {
		t.Errorf("traces %q, want %q", got, want)
	}
	if id := trigger.Trace(t.Context()); id != "" {
		t.Errorf("outside of an invocation the trace is %q", id)
	}
}

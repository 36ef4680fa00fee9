package trigger_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"encoding/json"

	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/queue"
	"github.com/mailtrail/mailtrail/shared/trigger"
)

// batch is an event of messages with these bodies; message i has the id m<i> and the receipt r<i>.
func batch(t *testing.T, receives int, bodies ...string) []byte {
	t.Helper()
	var records []map[string]any
	for i, body := range bodies {
		records = append(records, map[string]any{
			"eventSource": "aws:sqs", "messageId": fmt.Sprintf("m%d", i), "receiptHandle": fmt.Sprintf("r%d", i), "body": body,
			"attributes": map[string]string{"ApproximateReceiveCount": fmt.Sprint(receives)},
		})
	}
	b, err := json.Marshal(map[string]any{"Records": records})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// failed returns the ids that an answer reports.
func failed(t *testing.T, answer []byte) []string {
	t.Helper()
	var out struct {
		BatchItemFailures []struct{ ItemIdentifier string }
	}
	if err := json.Unmarshal(answer, &out); err != nil {
		t.Fatal(err)
	}
	if out.BatchItemFailures == nil {
		t.Fatalf("%s: Lambda takes an answer without the list for a success, but this is not how it is said", answer)
	}
	ids := []string{}
	for _, f := range out.BatchItemFailures {
		ids = append(ids, f.ItemIdentifier)
	}
	return ids
}

func TestOnlyMessagesThatFailedAreReported(t *testing.T) {
	for _, c := range []struct {
		name   string
		bodies string // what becomes of each: done, retry, poison, panic
		want   []string
	}{
		{"all done", "done done done", []string{}},
		{"one poison", "done poison done", []string{"m1"}},
		{"one panic", "panic done done", []string{"m0"}},
		{"many more than at once", strings.Repeat("done retry ", 20), func() (ids []string) {
			for i := 1; i < 40; i += 2 {
				ids = append(ids, fmt.Sprintf("m%d", i))
			}
			return ids
		}()},
		{"all failed", "retry poison panic", []string{"m0", "m1", "m2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			log, said := logger()
			var done atomic.Int32
			q := &trigger.Queue{Log: log, Work: func(_ ctx, body []byte) error {
				switch string(body) {
				case "retry":
					return fault.Retry
				case "poison":
					return fault.Poison
				case "panic":
					panic("blob without a bottom")
				}
				done.Add(1)
				return nil
			}}
			answer, err := q.Invoke(invocation(t, time.Minute), batch(t, 1, strings.Fields(c.bodies)...))
			if err != nil {
				t.Fatal(err)
			}
			if got := failed(t, answer); !slices.Equal(got, c.want) {
				t.Errorf("reported %q, want %q", got, c.want)
			}
			if want := strings.Count(c.bodies, "done"); int(done.Load()) != want {
				t.Errorf("%d were done, want %d", done.Load(), want)
			}
			if strings.Contains(c.bodies, "panic") && !strings.Contains(said.String(), "blob without a bottom") {
				t.Errorf("the log does not tell of the panic: %s", said)
			}
		})
	}
}

func TestGoldenBatches(t *testing.T) {
	for name, want := range map[string][]string{
		"sqs-one-blob":          {},
		"sqs-batch-with-poison": {"059f36b4-87a3-44ab-83d2-661970000002"},
	} {
		log, said := logger()
		q := &trigger.Queue{Log: log, Work: func(_ ctx, body []byte) error {
			if !json.Valid(body) {
				return fmt.Errorf("read: %w", fault.Poison)
			}
			return nil
		}}
		answer, err := q.Invoke(invocation(t, time.Minute), event(t, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := failed(t, answer); !slices.Equal(got, want) {
			t.Errorf("%s: reported %q, want %q", name, got, want)
		}
		if len(want) > 0 && !strings.Contains(said.String(), "receives=7") {
			t.Errorf("%s: the log says %s", name, said)
		}
	}
}

func TestABodyThatIsNoTextComesOutAsItWasSent(t *testing.T) {
	for _, c := range []struct{ attribute, body, want string }{
		{"base64", "/w==", "\xff"},
		{"base64", "not base64", "not base64"},
		{"hex", "/w==", "/w=="},
	} {
		log, _ := logger()
		q := &trigger.Queue{Log: log, Work: func(_ ctx, body []byte) error {
			if string(body) != c.want {
				t.Errorf("%s as %s came out as %q", c.body, c.attribute, body)
			}
			return nil
		}}
		e := strings.Replace(string(batch(t, 1, c.body)), `"messageId"`,
			`"messageAttributes":{"encoding":{"dataType":"String","stringValue":"`+c.attribute+`"}},"messageId"`, 1)
		if _, err := q.Invoke(t.Context(), []byte(e)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestABatchWithARecordOfAnotherServiceIsRefusedAsAWhole(t *testing.T) {
	log, _ := logger()
	q := &trigger.Queue{Log: log, Work: func(ctx, []byte) error { t.Error("work was done"); return nil }}
	for _, broken := range []string{
		strings.Replace(string(batch(t, 1, "a", "b")), "aws:sqs", "aws:s3", 1),
		strings.Replace(string(batch(t, 1, "a", "b")), `"m1"`, `""`, 1),
		`{"Records":[]}`, `{}`, `{"Records":7}`, ``,
	} {
		if _, err := q.Invoke(t.Context(), []byte(broken)); !errors.Is(err, trigger.ErrUnknown) {
			t.Errorf("%s: %v", broken, err)
		}
	}
}

func TestWhatFailedComesBackInTime(t *testing.T) {
	asked := func(d time.Duration) error {
		return fmt.Errorf("open: %w", &fault.Error{Kind: fault.Retry, After: d, Err: errors.New("throttled")})
	}
	for _, c := range []struct {
		name     string
		receives int
		err      error
		want     time.Duration
	}{
		{"Microsoft asked to wait", 1, asked(90 * time.Second), 90 * time.Second},
		{"Microsoft asked to wait for a day", 1, asked(24 * time.Hour), queue.MaxDelay},
		{"the first time", 1, fault.Retry, time.Second},
		{"the fourth time", 4, errors.New("anything"), 8 * time.Second},
		{"the hundredth time", 100, fault.Refused, time.Minute},
		{"poison", 3, fault.Poison, 0},
	} {
		for _, hidden := range []error{nil, errors.New("SQS is down")} {
			log, _ := logger()
			calls := 0
			q := &trigger.Queue{
				Log:  log,
				Work: func(ctx, []byte) error { return c.err },
				Hide: func(_ ctx, receipt string, d time.Duration) error {
					calls++
					if receipt != "r0" || d != c.want {
						t.Errorf("%s: %s hidden for %s, want %s", c.name, receipt, d, c.want)
					}
					return hidden
				},
			}
			answer, err := q.Invoke(invocation(t, time.Minute), batch(t, c.receives, "body"))
			if err != nil {
				t.Fatal(err)
			}
			if got := failed(t, answer); len(got) != 1 || calls != 1 {
				t.Errorf("%s: reported %q, hidden %d times", c.name, got, calls)
			}
		}
	}
}

// TestNearTheEndOfItsTimeTheFunctionReportsTheRest makes the first ten of twelve messages hang until their time is
// over.
func TestNearTheEndOfItsTimeTheFunctionReportsTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		begun, hidden := 0, map[string]time.Duration{}
		log, _ := logger()
		q := &trigger.Queue{
			Log: log,
			Work: func(work ctx, body []byte) error {
				mu.Lock()
				begun++
				mu.Unlock()
				if string(body) == "quick" {
					return nil
				}
				<-work.Done()
				return work.Err()
			},
			Hide: func(hide ctx, receipt string, d time.Duration) error {
				mu.Lock()
				defer mu.Unlock()
				hidden[receipt] = d
				if hide.Err() != nil {
					t.Error("what is to be hidden was given a context that had ended")
				}
				return nil
			},
		}
		invoked := invocation(t, time.Minute)
		bodies := append([]string{"quick"}, slices.Repeat([]string{"slow"}, 12)...)
		answer, err := q.Invoke(invoked, batch(t, 1, bodies...))
		if err != nil {
			t.Fatal(err)
		}
		if invoked.Err() != nil {
			t.Error("the answer came after the function's time: Lambda has killed it")
		}
		if got := failed(t, answer); len(got) != 12 || slices.Contains(got, "m0") {
			t.Errorf("reported %q, want all but m0", got)
		}
		if begun != 11 {
			t.Errorf("%d were begun, want the quick one and ten more", begun)
		}
		if hidden["r12"] != 0 || hidden["r1"] != time.Second || len(hidden) != 12 {
			t.Errorf("hidden %v", hidden)
		}
	})
}

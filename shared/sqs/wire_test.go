package sqs_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/queue"
	"github.com/mailtrail/mailtrail/shared/sqs"
)

// entry is a message as it goes over the wire.
type entry struct {
	ID                string `json:"Id"`
	MessageBody       string
	MessageAttributes map[string]struct{ DataType, StringValue string }
}

// call is a request as it went over the wire.
type call struct {
	op              string
	Entries         []entry
	WaitTimeSeconds int
}

// wire answers the nth request, counted from 0, with what answer returns: a status and a body, or an error if the
// connection breaks.
type wire struct {
	answer func(n int, c call) (int, string, error)

	mu    sync.Mutex
	calls []call
}

func (w *wire) Do(r *http.Request) (*http.Response, error) {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	var c call
	_, c.op, _ = strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, err
	}
	w.mu.Lock()
	n := len(w.calls)
	w.calls = append(w.calls, c)
	w.mu.Unlock()
	status, body, err := w.answer(n, c)
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(body)), Request: r,
		Header: http.Header{}}, nil
}

// on runs a test on a clock of its own, over a wire that answers so.
func on(t *testing.T, answer func(n int, c call) (int, string, error), test func(t *testing.T, q *sqs.Queue, w *wire)) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{answer: answer}
		client := awssqs.New(awssqs.Options{
			Region:                           "eu-west-1",
			BaseEndpoint:                     aws.String("http://wire"),
			Credentials:                      credentials.NewStaticCredentialsProvider("key", "secret", ""),
			HTTPClient:                       w,
			DisableMessageChecksumValidation: true, // the wire does not hash
		})
		test(t, sqs.New(client, "http://wire/000000000000/blobs"), w)
	})
}

// taken answers that the entries were accepted, except for those that fail names.
func taken(c call, fail map[string]string) string {
	var good, bad []string
	for _, e := range c.Entries {
		if said, failed := fail[e.MessageBody]; failed {
			bad = append(bad, fmt.Sprintf(`{"Id":%q,%s}`, e.ID, said))
		} else {
			good = append(good, fmt.Sprintf(`{"Id":%q,"MessageId":"m","MD5OfMessageBody":"x"}`, e.ID))
		}
	}
	return `{"Successful":[` + strings.Join(good, ",") + `],"Failed":[` + strings.Join(bad, ",") + `]}`
}

func bodies(c call) (out string) {
	for _, e := range c.Entries {
		out += e.MessageBody
	}
	return out
}

func refusal(code string) string {
	return `{"__type":"com.amazonaws.sqs#` + code + `","message":"` + code + `"}`
}

const (
	internal = `"Code":"InternalError","SenderFault":false`
	sender   = `"Code":"InvalidMessageContents","SenderFault":true`
)

// TestSendFailures has SQS accept a batch in part, accept none of it, and accept it without an answer.
func TestSendFailures(t *testing.T) {
	other := errors.New("none of the sentinels")
	tests := []struct {
		name   string
		answer func(n int, c call) (int, string, error)
		sent   []string
		want   error
	}{
		{"one fails once", func(n int, c call) (int, string, error) {
			if n == 0 {
				return 200, taken(c, map[string]string{"b": internal}), nil
			}
			return 200, taken(c, nil), nil
		}, []string{"abc", "b"}, nil},
		{"one fails for long", func(_ int, c call) (int, string, error) {
			return 200, taken(c, map[string]string{"b": internal}), nil
		}, []string{"abc", "b", "b", "b", "b", "b"}, fault.Retry},
		{"all refused", func(_ int, c call) (int, string, error) {
			return 200, taken(c, map[string]string{"a": sender, "b": sender, "c": sender}), nil
		}, []string{"abc"}, queue.ErrInvalid},
		{"one refused, others sent", func(_ int, c call) (int, string, error) {
			return 200, taken(c, map[string]string{"b": sender}), nil
		}, []string{"abc"}, other},
		{"one refused, after others were sent", func(n int, c call) (int, string, error) {
			if n == 0 {
				return 200, taken(c, map[string]string{"b": internal}), nil
			}
			return 200, taken(c, map[string]string{"b": sender}), nil
		}, []string{"abc", "b"}, other},
		{"answer lost", func(n int, c call) (int, string, error) {
			if n == 0 {
				return 0, "", io.ErrUnexpectedEOF
			}
			return 200, taken(c, nil), nil
		}, []string{"abc", "abc"}, nil},
		{"broken for long", func(int, call) (int, string, error) { return 503, refusal("ServiceUnavailable"), nil },
			[]string{"abc", "abc", "abc"}, fault.Retry},
		{"throttled for long", func(int, call) (int, string, error) { return 400, refusal("RequestThrottled"), nil },
			[]string{"abc", "abc", "abc"}, fault.Retry},
		{"no such queue", func(int, call) (int, string, error) { return 400, refusal("QueueDoesNotExist"), nil },
			[]string{"abc"}, other},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			on(t, test.answer, func(t *testing.T, q *sqs.Queue, w *wire) {
				err := q.Send(t.Context(), queue.Message{Body: []byte("a")}, queue.Message{Body: []byte("b")},
					queue.Message{Body: []byte("c")})
				if (err == nil) != (test.want == nil) {
					t.Errorf("got %v, want %v", err, test.want)
				}
				for _, sentinel := range []error{fault.Retry, queue.ErrInvalid} {
					if errors.Is(err, sentinel) != (test.want == sentinel) {
						t.Errorf("got %v, want %v", err, test.want)
					}
				}
				var sent []string
				for _, c := range w.calls {
					sent = append(sent, bodies(c))
				}
				if !slices.Equal(sent, test.sent) {
					t.Errorf("sent %q, want %q", sent, test.sent)
				}
			})
		})
	}
}

// TestSendBatches keeps each call within 10 messages and 1 MiB, the greatest bodies in base64 too, and loses none.
func TestSendBatches(t *testing.T) {
	for name, body := range map[string][]byte{
		"small": []byte("x"), "text": bytes.Repeat([]byte("x"), queue.MaxBody), "binary": make([]byte, queue.MaxBody),
	} {
		on(t, func(_ int, c call) (int, string, error) { return 200, taken(c, nil), nil },
			func(t *testing.T, q *sqs.Queue, w *wire) {
				const n = 23
				if err := q.Send(t.Context(), slices.Repeat([]queue.Message{{Body: body}}, n)...); err != nil {
					t.Fatal(err)
				}
				sent := 0
				for _, c := range w.calls {
					bytes := 0
					for _, e := range c.Entries {
						bytes += len(e.MessageBody)
					}
					if len(c.Entries) == 0 || len(c.Entries) > 10 || bytes > 1<<20 {
						t.Errorf("%s: a call of %d messages, %d bytes", name, len(c.Entries), bytes)
					}
					sent += len(c.Entries)
				}
				if sent != n {
					t.Errorf("%s: sent %d messages of %d", name, sent, n)
				}
			})
	}
}

// TestTraces sends messages for work with a valid name, and for work with a name that SQS would refuse.
func TestTraces(t *testing.T) {
	for _, c := range []struct {
		trace, want string
		body        []byte
	}{
		{"8f507cfc-0000-4697-b07a-ac58fc914c95", "8f507cfc-0000-4697-b07a-ac58fc914c95", []byte("text")},
		{"tick", "tick", []byte{0xff}}, // beside the encoding
		{"", "", []byte("text")},
		{strings.Repeat("x", 129), "", []byte("text")},
		{"\x00", "", []byte("text")},
	} {
		on(t, func(_ int, c call) (int, string, error) { return 200, taken(c, nil), nil },
			func(t *testing.T, q *sqs.Queue, w *wire) {
				q.Trace = func(context.Context) string { return c.trace }
				if err := q.Send(t.Context(), queue.Message{Body: c.body}); err != nil {
					t.Fatal(err)
				}
				got := w.calls[0].Entries[0].MessageAttributes
				if got["trace"].StringValue != c.want || (got["encoding"].StringValue == "base64") != (c.body[0] == 0xff) {
					t.Errorf("trace %q is sent as %v", c.trace, got)
				}
			})
	}
}

// TestReceipts gives the answers that SQS gives to receipts: those that are stale, and those that never were.
func TestReceipts(t *testing.T) {
	for code, want := range map[string]error{
		"MessageNotInflight":             nil,
		"InvalidParameterValueException": nil,
		"ReceiptHandleIsInvalid":         queue.ErrInvalid,
		"RequestThrottled":               fault.Retry,
	} {
		on(t, func(int, call) (int, string, error) { return 400, refusal(code), nil },
			func(t *testing.T, q *sqs.Queue, _ *wire) {
				d := queue.Delivery{Receipt: "receipt"}
				if err := q.Done(t.Context(), d); !errors.Is(err, want) {
					t.Errorf("done, %s: got %v, want %v", code, err, want)
				}
				if err := q.Hide(t.Context(), d, time.Second); !errors.Is(err, want) {
					t.Errorf("hide, %s: got %v, want %v", code, err, want)
				}
			})
	}
}

// TestLongPolls waits as long as the caller asks, in polls of at most 20 s.
func TestLongPolls(t *testing.T) {
	on(t, func(int, call) (int, string, error) { return 200, `{}`, nil }, func(t *testing.T, q *sqs.Queue, w *wire) {
		if ds, err := q.Receive(t.Context(), 1, 45*time.Second+time.Millisecond, time.Second); err != nil || len(ds) != 0 {
			t.Errorf("got %v, %v", ds, err)
		}
		var waits []int
		for _, c := range w.calls {
			waits = append(waits, c.WaitTimeSeconds)
		}
		if !slices.Equal(waits, []int{20, 20, 6}) {
			t.Errorf("polled for %v s", waits)
		}
	})
	malformed := `{"Messages":[{"MessageId":"m","ReceiptHandle":"r","Body":"x","Attributes":{}}]}`
	on(t, func(int, call) (int, string, error) { return 200, malformed, nil }, func(t *testing.T, q *sqs.Queue, _ *wire) {
		if ds, err := q.Receive(t.Context(), 1, 0, time.Second); !errors.Is(err, fault.Retry) {
			t.Errorf("a message without its attributes: got %v, %v", ds, err)
		}
	})
}

// TestEnded ends a send's context while it waits to send again.
func TestEnded(t *testing.T) {
	on(t, func(_ int, c call) (int, string, error) { return 200, taken(c, map[string]string{"a": internal}), nil },
		func(t *testing.T, q *sqs.Queue, _ *wire) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			if err := q.Send(ctx, queue.Message{Body: []byte("a")}); !errors.Is(err, context.DeadlineExceeded) ||
				errors.Is(err, fault.Retry) {
				t.Errorf("got %v, want what the context said", err)
			}
		})
}

package dynamo_test

import (
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/mailtrail/mailtrail/shared/dynamo"
)

// call is a request as it went over the wire.
type call struct {
	op   string // e.g. PutItem
	body map[string]any
}

// answer is the answer to one request: a status and a body, or none at all.
type answer struct {
	status int
	body   string
	lost   error // the connection broke, whether the request was done or not
	never  bool  // nothing comes until the caller gives up
	own    bool  // a condition failed on the same item that the request puts
}

func ok(body string) answer { return answer{status: http.StatusOK, body: body} }

// refusal is an error as DynamoDB writes it.
func refusal(status int, code, more string) answer {
	return answer{status: status, body: `{"__type":"com.amazonaws.dynamodb.v20120810#` + code + `","message":"` + code +
		`"` + more + `}`}
}

// taken is the answer to a put whose condition failed, on that item.
func taken(item string) answer {
	return refusal(http.StatusBadRequest, "ConditionalCheckFailedException", `,"Item":`+item)
}

// cancelled is the answer to a transaction, with a reason for each of its operations.
func cancelled(codes ...string) answer {
	var reasons []string
	for _, code := range codes {
		reasons = append(reasons, `{"Code":"`+code+`"}`)
	}
	return refusal(http.StatusBadRequest, "TransactionCanceledException",
		`,"CancellationReasons":[`+strings.Join(reasons, ",")+`]`)
}

// wire answers requests in turn, and records them. It repeats the last answer.
type wire struct {
	answers []answer

	mu      sync.Mutex
	calls   []call
	at      []time.Duration // since the first call
	started time.Time
}

func (w *wire) Do(r *http.Request) (*http.Response, error) {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	c := call{op: op}
	if err := json.Unmarshal(raw, &c.body); err != nil {
		return nil, err
	}
	a := w.take(c)
	switch {
	case a.never:
		<-r.Context().Done()
		return nil, r.Context().Err()
	case a.lost != nil:
		return nil, a.lost
	case a.own:
		item, err := json.Marshal(c.body["Item"])
		if err != nil {
			return nil, err
		}
		a = taken(string(item))
	}
	return &http.Response{
		StatusCode: a.status,
		Header:     http.Header{"Content-Type": {"application/x-amz-json-1.0"}},
		Body:       io.NopCloser(strings.NewReader(a.body)),
		Request:    r,
	}, nil
}

func (w *wire) take(c call) answer {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.calls) == 0 {
		w.started = time.Now()
	}
	a := w.answers[min(len(w.calls), len(w.answers)-1)]
	w.calls, w.at = append(w.calls, c), append(w.at, time.Since(w.started))
	return a
}

// now is the tables' time: 1772366400.
var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// on runs a test on a clock of its own, over a wire that gives those answers.
func on(t *testing.T, answers []answer, test func(t *testing.T, tab *dynamo.Table, w *wire)) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{answers: answers}
		client := dynamodb.New(dynamodb.Options{
			Region:       "eu-west-1",
			BaseEndpoint: aws.String("http://wire"),
			Credentials:  credentials.NewStaticCredentialsProvider("key", "secret", ""),
			HTTPClient:   w,
		})
		test(t, dynamo.New(client, "events", dynamo.Options{
			Now:  func() time.Time { return now },
			Rand: rand.NewChaCha8([32]byte{1}),
		}), w)
	})
}

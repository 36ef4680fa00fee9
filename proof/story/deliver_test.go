package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/mailtrail/mailtrail/shared/trigger"
	lambdasim "github.com/mailtrail/mailtrail/sim/lambda"
)

// TestMain turns the test's own binary into a Lambda function when ANSWER is set: it answers with ANSWER, or fails if
// that is "fail".
func TestMain(m *testing.M) {
	answer := os.Getenv("ANSWER")
	if answer == "" {
		os.Exit(m.Run())
	}
	lambda.Start(func() (json.RawMessage, error) {
		if answer == "fail" {
			return nil, fmt.Errorf("it failed")
		}
		return json.RawMessage(answer), nil
	})
}

func running(t *testing.T, id, answer string) *function {
	t.Helper()
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	f, err := lambdasim.Start(t.Context(), lambdasim.Function{Binary: own, Env: map[string]string{"ANSWER": answer},
		Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return &function{Running: f, id: id, role: "ReadRole"}
}

func idle(t *testing.T, id string) *function { return running(t, id, "null") }

// queues is the part of SQS that the mapping uses: it delivers each waiting message once, and records the calls.
type queues struct {
	mu   sync.Mutex
	wait []string // bodies
	told []string // operation and receipt
}

func (q *queues) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in struct {
		ReceiptHandle, MessageBody string
		QueueURL                   string `json:"QueueUrl"`
		MaxNumberOfMessages        int
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	if _, waiting, asked := strings.Cut(in.QueueURL, "?waiting="); asked && operation == "GetQueueAttributes" {
		_, _ = fmt.Fprintf(w, `{"Attributes":{"ApproximateNumberOfMessages":%q}}`, waiting)
		return
	}
	if operation != "ReceiveMessage" {
		q.told = append(q.told, strings.TrimSpace(operation+" "+in.ReceiptHandle+in.MessageBody))
		_, _ = io.WriteString(w, `{"MessageId":"sent"}`)
		return
	}
	var out struct{ Messages []map[string]string }
	for range min(in.MaxNumberOfMessages, len(q.wait)) {
		out.Messages = append(out.Messages, map[string]string{"MessageId": "id-" + q.wait[0], "ReceiptHandle": "receipt-" +
			q.wait[0], "Body": q.wait[0]})
		q.wait = q.wait[1:]
	}
	_ = json.NewEncoder(w).Encode(out)
}

func (q *queues) said() []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	defer func() { q.told = nil }()
	return slices.Sorted(slices.Values(q.told))
}

// staged returns a stage of the small template, with the given queue service and functions.
func staged(t *testing.T, q *queues, tmpl *template, functions ...*function) *stage {
	t.Helper()
	server := httptest.NewServer(q)
	t.Cleanup(server.Close)
	client := sqs.New(sqs.Options{
		BaseEndpoint: aws.String(server.URL), Region: "eu-central-1",
		Credentials:                      credentials.NewStaticCredentialsProvider("id", "key", ""),
		DisableMessageChecksumValidation: true,
	})
	s := &stage{
		plan: plan{template: tmpl, cloud: cloud{sqs: client}}, record: newRecord(), functions: map[string]*function{},
		missed: map[string]int{},
		known:  values{"Work": server.URL + "/work", "Work.Arn": "arn:work", "Dead": server.URL + "/dead"},
	}
	var err error
	if s.policy, err = readPolicy(tmpl); err != nil {
		t.Fatal(err)
	}
	for _, f := range functions {
		s.functions[f.id] = f
	}
	return s
}

func TestMappingsAreThoseOfTheTemplate(t *testing.T) {
	all, err := staged(t, &queues{}, parsed(t, small), idle(t, "Reader")).mappings()
	if err != nil || len(all) != 1 {
		t.Fatalf("%v, %v", all, err)
	}
	if m := all[0]; m.queue != "Work" || m.batch != 5 || !m.partial || cap(m.slots) != 3 || m.function.id != "Reader" {
		t.Errorf("%+v", m)
	}
	if _, err := staged(t, &queues{}, parsed(t, small, "Queue: !GetAtt Work.Arn", "Queue: !GetAtt Other.Arn"),
		idle(t, "Reader")).mappings(); err == nil {
		t.Error("a queue that is not there is mapped")
	}
}

// TestABatchIsSettledAsLambdaDoes: failed messages come back, alone or with their batch, and the others are deleted.
func TestABatchIsSettledAsLambdaDoes(t *testing.T) {
	for _, c := range []struct {
		name, answer string
		partial      bool
		want         []string
	}{
		{"all is well", `{"batchItemFailures":[]}`, true, []string{"DeleteMessage receipt-a", "DeleteMessage receipt-b"}},
		{"no answer is all is well", `null`, true, []string{"DeleteMessage receipt-a", "DeleteMessage receipt-b"}},
		{"one failed", `{"batchItemFailures":[{"itemIdentifier":"id-b"}]}`, true, []string{"DeleteMessage receipt-a"}},
		{"one failed, and nobody asked", `{"batchItemFailures":[{"itemIdentifier":"id-b"}]}`, false,
			[]string{"DeleteMessage receipt-a", "DeleteMessage receipt-b"}},
		{"an answer that names nothing", `{"batchItemFailures":[{"itemIdentifier":""}]}`, true,
			[]string{"ChangeMessageVisibility receipt-a", "ChangeMessageVisibility receipt-b"}},
		{"no answer to be understood", `"well"`, true,
			[]string{"ChangeMessageVisibility receipt-a", "ChangeMessageVisibility receipt-b"}},
		{"the function failed", "fail", true, []string{"ChangeMessageVisibility receipt-a",
			"ChangeMessageVisibility receipt-b"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := &queues{wait: []string{"a", "b"}}
			s := staged(t, q, parsed(t, small), running(t, "Reader", c.answer))
			all, err := s.mappings()
			if err != nil {
				t.Fatal(err)
			}
			m := all[0]
			m.partial = c.partial
			batch, err := m.receive(t.Context())
			if err != nil || len(batch) != 2 {
				t.Fatalf("%d messages, %v", len(batch), err)
			}
			m.deliver(t.Context(), batch)
			if got := q.said(); !slices.Equal(got, c.want) {
				t.Errorf("the queue was told %q, want %q", got, c.want)
			}
			if denied := s.policy.denied(s.record.acts); len(denied) > 0 {
				t.Errorf("denied %v", denied)
			}
			if failed := s.record.mishap["Reader failed: errorString"]; (failed == 1) != (c.answer == "fail") {
				t.Errorf("mishaps %v", s.record.mishap)
			}
		})
	}
}

func TestBadWeatherDeliversTwice(t *testing.T) {
	q := &queues{}
	s := staged(t, q, parsed(t, small), idle(t, "Reader"))
	s.weather = weather{twice: 1}
	all, err := s.mappings()
	if err != nil {
		t.Fatal(err)
	}
	m := all[0]
	m.dice = rand.New(rand.NewPCG(1, 1))
	q.wait = []string{"a", "b"}
	seen := map[string]int{}
	for i := 0; i < 100 && (seen["a"] < 2 || seen["b"] < 2); i++ {
		m.stage.weather.twice = 0
		if i == 0 {
			m.stage.weather.twice = 1
		}
		batch, err := m.receive(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, message := range batch {
			seen[*message.Body]++
		}
	}
	if !maps.Equal(seen, map[string]int{"a": 2, "b": 2}) || s.record.mishap["sqs delivered twice"] != 2 {
		t.Errorf("delivered %v, mishaps %v", seen, s.record.mishap)
	}
}

// TestABatchsEventIsWhatATriggerTakes gives the story's event to the room that reads events; the two share no code.
func TestABatchsEventIsWhatATriggerTakes(t *testing.T) {
	encoding := sqstypes.MessageAttributeValue{DataType: aws.String("String"), StringValue: aws.String("base64")}
	batch := []sqstypes.Message{
		{MessageId: aws.String("1"), ReceiptHandle: aws.String("r1"), Body: aws.String("plain"),
			Attributes: map[string]string{"ApproximateReceiveCount": "3"}},
		{MessageId: aws.String("2"), ReceiptHandle: aws.String("r2"), Body: aws.String("AP8="),
			MessageAttributes: map[string]sqstypes.MessageAttributeValue{"encoding": encoding}},
	}
	var mu sync.Mutex
	var got []string
	work := func(_ context.Context, body []byte) error {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, string(body))
		if string(body) == "plain" {
			return fmt.Errorf("not now")
		}
		return nil
	}
	answer, err := (&trigger.Queue{Work: work, Log: slog.New(slog.DiscardHandler)}).Invoke(t.Context(),
		batchEvent("arn:work", batch))
	if err != nil {
		t.Fatal(err)
	}
	if slices.Sort(got); !slices.Equal(got, []string{"\x00\xff", "plain"}) {
		t.Errorf("bodies %q", got)
	}
	if back, whole := failures(answer); whole || !maps.Equal(back, map[string]bool{"1": true}) {
		t.Errorf("%s: back %v, whole %t", answer, back, whole)
	}
}

func TestTicksThatFailAreKeptByWhomTheTemplateSays(t *testing.T) {
	tick := func(s *stage) error { return s.tick(t.Context()) }
	q := &queues{}
	s := staged(t, q, parsed(t, small), idle(t, "Clock"))
	if err := tick(s); err != nil || len(q.said()) != 0 ||
		s.record.acts[act{"TickRole", "lambda:InvokeFunction", "Clock"}] != 1 {
		t.Errorf("a tick that works: %v, acts %v", err, s.record.acts)
	}
	s.weather.turnedAway = 2
	if err := tick(s); err != nil || s.missed["Dead"] != 1 ||
		s.record.acts[act{"TickRole", "sqs:SendMessage", "Dead"}] != 1 {
		t.Errorf("a tick that is turned away: %v, %v missed, acts %v", err, s.missed, s.record.acts)
	}
	if got := q.said(); len(got) != 1 || !strings.Contains(got[0], `SendMessage {"time":"2`) {
		t.Errorf("the queue was told %q", got)
	}

	failing := running(t, "Clock", "fail")
	if err := tick(staged(t, q, parsed(t, small), failing)); err == nil ||
		!strings.Contains(err.Error(), "no queue of the template") {
		t.Errorf("a function that fails, and has no dead letters: %v", err)
	}
	kept := []string{"CodeUri: functions/clock/",
		"CodeUri: functions/clock/\n      DeadLetterQueue: { TargetArn: !GetAtt Dead.Arn }"}
	if err := tick(staged(t, q, parsed(t, small, kept...), failing)); err == nil ||
		!strings.Contains(err.Error(), "not allowed by the template: ReadRole sqs:SendMessage Dead") {
		t.Errorf("a function that fails, and may not keep its ticks: %v", err)
	}
	if err := tick(staged(t, q, parsed(t, small, "Sid: Invoke, Effect: Allow, Action: lambda:InvokeFunction",
		"Sid: Invoke, Effect: Allow, Action: lambda:GetFunction"), failing)); err == nil ||
		!strings.Contains(err.Error(), "may not invoke") {
		t.Errorf("a schedule that may not invoke: %v", err)
	}
}

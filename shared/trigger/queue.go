package trigger

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/queue"
)

// Queue does the work of messages that come from SQS in batches ("Using Lambda with Amazon SQS", with
// ReportBatchItemFailures switched on). It reports the messages that failed, and only those come back.
//
// It works on up to ten messages at once. If the work of one panics, only that message fails. Shortly before the
// function's time is over, the context of all work ends, and messages that were not begun are reported as failed.
type Queue struct {
	// Work does one message's work: nil means that the message is done with. It is called concurrently, and again for
	// the same message. Trace, given its ctx, returns which work sent the message.
	Work func(ctx context.Context, body []byte) error
	// Hide makes a message come back after d instead of at the end of its visibility, which is as long as the longest
	// work; the receipt is the one in the event. nil means that it always comes back at that end.
	Hide func(ctx context.Context, receipt string, d time.Duration) error
	Log  *slog.Logger
}

const (
	workers = 10

	wantQueue = "batches of messages from SQS"
)

// errNoTime is why a message was not begun.
var errNoTime = errors.New("the function's time is over")

// Invoke works on one batch.
func (t *Queue) Invoke(ctx context.Context, event []byte) ([]byte, error) {
	batch, err := messages(event)
	if err != nil {
		return nil, errors.Join(refuse(ctx, t.Log, event, wantQueue), err)
	}
	work, cancel := early(ctx)
	defer cancel()

	failed := make([]bool, len(batch))
	slots := make(chan struct{}, workers)
	var all sync.WaitGroup
	for i, m := range batch {
		slots <- struct{}{} // all work ends when the context does, so this wait ends too
		all.Go(func() {
			defer func() { <-slots }()
			if err := t.work(traced(work, m), m); err != nil {
				failed[i] = true
				t.fail(traced(ctx, m), m, err)
			}
		})
	}
	all.Wait()

	answer := events.SQSEventResponse{BatchItemFailures: []events.SQSBatchItemFailure{}}
	for i, m := range batch {
		if failed[i] {
			answer.BatchItemFailures = append(answer.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: m.MessageId})
		}
	}
	return json.Marshal(answer)
}

func messages(event []byte) ([]events.SQSMessage, error) {
	var e events.SQSEvent
	if err := json.Unmarshal(event, &e); err != nil {
		return nil, fmt.Errorf("read the event: %w", err)
	}
	if len(e.Records) == 0 {
		return nil, errors.New("there are no records")
	}
	for i, m := range e.Records {
		if m.EventSource != "aws:sqs" || m.MessageId == "" || m.ReceiptHandle == "" {
			return nil, fmt.Errorf("record %d is no message of SQS", i)
		}
	}
	return e.Records, nil
}

// work turns a panic into an error, so that one message cannot fail the whole batch.
func (t *Queue) work(ctx context.Context, m events.SQSMessage) (err error) {
	if ctx.Err() != nil {
		return errNoTime
	}
	defer func() {
		if why := recover(); why != nil {
			t.Log.ErrorContext(ctx, "panic while a message was worked on", "message", m.MessageId, "panic", fmt.Sprint(why),
				"stack", string(debug.Stack()))
			err = errors.New("panic")
		}
	}()
	return t.Work(ctx, body(m))
}

// body returns the body as it was sent: SQS takes text only, so package sqs sends anything else as base64, and says so.
func body(m events.SQSMessage) []byte {
	if encoding := m.MessageAttributes["encoding"].StringValue; encoding != nil && *encoding == "base64" {
		if raw, err := base64.StdEncoding.DecodeString(m.Body); err == nil {
			return raw
		}
	}
	return []byte(m.Body)
}

// fail logs the failure, and sets when the message comes back. ctx is the function's, because that of the work may have
// ended.
func (t *Queue) fail(ctx context.Context, m events.SQSMessage, err error) {
	receives, _ := strconv.Atoi(m.Attributes["ApproximateReceiveCount"]) // an unreadable count is read as the first time
	t.Log.WarnContext(ctx, "message comes back later", "message", m.MessageId, "receives", receives, "code",
		fault.Code(err), "err", err)
	if t.Hide == nil {
		return
	}
	if err := t.Hide(ctx, m.ReceiptHandle, hidden(receives, err)); err != nil {
		// Nothing is lost: the message comes back when its visibility ends.
		t.Log.WarnContext(ctx, "message could not be hidden", "message", m.MessageId, "err", err)
	}
}

// hidden returns how long a failed message stays hidden. A message that was not begun comes back at once.
func hidden(receives int, err error) time.Duration {
	if errors.Is(err, errNoTime) {
		return 0
	}
	return queue.Backoff(receives, err)
}

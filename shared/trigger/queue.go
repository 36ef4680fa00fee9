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
// Up to ten messages are worked on at once. A message whose work panics fails alone. Shortly before the function's
// time is over the context of all work ends, and what was not begun is reported as failed.
type Queue struct {
	// Work does one message's work: nil means that the message is done with. It is called concurrently, and again for
	// the same message. Trace tells of its ctx which work sent the message.
	Work func(ctx context.Context, body []byte) error
	// Hide makes a message come back after d instead of at the end of its visibility, which is as long as the longest
	// work; the receipt is the one that the event told. nil leaves it at that.
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
		slots <- struct{}{} // every work ends when the context does, so this waits no longer
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

// work makes an error of a panic, so that one message cannot take the batch with it.
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

// body is what was sent: SQS takes text only, and whoever sends anything else sends base64 and says so (package sqs).
func body(m events.SQSMessage) []byte {
	if encoding := m.MessageAttributes["encoding"].StringValue; encoding != nil && *encoding == "base64" {
		if raw, err := base64.StdEncoding.DecodeString(m.Body); err == nil {
			return raw
		}
	}
	return []byte(m.Body)
}

// fail tells the log, and says when the message is to come back. ctx is the function's own: that of the work may have
// ended.
func (t *Queue) fail(ctx context.Context, m events.SQSMessage, err error) {
	receives, _ := strconv.Atoi(m.Attributes["ApproximateReceiveCount"]) // what cannot be read is the first time
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

// hidden is how long a message that failed stays hidden. What was not begun comes back at once.
func hidden(receives int, err error) time.Duration {
	if errors.Is(err, errNoTime) {
		return 0
	}
	return queue.Backoff(receives, err)
}

package sqs

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/pace"
	"github.com/mailtrail/mailtrail/shared/queue"
)

// Bounds of one SendMessageBatch. Until August 2025, SQS allowed 256 KiB for a message and for a batch; it now allows 1
// MiB. The largest body takes 342 KiB in base64, and so needs the new limit.
const (
	batchEntries = 10
	batchBytes   = 1 << 20
)

const (
	attempts    = 6 // calls in a row of which SQS accepts nothing
	longestWait = 8 * time.Second
)

// Send implements queue.Queue. It sends batch by batch, and sends again what SQS did not accept of a batch. After a
// crash, the first batches are sent.
func (q *Queue) Send(ctx context.Context, messages ...queue.Message) error {
	for _, m := range messages {
		if err := m.Valid(); err != nil {
			return err
		}
	}
	sent, trace := 0, ""
	if q.Trace != nil {
		trace = q.Trace(ctx)
	}
	for sent < len(messages) {
		batch := nextBatch(messages[sent:], trace)
		if err := q.sendBatch(ctx, batch, sent == 0); err != nil {
			return q.failed(ctx, "send to", err)
		}
		sent += len(batch)
	}
	return nil
}

// nextBatch encodes as many messages as fit into one call.
func nextBatch(messages []queue.Message, trace string) []types.SendMessageBatchRequestEntry {
	var batch []types.SendMessageBatchRequestEntry
	bytes := 0
	for i, m := range messages {
		body, attributes := encode(m.Body, trace)
		bytes += size(body, attributes)
		if i == batchEntries || bytes > batchBytes {
			break
		}
		entry := types.SendMessageBatchRequestEntry{
			Id:                aws.String(strconv.Itoa(i)),
			MessageBody:       &body,
			MessageAttributes: attributes,
			DelaySeconds:      seconds(m.Delay),
		}
		if m.Group != "" {
			entry.MessageGroupId = aws.String(m.Group)
		}
		batch = append(batch, entry)
	}
	return batch
}

// sendBatch sends entries until SQS has accepted all. It returns ErrInvalid if SQS calls a failure the sender's fault,
// but only if nothing was sent before, as ErrInvalid promises.
func (q *Queue) sendBatch(ctx context.Context, entries []types.SendMessageBatchRequestEntry, first bool) error {
	backoff := retry.NewExponentialJitterBackoff(longestWait)
	for vain := 0; ; {
		out, err := q.client.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{QueueUrl: &q.url, Entries: entries})
		if err != nil {
			return err
		}
		left, err := unsent(entries, out.Failed)
		if err != nil {
			if first && len(out.Successful) == 0 {
				err = fmt.Errorf("%w: %w", queue.ErrInvalid, err)
			}
			return err
		}
		if len(left) == 0 {
			return nil
		}
		if vain++; len(left) < len(entries) {
			first, vain = false, 1
		}
		if vain == attempts {
			return fmt.Errorf("%w: %d messages, for the first: %s", fault.Retry, len(left), aws.ToString(out.Failed[0].Code))
		}
		entries = left
		delay, err := backoff.BackoffDelay(vain, nil)
		if err != nil {
			return err
		}
		if err := pace.Sleep(ctx, delay); err != nil {
			return err
		}
	}
}

// unsent returns the entries that failed for a reason that may pass, and an error when one failed for another.
func unsent(entries []types.SendMessageBatchRequestEntry,
	failed []types.BatchResultErrorEntry) ([]types.SendMessageBatchRequestEntry, error) {
	again := make(map[string]bool, len(failed))
	for _, f := range failed {
		if f.SenderFault {
			return nil, errors.New("refused as the sender's fault: " + aws.ToString(f.Code))
		}
		again[aws.ToString(f.Id)] = true
	}
	var left []types.SendMessageBatchRequestEntry
	for _, e := range entries {
		if again[*e.Id] {
			left = append(left, e)
		}
	}
	return left, nil
}

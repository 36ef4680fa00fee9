package sqs

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"

	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/queue"
)

// Bounds of one ReceiveMessage.
const (
	mostReceived = 10
	longestPoll  = 20 * time.Second
)

// Receive implements queue.Queue. It uses long polls of up to 20 s. If the answer to a poll is lost, or ctx ends the
// poll, its messages come back when their visibility ends.
func (q *Queue) Receive(ctx context.Context, most int, wait, visibility time.Duration) ([]queue.Delivery, error) {
	if most < 1 || wait < 0 || visibility <= 0 || visibility > queue.MaxVisibility {
		return nil, fmt.Errorf("%w: receive %d messages within %s for %s", queue.ErrInvalid, most, wait, visibility)
	}
	for {
		poll := min(wait, longestPoll)
		wait -= poll
		out, err := q.client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
			QueueUrl:              &q.url,
			MaxNumberOfMessages:   int32(min(most, mostReceived)),
			WaitTimeSeconds:       seconds(poll),
			VisibilityTimeout:     seconds(visibility),
			MessageAttributeNames: []string{attrEncoding},
			MessageSystemAttributeNames: []types.MessageSystemAttributeName{
				types.MessageSystemAttributeNameApproximateReceiveCount,
				types.MessageSystemAttributeNameSentTimestamp,
				types.MessageSystemAttributeNameMessageGroupId,
			},
		})
		if err != nil {
			return nil, q.failed(ctx, "receive from", err)
		}
		if len(out.Messages) > 0 {
			return deliveries(out.Messages)
		}
		if wait == 0 {
			return nil, nil
		}
	}
}

func deliveries(messages []types.Message) ([]queue.Delivery, error) {
	out := make([]queue.Delivery, len(messages))
	for i, m := range messages {
		receives, err := attribute(m, types.MessageSystemAttributeNameApproximateReceiveCount)
		if err != nil {
			return nil, err
		}
		sent, err := attribute(m, types.MessageSystemAttributeNameSentTimestamp)
		if err != nil {
			return nil, err
		}
		out[i] = queue.Delivery{
			Message: queue.Message{
				Body:  decodeBody(aws.ToString(m.Body), m.MessageAttributes),
				Group: m.Attributes[string(types.MessageSystemAttributeNameMessageGroupId)],
			},
			ID:       aws.ToString(m.MessageId),
			Receipt:  aws.ToString(m.ReceiptHandle),
			Receives: int(receives),
			Sent:     time.UnixMilli(sent).UTC(),
		}
	}
	return out, nil
}

// attribute is a number that SQS keeps of every message.
func attribute(m types.Message, name types.MessageSystemAttributeName) (int64, error) {
	n, err := strconv.ParseInt(m.Attributes[string(name)], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: message %s has no %s", fault.Retry, aws.ToString(m.MessageId), name)
	}
	return n, nil
}

// Done implements queue.Queue. SQS may delete a message by a stale receipt, or not.
func (q *Queue) Done(ctx context.Context, d queue.Delivery) error {
	if d.Receipt == "" {
		return fmt.Errorf("%w: no receipt", queue.ErrInvalid)
	}
	_, err := q.client.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: &q.url, ReceiptHandle: &d.Receipt})
	return q.settled(ctx, "delete from", err)
}

// Hide implements queue.Queue.
func (q *Queue) Hide(ctx context.Context, delivery queue.Delivery, d time.Duration) error {
	if delivery.Receipt == "" || d < 0 || d > queue.MaxVisibility {
		return fmt.Errorf("%w: hide a message with receipt %q for %s", queue.ErrInvalid, delivery.Receipt, d)
	}
	_, err := q.client.ChangeMessageVisibility(ctx, &sqs.ChangeMessageVisibilityInput{
		QueueUrl: &q.url, ReceiptHandle: &delivery.Receipt, VisibilityTimeout: seconds(d),
	})
	return q.settled(ctx, "hide in", err)
}

// settled reads SQS's answer about a receipt. SQS answers ReceiptHandleIsInvalid for one that never existed, and
// MessageNotInflight or InvalidParameterValue for a stale one. InvalidParameterValue also means that a message would be
// hidden for more than 12 h since it was received; it then comes back at their end.
func (q *Queue) settled(ctx context.Context, verb string, err error) error {
	if err == nil || stale(err) {
		return nil
	}
	var invalid *types.ReceiptHandleIsInvalid
	if errors.As(err, &invalid) {
		err = fmt.Errorf("%w: %w", queue.ErrInvalid, err)
	}
	return q.failed(ctx, verb, err)
}

func stale(err error) bool {
	var gone *types.MessageNotInflight
	if errors.As(err, &gone) {
		return true
	}
	var api smithy.APIError // there is no type for the other one
	return errors.As(err, &api) && (api.ErrorCode() == "InvalidParameterValue" ||
		api.ErrorCode() == "InvalidParameterValueException")
}

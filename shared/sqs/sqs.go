// Package sqs is queue.Queue on a standard queue of Amazon SQS. A message's group is its MessageGroupId, by which SQS
// keeps groups fair to each other. A body that SQS accepts as text is sent as it is. Any other is sent in base64, with
// the message attribute "encoding". The attribute "trace" names the work that sent it. Dead letters are the queue's own
// redrive policy.
package sqs

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/queue"
)

// API is what a Queue uses of *sqs.Client. Calls that fail as a whole are repeated by the client, with its own
// retryer: sending twice makes duplicates, which the contract allows, and everything else is idempotent.
type API interface {
	SendMessageBatch(context.Context, *sqs.SendMessageBatchInput, ...func(*sqs.Options)) (*sqs.SendMessageBatchOutput,
		error)
	ReceiveMessage(context.Context, *sqs.ReceiveMessageInput, ...func(*sqs.Options)) (*sqs.ReceiveMessageOutput, error)
	DeleteMessage(context.Context, *sqs.DeleteMessageInput, ...func(*sqs.Options)) (*sqs.DeleteMessageOutput, error)
	ChangeMessageVisibility(context.Context, *sqs.ChangeMessageVisibilityInput,
		...func(*sqs.Options)) (*sqs.ChangeMessageVisibilityOutput, error)
}

var _ API = (*sqs.Client)(nil)

// Queue is a queue.Queue on SQS.
type Queue struct {
	// Trace names the work that a message is sent for, in up to 128 bytes of text; nil or "" means none. It travels as the
	// message attribute "trace", so that the receiver can log it. Set it before the first Send.
	Trace func(ctx context.Context) string

	client API
	url    string
}

var _ queue.Queue = (*Queue)(nil)

// New returns the queue with that URL, which must exist, and be a standard one.
func New(client API, url string) *Queue { return &Queue{client: client, url: url} }

// failed says what was tried, and whether trying again may help.
func (q *Queue) failed(ctx context.Context, verb string, err error) error {
	switch {
	case ctx.Err() != nil:
		err = ctx.Err()
	case retry.IsErrorRetryables(retry.DefaultRetryables).IsErrorRetryable(err) == aws.TrueTernary:
		err = fmt.Errorf("%w: %w", fault.Retry, err)
	}
	return fmt.Errorf("%s queue %s: %w", verb, q.url, err)
}

// seconds rounds up, because SQS takes whole seconds only.
func seconds(d time.Duration) int32 { return int32((d + time.Second - 1) / time.Second) }

//go:build engines

package sqs_test

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/config"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"

	"github.com/mailtrail/mailtrail/shared/queue"
	"github.com/mailtrail/mailtrail/shared/queue/queuetest"
	"github.com/mailtrail/mailtrail/shared/sqs"
)

// engine returns a client of the engine under AWS_ENDPOINT_URL_SQS, which may be SQS itself.
func engine(t *testing.T) *awssqs.Client {
	t.Helper()
	if os.Getenv("AWS_ENDPOINT_URL_SQS") == "" {
		t.Fatal("AWS_ENDPOINT_URL_SQS is not set: run these tests with `make check-aws`")
	}
	cfg, err := config.LoadDefaultConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return awssqs.NewFromConfig(cfg)
}

// createQueue creates a standard queue and returns its URL. The queue is deleted when the test ends.
func createQueue(t *testing.T, client *awssqs.Client) string {
	t.Helper()
	name := "mailtrail-test-" + strings.ToLower(rand.Text())
	out, err := client.CreateQueue(t.Context(), &awssqs.CreateQueueInput{QueueName: &name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := client.DeleteQueue(context.Background(), &awssqs.DeleteQueueInput{QueueUrl: out.QueueUrl}); err != nil {
			t.Errorf("delete the test's queue: %v", err)
		}
	})
	return *out.QueueUrl
}

// elastic makes ElasticMQ answer as SQS does to a stale receipt: with InvalidParameterValue or success ("How do I
// troubleshoot ReceiptHandleIsInvalid and InvalidParameterValue errors", AWS Knowledge Center), where ElasticMQ says
// that it never was one.
type elastic struct{ *awssqs.Client }

// elasticReceipt matches ElasticMQ's receipts: a message and a delivery.
var elasticReceipt = regexp.MustCompile("^[0-9a-f-]{36}#[0-9a-f-]{36}$")

func asSQS(receipt string, err error) error {
	var invalid *types.ReceiptHandleIsInvalid
	if errors.As(err, &invalid) && elasticReceipt.MatchString(receipt) {
		return &smithy.GenericAPIError{Code: "InvalidParameterValue", Message: "The receipt handle has expired."}
	}
	return err
}

func (e elastic) DeleteMessage(ctx context.Context, in *awssqs.DeleteMessageInput,
	o ...func(*awssqs.Options)) (*awssqs.DeleteMessageOutput, error) {
	out, err := e.Client.DeleteMessage(ctx, in, o...)
	return out, asSQS(*in.ReceiptHandle, err)
}

func (e elastic) ChangeMessageVisibility(ctx context.Context, in *awssqs.ChangeMessageVisibilityInput,
	o ...func(*awssqs.Options)) (*awssqs.ChangeMessageVisibilityOutput, error) {
	out, err := e.Client.ChangeMessageVisibility(ctx, in, o...)
	return out, asSQS(*in.ReceiptHandle, err)
}

// Only SQS itself promises fairness; no engine does.
func TestQueueKeepsTheContract(t *testing.T) {
	client := engine(t)
	queuetest.Run(t, queuetest.Options{Unfair: true}, func(t *testing.T) queue.Queue {
		return sqs.New(elastic{client}, createQueue(t, client))
	})
}

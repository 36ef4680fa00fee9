package dynamo

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/pace"
)

// The wait before a retry is a random part of firstWait, which doubles each time up to longestWait. All waits together
// take 2.6 s on average, and 5.2 s at most.
const (
	attempts    = 9
	firstWait   = 25 * time.Millisecond
	longestWait = 2 * time.Second
	// longestCall bounds one attempt: an answer that has not come by then is lost.
	longestCall = 20 * time.Second
)

// try repeats a call until the answer is anything but "later". When it gives up, it returns a fault.Retry. The result
// is unsure if an attempt before the last one got no answer, and so may have been done.
func (t *Table) try(ctx context.Context, call func(context.Context) error) (unsure bool, err error) {
	for n := 1; ; n++ {
		if ctx.Err() != nil {
			return unsure, ctx.Err()
		}
		err = attempt(ctx, call)
		if err != nil && ctx.Err() != nil {
			return true, ctx.Err()
		}
		if err == nil || !later(err) {
			return unsure, err
		}
		unsure = unsure || !answered(err)
		if n == attempts {
			return unsure, fmt.Errorf("%w: %d attempts: %w", fault.Retry, n, err)
		}
		if err := t.pause(ctx, n); err != nil {
			return unsure, err
		}
	}
}

func attempt(ctx context.Context, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, longestCall)
	defer cancel()
	return call(ctx)
}

// pause waits before the attempt that follows the nth.
func (t *Table) pause(ctx context.Context, n int) error {
	var b [8]byte
	if err := t.random(b[:]); err != nil {
		return fmt.Errorf("choose how long to wait: %w", err)
	}
	longest := pace.Backoff{First: firstWait, Longest: longestWait}.After(n)
	return pace.Sleep(ctx, time.Duration(binary.BigEndian.Uint64(b[:])%uint64(longest)))
}

// later reports whether the same call may succeed later: it was throttled, another transaction held the item, DynamoDB
// failed, or no answer came.
func later(err error) bool {
	var canceled *types.TransactionCanceledException
	if errors.As(err, &canceled) {
		return laterForAll(canceled.CancellationReasons)
	}
	var contended *types.TransactionConflictException
	return errors.As(err, &contended) || errors.Is(err, context.DeadlineExceeded) ||
		retry.IsErrorRetryables(retry.DefaultRetryables).IsErrorRetryable(err) == aws.TrueTernary
}

// laterForAll reports whether all reasons against a transaction are ones that pass.
func laterForAll(reasons []types.CancellationReason) bool {
	passing := false
	for _, reason := range reasons {
		switch aws.ToString(reason.Code) {
		case "TransactionConflict", "ProvisionedThroughputExceeded", "ThrottlingError":
			passing = true
		case "None", "":
		default:
			return false
		}
	}
	return passing
}

// cancelledFor returns which operation of a transaction was the first to be cancelled for that reason, or -1 when
// none was.
func cancelledFor(err error, code string) int {
	var canceled *types.TransactionCanceledException
	if !errors.As(err, &canceled) {
		return -1
	}
	return slices.IndexFunc(canceled.CancellationReasons,
		func(r types.CancellationReason) bool { return aws.ToString(r.Code) == code })
}

// answered reports whether DynamoDB itself refused the call with a 4xx, and so did nothing.
func answered(err error) bool {
	var response *awshttp.ResponseError
	return errors.As(err, &response) && response.HTTPStatusCode() >= http.StatusBadRequest &&
		response.HTTPStatusCode() < http.StatusInternalServerError
}

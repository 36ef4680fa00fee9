package trigger

import (
	"context"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

const (
	attrTrace = "trace" // of messages, as package sqs sends it
	maxTrace  = 128     // bytes
)

type traceKey struct{}

// Trace returns the request id of the invocation in which the work of ctx began. Work that a tick queues keeps the
// tick's id, so one id finds a blob's whole way in the logs of all functions. It is "" outside of an invocation.
func Trace(ctx context.Context) string {
	if id, ok := ctx.Value(traceKey{}).(string); ok {
		return id
	}
	if lc, ok := lambdacontext.FromContext(ctx); ok {
		return lc.AwsRequestID
	}
	return ""
}

// traced returns ctx with the message's trace, if it has one.
func traced(ctx context.Context, m events.SQSMessage) context.Context {
	id := m.MessageAttributes[attrTrace].StringValue
	if id == nil || *id == "" || len(*id) > maxTrace {
		return ctx
	}
	return context.WithValue(ctx, traceKey{}, *id)
}

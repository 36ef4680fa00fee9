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

// Trace names the invocation with which the work of ctx began, by its request id: the tick's, in all that comes of it
// over queues. So one word finds a blob's whole way in the logs of all functions. "" is outside of an invocation.
func Trace(ctx context.Context) string {
	if id, ok := ctx.Value(traceKey{}).(string); ok {
		return id
	}
	if lc, ok := lambdacontext.FromContext(ctx); ok {
		return lc.AwsRequestID
	}
	return ""
}

// traced is ctx with the trace that a message bears, if it bears one.
func traced(ctx context.Context, m events.SQSMessage) context.Context {
	id := m.MessageAttributes[attrTrace].StringValue
	if id == nil || *id == "" || len(*id) > maxTrace {
		return ctx
	}
	return context.WithValue(ctx, traceKey{}, *id)
}

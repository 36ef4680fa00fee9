package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	lambdasim "github.com/mailtrail/mailtrail/sim/lambda"
)

// tick invokes what the template's schedules invoke, once, as EventBridge Scheduler does. In bad weather a tick may
// fail. It is not retried, because the next one does the same work and more.
func (s *stage) tick(ctx context.Context) error {
	for source, p := range s.template.events("ScheduleV2") {
		input, err := text(p["Input"])
		if err != nil {
			return fmt.Errorf("schedule %s: Input: %w", source[1], err)
		}
		input = strings.ReplaceAll(input, "<aws.scheduler.scheduled-time>", time.Now().UTC().Format(time.RFC3339))
		role := strings.TrimSuffix(reference(p["RoleArn"]), ".Arn")
		if s.ticks++; s.weather.turnedAway > 0 && s.ticks%s.weather.turnedAway == 0 {
			// Lambda has no capacity: the schedule gives up, and keeps the tick with its own role.
			s.record.suffer(source[0] + " turned away")
			if err := s.bury(ctx, role, at(p, "DeadLetterConfig", "Arn"), input); err != nil {
				return fmt.Errorf("schedule %s: %w", source[1], err)
			}
			continue
		}
		a := act{role, "lambda:InvokeFunction", source[0]}
		s.record.act(a)
		if _, ok := s.policy[a]; !ok {
			return fmt.Errorf("schedule %s may not invoke %s", source[1], source[0])
		}
		function := s.functions[source[0]]
		if _, err := function.Invoke(ctx, []byte(input)); err != nil && ctx.Err() == nil {
			// Lambda keeps failed events with the function's role ("Capturing records of Lambda asynchronous invocations").
			s.record.suffer(function.id + " failed: " + kind(err))
			if err := s.bury(ctx, function.role, at(s.template.Resources[function.id].Properties, "DeadLetterQueue",
				"TargetArn"), input); err != nil {
				return fmt.Errorf("function %s: %w", function.id, err)
			}
		}
	}
	return nil
}

// bury puts a tick into a queue of dead letters.
func (s *stage) bury(ctx context.Context, role string, target any, input string) error {
	id := strings.TrimSuffix(reference(target), ".Arn")
	if s.known[id] == "" {
		return fmt.Errorf("ticks that fail go to %q, which is no queue of the template", id)
	}
	a := act{role, "sqs:SendMessage", id}
	s.record.act(a)
	if _, ok := s.policy[a]; !ok {
		return fmt.Errorf("not allowed by the template: %s", a)
	}
	if _, err := s.cloud.sqs.SendMessage(ctx,
		&sqs.SendMessageInput{QueueUrl: aws.String(s.known[id]), MessageBody: &input}); err != nil {
		return fmt.Errorf("keep a tick that failed: %w", err)
	}
	s.missed[id]++
	return nil
}

// waiting returns how many messages wait in a queue of the template.
func (s *stage) waiting(ctx context.Context, id string) (string, error) {
	const count = sqstypes.QueueAttributeNameApproximateNumberOfMessages
	out, err := s.cloud.sqs.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
		QueueUrl: aws.String(s.known[id]), AttributeNames: []sqstypes.QueueAttributeName{count},
	})
	if err != nil {
		return "", err
	}
	return out.Attributes[string(count)], nil
}

// kind returns how an invocation failed, in the words of Lambda's metrics and logs.
func kind(err error) string {
	var failed *lambdasim.Error
	if errors.As(err, &failed) {
		return failed.Type
	}
	return "not invoked"
}

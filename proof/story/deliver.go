package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// mapping is an event source mapping from a queue to a function, as Lambda runs it: batches, partial batch responses,
// and messages that come back after the queue's visibility when the function fails.
type mapping struct {
	stage    *stage
	function *function
	queue    string // in the template
	batch    int32
	partial  bool // ReportBatchItemFailures
	slots    chan struct{}
	dice     *rand.Rand
	again    []sqstypes.Message // to be delivered a second time
}

// mappings returns those of the template.
func (s *stage) mappings() ([]*mapping, error) {
	var all []*mapping
	for source, p := range s.template.events("SQS") {
		batch, err := strconv.Atoi(s.known.orDefault(p["BatchSize"], "10"))
		if err != nil {
			return nil, fmt.Errorf("event %s: BatchSize: %w", source[1], err)
		}
		most, err := strconv.Atoi(s.known.orDefault(at(p, "ScalingConfig", "MaximumConcurrency"), "2"))
		if err != nil {
			return nil, fmt.Errorf("event %s: MaximumConcurrency: %w", source[1], err)
		}
		m := &mapping{
			stage: s, function: s.functions[source[0]], batch: int32(batch), slots: make(chan struct{}, min(most, 4)),
			dice: rand.New(rand.NewPCG(s.seed, 99)),
		}
		m.partial = slices.Contains(list(p["FunctionResponseTypes"]), any("ReportBatchItemFailures"))
		queue := reference(p["Queue"])
		for _, id := range s.template.named(typeQueue) {
			if queue == id+".Arn" {
				m.queue = id
			}
		}
		if m.queue == "" {
			return nil, fmt.Errorf("event %s is of no queue of the template", source[1])
		}
		all = append(all, m)
	}
	return all, nil
}

// run delivers until ctx ends, and returns when all work that it began has ended.
func (m *mapping) run(ctx context.Context) error {
	// Lambda reads the queue's attributes before it receives anything ("Using Lambda with Amazon SQS": the permissions of
	// the role).
	m.act("GetQueueAttributes")
	if _, err := m.stage.cloud.sqs.GetQueueAttributes(ctx,
		&sqs.GetQueueAttributesInput{QueueUrl: aws.String(m.stage.known[m.queue])}); err != nil {
		return fmt.Errorf("map queue %s to %s: %w", m.queue, m.function.id, err)
	}
	var all sync.WaitGroup
	defer all.Wait()
	for ctx.Err() == nil {
		batch, err := m.receive(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("receive from %s: %w", m.queue, err)
		}
		if len(batch) == 0 {
			continue
		}
		m.slots <- struct{}{}
		all.Go(func() {
			defer func() { <-m.slots }()
			m.deliver(ctx, batch)
		})
	}
	return nil
}

func (m *mapping) act(action string) {
	m.stage.record.act(act{m.function.role, "sqs:" + action, m.queue})
}

// receive returns the next batch, in the weather of the stage.
func (m *mapping) receive(ctx context.Context) ([]sqstypes.Message, error) {
	m.act("ReceiveMessage")
	out, err := m.stage.cloud.sqs.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
		QueueUrl: aws.String(m.stage.known[m.queue]), MaxNumberOfMessages: m.batch, WaitTimeSeconds: 1,
		MessageAttributeNames:       []string{"All"},
		MessageSystemAttributeNames: []sqstypes.MessageSystemAttributeName{sqstypes.MessageSystemAttributeNameAll},
	})
	if err != nil {
		return nil, err
	}
	batch := out.Messages
	for len(m.again) > 0 && len(batch) < int(m.batch) && m.dice.Float64() < 0.5 {
		batch, m.again = append(batch, m.again[0]), m.again[1:]
		m.stage.record.suffer("sqs delivered twice")
	}
	for _, message := range batch {
		if m.dice.Float64() < m.stage.weather.twice {
			m.again = append(m.again, message)
		}
	}
	if m.stage.weather.shuffled {
		m.dice.Shuffle(len(batch), func(i, j int) { batch[i], batch[j] = batch[j], batch[i] })
		m.stage.record.suffer("sqs batch reordered")
	}
	return batch, nil
}

func (m *mapping) deliver(ctx context.Context, batch []sqstypes.Message) {
	answer, err := m.function.Invoke(context.WithoutCancel(ctx), batchEvent(m.stage.known[m.queue+".Arn"], batch))
	back, whole := map[string]bool{}, err != nil
	if err != nil {
		m.stage.record.suffer(m.function.id + " failed: " + kind(err))
	}
	if err == nil && m.partial {
		back, whole = failures(answer)
	}
	for _, message := range batch {
		switch {
		case whole:
			// The message comes back when its visibility ends. We do not wait 12 minutes for that: it ends now.
			m.settle(ctx, func(ctx context.Context) error {
				_, err := m.stage.cloud.sqs.ChangeMessageVisibility(ctx, &sqs.ChangeMessageVisibilityInput{
					QueueUrl: aws.String(m.stage.known[m.queue]), ReceiptHandle: message.ReceiptHandle, VisibilityTimeout: 0,
				})
				return err
			})
		case back[aws.ToString(message.MessageId)]:
			// The function has said when it comes back.
		default:
			m.act("DeleteMessage")
			m.settle(ctx, func(ctx context.Context) error {
				_, err := m.stage.cloud.sqs.DeleteMessage(ctx, &sqs.DeleteMessageInput{
					QueueUrl: aws.String(m.stage.known[m.queue]), ReceiptHandle: message.ReceiptHandle,
				})
				return err
			})
		}
	}
}

// settle reports to the queue what became of a message. The queue may no longer know one that was delivered twice, as
// in AWS.
func (m *mapping) settle(ctx context.Context, tell func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := tell(ctx); err != nil {
		m.stage.record.suffer("sqs stale receipt")
	}
}

// failures reads a partial batch response. If it cannot be parsed, the whole batch fails ("Using Lambda with Amazon
// SQS").
func failures(answer []byte) (back map[string]bool, whole bool) {
	var out struct {
		BatchItemFailures []struct {
			ItemIdentifier string `json:"itemIdentifier"`
		} `json:"batchItemFailures"`
	}
	if json.Unmarshal(answer, &out) != nil {
		return nil, true
	}
	back = map[string]bool{}
	for _, f := range out.BatchItemFailures {
		if f.ItemIdentifier == "" {
			return nil, true
		}
		back[f.ItemIdentifier] = true
	}
	return back, false
}

// batchEvent returns the event of a batch ("Example standard queue message event").
func batchEvent(arn string, batch []sqstypes.Message) []byte {
	records := make([]map[string]any, len(batch))
	for i, m := range batch {
		attributes := map[string]any{}
		for name, a := range m.MessageAttributes {
			attributes[name] = map[string]any{
				"dataType": a.DataType, "stringValue": a.StringValue, "stringListValues": []string{},
				"binaryListValues": []string{},
			}
		}
		records[i] = map[string]any{
			"messageId": m.MessageId, "receiptHandle": m.ReceiptHandle, "body": m.Body, "attributes": m.Attributes,
			"messageAttributes": attributes, "md5OfBody": m.MD5OfBody,
			"eventSource": "aws:sqs", "eventSourceARN": arn, "awsRegion": "eu-central-1",
		}
	}
	event, err := json.Marshal(map[string]any{"Records": records})
	if err != nil {
		panic(err) // strings and maps of them only
	}
	return event
}

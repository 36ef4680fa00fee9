// Package parts plugs AWS into the agents: settings from the environment, tables in DynamoDB, queues in SQS, a client
// for Microsoft with a credential from Secrets Manager, and a log. Each function takes only what it needs, so that
// its role needs to allow nothing else.
package parts

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/mailtrail/mailtrail/shared/agents"
	"github.com/mailtrail/mailtrail/shared/dynamo"
	"github.com/mailtrail/mailtrail/shared/m365"
	"github.com/mailtrail/mailtrail/shared/queue"
	"github.com/mailtrail/mailtrail/shared/settings"
	"github.com/mailtrail/mailtrail/shared/sqs"
	"github.com/mailtrail/mailtrail/shared/table"
	"github.com/mailtrail/mailtrail/shared/trigger"
)

// startTime bounds what a function does before its first invocation. Lambda gives it 10 s.
const startTime = 9 * time.Second

// Parts is what a function is built from.
type Parts struct {
	Settings settings.Settings
	Log      *slog.Logger

	aws         aws.Config
	dynamo      *dynamodb.Client
	application m365.Config // empty until a client for Microsoft is asked for
}

// Start builds a function and hands it to Lambda; it does not return. A function that cannot be built says why in its
// log, and ends: Lambda then fails its invocations, and tries anew. needed are the settings that it cannot do without.
func Start(build func(ctx context.Context, p *Parts) (lambda.Handler, error), needed ...string) {
	log := NewLog(os.Stderr)
	handler, err := start(log, build, needed)
	if err != nil {
		log.Error("function could not start", "err", err)
		os.Exit(1)
	}
	lambda.Start(handler)
}

func start(log *slog.Logger, build func(ctx context.Context, p *Parts) (lambda.Handler, error),
	needed []string) (lambda.Handler, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	s, err := settings.Read(settings.AWS, os.Environ(), needed...)
	if err != nil {
		return nil, fmt.Errorf("read the environment: %w", err)
	}
	amazon, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the configuration of AWS: %w", err)
	}
	return build(ctx, &Parts{Settings: s, Log: log, aws: amazon, dynamo: dynamodb.NewFromConfig(amazon)})
}

// Agents returns the agents over AWS. client is nil for a function that does not call Microsoft.
func (p *Parts) Agents(client agents.Microsoft) *agents.Agents {
	names := p.Settings.Tables
	return agents.New(agents.Surroundings{
		Connections: p.table(names.Connections), Blobs: p.table(names.Blobs),
		Events: p.table(names.Events), People: p.table(names.People),
		BlobQueue: p.queue(p.Settings.BlobQueue), MessageQueue: p.queue(p.Settings.MessageQueue), Microsoft: client,
		Settings: p.Settings, Now: time.Now, Rand: rand.Reader, Log: p.Log, MaxAnswer: trigger.MaxAnswer,
	})
}

func (p *Parts) table(name string) table.Table { return dynamo.New(p.dynamo, name, dynamo.Options{}) }

// queue returns the queue with that URL. Messages that are sent to it carry the trace of the work that sends them.
func (p *Parts) queue(url string) queue.Queue {
	q := sqs.New(awssqs.NewFromConfig(p.aws), url)
	q.Trace = trigger.Trace
	return q
}

// BlobWorker works on blobs from the queue of blobs, and MessageWorker on messages to be enriched.
func (p *Parts) BlobWorker(work Work) lambda.Handler { return p.worker(p.Settings.BlobQueue, work) }
func (p *Parts) MessageWorker(work Work) lambda.Handler {
	return p.worker(p.Settings.MessageQueue, work)
}

// Work does the work of one message of a queue. nil means that it is done.
type Work = func(ctx context.Context, body []byte) error

func (p *Parts) worker(url string, work Work) lambda.Handler {
	q := p.queue(url)
	hide := func(ctx context.Context, receipt string, d time.Duration) error {
		return q.Hide(ctx, queue.Delivery{Receipt: receipt}, d)
	}
	return &trigger.Queue{Work: work, Hide: hide, Log: p.Log}
}

// Package parts is what the functions are put together from: the environment, AWS's clients, the tables and the queue, the agents that more
// than one function has, and the client for Microsoft with its credential. Each function takes what it needs and nothing else, so
// that its role needs to allow nothing else.
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

	"github.com/mailtrail/mailtrail/shared/access"
	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/dynamo"
	"github.com/mailtrail/mailtrail/shared/people"
	"github.com/mailtrail/mailtrail/shared/queue"
	"github.com/mailtrail/mailtrail/shared/sqs"
	"github.com/mailtrail/mailtrail/shared/table"
	"github.com/mailtrail/mailtrail/shared/trigger"
)

// startTime bounds what a function does before its first invocation. Lambda gives it 10 s.
const startTime = 9 * time.Second

// Parts are what a function is put together from.
type Parts struct {
	Config
	Log *slog.Logger

	aws    aws.Config
	dynamo *dynamodb.Client
}

// Start builds a function and hands it to Lambda; it does not return. A function that cannot be built says why in its log, and ends: Lambda
// then fails its invocations, and tries anew. needed are the variables that the function cannot do without.
func Start(build func(ctx context.Context, p *Parts) (lambda.Handler, error), needed ...string) {
	log := NewLog(os.Stderr)
	handler, err := start(log, build, needed)
	if err != nil {
		log.Error("function could not start", "err", err)
		os.Exit(1)
	}
	lambda.Start(handler)
}

func start(log *slog.Logger, build func(ctx context.Context, p *Parts) (lambda.Handler, error), needed []string) (lambda.Handler, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	c, err := Read(os.Getenv, needed...)
	if err != nil {
		return nil, fmt.Errorf("read the environment: %w", err)
	}
	amazon, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the configuration of AWS: %w", err)
	}
	return build(ctx, &Parts{Config: c, Log: log, aws: amazon, dynamo: dynamodb.NewFromConfig(amazon)})
}

// ConnectionsTable holds connections, consents, API clients, their tokens, and the trail.
func (p *Parts) ConnectionsTable() table.Table { return p.table(p.Tables.Connections) }

// EventsTable holds messages and the term index.
func (p *Parts) EventsTable() table.Table { return p.table(p.Tables.Events) }

func (p *Parts) table(name string) table.Table { return dynamo.New(p.dynamo, name, dynamo.Options{}) }

// BlobQueue is the queue of blobs to be read.
func (p *Parts) BlobQueue() queue.Queue { return p.queue(p.Config.BlobQueue) }

// MessageQueue is the queue of messages to be enriched.
func (p *Parts) MessageQueue() queue.Queue { return p.queue(p.Messages) }

// queue is the queue with that URL. What is sent to it bears the trace of the work that sends it.
func (p *Parts) queue(url string) queue.Queue {
	q := sqs.New(awssqs.NewFromConfig(p.aws), url)
	q.Trace = trigger.Trace
	return q
}

// Registry is the registry of connections.
func (p *Parts) Registry() *connection.Registry {
	return &connection.Registry{Table: p.ConnectionsTable(), Now: time.Now, Rand: rand.Reader, Changed: connection.LogChanges(p.Log)}
}

// Ledger is the ledger of blobs.
func (p *Parts) Ledger() *audit.Ledger {
	return &audit.Ledger{Table: p.table(p.Tables.Blobs), Now: time.Now}
}

// Roster is the people of every connection.
func (p *Parts) Roster() *people.Roster {
	return &people.Roster{Table: p.table(p.Tables.People), Now: time.Now, Rand: rand.Reader}
}

// Clients are the API clients.
func (p *Parts) Clients() *access.Clients {
	return &access.Clients{Table: p.ConnectionsTable(), Now: time.Now, Rand: rand.Reader}
}

// Tokens are the API clients' tokens.
func (p *Parts) Tokens() *access.Tokens {
	return &access.Tokens{Table: p.ConnectionsTable(), Now: time.Now, Rand: rand.Reader}
}

// Trail is the trail of searches and administrative acts.
func (p *Parts) Trail() *access.Trail {
	return &access.Trail{Table: p.ConnectionsTable(), Now: time.Now, Rand: rand.Reader}
}

// Guard stands before every route.
func (p *Parts) Guard() *access.Guard { return &access.Guard{Tokens: p.Tokens(), Log: p.Log} }

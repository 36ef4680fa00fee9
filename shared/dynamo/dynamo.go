// Package dynamo is table.Table on Amazon DynamoDB. An item is stored under the partition key "pk" and the sort key
// "sk", its attributes as DynamoDB's own, its revision in "rev", and the second at which it expires in "ttl", which
// is also the table's TTL attribute. DynamoDB may delete expired items days late, so this package ignores them on every
// read and in every condition.
package dynamo

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"github.com/mailtrail/mailtrail/shared/table"
)

// API is what a Table uses of *dynamodb.Client.
type API interface {
	GetItem(context.Context, *dynamodb.GetItemInput, ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error)
	BatchGetItem(context.Context, *dynamodb.BatchGetItemInput, ...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput,
		error)
	Query(context.Context, *dynamodb.QueryInput, ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error)
	PutItem(context.Context, *dynamodb.PutItemInput, ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error)
	DeleteItem(context.Context, *dynamodb.DeleteItemInput, ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error)
	BatchWriteItem(context.Context, *dynamodb.BatchWriteItemInput,
		...func(*dynamodb.Options)) (*dynamodb.BatchWriteItemOutput, error)
	TransactWriteItems(context.Context, *dynamodb.TransactWriteItemsInput,
		...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error)
}

var _ API = (*dynamodb.Client)(nil)

// Options are what a Table takes from outside; the zero value is for production.
type Options struct {
	Now func() time.Time // decides what has expired; nil is time.Now
	// Rand gives revisions, the tokens of transactions and the jitter of waits. It need not be safe for concurrent use,
	// and must never repeat itself, not even in another process; nil is crypto/rand.
	Rand io.Reader
}

// Table is a table.Table in one DynamoDB table.
type Table struct {
	client API
	name   string
	now    func() time.Time
	meter  meter

	mu   sync.Mutex // of rand
	rand io.Reader
}

var _ table.Table = (*Table)(nil)

// New returns the table of that name, which must exist, with the key schema of the package. Only the Table retries: it
// turns the client's own retries off in every call, because only it knows whether a failed write may have happened.
func New(client API, name string, o Options) *Table {
	t := &Table{client: client, name: name, now: o.Now, rand: o.Rand}
	if t.now == nil {
		t.now = time.Now
	}
	if t.rand == nil {
		t.rand = rand.Reader
	}
	return t
}

// Units returns what this Table's calls have cost since New, as DynamoDB reports it. DynamoDB reports no cost for
// failed conditions; Units computes it by DynamoDB's published formula.
func (t *Table) Units() table.Units { return t.meter.total() }

// once turns the client's own retries off.
func once(o *dynamodb.Options) { o.Retryer = aws.NopRetryer{} }

// failed says what was tried. It returns ErrInvalid if DynamoDB called the request invalid.
func (t *Table) failed(verb string, err error) error {
	var api smithy.APIError
	if errors.As(err, &api) && api.ErrorCode() == "ValidationException" || cancelledFor(err, "ValidationError") >= 0 {
		err = fmt.Errorf("%w: %w", table.ErrInvalid, err)
	}
	return fmt.Errorf("%s table %s: %w", verb, t.name, err)
}

func absent(key table.Key) error {
	return fmt.Errorf("%w: %q %q", table.ErrAbsent, key.Partition, key.Sort)
}

func conflict(key table.Key) error {
	return fmt.Errorf("%w: %q %q", table.ErrConflict, key.Partition, key.Sort)
}

// random fills b.
func (t *Table) random(b []byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, err := io.ReadFull(t.rand, b)
	return err
}

// revision returns a new revision. It is random, so that it does not recur when an item is deleted and created again,
// and so that a writer recognizes its own item.
func (t *Table) revision() (int64, error) {
	var b [8]byte
	if err := t.random(b[:]); err != nil {
		return 0, fmt.Errorf("choose a revision: %w", err)
	}
	return max(1, int64(binary.BigEndian.Uint64(b[:])>>1)), nil
}

// token returns a new ClientRequestToken.
func (t *Table) token() (string, error) {
	var b [16]byte
	if err := t.random(b[:]); err != nil {
		return "", fmt.Errorf("choose a token: %w", err)
	}
	return hex.EncodeToString(b[:]), nil
}

// attributes is an item in DynamoDB's form.
type attributes = map[string]types.AttributeValue

package dynamo

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/pace"
	"github.com/mailtrail/mailtrail/shared/table"
)

const (
	batchKeys = 100 // keys of one BatchGetItem: DynamoDB's limit
	batches   = 8   // batches at once, of reads and of writes
)

// Get implements table.Table.
func (t *Table) Get(ctx context.Context, key table.Key) (table.Item, error) {
	if err := key.Valid(); err != nil {
		return table.Item{}, err
	}
	var out *dynamodb.GetItemOutput
	_, err := t.try(ctx, func(ctx context.Context) (err error) {
		out, err = t.client.GetItem(ctx, &dynamodb.GetItemInput{
			TableName:              &t.name,
			Key:                    encodeKey(key),
			ConsistentRead:         aws.Bool(true),
			ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
		}, once)
		return err
	})
	if err != nil {
		return table.Item{}, t.failed("get from", err)
	}
	t.meter.read(1, told(out.ConsumedCapacity)...)
	if len(out.Item) == 0 {
		return table.Item{}, t.failed("get from", absent(key))
	}
	item, err := decodeItem(out.Item)
	if err == nil && t.expired(item) {
		err = absent(key)
	}
	if err != nil {
		return table.Item{}, t.failed("get from", err)
	}
	return item, nil
}

func (t *Table) expired(item table.Item) bool {
	return !item.Expires.IsZero() && item.Expires.Unix() <= t.now().Unix()
}

// alive decodes the items that have not expired.
func (t *Table) alive(raw []attributes) ([]table.Item, error) {
	items := make([]table.Item, 0, len(raw))
	for _, in := range raw {
		item, err := decodeItem(in)
		if err != nil {
			return nil, err
		}
		if !t.expired(item) {
			items = append(items, item)
		}
	}
	return items, nil
}

// GetMany implements table.Table. It asks for 100 keys in a call, in up to 8 calls at once.
func (t *Table) GetMany(ctx context.Context, keys []table.Key) ([]table.Item, error) {
	seen := make(map[table.Key]bool, len(keys))
	for _, key := range keys {
		if err := key.Valid(); err != nil {
			return nil, err
		}
		seen[key] = true // DynamoDB refuses a call that names a key twice
	}
	chunks := slices.Collect(slices.Chunk(slices.Collect(maps.Keys(seen)), batchKeys))
	found := make([][]table.Item, len(chunks))
	err := pace.Each(ctx, len(chunks), batches, func(ctx context.Context, i int) (err error) {
		found[i], err = t.getChunk(ctx, chunks[i])
		return err
	})
	if err != nil {
		return nil, t.failed("get from", err)
	}
	return slices.Concat(found...), nil
}

// getChunk asks again for the keys that DynamoDB left unprocessed, because of throttling or the 16 MB limit of an
// answer.
func (t *Table) getChunk(ctx context.Context, keys []table.Key) (items []table.Item, err error) {
	pending := make([]attributes, len(keys))
	for i, key := range keys {
		pending[i] = encodeKey(key)
	}
	return items, t.drain(ctx, len(pending), func(ctx context.Context) (left int, err error) {
		out, err := t.client.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{
			RequestItems:           map[string]types.KeysAndAttributes{t.name: {Keys: pending, ConsistentRead: aws.Bool(true)}},
			ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
		}, once)
		if err != nil {
			return 0, err
		}
		some, err := t.alive(out.Responses[t.name])
		if err != nil {
			return 0, err
		}
		items = append(items, some...)
		left = len(out.UnprocessedKeys[t.name].Keys)
		t.meter.read(len(pending)-left, out.ConsumedCapacity...)
		pending = out.UnprocessedKeys[t.name].Keys
		return left, nil
	})
}

// drain repeats a batch call until nothing is left, and waits longer after each call. It gives up with a fault.Retry
// when as many calls in a row as there are attempts have processed nothing.
func (t *Table) drain(ctx context.Context, size int, call func(context.Context) (left int, err error)) error {
	for vain := 0; ; {
		left := 0
		_, err := t.try(ctx, func(ctx context.Context) (err error) {
			left, err = call(ctx)
			return err
		})
		if err != nil || left == 0 {
			return err
		}
		if vain++; left < size {
			vain = 1
		}
		if vain == attempts {
			return fmt.Errorf("%w: %d of a batch were left unprocessed by %d attempts", fault.Retry, left, vain)
		}
		size = left
		if err := t.pause(ctx, vain); err != nil {
			return err
		}
	}
}

// errStop ends a query when its consumer stops.
var errStop = errors.New("stop")

// Query implements table.Table. A page holds up to 1 MB, and is fetched when the page before it is consumed.
func (t *Table) Query(ctx context.Context, q table.Query) iter.Seq2[table.Item, error] {
	return func(yield func(table.Item, error) bool) {
		err := q.Valid()
		if err == nil {
			err = t.query(ctx, q, func(item table.Item) bool { return yield(item, nil) })
		}
		if err != nil && !errors.Is(err, errStop) {
			yield(table.Item{}, err)
		}
	}
}

func (t *Table) query(ctx context.Context, q table.Query, yield func(table.Item) bool) error {
	if q.To != "" && q.From >= q.To {
		return nil // DynamoDB refuses such bounds
	}
	input := t.queryInput(q)
	for left := q.Limit; ; {
		if q.Limit > 0 {
			input.Limit = aws.Int32(int32(min(left, maxPage)))
		}
		items, more, err := t.page(ctx, input)
		if err != nil {
			return t.failed("query", err)
		}
		for _, item := range items {
			if item.Sort == q.To {
				continue // DynamoDB's BETWEEN includes its end
			}
			if !yield(item) {
				return errStop
			}
			if left--; left == 0 {
				return nil
			}
		}
		if len(more) == 0 {
			return nil
		}
		input.ExclusiveStartKey = more
	}
}

// maxPage bounds the Limit of one call; DynamoDB bounds the answer to 1 MB anyway.
const maxPage = 1 << 20

func (t *Table) queryInput(q table.Query) *dynamodb.QueryInput {
	condition, values := "pk = :pk", attributes{":pk": text(q.Partition)}
	switch {
	case q.From != "" && q.To != "":
		condition += " AND sk BETWEEN :from AND :to"
	case q.From != "":
		condition += " AND sk >= :from"
	case q.To != "":
		condition += " AND sk < :to"
	}
	if q.From != "" {
		values[":from"] = text(q.From)
	}
	if q.To != "" {
		values[":to"] = text(q.To)
	}
	return &dynamodb.QueryInput{
		TableName:                 &t.name,
		KeyConditionExpression:    &condition,
		ExpressionAttributeValues: values,
		ScanIndexForward:          aws.Bool(!q.Backward),
		ConsistentRead:            aws.Bool(!q.Eventual),
		ReturnConsumedCapacity:    types.ReturnConsumedCapacityTotal,
	}
}

// page fetches one page, and returns where the next one begins.
func (t *Table) page(ctx context.Context, input *dynamodb.QueryInput) (items []table.Item, more attributes, err error) {
	var out *dynamodb.QueryOutput
	_, err = t.try(ctx, func(ctx context.Context) (err error) {
		out, err = t.client.Query(ctx, input, once)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	t.meter.read(1, told(out.ConsumedCapacity)...)
	items, err = t.alive(out.Items)
	return items, out.LastEvaluatedKey, err
}

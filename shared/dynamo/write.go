package dynamo

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/pace"
	"github.com/mailtrail/mailtrail/shared/table"
)

const (
	batchItems = 25 // items of one BatchWriteItem: DynamoDB's limit
	creations  = 32 // PutItems at once
)

// Load implements table.Table. It writes 25 items in a call, in up to 8 calls at once, in no order.
func (t *Table) Load(ctx context.Context, items ...table.Item) error {
	last := make(map[table.Key]int, len(items)) // DynamoDB refuses a call that names a key twice
	for i, item := range items {
		item.Revision = 0
		if err := item.Valid(); err != nil {
			return err
		}
		last[item.Key] = i
	}
	kept := make([]table.Item, 0, len(last))
	for i, item := range items {
		if last[item.Key] == i {
			item.Revision = 0
			kept = append(kept, item)
		}
	}
	chunks := slices.Collect(slices.Chunk(kept, batchItems))
	err := pace.Each(ctx, len(chunks), batches,
		func(ctx context.Context, i int) error { return t.loadChunk(ctx, chunks[i]) })
	if err != nil {
		return t.failed("load", err)
	}
	return nil
}

// loadChunk puts items again that DynamoDB left unprocessed because of throttling.
func (t *Table) loadChunk(ctx context.Context, items []table.Item) error {
	pending := make([]types.WriteRequest, len(items))
	for i, item := range items {
		pending[i].PutRequest = &types.PutRequest{Item: encodeItem(item)}
	}
	return t.drain(ctx, len(pending), func(ctx context.Context) (left int, err error) {
		out, err := t.client.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{
			RequestItems:           map[string][]types.WriteRequest{t.name: pending},
			ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
		}, once)
		if err != nil {
			return 0, err
		}
		left = len(out.UnprocessedItems[t.name])
		t.meter.write(len(pending)-left, out.ConsumedCapacity...)
		pending = out.UnprocessedItems[t.name]
		return left, nil
	})
}

// Create implements table.Table. It makes one call for each item, up to 32 of them at once.
func (t *Table) Create(ctx context.Context, items ...table.Item) ([]bool, error) {
	first := make(map[table.Key]bool, len(items))
	var mine []int
	for i, item := range items {
		if err := table.ValidCreate(item); err != nil {
			return nil, err
		}
		if !first[item.Key] {
			first[item.Key] = true
			mine = append(mine, i)
		}
	}
	created := make([]bool, len(items))
	err := pace.Each(ctx, len(mine), creations, func(ctx context.Context, n int) error {
		i := mine[n]
		err := t.put(ctx, table.Op{Verb: table.Create, Item: items[i]})
		created[i] = err == nil
		if errors.Is(err, table.ErrConflict) {
			return nil
		}
		return err
	})
	if err != nil {
		return nil, t.failed("create in", err)
	}
	return created, nil
}

// put does a Put, Create or Replace with a PutItem, which costs half as much as a transaction. A PutItem has no token,
// but when its condition fails, DynamoDB returns the existing item. If that has the revision which this call chose, an
// earlier attempt of this call wrote it, and its answer was lost. If it has another revision, and an answer was lost,
// this call may or may not have written, because another writer may have replaced its item since; that is a
// fault.Retry, not an ErrConflict.
func (t *Table) put(ctx context.Context, op table.Op) error {
	condition, item := conditionOf(op, t.now()), op.Item
	if err := t.stamp(&item, op.Verb); err != nil {
		return err
	}
	input := &dynamodb.PutItemInput{
		TableName:                           &t.name,
		Item:                                encodeItem(item),
		ConditionExpression:                 condition.text,
		ExpressionAttributeNames:            condition.names,
		ExpressionAttributeValues:           condition.values,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
		ReturnConsumedCapacity:              types.ReturnConsumedCapacityTotal,
	}
	unsure, err := t.try(ctx, func(ctx context.Context) error {
		out, err := t.client.PutItem(ctx, input, once)
		if err == nil {
			t.meter.write(1, told(out.ConsumedCapacity)...)
		}
		return err
	})
	var refused *types.ConditionalCheckFailedException
	if !errors.As(err, &refused) {
		return err
	}
	size, revision := t.found(refused.Item)
	t.meter.vain.Write(max(size, table.Size(item)))
	switch {
	case revision == item.Revision:
		return nil
	case unsure:
		return fmt.Errorf("%w: an answer was lost, and another writer has %q %q now", fault.Retry, item.Partition, item.Sort)
	}
	return conflict(item.Key)
}

// stamp sets the revision to write item with.
func (t *Table) stamp(item *table.Item, verb table.Verb) (err error) {
	item.Revision = 0
	if verb == table.Create || verb == table.Replace {
		item.Revision, err = t.revision()
	}
	return err
}

// found returns the size and the revision of the item that failed a condition; 0 if there was none.
func (t *Table) found(raw attributes) (size int, revision int64) {
	item, err := decodeItem(raw)
	if err != nil {
		return 0, 0
	}
	return table.Size(item), item.Revision
}

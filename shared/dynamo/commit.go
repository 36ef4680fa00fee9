package dynamo

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/mailtrail/mailtrail/shared/table"
)

// Commit implements table.Table. A single operation is a PutItem or a DeleteItem, which costs half as much, if the
// table can find out after a lost answer whether it was done. Everything else is a transaction, which its token makes
// idempotent. So is a single Delete at a revision, because it leaves no trace to check for.
func (t *Table) Commit(ctx context.Context, ops ...table.Op) error {
	if err := table.ValidCommit(ops); err != nil {
		return err
	}
	if err := t.commit(ctx, ops); err != nil {
		return t.failed("commit to", err)
	}
	return nil
}

func (t *Table) commit(ctx context.Context, ops []table.Op) error {
	if !table.Alone(ops) {
		return t.transact(ctx, ops)
	}
	if op := ops[0]; op.Verb != table.Delete {
		return t.put(ctx, op)
	}
	return t.delete(ctx, ops[0].Item.Key)
}

func (t *Table) delete(ctx context.Context, key table.Key) error {
	_, err := t.try(ctx, func(ctx context.Context) error {
		out, err := t.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
			TableName:              &t.name,
			Key:                    encodeKey(key),
			ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
		}, once)
		if err == nil {
			t.meter.write(1, told(out.ConsumedCapacity)...)
		}
		return err
	})
	return err
}

// transact makes every attempt with the same token: if an attempt of the last 10 minutes succeeded, DynamoDB repeats
// its answer. DynamoDB cancels a transaction while another one holds one of its items. That passes, and says nothing
// about conditions.
func (t *Table) transact(ctx context.Context, ops []table.Op) error {
	token, err := t.token()
	if err != nil {
		return err
	}
	input := &dynamodb.TransactWriteItemsInput{
		ClientRequestToken:     &token,
		TransactItems:          make([]types.TransactWriteItem, len(ops)),
		ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
	}
	sizes := make([]int, len(ops))
	for i, op := range ops {
		if input.TransactItems[i], sizes[i], err = t.transactItem(op); err != nil {
			return err
		}
	}
	_, err = t.try(ctx, func(ctx context.Context) error {
		out, err := t.client.TransactWriteItems(ctx, input, once)
		if err == nil {
			t.meter.write(len(ops), out.ConsumedCapacity...)
		}
		return err
	})
	if i := cancelledFor(err, "ConditionalCheckFailed"); i >= 0 && i < len(ops) {
		t.meter.vain.Commit(sizes...)
		return conflict(ops[i].Item.Key)
	}
	return err
}

// transactItem returns op as part of a transaction, and the size of what it writes.
func (t *Table) transactItem(op table.Op) (types.TransactWriteItem, int, error) {
	c, key := conditionOf(op, t.now()), encodeKey(op.Item.Key)
	switch op.Verb {
	case table.Delete:
		return types.TransactWriteItem{Delete: &types.Delete{
			TableName: &t.name, Key: key,
			ConditionExpression: c.text, ExpressionAttributeNames: c.names, ExpressionAttributeValues: c.values,
		}}, 0, nil
	case table.Check:
		return types.TransactWriteItem{ConditionCheck: &types.ConditionCheck{
			TableName: &t.name, Key: key,
			ConditionExpression: c.text, ExpressionAttributeNames: c.names, ExpressionAttributeValues: c.values,
		}}, 0, nil
	}
	item := op.Item
	err := t.stamp(&item, op.Verb)
	return types.TransactWriteItem{Put: &types.Put{
		TableName: &t.name, Item: encodeItem(item),
		ConditionExpression: c.text, ExpressionAttributeNames: c.names, ExpressionAttributeValues: c.values,
	}}, table.Size(item), err
}

package dynamo

import (
	"time"

	"github.com/mailtrail/mailtrail/shared/table"
)

// condition is a ConditionExpression with its names and values; its zero value is none.
type condition struct {
	text   *string
	names  map[string]string
	values attributes
}

// "ttl" is one of DynamoDB's reserved words, hence the other name.
const (
	whenFree = "attribute_not_exists(pk) OR #expires <= :now"
	whenAt   = "rev = :rev AND (attribute_not_exists(#expires) OR #expires > :now)"
)

// conditionOf returns what op requires of the item under its key. DynamoDB still sees an expired item; our callers do
// not.
func conditionOf(op table.Op, now time.Time) condition {
	at := op.Item.Revision
	switch {
	case op.Verb == table.Create, op.Verb == table.Check && at == 0:
		return newCondition(whenFree, attributes{":now": number(now.Unix())})
	case op.Verb == table.Put, op.Verb == table.Delete && at == 0:
		return condition{}
	}
	return newCondition(whenAt, attributes{":now": number(now.Unix()), ":rev": number(at)})
}

func newCondition(expression string, values attributes) condition {
	return condition{&expression, map[string]string{"#expires": attrExpires}, values}
}

package dynamo

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/mailtrail/mailtrail/shared/table"
)

const (
	attrPartition = "pk"
	attrSort      = "sk"
	attrRevision  = "rev"
	attrExpires   = "ttl"
)

// errItem means that this package did not write an item that it found in the table.
var errItem = errors.New("malformed item in the table")

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func number(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

func encodeKey(key table.Key) attributes {
	return attributes{attrPartition: text(key.Partition), attrSort: text(key.Sort)}
}

// encodeItem encodes a valid item.
func encodeItem(item table.Item) attributes {
	out := encodeAttrs(item.Attrs)
	out[attrPartition], out[attrSort] = text(item.Partition), text(item.Sort)
	if item.Revision != 0 {
		out[attrRevision] = number(item.Revision)
	}
	if !item.Expires.IsZero() {
		out[attrExpires] = number(item.Expires.Unix())
	}
	return out
}

func encodeAttrs(attrs table.Attrs) attributes {
	out := make(attributes, len(attrs)+4)
	for name, value := range attrs {
		if !table.EmptyList(value) {
			out[name] = encodeValue(value)
		}
	}
	return out
}

func encodeValue(value any) types.AttributeValue {
	switch v := value.(type) {
	case string:
		return text(v)
	case []byte:
		return &types.AttributeValueMemberB{Value: v}
	case int64:
		return number(v)
	case bool:
		return &types.AttributeValueMemberBOOL{Value: v}
	case []string:
		list := make([]types.AttributeValue, len(v))
		for i := range v {
			list[i] = text(v[i])
		}
		return &types.AttributeValueMemberL{Value: list}
	case table.Attrs:
		return &types.AttributeValueMemberM{Value: encodeAttrs(v)}
	case []table.Attrs:
		list := make([]types.AttributeValue, len(v))
		for i := range v {
			list[i] = &types.AttributeValueMemberM{Value: encodeAttrs(v[i])}
		}
		return &types.AttributeValueMemberL{Value: list}
	}
	panic(fmt.Sprintf("value of type %T was not refused", value))
}

// decodeItem decodes in, and keeps no reference to it.
func decodeItem(in attributes) (item table.Item, err error) {
	if item.Key, err = decodeKey(in); err != nil {
		return table.Item{}, err
	}
	expires := int64(0)
	for name, value := range in {
		switch name {
		case attrPartition, attrSort:
		case attrRevision:
			item.Revision, err = decodeNumber(value)
		case attrExpires:
			expires, err = decodeNumber(value)
		default:
			if item.Attrs == nil {
				item.Attrs = make(table.Attrs, len(in)-2)
			}
			item.Attrs[name], err = decodeValue(value)
		}
		if err != nil {
			return table.Item{}, fmt.Errorf("%w %q %q: attribute %q: %w", errItem, item.Partition, item.Sort, name, err)
		}
	}
	if expires != 0 {
		item.Expires = time.Unix(expires, 0).UTC()
	}
	return item, nil
}

func decodeKey(in attributes) (table.Key, error) {
	partition, ok := in[attrPartition].(*types.AttributeValueMemberS)
	sort, ok2 := in[attrSort].(*types.AttributeValueMemberS)
	if !ok || !ok2 {
		return table.Key{}, fmt.Errorf("%w: its key is not two strings", errItem)
	}
	return table.Key{Partition: partition.Value, Sort: sort.Value}, nil
}

func decodeNumber(value types.AttributeValue) (int64, error) {
	n, ok := value.(*types.AttributeValueMemberN)
	if !ok {
		return 0, fmt.Errorf("%T is no number", value)
	}
	return strconv.ParseInt(n.Value, 10, 64)
}

func decodeAttrs(in attributes) (table.Attrs, error) {
	attrs := make(table.Attrs, len(in))
	for name, value := range in {
		v, err := decodeValue(value)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", name, err)
		}
		attrs[name] = v
	}
	return attrs, nil
}

func decodeValue(value types.AttributeValue) (any, error) {
	switch v := value.(type) {
	case *types.AttributeValueMemberS:
		return v.Value, nil
	case *types.AttributeValueMemberB:
		return v.Value, nil
	case *types.AttributeValueMemberN:
		return decodeNumber(v)
	case *types.AttributeValueMemberBOOL:
		return v.Value, nil
	case *types.AttributeValueMemberM:
		return decodeAttrs(v.Value)
	case *types.AttributeValueMemberL:
		return decodeList(v.Value)
	}
	return nil, fmt.Errorf("a value of type %T", value)
}

// decodeList returns a []string or a []Attrs, as its first element says. Nothing here stores an empty list; it is read
// as no strings.
func decodeList(list []types.AttributeValue) (any, error) {
	if len(list) > 0 {
		if _, ok := list[0].(*types.AttributeValueMemberM); ok {
			return decodeMaps(list)
		}
	}
	out := make([]string, len(list))
	for i := range list {
		s, ok := list[i].(*types.AttributeValueMemberS)
		if !ok {
			return nil, fmt.Errorf("element %d is a %T, not a string", i, list[i])
		}
		out[i] = s.Value
	}
	return out, nil
}

func decodeMaps(list []types.AttributeValue) (any, error) {
	out := make([]table.Attrs, len(list))
	for i := range list {
		m, ok := list[i].(*types.AttributeValueMemberM)
		if !ok {
			return nil, fmt.Errorf("element %d is a %T, not a map", i, list[i])
		}
		attrs, err := decodeAttrs(m.Value)
		if err != nil {
			return nil, err
		}
		out[i] = attrs
	}
	return out, nil
}

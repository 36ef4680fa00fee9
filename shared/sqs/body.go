package sqs

import (
	"encoding/base64"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

const (
	attrEncoding   = "encoding"
	encodingBase64 = "base64"
	attrTrace      = "trace"
	maxTrace       = 128 // bytes
)

// encode returns a message's body and attributes.
func encode(body []byte, trace string) (string, map[string]types.MessageAttributeValue) {
	text, attributes := encodeBody(body)
	if trace == "" || len(trace) > maxTrace || !isText([]byte(trace)) {
		return text, attributes // a trace only helps to read logs: sending without it is better than not sending
	}
	if attributes == nil {
		attributes = map[string]types.MessageAttributeValue{}
	}
	attributes[attrTrace] = types.MessageAttributeValue{DataType: aws.String("String"), StringValue: &trace}
	return text, attributes
}

// encodeBody turns a body into one that SQS accepts.
func encodeBody(body []byte) (string, map[string]types.MessageAttributeValue) {
	if isText(body) {
		return string(body), nil
	}
	return base64.StdEncoding.EncodeToString(body), map[string]types.MessageAttributeValue{
		attrEncoding: {DataType: aws.String("String"), StringValue: aws.String(encodingBase64)},
	}
}

// isText reports whether SQS accepts the body: it consists of the characters of XML 1.0, "#x9 | #xA | #xD | #x20 to
// #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF" (SendMessage).
func isText(body []byte) bool {
	if !utf8.Valid(body) {
		return false
	}
	for _, r := range string(body) {
		if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xfffe || r == 0xffff {
			return false
		}
	}
	return true
}

// decodeBody is the inverse of encodeBody. A body that is not the base64 it claims to be was not sent by us, and is
// returned as it is.
func decodeBody(body string, attributes map[string]types.MessageAttributeValue) []byte {
	if aws.ToString(attributes[attrEncoding].StringValue) == encodingBase64 {
		if raw, err := base64.StdEncoding.DecodeString(body); err == nil {
			return raw
		}
	}
	return []byte(body)
}

// size is how much a message counts against the limit of a batch: its body, and names, types and values of its
// attributes.
func size(body string, attributes map[string]types.MessageAttributeValue) int {
	n := len(body)
	for name, value := range attributes {
		n += len(name) + len(aws.ToString(value.DataType)) + len(aws.ToString(value.StringValue))
	}
	return n
}

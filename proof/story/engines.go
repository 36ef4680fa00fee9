package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamotypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// cloud is the engines, in the place that AWS has when the template is deployed.
type cloud struct {
	dynamo *dynamodb.Client
	sqs    *sqs.Client
}

// deploy creates the template's tables and queues, named after the stack, and adds the values of references to them to
// known.
func (c cloud) deploy(ctx context.Context, t *template, stack string, known values) error {
	for _, id := range t.named(typeTable) {
		name := stack + "-" + id
		if err := c.createTable(ctx, name, t.Resources[id].Properties); err != nil {
			return fmt.Errorf("create table %s: %w", id, err)
		}
		known[id] = name
		known[id+".Arn"] = "arn:aws:dynamodb:eu-central-1:000000000000:table/" + name
	}
	// A queue is created after its queue of dead letters.
	for left := t.named(typeQueue); len(left) > 0; {
		i := slices.IndexFunc(left, func(id string) bool {
			target := reference(at(t.Resources[id].Properties, "RedrivePolicy", "deadLetterTargetArn"))
			return target == "" || known[target] != ""
		})
		if i < 0 {
			return fmt.Errorf("queues %v are each other's dead letters", left)
		}
		if err := c.createQueue(ctx, stack, left[i], t.Resources[left[i]].Properties, known); err != nil {
			return fmt.Errorf("create queue %s: %w", left[i], err)
		}
		left = slices.Delete(left, i, i+1)
	}
	return nil
}

func (c cloud) createTable(ctx context.Context, name string, properties map[string]any) error {
	// The names of the template's properties and of the API's fields are the same.
	var in dynamodb.CreateTableInput
	if err := convert(properties, &in); err != nil {
		return err
	}
	in.TableName, in.SSESpecification = &name, nil
	in.DeletionProtectionEnabled = nil // the story cleans up after itself
	if _, err := c.dynamo.CreateTable(ctx, &in); err != nil {
		return err
	}
	waiter := dynamodb.NewTableExistsWaiter(c.dynamo,
		func(o *dynamodb.TableExistsWaiterOptions) { o.MinDelay = 50 * time.Millisecond })
	if err := waiter.Wait(ctx, &dynamodb.DescribeTableInput{TableName: &name}, time.Minute); err != nil {
		return err
	}
	var ttl dynamotypes.TimeToLiveSpecification
	if err := convert(properties["TimeToLiveSpecification"], &ttl); err != nil {
		return err
	}
	_, err := c.dynamo.UpdateTimeToLive(ctx, &dynamodb.UpdateTimeToLiveInput{TableName: &name,
		TimeToLiveSpecification: &ttl})
	return err
}

func (c cloud) createQueue(ctx context.Context, stack, id string, properties map[string]any, known values) error {
	attributes := map[string]string{}
	for name, value := range properties {
		switch name {
		case "SqsManagedSseEnabled": // engines encrypt nothing
		case "RedrivePolicy":
			arn, err := known.resolve(at(value, "deadLetterTargetArn"))
			if err != nil {
				return err
			}
			receives, err := known.resolve(at(value, "maxReceiveCount"))
			if err != nil {
				return err
			}
			attributes[name] = fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":%s}`, arn, receives)
		default:
			text, err := known.resolve(value)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			attributes[name] = text
		}
	}
	name := stack + "-" + id
	made, err := c.sqs.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: &name, Attributes: attributes})
	if err != nil {
		return fmt.Errorf("with %v: %w", attributes, err)
	}
	got, err := c.sqs.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
		QueueUrl: made.QueueUrl, AttributeNames: []sqstypes.QueueAttributeName{sqstypes.QueueAttributeNameAll},
	})
	if err != nil {
		return err
	}
	for attribute, want := range attributes {
		// An engine does not report what it does not support: ElasticMQ keeps messages for ever.
		if have, ok := got.Attributes[attribute]; ok && have != want && attribute != "RedrivePolicy" {
			return fmt.Errorf("the engine keeps %s as %q, and not %q", attribute, have, want)
		}
	}
	known[id], known[id+".Arn"], known[id+".QueueName"] = aws.ToString(made.QueueUrl), got.Attributes["QueueArn"], name
	return nil
}

// destroy deletes what deploy created.
func (c cloud) destroy(ctx context.Context, t *template, known values) error {
	for _, id := range t.named(typeTable) {
		if name := known[id]; name != "" {
			if _, err := c.dynamo.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: &name}); err != nil {
				return fmt.Errorf("delete table %s: %w", id, err)
			}
		}
	}
	for _, id := range t.named(typeQueue) {
		if url := known[id]; url != "" {
			if _, err := c.sqs.DeleteQueue(ctx, &sqs.DeleteQueueInput{QueueUrl: &url}); err != nil {
				return fmt.Errorf("delete queue %s: %w", id, err)
			}
		}
	}
	return nil
}

// convert fills the fields of a struct by their names.
func convert(from, into any) error {
	raw, err := json.Marshal(from)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, into)
}

// engineNames maps the engines' names to the template's.
func engineNames(t *template, known values) values {
	names := values{known["CredentialArn"]: "CredentialArn"}
	for _, id := range slices.Concat(t.named(typeTable), t.named(typeQueue)) {
		names[known[id]] = id
	}
	return names
}

// environment returns the variables that the template sets for a function.
func environment(t *template, function string, known values) (map[string]string, error) {
	variables, _ := at(t.Resources[function].Properties, "Environment", "Variables").(map[string]any)
	env := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		value, err := known.resolve(variables[name])
		if err != nil {
			return nil, fmt.Errorf("variable %s of %s: %w", name, function, err)
		}
		env[name] = value
	}
	return env, nil
}

// source returns the folder of a function's code, for example functions/ingest.
func source(t *template, function string) (string, error) {
	uri, err := text(t.Resources[function].Properties["CodeUri"])
	return strings.TrimSuffix(uri, "/"), err
}

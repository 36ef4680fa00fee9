//go:build engines

package dynamo_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"iter"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/mailtrail/mailtrail/shared/dynamo"
	"github.com/mailtrail/mailtrail/shared/table"
	"github.com/mailtrail/mailtrail/shared/table/tabletest"
)

// engine returns a client of the engine under AWS_ENDPOINT_URL_DYNAMODB, which may be DynamoDB itself.
func engine(t *testing.T) *dynamodb.Client {
	t.Helper()
	if os.Getenv("AWS_ENDPOINT_URL_DYNAMODB") == "" {
		t.Fatal("AWS_ENDPOINT_URL_DYNAMODB is not set: run these tests with `make check-aws`")
	}
	cfg, err := config.LoadDefaultConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return dynamodb.NewFromConfig(cfg)
}

// createTable creates a table as the template does, and deletes it when the test ends.
func createTable(t *testing.T, client *dynamodb.Client) string {
	t.Helper()
	name := "mailtrail-test-" + strings.ToLower(rand.Text())
	_, err := client.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName:   &name,
		BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: new("pk"), AttributeType: types.ScalarAttributeTypeS},
			{AttributeName: new("sk"), AttributeType: types.ScalarAttributeTypeS},
		},
		KeySchema: []types.KeySchemaElement{
			{AttributeName: new("pk"), KeyType: types.KeyTypeHash},
			{AttributeName: new("sk"), KeyType: types.KeyTypeRange},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := client.DeleteTable(context.Background(), &dynamodb.DeleteTableInput{TableName: &name}); err != nil {
			t.Errorf("delete the test's table: %v", err)
		}
	})
	waiter := dynamodb.NewTableExistsWaiter(client)
	if err := waiter.Wait(t.Context(), &dynamodb.DescribeTableInput{TableName: &name}, time.Minute); err != nil {
		t.Fatal(err)
	}
	_, err = client.UpdateTimeToLive(t.Context(), &dynamodb.UpdateTimeToLiveInput{
		TableName:               &name,
		TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: new("ttl"), Enabled: new(true)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func TestTableKeepsTheContract(t *testing.T) {
	client := engine(t)
	tabletest.Run(t, tabletest.Options{}, func(t *testing.T) table.Table {
		return dynamo.New(client, createTable(t, client), dynamo.Options{})
	})
}

// TestUnitsAreAsMetered compares the costs that the engine reports with the formula that all other adapters use.
func TestUnitsAreAsMetered(t *testing.T) {
	client := engine(t)
	tab := dynamo.New(client, createTable(t, client), dynamo.Options{})
	ctx := t.Context()
	var meter table.Meter
	for i, bytes := range []int{10, 900, 1500, 4000, 5000, 20_000} {
		it := table.Item{
			Key: table.Key{Partition: "p", Sort: fmt.Sprint(i)},
			Attrs: table.Attrs{"fill": strings.Repeat("x", bytes), "n": int64(-27), "yes": true, "list": []string{"a", "b"},
				"map": table.Attrs{"k": "v"}},
		}
		size := table.Size(it)
		created := it
		created.Revision = math.MaxInt64 // as long as most
		check := table.Op{Verb: table.Check, Item: table.Item{Key: table.Key{Partition: "p", Sort: "free"}}}
		steps := []struct {
			name  string
			do    func() error
			count func()
		}{
			{"load", func() error { return tab.Load(ctx, it) }, func() { meter.Write(size) }},
			{"put", func() error { return tab.Commit(ctx, table.Op{Verb: table.Put, Item: it}) }, func() { meter.Write(size) }},
			{"put with a check", func() error { return tab.Commit(ctx, table.Op{Verb: table.Put, Item: it}, check) },
				func() { meter.Commit(size, 0) }},
			{"create in vain", func() error { _, err := tab.Create(ctx, it); return err },
				func() { meter.Write(table.Size(created)) }},
			{"get", func() error { _, err := tab.Get(ctx, it.Key); return err }, func() { meter.Get(size) }},
			{"get many", func() error { _, err := tab.GetMany(ctx, []table.Key{it.Key}); return err },
				func() { meter.Get(size) }},
			{"query", func() error { return all(tab.Query(ctx, table.Query{Partition: "p"})) },
				func() { meter.Page(size, false) }},
			{"eventual query", func() error { return all(tab.Query(ctx, table.Query{Partition: "p", Eventual: true})) },
				func() { meter.Page(size, true) }},
			{"delete", func() error { return tab.Commit(ctx, table.Op{Verb: table.Delete, Item: it}) },
				func() { meter.Write(size) }},
		}
		for _, step := range steps {
			told, counted := tab.Units(), meter.Units()
			if err := step.do(); err != nil {
				t.Fatalf("%s: %v", step.name, err)
			}
			step.count()
			if got, want := tab.Units().Sub(told), meter.Units().Sub(counted); got != want {
				t.Errorf("%s of %d bytes cost %+v, by the formula %+v", step.name, size, got, want)
			}
		}
	}
}

func all(items iter.Seq2[table.Item, error]) error {
	for _, err := range items {
		if err != nil {
			return err
		}
	}
	return nil
}

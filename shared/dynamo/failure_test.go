package dynamo_test

import (
	"context"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/dynamo"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/table"
)

func item(sort string) table.Item {
	return table.Item{Key: table.Key{Partition: "p", Sort: sort}, Attrs: table.Attrs{"text": "x"}}
}

func at(it table.Item, revision int64) table.Item {
	it.Revision = revision
	return it
}

func commit(ops ...table.Op) func(context.Context, *dynamo.Table) error {
	return func(ctx context.Context, tab *dynamo.Table) error { return tab.Commit(ctx, ops...) }
}

func load(n int) func(context.Context, *dynamo.Table) error {
	return func(ctx context.Context, tab *dynamo.Table) error {
		var items []table.Item
		for i := range n {
			items = append(items, item(string(rune('a'+i))))
		}
		return tab.Load(ctx, items...)
	}
}

// put is what load puts, as DynamoDB leaves it unprocessed.
func put(sort string) string {
	return `{"PutRequest":{"Item":{"pk":{"S":"p"},"sk":{"S":"` + sort + `"},"text":{"S":"x"}}}}`
}

func get(ctx context.Context, tab *dynamo.Table) error {
	_, err := tab.Get(ctx, table.Key{Partition: "p", Sort: "s"})
	return err
}

// TestFailures goes through the answers that DynamoDB documents ("Error handling with DynamoDB", TransactWriteItems,
// PutItem), and through answers that never come. Each ends in the sentinel given here, and in no other.
func TestFailures(t *testing.T) {
	create := commit(table.Op{Verb: table.Create, Item: item("s")})
	replace := commit(table.Op{Verb: table.Replace, Item: at(item("s"), 7)})
	both := commit(table.Op{Verb: table.Create, Item: item("a")}, table.Op{Verb: table.Check, Item: at(item("b"), 7)})
	const foreign = `{"pk":{"S":"p"},"sk":{"S":"s"},"rev":{"N":"8"}}`
	var (
		done      = ok(`{}`)
		throttled = refusal(400, "ThrottlingException", "")
		broken    = refusal(500, "InternalServerError", "")
		lost      = answer{lost: io.ErrUnexpectedEOF}
		fine      error
		other     = errors.New("none of the sentinels")
	)
	tests := []struct {
		name    string
		do      func(context.Context, *dynamo.Table) error
		answers []answer
		want    error
		calls   int
	}{
		{"throttled once", create, []answer{throttled, done}, fine, 2},
		{"throughput exceeded once", create, []answer{refusal(400, "ProvisionedThroughputExceededException", ""), done},
			fine, 2},
		{"request limit exceeded once", create, []answer{refusal(400, "RequestLimitExceeded", ""), done}, fine, 2},
		{"throttled for long", create, []answer{throttled}, fault.Retry, 9},
		{"broken once", get, []answer{broken, ok(`{"Item":` + foreign + `}`)}, fine, 2},
		{"unavailable once", get, []answer{refusal(503, "ServiceUnavailable", ""), ok(`{"Item":` + foreign + `}`)}, fine, 2},
		{"broken for long", get, []answer{broken}, fault.Retry, 9},
		{"no answer once", get, []answer{{never: true}, ok(`{"Item":` + foreign + `}`)}, fine, 2},
		{"no such table", create, []answer{refusal(400, "ResourceNotFoundException", "")}, other, 1},
		{"not allowed", create, []answer{refusal(400, "AccessDeniedException", "")}, other, 1},
		{"invalid", create, []answer{refusal(400, "ValidationException", "")}, table.ErrInvalid, 1},

		{"create what is there", create, []answer{taken(foreign)}, table.ErrConflict, 1},
		{"created, told it failed", create, []answer{lost, {own: true}}, fine, 2},
		{"created, told it broke", create, []answer{broken, {own: true}}, fine, 2},
		{"created, not told", create, []answer{{never: true}, {own: true}}, fine, 2},
		{"not created, told it failed", create, []answer{lost, done}, fine, 2},
		{"throttled, then another was first", create, []answer{throttled, taken(foreign)}, table.ErrConflict, 2},
		{"created or not, another has it", create, []answer{lost, throttled, taken(foreign)}, fault.Retry, 3},
		{"replace another revision", replace, []answer{taken(foreign)}, table.ErrConflict, 1},
		{"replaced, told it failed", replace, []answer{lost, {own: true}}, fine, 2},
		{"replaced or not, another has it", replace, []answer{broken, taken(foreign)}, fault.Retry, 2},
		{"another transaction has the item", create, []answer{refusal(400, "TransactionConflictException", ""), done}, fine,
			2},

		{"transaction whose condition failed", both, []answer{cancelled("None", "ConditionalCheckFailed")},
			table.ErrConflict, 1},
		{"condition failed and contended", both, []answer{cancelled("TransactionConflict", "ConditionalCheckFailed")},
			table.ErrConflict, 1},
		{"contended twice", both, []answer{cancelled("TransactionConflict", "None"),
			cancelled("None", "TransactionConflict"), done}, fine, 3},
		{"contended for long", both, []answer{cancelled("TransactionConflict", "None")}, fault.Retry, 9},
		{"transaction throttled", both, []answer{cancelled("ThrottlingError", "None"),
			cancelled("ProvisionedThroughputExceeded", "None"), done}, fine, 3},
		{"transaction invalid", both, []answer{cancelled("TransactionConflict", "ValidationError")}, table.ErrInvalid, 1},
		{"transaction too large for an index", both, []answer{cancelled("ItemCollectionSizeLimitExceeded", "None")}, other,
			1},
		{"transaction in progress", both, []answer{lost, refusal(400, "TransactionInProgressException", ""), done}, fine, 3},
		{"transaction, answer lost", both, []answer{lost, done}, fine, 2},

		{"batch throttled", load(3), []answer{throttled, done}, fine, 2},
		{"batch never processed", load(1), []answer{ok(`{"UnprocessedItems":{"events":[` + put("a") + `]}}`)}, fault.Retry,
			9},
	}
	sentinels := []error{fault.Retry, table.ErrConflict, table.ErrInvalid, table.ErrAbsent}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			on(t, test.answers, func(t *testing.T, tab *dynamo.Table, w *wire) {
				err := test.do(t.Context(), tab)
				if (err == nil) != (test.want == nil) {
					t.Errorf("got %v, want %v", err, test.want)
				}
				for _, sentinel := range sentinels {
					if errors.Is(err, sentinel) != (test.want == sentinel) {
						t.Errorf("got %v, want %v", err, test.want)
					}
				}
				if len(w.calls) != test.calls {
					t.Errorf("made %d calls, want %d", len(w.calls), test.calls)
				}
				for _, c := range w.calls[1:] {
					if !reflect.DeepEqual(c, w.calls[0]) { // token and revision too
						t.Errorf("asked again for something else: %v, then %v", w.calls[0], c)
					}
				}
				if last := w.at[len(w.at)-1]; last > time.Minute {
					t.Errorf("the last call was after %s", last)
				}
			})
		})
	}
}

// TestEnded ends the context of a call while the call waits to be retried, and while it waits for an answer.
func TestEnded(t *testing.T) {
	for name, a := range map[string]answer{"throttled": refusal(400, "ThrottlingException", ""),
		"no answer": {never: true}} {
		on(t, []answer{a}, func(t *testing.T, tab *dynamo.Table, w *wire) {
			for do, call := range map[string]func(context.Context, *dynamo.Table) error{"load": load(60), "get": get,
				"create": func(ctx context.Context, tab *dynamo.Table) error {
					_, err := tab.Create(ctx, item("a"), item("b"))
					return err
				}} {
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
				if err := call(ctx, tab); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, fault.Retry) {
					t.Errorf("%s, %s: got %v, want what the context said", name, do, err)
				}
				cancel()
			}
		})
	}
}

// TestCreateTells counts our own items as created, whether or not the answer arrived.
func TestCreateTells(t *testing.T) {
	const foreign = `{"pk":{"S":"p"},"sk":{"S":"s"}}` // loaded: without a revision
	for _, test := range []struct {
		name    string
		answers []answer
		want    bool
	}{
		{"new", []answer{ok(`{}`)}, true},
		{"not new", []answer{taken(foreign)}, false},
		{"new, told it failed", []answer{{lost: io.ErrUnexpectedEOF}, {own: true}}, true},
	} {
		on(t, test.answers, func(t *testing.T, tab *dynamo.Table, _ *wire) {
			created, err := tab.Create(t.Context(), item("s"), item("s"))
			if want := []bool{test.want, false}; err != nil || !slices.Equal(created, want) {
				t.Errorf("%s: got %v, %v, want %v", test.name, created, err, want)
			}
		})
	}
	on(t, []answer{ok(`{}`), refusal(400, "AccessDeniedException", "")}, func(t *testing.T, tab *dynamo.Table, _ *wire) {
		if created, err := tab.Create(t.Context(), item("a"), item("b"), item("c")); err == nil || created != nil {
			t.Errorf("one of three was refused: got %v, %v", created, err)
		}
	})
}

// TestUnprocessed leaves parts of batches unprocessed, as BatchWriteItem and BatchGetItem do when they throttle: only
// those are sent again, and not at once.
func TestUnprocessed(t *testing.T) {
	on(t, []answer{
		ok(`{"UnprocessedItems":{"events":[` + put("b") + `,` + put("c") +
			`]},"ConsumedCapacity":[{"TableName":"events","CapacityUnits":1}]}`),
		ok(`{"UnprocessedItems":{"events":[` + put("c") +
			`]},"ConsumedCapacity":[{"TableName":"events","CapacityUnits":1}]}`),
		ok(`{"UnprocessedItems":{},"ConsumedCapacity":[{"TableName":"events","CapacityUnits":1}]}`),
	}, func(t *testing.T, tab *dynamo.Table, w *wire) {
		if err := load(3)(t.Context(), tab); err != nil {
			t.Fatal(err)
		}
		if got := sortKeys(t, w, "PutRequest"); !slices.Equal(got, []string{"abc", "bc", "c"}) {
			t.Errorf("put %v", got)
		}
		if w.at[1] == 0 || w.at[2] == w.at[1] {
			t.Errorf("calls came at %v: without a wait", w.at)
		}
		if got, want := tab.Units(), (table.Units{Write: 3, Writes: 3}); got != want {
			t.Errorf("used %+v, want %+v", got, want)
		}
	})

	const found = `{"pk":{"S":"p"},"sk":{"S":"a"}}`
	on(t, []answer{
		ok(`{"Responses":{"events":[` + found + `]},"UnprocessedKeys":{"events":{"Keys":[{"pk":{"S":"p"},` +
			`"sk":{"S":"b"}}]}},"ConsumedCapacity":[{"CapacityUnits":1}]}`),
		ok(`{"Responses":{"events":[{"pk":{"S":"p"},"sk":{"S":"b"}}]},"ConsumedCapacity":[{"CapacityUnits":1}]}`),
	}, func(t *testing.T, tab *dynamo.Table, w *wire) {
		a, b := item("a").Key, item("b").Key
		items, err := tab.GetMany(t.Context(), []table.Key{a, b, a})
		if err != nil || len(items) != 2 || len(w.calls) != 2 {
			t.Fatalf("got %v, %v in %d calls", items, err, len(w.calls))
		}
		for _, c := range w.calls {
			if c.body["RequestItems"].(map[string]any)["events"].(map[string]any)["ConsistentRead"] != true {
				t.Errorf("did not ask for a consistent read: %v", c.body)
			}
		}
		if got, want := tab.Units(), (table.Units{Read: 2, Reads: 2}); got != want {
			t.Errorf("used %+v, want %+v", got, want)
		}
	})
}

// sortKeys returns the sort keys of each call's batch, joined.
func sortKeys(t *testing.T, w *wire, kind string) (out []string) {
	t.Helper()
	for _, c := range w.calls {
		var keys []string
		for _, r := range c.body["RequestItems"].(map[string]any)["events"].([]any) {
			it := r.(map[string]any)[kind].(map[string]any)["Item"].(map[string]any)
			keys = append(keys, it["sk"].(map[string]any)["S"].(string))
		}
		out = append(out, strings.Join(keys, ""))
	}
	return out
}

// TestSlowlyProcessed lets a batch through item by item: it takes more calls than attempts, and each makes progress.
func TestSlowlyProcessed(t *testing.T) {
	const n = 15
	var answers []answer
	for i := 1; i <= n; i++ {
		var left []string
		for j := i; j < n; j++ {
			left = append(left, put(string(rune('a'+j))))
		}
		answers = append(answers, ok(`{"UnprocessedItems":{"events":[`+strings.Join(left, ",")+`]}}`))
	}
	on(t, answers, func(t *testing.T, tab *dynamo.Table, w *wire) {
		if err := load(n)(t.Context(), tab); err != nil || len(w.calls) != n {
			t.Errorf("%v after %d calls, want none after %d", err, len(w.calls), n)
		}
	})
}

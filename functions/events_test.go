package functions_test

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	lambdasim "github.com/mailtrail/mailtrail/sim/lambda"
)

// told is the outcome of a golden event with an AWS that denies everything.
type told struct {
	function string
	says     string   // in the answer, or in the error
	fails    bool     // the invocation as a whole
	calls    []string // that the function made of AWS
}

// outcomes lists the outcome of every file in events/.
func outcomes() map[string]told {
	return map[string]told{
		"http-oauth":      {function: "search", says: `"statusCode":503`, calls: []string{"GetItem connections"}},
		"http-oauth-form": {function: "search", says: `temporarily_unavailable`, calls: []string{"GetItem connections"}},
		"http-search":     {function: "search", says: `"statusCode":503`, calls: []string{"GetItem connections"}},
		"http-search-base64": {
			function: "search", says: `"statusCode":503`, calls: []string{"GetItem connections"},
		},
		"http-consent-begin": {function: "consent", says: `"statusCode":503`,
			calls: []string{"GetItem connections"}},
		"http-consent-callback-cookies": {function: "consent", says: `"statusCode":503`,
			calls: []string{"GetItem connections"}},
		"http-unknown-route": {function: "connections", says: `"statusCode":404`},
		"sqs-one-blob": {
			function: "ingest", says: `{"batchItemFailures":[{"itemIdentifier":"059f36b4-87a3-44ab-83d2-661970000001"}]}`,
			calls: []string{"ChangeMessageVisibility queue", "GetItem blobs"},
		},
		"sqs-batch-with-poison": {
			function: "ingest", says: `"059f36b4-87a3-44ab-83d2-661970000002"`,
			calls: []string{"ChangeMessageVisibility queue", "GetItem blobs"},
		},
		"sqs-one-message": {
			function: "enrich", says: `{"batchItemFailures":[{"itemIdentifier":"059f36b4-87a3-44ab-83d2-661970000011"}]}`,
			calls: []string{"ChangeMessageVisibility messages", "GetItem connections"},
		},
		"sqs-messages-with-poison": {
			function: "enrich", says: `"059f36b4-87a3-44ab-83d2-661970000012"`,
			calls: []string{"ChangeMessageVisibility messages", "GetItem connections"},
		},
		"schedule-tick": {function: "poll", says: "list connections", fails: true,
			calls: []string{"Query connections"}},
		"schedule-tick-shard": {function: "poll", says: "list connections", fails: true,
			calls: []string{"Query connections"}},
		"schedule-census": {function: "census", says: "list connections", fails: true,
			calls: []string{"Query connections"}},
		"http-people":        {function: "connections", says: `"statusCode":503`, calls: []string{"GetItem connections"}},
		"http-scope-users":   {function: "connections", says: `"statusCode":503`, calls: []string{"GetItem connections"}},
		"http-create-client": {function: "connections", says: `"statusCode":503`, calls: []string{"GetItem connections"}},
		"http-revoke-client": {function: "connections", says: `"statusCode":503`, calls: []string{"GetItem connections"}},
		"create-client": {function: "connections", says: "createClient: ", fails: true,
			calls: []string{"PutItem connections"}},
		"create-client-bad-role": {function: "connections", says: `roles[0]: `, fails: true},
		"unknown-s3": {function: "ingest",
			says:  `unknown event: this function takes batches of messages from SQS, and what came is an object from "aws:s3"`,
			fails: true},
		"unknown-eventbridge": {function: "poll", says: `from "aws.events"`, fails: true},
		"unknown-rest-api":    {function: "connections", says: `payload format 2.0`, fails: true},
		"unknown-shard":       {function: "poll", says: `there is no shard 4 of 4`, fails: true},
		"unknown-text":        {function: "consent", says: `no JSON object`, fails: true},
	}
}

func TestEveryGoldenEventIsUsed(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "events", "*"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(f), ".json"))
	}
	slices.Sort(names)
	if used := slices.Sorted(maps.Keys(outcomes())); !slices.Equal(names, used) {
		t.Errorf("in events/ there are\n%q, and the tests use\n%q", names, used)
	}
}

func TestGoldenEventsWhereAWSDeniesEverything(t *testing.T) {
	for function := range needed() {
		t.Run(function, func(t *testing.T) {
			a := newAmazon(t)
			f, err := start(t, function, environment(function, a))
			if err != nil {
				t.Fatal(err)
			}
			want := []string(nil)
			if slices.Contains(needed()[function], "MAILTRAIL_CREDENTIAL_ARN") {
				want = []string{"GetSecretValue " + arn}
			}
			if calls := a.calls(); !slices.Equal(calls, want) {
				t.Errorf("the start asked AWS for %q, want %q", calls, want)
			}
			for name, c := range outcomes() {
				if c.function == function {
					invoke(t, f, a, name, c)
				}
			}
		})
	}
}

func invoke(t *testing.T, f *lambdasim.Running, a *amazon, name string, want told) {
	t.Helper()
	event, err := os.ReadFile(filepath.Join("..", "events", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := f.Invoke(t.Context(), event)
	got := string(answer)
	var failed *lambdasim.Error
	if errors.As(err, &failed) {
		got = failed.Message
	} else if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if (err != nil) != want.fails || !strings.Contains(got, want.says) {
		t.Errorf("%s: %s", name, got)
	}
	if strings.HasPrefix(name, "http-") && strings.Contains(got, "denied by this test") {
		t.Errorf("%s: the caller is told why: %s", name, got)
	}
	for _, secret := range []string{credential, clientSecret, bearer} {
		if strings.Contains(got, secret) {
			t.Errorf("%s: the answer holds a secret", name)
		}
	}
	if calls := a.calls(); !slices.Equal(calls, want.calls) {
		t.Errorf("%s: AWS was asked for %q, want %q", name, calls, want.calls)
	}
}

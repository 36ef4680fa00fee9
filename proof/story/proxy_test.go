package main

import (
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestCallsAskForWhatIAMSaysTheyDo(t *testing.T) {
	p := &proxy{role: "R", resources: values{"stack-Things": "Things", "http://q/Work": "Work"}}
	for _, c := range []struct {
		service, operation, body string
		want                     []string
	}{
		{"dynamodb", "GetItem", `{"TableName":"stack-Things"}`, []string{"R dynamodb:GetItem Things"}},
		{"dynamodb", "BatchGetItem", `{"RequestItems":{"stack-Things":{}}}`, []string{"R dynamodb:BatchGetItem Things"}},
		{"dynamodb", "BatchWriteItem", `{"RequestItems":{"stack-Things":[],"other":[]}}`,
			[]string{"R dynamodb:BatchWriteItem Things", "R dynamodb:BatchWriteItem other"}},
		{
			"dynamodb", "TransactWriteItems",
			`{"TransactItems":[{"Put":{"TableName":"stack-Things"}},{"Delete":{"TableName":"stack-Things"}},` +
				`{"ConditionCheck":{"TableName":"stack-Things"}},{"Update":{"TableName":"stack-Things"}}]}`,
			[]string{"R dynamodb:ConditionCheckItem Things", "R dynamodb:DeleteItem Things", "R dynamodb:PutItem Things",
				"R dynamodb:UpdateItem Things"},
		},
		{"sqs", "SendMessageBatch", `{"QueueUrl":"http://q/Work"}`, []string{"R sqs:SendMessage Work"}},
		{"sqs", "ChangeMessageVisibility", `{"QueueUrl":"http://q/Work"}`, []string{"R sqs:ChangeMessageVisibility Work"}},
		{"secretsmanager", "GetSecretValue", `{"SecretId":"arn"}`, []string{"R secretsmanager:GetSecretValue arn"}},
		{"dynamodb", "ListTables", `{}`, nil},
		{"dynamodb", "GetItem", `no JSON`, nil},
	} {
		acts, err := p.acts(c.service, c.operation, []byte(c.body))
		var got []string
		for _, a := range acts {
			got = append(got, a.String())
		}
		slices.Sort(got)
		if !slices.Equal(got, c.want) || (err != nil) != (c.want == nil) {
			t.Errorf("%s: %q, %v; want %q", c.operation, got, err, c.want)
		}
	}
}

// engine is what the proxy forwards to; it counts the calls that reach it.
type engine struct {
	mu   sync.Mutex
	done []string
}

func (e *engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.done = append(e.done, r.Header.Get("X-Amz-Target"))
	_, _ = io.WriteString(w, `{"done":true}`)
}

// TestWeather: a throttled or broken call is not done, a lost one is done but gets no answer, and a denied one meets no
// weather.
func TestWeather(t *testing.T) {
	allowed := policy{{"R", "dynamodb:PutItem", "T"}: "W", {"R", "dynamodb:GetItem", "T"}: "R",
		{"R", "sqs:SendMessage", "T"}: "S"}
	for _, c := range []struct {
		name, target string
		weather      weather
		status       int // 0 is no answer
		says         string
		done, writes int
		mishap       string
	}{
		{"fine", "DynamoDB_20120810.PutItem", weather{}, 200, "done", 1, 1, ""},
		{"a read", "DynamoDB_20120810.GetItem", weather{}, 200, "done", 1, 0, ""},
		{"throttled", "DynamoDB_20120810.PutItem", weather{throttled: 1}, 400, "ProvisionedThroughputExceededException", 0,
			0, "dynamodb throttled"},
		{"a queue throttles nobody", "AmazonSQS.SendMessage", weather{throttled: 1}, 200, "done", 1, 0, ""},
		{"broken", "AmazonSQS.SendMessage", weather{broken: 1}, 500, "InternalServerError", 0, 0, "sqs broken"},
		{"lost", "DynamoDB_20120810.PutItem", weather{lost: 1}, 0, "", 1, 1, "dynamodb lost"},
		{"denied", "DynamoDB_20120810.DeleteItem", weather{lost: 1}, 400, "AccessDeniedException", 0, 0, ""},
		{"unknown", "Kinesis.PutRecord", weather{}, 400, "UnknownOperationException", 0, 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			behind, writes := &engine{}, 0
			back := httptest.NewServer(behind)
			defer back.Close()
			told := newRecord()
			front := httptest.NewServer(&proxy{
				role: "R", policy: allowed, record: told, engines: map[string]string{"dynamodb": back.URL, "sqs": back.URL},
				weather: c.weather, dice: rand.New(rand.NewPCG(1, 2)), wrote: func() { writes++ },
			})
			defer front.Close()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, front.URL,
				strings.NewReader(`{"TableName":"T"}`))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("X-Amz-Target", c.target)
			status, body := 0, []byte(nil)
			if resp, err := http.DefaultTransport.RoundTrip(req); err == nil {
				status = resp.StatusCode
				if body, err = io.ReadAll(resp.Body); err != nil {
					t.Error(err)
				}
				_ = resp.Body.Close()
			}
			front.Close() // so that whatever it did is done
			if status != c.status || !strings.Contains(string(body), c.says) || len(behind.done) != c.done ||
				writes != c.writes {
				t.Errorf("status %d, %s; done %v, %d writes", status, body, behind.done, writes)
			}
			want := map[string]int{}
			if c.mishap != "" {
				want[c.mishap] = 1
			}
			if !maps.Equal(told.mishap, want) {
				t.Errorf("mishaps %v, want %v", told.mishap, want)
			}
			if denied := len(told.denied) > 0; denied != (c.name == "denied") {
				t.Errorf("denied %v", told.denied)
			}
		})
	}
}

func TestEndingsComeAtTheirWrites(t *testing.T) {
	told := newRecord()
	one, two := idle(t, "One"), idle(t, "Two")
	r := &reaper{left: []ending{killed("One", 2), broken("One", 2), frozen("Two", 1)}}
	ends := func(f *function) (ended bool) {
		defer func() {
			why := recover()
			if ended = why != nil; ended && why != any(http.ErrAbortHandler) {
				t.Errorf("it panics with %v", why)
			}
		}()
		r.wrote(f, told)
		return false
	}
	got := []bool{ends(one), ends(one), ends(two), ends(two), ends(one), ends(one)}
	if want := []bool{false, true, true, false, true, false}; !slices.Equal(got, want) || len(r.left) != 0 {
		t.Errorf("ended at %v, want %v; left %v", got, want, r.left)
	}
	if want := (map[string]int{"One killed": 1, "One broken by a panic": 1, "Two timed out": 1}); !maps.Equal(told.mishap,
		want) {
		t.Errorf("mishaps %v", told.mishap)
	}
}

func TestALimitOnlyShortens(t *testing.T) {
	if w := (weather{}); w.shorter(9) != 9 {
		t.Error("no limit shortens")
	}
	if w := (weather{limit: 5}); w.shorter(9) != 5 || w.shorter(3) != 3 {
		t.Error("a limit of 5 makes 9 something else than 5, or 3 than 3")
	}
}

func TestTheKeeperTellsOneSecretWhileItIsOpen(t *testing.T) {
	k := &keeper{arn: "arn", value: "old"}
	ask := func(target, body string) string {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.Header.Set("X-Amz-Target", "secretsmanager."+target)
		w := httptest.NewRecorder()
		k.ServeHTTP(w, r)
		return w.Body.String()
	}
	for _, c := range []struct {
		target, body, says string
		value              string
		shut               bool
	}{
		{"GetSecretValue", `{"SecretId":"arn"}`, `"SecretString":"old"`, "old", false},
		{"GetSecretValue", `{"SecretId":"arn"}`, "DecryptionFailure", "old", true},
		{"GetSecretValue", `{"SecretId":"arn"}`, `"SecretString":"new"`, "new", false},
		{"GetSecretValue", `{"SecretId":"other"}`, "ResourceNotFoundException", "new", false},
		{"ListSecrets", `{"SecretId":"arn"}`, "ResourceNotFoundException", "new", false},
		{"GetSecretValue", `{`, "ResourceNotFoundException", "new", false},
	} {
		if c.value != k.value {
			k.set(c.value)
		}
		k.close(c.shut)
		if got := ask(c.target, c.body); !strings.Contains(got, c.says) {
			t.Errorf("%s %s: %s", c.target, c.body, got)
		}
	}
	if n := k.since(); n != 1 {
		t.Errorf("%d reads since the change", n)
	}
}

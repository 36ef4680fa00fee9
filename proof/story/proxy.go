package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// weather is what goes wrong between a function and AWS, in shares of its calls. The zero value is a fine day.
type weather struct {
	throttled float64 // DynamoDB: ProvisionedThroughputExceededException, and nothing is done
	broken    float64 // 500, and nothing is done
	lost      float64 // done, but the connection ends instead of an answer
	twice     float64 // messages of SQS that are delivered a second time, maybe after they were deleted
	shuffled  bool    // messages come in no order
	// turnedAway makes Lambda refuse every nth tick, so that Scheduler puts it among the dead letters.
	turnedAway int
	limit      time.Duration // of an invocation, where the template's is longer: a test cannot wait two minutes
	outage     bool          // for a while the credential cannot be read, and functions that start need it
	endings    []ending
}

// shorter returns a function's timeout in this weather.
func (w weather) shorter(timeout time.Duration) time.Duration {
	if w.limit > 0 {
		return min(w.limit, timeout)
	}
	return timeout
}

// record is what all roles did, with the results. It is safe for concurrent use.
type record struct {
	mu     sync.Mutex
	acts   map[act]int
	denied map[act]int
	mishap map[string]int
	calls  int
}

func newRecord() *record {
	return &record{acts: map[act]int{}, denied: map[act]int{}, mishap: map[string]int{}}
}

func (r *record) act(a act) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.acts[a]++
}

func (r *record) suffer(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mishap[what]++
}

// count returns how often a mishap happened.
func (r *record) count(what string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mishap[what]
}

// proxy stands between one function and AWS. It knows the caller, checks the policy as IAM does, records each call, and
// makes the weather.
type proxy struct {
	role      string
	policy    policy
	record    *record
	resources values // names in the template by names in the engines
	engines   map[string]string
	weather   weather
	wrote     func() // called after each write to a table that was done
	url       string

	mu   sync.Mutex
	dice *rand.Rand
}

// services maps the prefixes of target headers, such as DynamoDB_20120810.GetItem, to services.
func services() map[string]string {
	return map[string]string{"DynamoDB_20120810": "dynamodb", "AmazonSQS": "sqs", "secretsmanager": "secretsmanager"}
}

// serve listens until ctx ends.
func (p *proxy) serve(ctx context.Context, owners *sync.WaitGroup) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen as AWS for %s: %w", p.role, err)
	}
	p.url = "http://" + l.Addr().String()
	hold(ctx, owners, l, p)
	return nil
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	prefix, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	service := services()[prefix]
	body, err := io.ReadAll(r.Body)
	if err != nil || service == "" {
		refuse(w, http.StatusBadRequest, "UnknownOperationException", "no such operation: "+r.Header.Get("X-Amz-Target"))
		return
	}
	acts, err := p.acts(service, operation, body)
	if err != nil {
		refuse(w, http.StatusBadRequest, "SerializationException", err.Error())
		return
	}
	if a, ok := p.allow(acts); !ok {
		refuse(w, http.StatusBadRequest, "AccessDeniedException", "the role may not "+a.String())
		return
	}
	fate := p.fate(service)
	switch fate {
	case "throttled":
		refuse(w, http.StatusBadRequest, "ProvisionedThroughputExceededException", "too many requests")
		return
	case "broken":
		refuse(w, http.StatusInternalServerError, "InternalServerError", "an internal error")
		return
	}
	resp, answer, err := p.forward(r, service, body)
	if err != nil {
		panic(http.ErrAbortHandler) // the caller has gone, or the engine
	}
	if resp.StatusCode == http.StatusOK && isWrite(service, operation) {
		p.wrote()
	}
	if fate == "lost" {
		panic(http.ErrAbortHandler)
	}
	for name, all := range resp.Header {
		w.Header()[name] = all
	}
	w.WriteHeader(resp.StatusCode)
	_, _ = w.Write(answer) // the caller may have gone
}

func refuse(w http.ResponseWriter, status int, kind, message string) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"__type":"com.amazonaws#%s","message":%q}`, kind, message) // as above
}

// allow records the acts, and checks each against the policy.
func (p *proxy) allow(acts []act) (act, bool) {
	p.record.mu.Lock()
	defer p.record.mu.Unlock()
	p.record.calls++
	for _, a := range acts {
		p.record.acts[a]++
		if _, ok := p.policy[a]; !ok {
			p.record.denied[a]++
			return a, false
		}
	}
	return act{}, true
}

// fate returns what happens to the next call, "" most often.
func (p *proxy) fate(service string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	fate, luck := "", p.dice.Float64()
	switch {
	case service == "secretsmanager":
	case luck < p.weather.lost:
		fate = "lost"
	case luck < p.weather.lost+p.weather.broken:
		fate = "broken"
	case luck < p.weather.lost+p.weather.broken+p.weather.throttled && service == "dynamodb":
		fate = "throttled"
	}
	if fate != "" {
		p.record.suffer(service + " " + fate)
	}
	return fate
}

func (p *proxy) forward(r *http.Request, service string, body []byte) (*http.Response, []byte, error) {
	req, err := http.NewRequestWithContext(r.Context(), r.Method, p.engines[service]+r.URL.Path, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	req.Header = r.Header.Clone()
	req.Header.Del("Accept-Encoding")
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	return resp, answer, err
}

func isWrite(service, operation string) bool {
	return service == "dynamodb" && (strings.Contains(operation, "Write") || operation == "PutItem" ||
		operation == "DeleteItem")
}

// operands is the part of a call's JSON that names its resources.
type operands struct {
	TableName     string
	QueueURL      string `json:"QueueUrl"`
	SecretID      string `json:"SecretId"`
	RequestItems  map[string]json.RawMessage
	TransactItems []map[string]struct{ TableName string }
}

// acts returns the permissions that a call needs. A transaction needs those of each of its parts, and a batch of
// messages needs those of one message ("Actions, resources, and condition keys" of Amazon DynamoDB and of Amazon SQS).
func (p *proxy) acts(service, operation string, body []byte) ([]act, error) {
	var o operands
	if err := json.Unmarshal(body, &o); err != nil {
		return nil, fmt.Errorf("%s: %w", operation, err)
	}
	var all []act
	add := func(action, resource string) {
		if name, ok := p.resources[resource]; ok {
			resource = name
		}
		all = append(all, act{p.role, service + ":" + action, resource})
	}
	for table := range o.RequestItems {
		add(operation, table)
	}
	for _, item := range o.TransactItems {
		for verb, of := range item {
			add(map[string]string{"Put": "PutItem", "Delete": "DeleteItem", "Update": "UpdateItem",
				"ConditionCheck": "ConditionCheckItem"}[verb], of.TableName)
		}
	}
	if one := o.TableName + o.QueueURL + o.SecretID; one != "" {
		add(strings.TrimSuffix(operation, "Batch"), one)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s names no resource", operation)
	}
	return all, nil
}

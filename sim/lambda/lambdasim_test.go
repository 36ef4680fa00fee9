package lambdasim_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"

	lambdasim "github.com/mailtrail/mailtrail/sim/lambda"
)

// TestMain makes a Lambda function of the test's own binary when ROLE says so.
func TestMain(m *testing.M) {
	switch os.Getenv("ROLE") {
	case "":
		os.Exit(m.Run())
	case "exit":
		fmt.Fprintln(os.Stderr, "TABLE is missing")
		os.Exit(3)
	case "silent":
		select {}
	case "init":
		report := strings.NewReader(`{"errorType":"Config","errorMessage":"TABLE is wrong"}`)
		_, _ = http.Post("http://"+os.Getenv("AWS_LAMBDA_RUNTIME_API")+"/2018-06-01/runtime/init/error", "application/json",
			report)
		select {} // it must be killed
	}
	if os.Getenv("ROLE") == "mirror" {
		lambda.Start(mirror)
	}
	count := 0
	lambda.Start(func(ctx context.Context, in order) (any, error) {
		count++
		return in.obey(ctx, count)
	})
}

// mirror answers a request with the event that it came as.
func mirror(event json.RawMessage) (any, error) {
	if strings.Contains(string(event), `"panic"`) {
		panic("it broke")
	}
	return map[string]any{"statusCode": http.StatusTeapot, "cookies": []string{"c=3", "d=4"}, "body": string(event)}, nil
}

// order is an event of the test function.
type order struct {
	Do   string
	Dir  string
	Size int
}

func (o order) obey(ctx context.Context, count int) (any, error) {
	switch o.Do {
	case "fail":
		return nil, errors.New("it failed")
	case "panic":
		panic("it broke")
	case "exit":
		os.Exit(4)
	case "sleep":
		fmt.Println("asleep")
		select {}
	case "large":
		return strings.Repeat("x", o.Size), nil
	case "meet": // waits until two are there
		if err := os.WriteFile(fmt.Sprintf("%s/%d", o.Dir, os.Getpid()), nil, 0o600); err != nil {
			return nil, err
		}
		for ctx.Err() == nil {
			there, err := os.ReadDir(o.Dir)
			if err != nil || len(there) == 2 {
				return len(there), err
			}
			time.Sleep(time.Millisecond)
		}
		return nil, ctx.Err()
	}
	lc, _ := lambdacontext.FromContext(ctx)
	deadline, _ := ctx.Deadline()
	return report{Count: count, Request: lc.AwsRequestID, Left: time.Until(deadline), Own: os.Getenv("OWN"),
		Home: os.Getenv("HOME"), Memory: lambdacontext.MemoryLimitInMB}, nil
}

// report is what the test function says of itself.
type report struct {
	Count     int // of invocations of this process
	Request   string
	Left      time.Duration
	Own, Home string
	Memory    int
}

func start(t *testing.T, f lambdasim.Function) *lambdasim.Running {
	t.Helper()
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	f.Binary = own
	if f.Env == nil {
		f.Env = map[string]string{}
	}
	if f.Env["ROLE"] == "" {
		f.Env["ROLE"] = "function"
	}
	r, err := lambdasim.Start(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// ask invokes the function, and returns what it says of itself.
func ask(t *testing.T, r *lambdasim.Running) report {
	t.Helper()
	answer, err := r.Invoke(t.Context(), []byte(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	var out report
	if err := json.Unmarshal(answer, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestInvocationsShareAProcessAndSeeItsEnvironmentOnly(t *testing.T) {
	t.Setenv("HOME", "/home/of/the/test")
	r := start(t, lambdasim.Function{Env: map[string]string{"OWN": "value"}, Timeout: time.Minute, Memory: 1769})
	requests := map[string]bool{}
	for want := 1; want <= 3; want++ {
		got := ask(t, r)
		requests[got.Request] = true
		if got.Count != want || got.Own != "value" || got.Home != "" || got.Memory != 1769 || got.Left <= 0 ||
			got.Left > time.Minute {
			t.Errorf("invocation %d: %+v", want, got)
		}
	}
	if len(requests) != 3 {
		t.Errorf("request ids %v", requests)
	}
}

func TestHowInvocationsFailAndWhatBecomesOfTheProcess(t *testing.T) {
	for _, c := range []struct {
		event, typ, message string
		anew                bool // the next invocation finds a new process
	}{
		{`{"Do":"fail"}`, "errorString", "it failed", false},
		{`{"Do":"panic"}`, "string", "it broke", true},
		{`{"Do":"exit"}`, "Runtime.ExitError", "exit status 4", true},
		{`{"Do":"large","Size":6291456}`, "Function.ResponseSizeTooLarge", "6291456", true},
	} {
		t.Run(c.event, func(t *testing.T) {
			r := start(t, lambdasim.Function{Timeout: time.Minute})
			_, err := r.Invoke(t.Context(), []byte(c.event))
			var failed *lambdasim.Error
			if !errors.As(err, &failed) || failed.Type != c.typ || !strings.Contains(failed.Message, c.message) {
				t.Fatalf("%v, want %s: %s", err, c.typ, c.message)
			}
			count := ask(t, r).Count
			if anew := count == 1; anew != c.anew {
				t.Errorf("the next invocation was the process' invocation %d", count)
			}
		})
	}
}

func TestAnswersAndEventsMayHaveSixMegabytes(t *testing.T) {
	r := start(t, lambdasim.Function{Timeout: time.Minute})
	answer, err := r.Invoke(t.Context(), []byte(`{"Do":"large","Size":6291454}`)) // and two quotes
	if err != nil || len(answer) != lambdasim.MaxPayload {
		t.Errorf("%d bytes, %v", len(answer), err)
	}
	if _, err := r.Invoke(t.Context(), make([]byte, lambdasim.MaxPayload+1)); err == nil {
		t.Error("an event that is too large was taken")
	}
}

func TestAnInvocationThatTakesTooLongIsKilled(t *testing.T) {
	r := start(t, lambdasim.Function{Timeout: 500 * time.Millisecond})
	_, err := r.Invoke(t.Context(), []byte(`{"Do":"sleep"}`))
	var failed *lambdasim.Error
	if !errors.As(err, &failed) || failed.Type != "Sandbox.Timedout" ||
		failed.Message != "Task timed out after 0.50 seconds" {
		t.Errorf("%v", err)
	}
	if got := ask(t, r); got.Count != 1 {
		t.Errorf("the process lives on: %+v", got)
	}
}

func TestACallersEndKillsTheProcessInTheMiddleOfItsWork(t *testing.T) {
	asleep := &waiter{word: "asleep", there: make(chan struct{})}
	r := start(t, lambdasim.Function{Timeout: time.Minute, Log: asleep})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asleep.there
		cancel()
	}()
	if _, err := r.Invoke(ctx, []byte(`{"Do":"sleep"}`)); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if got := ask(t, r); got.Count != 1 {
		t.Errorf("the process lives on: %+v", got)
	}
}

func TestSignalsLookLikeWhatTheProcessDidItself(t *testing.T) {
	for _, c := range []struct {
		signal               syscall.Signal
		typ, message, output string
	}{
		{syscall.SIGKILL, "Runtime.ExitError", "signal: killed", ""},
		{syscall.SIGQUIT, "Runtime.ExitError", "exit status 2", "goroutine "}, // as a panic that nobody recovers
		{syscall.SIGSTOP, "Sandbox.Timedout", "Task timed out after 2.00 seconds", ""},
	} {
		asleep := &waiter{word: "asleep", there: make(chan struct{})}
		r := start(t, lambdasim.Function{Timeout: 2 * time.Second, Log: asleep})
		reached := make(chan int, 1)
		go func() {
			<-asleep.there
			reached <- r.Signal(c.signal)
		}()
		_, err := r.Invoke(t.Context(), []byte(`{"Do":"sleep"}`))
		var failed *lambdasim.Error
		if !errors.As(err, &failed) || failed.Type != c.typ || !strings.HasSuffix(failed.Message, c.message) ||
			!strings.Contains(failed.Output, c.output) {
			t.Errorf("%s: %v", c.signal, err)
		}
		if n := <-reached; n != 1 {
			t.Errorf("%s reached %d processes", c.signal, n)
		}
		if got := ask(t, r); got.Count != 1 {
			t.Errorf("%s: the process lives on: %+v", c.signal, got)
		}
		if n := r.Signal(syscall.SIGKILL); n != 0 {
			t.Errorf("%d processes are at work, and nothing is to be done", n)
		}
	}
}

func TestARetiredProcessIsReplaced(t *testing.T) {
	r := start(t, lambdasim.Function{Timeout: time.Minute})
	ask(t, r)
	r.Retire()
	if got := ask(t, r); got.Count != 1 {
		t.Errorf("the process lives on: %+v", got)
	}
}

// waiter is a log that waits for a word.
type waiter struct {
	word  string
	there chan struct{}
	mu    sync.Mutex
	all   strings.Builder
}

func (w *waiter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := strings.Contains(w.all.String(), w.word)
	w.all.Write(p)
	if !before && strings.Contains(w.all.String(), w.word) {
		close(w.there)
	}
	return len(p), nil
}

func TestAFunctionThatCannotStartSaysWhy(t *testing.T) {
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for role, want := range map[string]lambdasim.Error{
		"exit":   {Type: "Runtime.ExitError", Message: "exit status 3", Output: "TABLE is missing"},
		"init":   {Type: "Config", Message: "TABLE is wrong"},
		"silent": {Type: "Sandbox.Timedout", Message: "the start took more than"},
	} {
		limit := time.Minute
		if role == "silent" {
			limit = 200 * time.Millisecond
		}
		_, err := lambdasim.Start(t.Context(), lambdasim.Function{Binary: own, Env: map[string]string{"ROLE": role},
			Start: limit})
		var failed *lambdasim.Error
		if !errors.As(err, &failed) || failed.Type != want.Type || !strings.Contains(failed.Message, want.Message) ||
			!strings.Contains(failed.Output, want.Output) {
			t.Errorf("%s: %v", role, err)
		}
	}
	if _, err := lambdasim.Start(t.Context(), lambdasim.Function{Binary: "/no/such/binary"}); err == nil {
		t.Error("a binary that is not there was started")
	}
}

func TestInvocationsAtOnceHaveAProcessEach(t *testing.T) {
	dir := t.TempDir()
	r := start(t, lambdasim.Function{Timeout: time.Minute, Concurrency: 2})
	event, err := json.Marshal(order{Do: "meet", Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			if answer, err := r.Invoke(t.Context(), event); err != nil || string(answer) != "2" {
				t.Errorf("%s, %v", answer, err)
			}
		})
	}
	both.Wait()
}

func TestAClosedFunctionTakesNothing(t *testing.T) {
	r := start(t, lambdasim.Function{})
	r.Close()
	if _, err := r.Invoke(t.Context(), []byte(`{}`)); err == nil {
		t.Error("a closed function was invoked")
	}
}

package lambdasim

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"
)

// maxTail is how much of a sandbox's output is kept for its errors.
const maxTail = 4 << 10

// sandbox is one process of a function, and the Runtime API that it speaks to. It runs one invocation at a time.
type sandbox struct {
	runtime
	timeout time.Duration
	kill    context.CancelFunc
	tail    *tail
	process *os.Process
	gone    chan struct{} // closed when process and server have ended
	exit    error         // of the process, once gone
}

// start starts a sandbox and waits until it asks for an invocation.
func (r *Running) start() (*sandbox, error) {
	listener, err := new(net.ListenConfig).Listen(r.ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the runtime API: %w", err)
	}
	ctx, kill := context.WithCancel(r.ctx)
	s := &sandbox{runtime: newRuntime(), timeout: r.function.Timeout, kill: kill, tail: &tail{to: r.log},
		gone: make(chan struct{})}
	command := exec.CommandContext(ctx, r.function.Binary)
	command.Env = environment(r.function, listener.Addr().String())
	command.Dir = filepath.Dir(r.function.Binary)
	command.Stdout, command.Stderr = s.tail, s.tail
	if err := command.Start(); err != nil {
		kill()
		_ = listener.Close() // nobody has been served
		return nil, fmt.Errorf("run %s: %w", r.function.Binary, err)
	}
	s.process = command.Process
	server := &http.Server{Handler: s.routes(), ReadHeaderTimeout: time.Minute}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener) // until the process has ended
	}()
	r.all.Go(func() {
		defer close(s.gone)
		s.exit = command.Wait()
		_ = server.Close() // what is still open belongs to a dead process
		<-served
	})
	return s, s.started(r.function.Start)
}

// started waits for the first sign of readiness.
func (s *sandbox) started(limit time.Duration) error {
	clock := time.NewTimer(limit)
	defer clock.Stop()
	select {
	case <-s.idle:
		return nil
	case err := <-s.initError:
		s.end()
		err.Output = s.tail.String()
		return err
	case <-s.gone:
		return s.exited()
	case <-clock.C:
		s.end()
		return &Error{Type: "Sandbox.Timedout", Message: fmt.Sprintf("the start took more than %s", limit),
			Output: s.tail.String()}
	}
}

// end kills the process and waits until it is gone.
func (s *sandbox) end() {
	s.kill()
	<-s.gone
}

func (s *sandbox) alive() bool {
	select {
	case <-s.gone:
		return false
	default:
		return true
	}
}

// exited is the error of a process that has ended by itself.
func (s *sandbox) exited() *Error {
	how := "exit status 0"
	if s.exit != nil {
		how = s.exit.Error()
	}
	return &Error{Type: "Runtime.ExitError", Message: "the process ended: " + how, Output: s.tail.String()}
}

// invoke runs one invocation. begun is false when the process was dead before it took the event.
//
// It returns when the process asks for the next invocation or has ended: until then an invocation is not over, and
// who has answered may still be on the way to exit.
func (s *sandbox) invoke(ctx context.Context, event []byte) (answer []byte, begun bool, err error) {
	clock := time.NewTimer(s.timeout)
	defer clock.Stop()
	i := &invocation{event: event, deadline: time.Now().Add(s.timeout), ended: make(chan struct{})}
	select {
	case s.work <- i:
	case <-s.gone:
		return nil, false, nil
	}
	if err = s.wait(ctx, clock.C, i.ended); err == nil {
		err = s.wait(ctx, clock.C, s.idle)
	}
	select {
	case <-i.ended: // what was answered counts, whatever became of the process after it
	default:
		return nil, true, err
	}
	if i.failed != nil {
		i.failed.Output = s.tail.String()
		return nil, true, i.failed
	}
	return i.answer, true, nil
}

// wait waits for a sign of the process. When time is up, or ctx ends, it kills the process.
func (s *sandbox) wait(ctx context.Context, clock <-chan time.Time, sign <-chan struct{}) error {
	select {
	case <-sign:
		return nil
	case <-s.gone:
		return s.exited()
	case <-clock:
		s.end()
		return &Error{Type: "Sandbox.Timedout", Message: fmt.Sprintf("Task timed out after %.2f seconds",
			s.timeout.Seconds()), Output: s.tail.String()}
	case <-ctx.Done():
		s.end()
		return ctx.Err()
	}
}

// environment is what Lambda sets ("Working with Lambda environment variables"), and the function's own.
func environment(f Function, api string) []string {
	all := map[string]string{
		"AWS_LAMBDA_RUNTIME_API":          api,
		"AWS_LAMBDA_FUNCTION_NAME":        filepath.Base(f.Binary),
		"AWS_LAMBDA_FUNCTION_VERSION":     "$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": strconv.Itoa(f.Memory),
		"AWS_LAMBDA_INITIALIZATION_TYPE":  "on-demand",
		"AWS_LAMBDA_LOG_FORMAT":           "JSON",
		"AWS_EXECUTION_ENV":               "AWS_Lambda_provided.al2023",
		"AWS_REGION":                      "eu-central-1",
		"AWS_DEFAULT_REGION":              "eu-central-1",
		"AWS_ACCESS_KEY_ID":               "sandbox",
		"AWS_SECRET_ACCESS_KEY":           "sandbox",
		"AWS_SESSION_TOKEN":               "sandbox",
		"LAMBDA_TASK_ROOT":                filepath.Dir(f.Binary),
		"_HANDLER":                        "bootstrap",
		"TZ":                              ":UTC",
	}
	maps.Copy(all, f.Env)
	list := make([]string, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		list = append(list, name+"="+all[name])
	}
	return list
}

// tail passes on what a process writes, and keeps the end of it.
type tail struct {
	to  io.Writer
	mu  sync.Mutex
	end []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	t.end = append(t.end, p...)
	t.end = t.end[max(0, len(t.end)-maxTail):]
	t.mu.Unlock()
	return t.to.Write(p)
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.end)
}

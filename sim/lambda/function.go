// Package lambdasim runs the built binaries of Lambda functions on this machine, the way Lambda does: each sandbox is
// a child process with an environment of its own, which asks a Runtime API server for one invocation after the other
// ("Using the Lambda runtime API for custom runtimes"). What Lambda is strict about is strict here: the time of the
// start and of an invocation, the 6 MB of an event and of an answer, and that a process that has panicked or exited
// is not used again.
package lambdasim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// MaxPayload is how many bytes an event or an answer may have ("Lambda quotas": 6 MB).
const MaxPayload = 6 << 20

// Function is one function as it is configured in Lambda. Binary is required.
type Function struct {
	Binary string
	// Env is the function's whole environment, except for what Lambda itself sets.
	Env     map[string]string
	Timeout time.Duration // of one invocation; 0 is 3 s, as on Lambda
	// Start is how long a sandbox may take until it asks for its first invocation; 0 is 10 s, as on Lambda.
	Start       time.Duration
	Memory      int // megabytes that the function believes it has; 0 is 128
	Concurrency int // invocations at once, each in a sandbox of its own; 0 is 1. More wait.
	// Log is where all that the function writes goes; nil drops it.
	Log io.Writer
}

// Error is how a failed invocation or start ended, as Lambda reports it to its caller.
type Error struct {
	Type    string // as the function reported it, or Runtime.ExitError, Sandbox.Timedout, Function.ResponseSizeTooLarge
	Message string
	// Output is the end of what the sandbox wrote, to explain it; Lambda shows it only in the log.
	Output string
}

func (e *Error) Error() string {
	if e.Output == "" {
		return e.Type + ": " + e.Message
	}
	return e.Type + ": " + e.Message + "\n" + e.Output
}

// Running is a function that can be invoked. It is safe for concurrent use.
type Running struct {
	function Function
	ctx      context.Context // ends all sandboxes
	stop     context.CancelFunc
	slots    chan struct{}
	log      *shared
	all      sync.WaitGroup // sandboxes

	mu   sync.Mutex
	idle []*sandbox
	busy map[*sandbox]bool
}

// Start starts a first sandbox, so that a function that cannot start says so at once: as an *Error. Sandboxes run
// until Close, or until ctx ends.
func Start(ctx context.Context, f Function) (*Running, error) {
	f.Timeout = cmp.Or(f.Timeout, 3*time.Second)
	f.Start = cmp.Or(f.Start, 10*time.Second)
	f.Memory = cmp.Or(f.Memory, 128)
	f.Concurrency = cmp.Or(f.Concurrency, 1)
	if f.Log == nil {
		f.Log = io.Discard
	}
	r := &Running{function: f, slots: make(chan struct{}, f.Concurrency), log: &shared{to: f.Log},
		busy: map[*sandbox]bool{}}
	r.ctx, r.stop = context.WithCancel(ctx)
	s, err := r.start()
	if err != nil {
		r.Close()
		return nil, fmt.Errorf("start %s: %w", filepath.Base(f.Binary), err)
	}
	r.idle = append(r.idle, s)
	return r, nil
}

// Close kills all sandboxes, and returns when they are gone. Invocations that are under way fail.
func (r *Running) Close() {
	r.stop()
	r.all.Wait()
}

// Invoke hands an event to the function and returns its answer, or an *Error. When ctx ends the sandbox is killed in
// the middle of its work, as if its machine had died.
func (r *Running) Invoke(ctx context.Context, event []byte) ([]byte, error) {
	if len(event) > MaxPayload {
		return nil, fmt.Errorf("invoke %s: the event has %d bytes, and at most %d are taken",
			filepath.Base(r.function.Binary), len(event), MaxPayload)
	}
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-r.ctx.Done():
		return nil, errors.New("the function is closed")
	}
	for {
		s, err := r.take()
		if err != nil {
			return nil, err
		}
		answer, begun, err := s.invoke(ctx, event)
		r.give(s)
		if begun {
			return answer, err
		}
		// The sandbox had died while it was idle: another one takes the event.
	}
}

// Signal sends a signal to the processes that work on an invocation, and returns how many there were: what kills,
// stops or breaks a process from outside looks to Lambda as if the process had done so itself.
func (r *Running) Signal(signal os.Signal) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	reached := 0
	for s := range r.busy {
		if s.process.Signal(signal) == nil {
			reached++
		}
	}
	return reached
}

// Retire ends the sandboxes that are idle, as Lambda does when it likes: the next invocation starts another one, and
// fails when that cannot start.
func (r *Running) Retire() {
	r.mu.Lock()
	idle := r.idle
	r.idle = nil
	r.mu.Unlock()
	for _, s := range idle {
		s.end()
	}
}

// take is a sandbox that waits for an invocation; it is busy until give.
func (r *Running) take() (*sandbox, error) {
	r.mu.Lock()
	if n := len(r.idle); n > 0 {
		defer r.mu.Unlock()
		s := r.idle[n-1]
		r.idle = r.idle[:n-1]
		r.busy[s] = true
		return s, nil
	}
	r.mu.Unlock()
	s, err := r.start()
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.busy[s] = true
	return s, nil
}

// give takes a sandbox back, if it still lives.
func (r *Running) give(s *sandbox) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.busy, s)
	if s.alive() {
		r.idle = append(r.idle, s)
	}
}

// shared lets many sandboxes write to one log.
type shared struct {
	mu sync.Mutex
	to io.Writer
}

func (w *shared) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.to.Write(p)
}

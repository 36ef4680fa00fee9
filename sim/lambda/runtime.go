package lambdasim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// runtime is the server side of the Runtime API for one process.
type runtime struct {
	idle      chan struct{}    // the process asks for the next invocation
	work      chan *invocation // and gets it
	initError chan *Error

	mu      sync.Mutex
	current *invocation // that the process has not answered yet
	begun   int
}

func newRuntime() runtime {
	return runtime{idle: make(chan struct{}), work: make(chan *invocation), initError: make(chan *Error, 1)}
}

// invocation is one event on its way to its end. answer and failed are read after ended is closed, which happens once.
type invocation struct {
	event    []byte
	deadline time.Time
	ended    chan struct{}
	answer   []byte
	failed   *Error
}

const api = "/2018-06-01/runtime/"

func (r *runtime) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+api+"invocation/next", r.next)
	mux.HandleFunc("POST "+api+"invocation/{id}/response", r.response)
	mux.HandleFunc("POST "+api+"invocation/{id}/error", r.failure)
	mux.HandleFunc("POST "+api+"init/error", r.init)
	return mux
}

// next waits for an invocation, as long as it takes.
func (r *runtime) next(w http.ResponseWriter, req *http.Request) {
	gone := req.Context().Done()
	select {
	case r.idle <- struct{}{}:
	case <-gone:
		return
	}
	var i *invocation
	select {
	case i = <-r.work:
	case <-gone:
		return
	}
	r.mu.Lock()
	r.begun++
	r.current = i
	id := requestID(r.begun)
	r.mu.Unlock()

	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Lambda-Runtime-Aws-Request-Id", id)
	h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(i.deadline.UnixMilli(), 10))
	h.Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-central-1:000000000000:function:local")
	_, _ = w.Write(i.event) // a process that died meanwhile shows by its exit
}

// requestID is a UUID that counts the sandbox's invocations.
func requestID(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

func (r *runtime) response(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, MaxPayload))
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		r.end(w, req, http.StatusRequestEntityTooLarge, nil, &Error{
			Type: "Function.ResponseSizeTooLarge", Message: fmt.Sprintf("the answer has more than %d bytes", MaxPayload),
		})
		return
	}
	if err != nil {
		return // the process has ended in the middle of it
	}
	r.end(w, req, http.StatusAccepted, body, nil)
}

func (r *runtime) failure(w http.ResponseWriter, req *http.Request) {
	failed, err := reported(req)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.end(w, req, http.StatusAccepted, nil, failed)
}

func (r *runtime) init(w http.ResponseWriter, req *http.Request) {
	failed, err := reported(req)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusAccepted)
	select {
	case r.initError <- failed:
	default: // the first one counts
	}
}

// end ends the invocation that the path names, once.
func (r *runtime) end(w http.ResponseWriter, req *http.Request, status int, answer []byte, failed *Error) {
	r.mu.Lock()
	i := r.current
	if i == nil || req.PathValue("id") != requestID(r.begun) {
		r.mu.Unlock()
		http.Error(w, `{"errorType":"InvalidRequestID","errorMessage":"this invocation is not under way"}`,
			http.StatusBadRequest)
		return
	}
	r.current = nil
	r.mu.Unlock()
	i.answer, i.failed = answer, failed
	close(i.ended)
	w.WriteHeader(status)
}

// reported is an error as a runtime reports it.
func reported(req *http.Request) (*Error, error) {
	var e struct {
		Type    string `json:"errorType"`
		Message string `json:"errorMessage"`
	}
	if err := json.NewDecoder(io.LimitReader(req.Body, MaxPayload)).Decode(&e); err != nil {
		return nil, fmt.Errorf("read the error that the function reports: %w", err)
	}
	return &Error{Type: e.Type, Message: e.Message}, nil
}

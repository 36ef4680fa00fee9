package main

import (
	"net/http"
	"sync"
	"syscall"
)

// ending is how processes of a function end in the middle of their work: after the nth write to a table, which is done,
// but whose answer never comes.
type ending struct {
	function string // in the template
	write    int    // counts from 1
	how      string
	signal   syscall.Signal
	kind     string // of the error that Lambda reports
}

// killed is a process whose machine is gone.
func killed(function string, write int) ending {
	return ending{function, write, "killed", syscall.SIGKILL, "Runtime.ExitError"}
}

// broken is a process that ends by an unrecovered panic. Go's runtime does the same at SIGQUIT: it writes the stacks,
// and exits with 2.
func broken(function string, write int) ending {
	return ending{function, write, "broken by a panic", syscall.SIGQUIT, "Runtime.ExitError"}
}

// frozen is a process that hangs until Lambda ends it at the function's timeout.
func frozen(function string, write int) ending {
	return ending{function, write, "timed out", syscall.SIGSTOP, "Sandbox.Timedout"}
}

// reaper ends the processes. It is safe for concurrent use.
type reaper struct {
	mu     sync.Mutex
	writes map[string]int // by function
	left   []ending
}

// wrote counts a write of the function. When it is time, it ends the processes at work, and does not return.
func (r *reaper) wrote(f *function, told *record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.writes == nil {
		r.writes = map[string]int{}
	}
	r.writes[f.id]++
	for i, e := range r.left {
		if e.function == f.id && r.writes[f.id] >= e.write {
			r.left = append(r.left[:i:i], r.left[i+1:]...)
			f.Signal(e.signal)
			told.suffer(f.id + " " + e.how)
			panic(http.ErrAbortHandler)
		}
	}
}

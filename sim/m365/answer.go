package m365sim

import (
	"net"
	"net/http"
)

// answer is a response that remembers its status and length, and that a fault can cut short.
type answer struct {
	http.ResponseWriter
	status  int
	written int64
	cut     int64 // bytes still to give before the body is torn; -1 for a whole body
	silent  bool  // a torn body ends as if it were whole, instead of breaking the connection
	torn    bool
	note    func() // called before the client can see the status, and before it can see the body torn
}

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
		if a.cut >= 0 && a.silent {
			a.Header().Del("Content-Length")
		}
		a.note()
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.WriteHeader(http.StatusOK)
	}
	if a.cut < 0 || int64(len(p)) <= a.cut {
		n, err := a.ResponseWriter.Write(p)
		a.written += int64(n)
		if a.cut >= 0 {
			a.cut -= int64(n)
		}
		return n, err
	}
	if !a.torn {
		a.torn = true
		a.note()
	}
	n, err := a.ResponseWriter.Write(p[:a.cut])
	a.written += int64(n)
	a.cut = 0
	if err != nil || a.silent {
		return len(p), err
	}
	// The client must see the bytes before the break, so they are flushed first.
	_ = http.NewResponseController(a.ResponseWriter).Flush()
	panic(http.ErrAbortHandler)
}

// Unwrap lets http.ResponseController reach the connection.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// reset ends the connection without an answer, as a failing middlebox does.
func (a *answer) reset() {
	conn, _, err := http.NewResponseController(a.ResponseWriter).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // HTTP/2 or a part of a batch: ending the stream is all that can be done
	}
	a.torn = true
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // makes Close send RST; a connection that is gone already needs none
	}
	_ = conn.Close()
}

// Package fault names the ways in which work for a tenant fails. Whoever calls another room branches on these with
// errors.Is, never on text: an error that wraps none of them is treated as Retry.
package fault

import (
	"errors"
	"time"
)

var (
	// Retry means that the same call may succeed later: throttled, a time-out, a 5xx, a throttled table.
	Retry = errors.New("try again later")
	// Refused means that Microsoft or an administrator refused, and that the connection must say so: consent withdrawn,
	// audit log off, application deleted.
	Refused = errors.New("refused")
	// Poison means that this one thing can never be processed: malformed, expired, gone. Keep it, count it, go on.
	Poison = errors.New("cannot be processed")
	// Ours means that we are at fault: the vendor's secret or certificate is wrong or has expired, our application is
	// registered wrongly, or a request of ours is not as Microsoft wants it. It raises the operator's alarm, and never
	// sets a tenant to Error. Until it is fixed, try again later.
	Ours = errors.New("our own credential or request was refused")
)

// Error is a failure with Microsoft's code for it.
type Error struct {
	Kind   error  // Retry, Refused, Poison or Ours
	Code   string // e.g. AF20023, AADSTS700016, ErrorItemNotFound; "" when there was none
	Status int    // HTTP status, 0 when there was no answer
	// After is how long Microsoft asked us to wait (Retry-After); 0 when it did not say.
	After time.Duration
	// Err says what was tried, and what went wrong. It never holds a token, a secret or the body of an answer.
	Err error
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap makes errors.Is see both the kind and the cause.
func (e *Error) Unwrap() []error { return []error{e.Kind, e.Err} }

// Wait returns how long the first Error in err's tree asked to wait, or 0.
func Wait(err error) time.Duration {
	var e *Error
	if errors.As(err, &e) {
		return e.After
	}
	return 0
}

// Code returns the code of the first Error in err's tree, or "".
func Code(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

package queuetest

import (
	"context"
	"sync/atomic"

	"github.com/mailtrail/mailtrail/shared/queue"
)

// Faulty is a sender that fails on command, to test its users; n counts the calls of Send from 1. It is safe for
// concurrent use if Before and After are.
type Faulty struct {
	queue.Sender
	// Before is asked before a Send. With an error from it nothing is sent, and the error returned.
	Before func(n int) error
	// After is called after a Send that succeeded. If it returns an error, all is sent, and the caller gets the error.
	After func(n int) error

	calls atomic.Int64
}

// Send implements queue.Sender.
func (f *Faulty) Send(ctx context.Context, messages ...queue.Message) error {
	n := int(f.calls.Add(1))
	if f.Before != nil {
		if err := f.Before(n); err != nil {
			return err
		}
	}
	if err := f.Sender.Send(ctx, messages...); err != nil {
		return err
	}
	if f.After != nil {
		return f.After(n)
	}
	return nil
}

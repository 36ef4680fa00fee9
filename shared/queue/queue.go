// Package queue is the contract of a durable work queue, which Amazon SQS (standard) and an embedded queue both meet:
// every message is delivered at least once, in no promised order, and a message that fails too often becomes a dead
// letter.
package queue

import (
	"context"
	"errors"
	"time"
)

// Limits, which are SQS's.
const (
	MaxBody       = 256 * 1024       // bytes of a body; a body is not empty
	MaxGroup      = 128              // bytes of a group, all of them printable ASCII but space; a group may be empty
	MaxDelay      = 15 * time.Minute // longest Delay of a message
	MaxVisibility = 12 * time.Hour   // longest time for which a delivery stays hidden
)

// ErrInvalid means that a message or a time exceeds a limit, or that a receipt is malformed: trying again is useless.
var ErrInvalid = errors.New("invalid queue operation")

// Message is a unit of work to be sent.
type Message struct {
	Body []byte
	// Group names who the work is for (a connection). A receiver gets work of all groups in turn, so that one
	// group's backlog delays no other (fair queues on SQS).
	Group string
	// Delay is how long the message is not delivered, to the second (rounded up); 0 to MaxDelay. It is not part of a
	// Delivery.
	Delay time.Duration
}

// Delivery is a message that was received, and is hidden from other receivers until its visibility ends.
type Delivery struct {
	Message
	ID       string // the same at every delivery of one message
	Receipt  string // this delivery's own; a later delivery makes it stale
	Receives int    // 1 at the first delivery
	Sent     time.Time
}

// Sender puts work on a queue. It is safe for concurrent use.
type Sender interface {
	// Send stores any number of messages. When it returns nil all are durable. ErrInvalid means that none was sent; after
	// another error some may have been: sending all again makes duplicates, never a gap.
	Send(ctx context.Context, messages ...Message) error
}

// Queue is both ends of a queue. It is safe for concurrent use.
type Queue interface {
	Sender

	// Receive waits until at least one message can be delivered, ctx ends (then ctx's error) or wait has passed (then
	// none, and no error), and returns up to max (at least 1) of them, each hidden for visibility (more than 0, up to
	// MaxVisibility, to the second). It may return fewer than there are. A message whose receiver calls neither Done nor
	// Hide in time is delivered again, to anyone, so work must be safe to do twice. So is a message that a call took whose
	// ctx ended: it is hidden for the visibility that the call asked for.
	Receive(ctx context.Context, max int, wait, visibility time.Duration) ([]Delivery, error)

	// Done deletes a delivered message, durably. It is idempotent. With a stale receipt it deletes nothing and returns
	// nil: somebody else has the message now, and will do the same work again.
	Done(ctx context.Context, d Delivery) error

	// Hide makes a delivered message come back after d (0 to MaxVisibility) from now instead of at the end of its
	// visibility; 0 is at once. With a stale receipt, or after Done, it changes nothing and returns nil.
	Hide(ctx context.Context, delivery Delivery, d time.Duration) error
}

// Package queue is the contract of a durable work queue, which Amazon SQS (standard) and an embedded queue both meet:
// every message is delivered at least once, in no promised order, and one that fails too often goes to the dead letters.
package queue

import (
	"context"
	"errors"
	"time"
)

// Limits, which are SQS's.
const (
	MaxBody  = 256 * 1024       // bytes of a body
	MaxDelay = 15 * time.Minute // longest Delay of a message
)

// ErrInvalid means that a message passes a limit or a receipt is not one: trying again is useless.
var ErrInvalid = errors.New("invalid queue operation")

// Message is a unit of work to be sent.
type Message struct {
	Body []byte
	// Group names who the work is for (a connection). A receiver gets work of all groups in turn, so that one
	// group's backlog delays no other (fair queues on SQS).
	Group string
	Delay time.Duration // not delivered before; 0 to MaxDelay
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
	// Send stores any number of messages. When it returns nil all are durable. After an error some may have been sent: sending
	// all again makes duplicates, never a gap.
	Send(ctx context.Context, messages ...Message) error
}

// Queue is both ends of a queue. It is safe for concurrent use.
type Queue interface {
	Sender

	// Receive waits until at least one message can be delivered, ctx ends (then ctx's error) or wait has passed (then none),
	// and returns up to max of them, each hidden for visibility.
	Receive(ctx context.Context, max int, wait, visibility time.Duration) ([]Delivery, error)

	// Done deletes a delivered message. It is idempotent. With a stale receipt it deletes nothing and returns nil: somebody else has the
	// message now, and will do the same work again.
	Done(ctx context.Context, d Delivery) error

	// Hide makes a delivered message come back after d instead of at the end of its visibility; 0 is at once.
	Hide(ctx context.Context, delivery Delivery, d time.Duration) error
}

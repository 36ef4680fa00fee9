package queue

import (
	"context"
	"errors"
	"time"
)

// ErrAbsent means that there is no such dead letter: it was put back or dropped, or never was one.
var ErrAbsent = errors.New("no such dead letter")

// DeadLetter is a message that was delivered as often as its queue allows and was never done. It is kept until it is
// put back or dropped.
type DeadLetter struct {
	ID       string
	Group    string
	Body     []byte
	Sent     time.Time
	Died     time.Time
	Receives int // deliveries since it was sent or last put back
}

// DeadLetters are the dead letters of one queue. It is safe for concurrent use.
type DeadLetters interface {
	// Dead returns up to limit dead letters in the order in which they were sent, from the one after the ID after on; ""
	// is from the start. The ID after need not be that of a dead letter any more. ErrInvalid means that it is no ID.
	Dead(ctx context.Context, after string, limit int) ([]DeadLetter, error)

	// Letter returns one dead letter, or ErrAbsent.
	Letter(ctx context.Context, id string) (DeadLetter, error)

	// Redrive puts dead letters back on the queue as if they had never been received, durably and each by itself. It
	// returns how many of ids were dead letters; the others are ignored. After an error some may have been put back.
	Redrive(ctx context.Context, ids ...string) (int, error)

	// Drop deletes dead letters, durably and each by itself. It returns how many of ids were dead letters; the others are
	// ignored. After an error some may have been dropped.
	Drop(ctx context.Context, ids ...string) (int, error)
}

package embedded

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/mailtrail/mailtrail/shared/queue"
)

// QueueOptions tune a queue; the zero value bounds nothing.
type QueueOptions struct {
	// MaxReceives is how often a message is delivered; after that it becomes a dead letter. 0 is no bound.
	MaxReceives int
	// MaxInFlightPerGroup bounds how many messages of one group are delivered and neither done nor back; 0 is no bound.
	MaxInFlightPerGroup int
}

// Queue is a queue.Queue in the store's folder. Groups take turns: a Receive gets one message of each group that has
// one ready, then a second one, and so on.
//
// A delivery is durable before Receive returns it, so that a message that kills the process becomes a dead letter in
// the end. How long it is hidden is not durable: when the store is opened, all messages that were in flight can be
// received at once.
type Queue struct {
	store *Store
	name  string

	// mu guards what follows. All changes to stored messages are applied while it is held, so that the log has them in
	// the order of the backlog. The wait for their sync is without it.
	mu sync.Mutex
	backlog
	dead    int // dead letters
	waiters []*waiter
}

var _ queue.Queue = (*Queue)(nil)

// Queue returns the queue of that name, always the same one; options are those of the latest call.
func (s *Store) Queue(name string, o QueueOptions) *Queue {
	q := s.queue(name)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.most, q.perGroup = o.MaxReceives, o.MaxInFlightPerGroup
	return q
}

func (s *Store) queue(name string) *Queue {
	s.rooms.Lock()
	defer s.rooms.Unlock()
	q := s.queues[name]
	if q == nil {
		q = &Queue{store: s, name: name}
		q.groups, q.known = map[string]*group{}, map[uint64]*message{}
		s.queues[name] = q
	}
	return q
}

func (q *Queue) failed(verb string, err error) error {
	return fmt.Errorf("%s queue %s: %w", verb, q.name, err)
}

// Send implements queue.Sender. It writes in batches, each of them whole or not at all, and in order; the last one's
// sync makes all durable, and only then the messages can be received.
func (q *Queue) Send(ctx context.Context, messages ...queue.Message) error {
	for _, m := range messages {
		if err := m.Valid(); err != nil {
			return err
		}
	}
	if len(messages) == 0 {
		return nil
	}
	if err := q.store.enterWrite(ctx); err != nil {
		return q.failed("send to", err)
	}
	defer q.store.leaveWrite()
	sent, err := q.write(ctx, messages)
	if err != nil {
		return q.failed("send to", err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, m := range sent {
		q.adopt(m, messages[i].Group)
	}
	q.wake()
	return nil
}

func (q *Queue) write(ctx context.Context, messages []queue.Message) ([]*message, error) {
	first, err := q.store.numbers.take(q.store.db, len(messages))
	if err != nil {
		return nil, err
	}
	now := q.store.now()
	sent := make([]*message, len(messages))
	for i, m := range messages {
		sent[i] = &message{id: first + uint64(i), sent: now.UnixNano(), due: now.Add(m.Delay).UnixNano()}
	}
	for done := 0; done < len(sent); {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n, err := q.writeSome(sent[done:], messages[done:])
		if err != nil {
			return nil, err
		}
		done += n
	}
	return sent, nil
}

// writeSome writes as many messages as one batch takes, and waits for the sync if those are the last.
func (q *Queue) writeSome(sent []*message, messages []queue.Message) (n int, err error) {
	batch := q.store.db.NewBatch()
	defer func() { err = errors.Join(err, batch.Close()) }()
	for n < len(sent) && n < batchItems && batch.Len() < batchBytes {
		m := sent[n]
		if err := batch.Set(messageKey(kindIndex, q.name, m.id), m.record(m.due, messages[n].Group), nil); err != nil {
			return 0, err
		}
		if err := batch.Set(messageKey(kindBody, q.name, m.id), messages[n].Body, nil); err != nil {
			return 0, err
		}
		n++
	}
	if n < len(sent) {
		return n, q.store.apply(batch, false)
	}
	if err := q.store.apply(batch, true); err != nil {
		return n, err
	}
	return n, batch.SyncWait()
}

// Done implements queue.Queue.
func (q *Queue) Done(ctx context.Context, d queue.Delivery) error {
	id, delivery, err := parseReceipt(d.Receipt)
	if err != nil {
		return err
	}
	if err := q.store.enterWrite(ctx); err != nil {
		return q.failed("delete from", err)
	}
	defer q.store.leaveWrite()
	if err := q.done(id, delivery); err != nil {
		return q.failed("delete from", err)
	}
	return nil
}

func (q *Queue) done(id uint64, delivery uint32) (err error) {
	batch := q.store.db.NewBatch()
	defer func() { err = errors.Join(err, batch.Close()) }()
	q.mu.Lock()
	m := q.delivered(id, delivery)
	if m != nil {
		q.remove(m)
		q.wake() // its group may have one more in flight
		err = q.deleteMessage(batch, id)
	}
	q.mu.Unlock()
	if err != nil {
		return err
	}
	if m == nil {
		return q.store.settle() // another call may have deleted it, and still wait for its sync
	}
	return batch.SyncWait()
}

// deleteMessage applies the deletion of a message; the caller holds mu, and calls batch.SyncWait without it.
func (q *Queue) deleteMessage(batch *pebble.Batch, id uint64) error {
	if err := batch.Delete(messageKey(kindIndex, q.name, id), nil); err != nil {
		return err
	}
	if err := batch.Delete(messageKey(kindBody, q.name, id), nil); err != nil {
		return err
	}
	return q.store.apply(batch, true)
}

// Hide implements queue.Queue. It is not durable: a message that is hidden comes back at once when the store is opened.
func (q *Queue) Hide(ctx context.Context, delivery queue.Delivery, d time.Duration) error {
	id, number, err := parseReceipt(delivery.Receipt)
	if err != nil {
		return err
	}
	if d < 0 || d > queue.MaxVisibility {
		return fmt.Errorf("%w: hide a message for %s", queue.ErrInvalid, d)
	}
	if err := q.store.enter(ctx); err != nil {
		return q.failed("hide in", err)
	}
	defer q.store.leave()
	q.mu.Lock()
	defer q.mu.Unlock()
	if m := q.delivered(id, number); m != nil && m.state == inFlight {
		q.hide(m, q.store.now().Add(d).UnixNano())
		q.wake() // a receiver that waits for the next due message looks at the times again
	}
	return nil
}

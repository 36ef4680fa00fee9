package embedded

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/mailtrail/mailtrail/shared/queue"
)

// jumps is how often waiters look at a clock that is not the real one.
const jumps = 20 * time.Millisecond

// Receive implements queue.Queue. Wait is real time, whatever the store's clock says.
func (q *Queue) Receive(ctx context.Context, most int, wait, visibility time.Duration) ([]queue.Delivery, error) {
	if most < 1 || wait < 0 || visibility <= 0 || visibility > queue.MaxVisibility {
		return nil, fmt.Errorf("%w: receive %d messages within %s for %s", queue.ErrInvalid, most, wait, visibility)
	}
	deadline := time.Now().Add(wait)
	for {
		deliveries, w, err := q.receive(ctx, most, visibility)
		if err == nil && w != nil {
			err = q.await(ctx, w, deadline)
		}
		switch {
		case errors.Is(err, errOver):
			return nil, nil
		case err != nil:
			return nil, q.failed("receive from", err)
		case len(deliveries) > 0:
			return deliveries, nil
		}
	}
}

// receive takes what is ready, or enlists a waiter when nothing is.
func (q *Queue) receive(ctx context.Context, most int, visibility time.Duration) ([]queue.Delivery, *waiter, error) {
	if err := q.store.enterWrite(ctx); err != nil {
		return nil, nil, err
	}
	defer q.store.leaveWrite()
	deliveries, w, err := q.deliver(most, visibility)
	if err == nil {
		deliveries, err = q.bodies(deliveries)
	}
	return deliveries, w, err
}

// deliver takes what is ready, and returns when that is durable.
func (q *Queue) deliver(most int, visibility time.Duration) (deliveries []queue.Delivery, w *waiter, err error) {
	batch := q.store.db.NewBatch()
	defer func() { err = errors.Join(err, batch.Close()) }()
	q.mu.Lock()
	deliveries, w, err = q.take(batch, most, visibility)
	q.mu.Unlock()
	if err == nil && !batch.Empty() {
		err = batch.SyncWait()
	}
	return deliveries, w, err
}

// take puts ready messages in flight, buries those that die, and applies both.
func (q *Queue) take(batch *pebble.Batch, most int, visibility time.Duration) ([]queue.Delivery, *waiter, error) {
	now := q.store.now()
	if err := q.turn(batch, now.UnixNano()); err != nil {
		return nil, nil, err
	}
	var deliveries []queue.Delivery
	for _, m := range q.backlog.take(most, now.Add(visibility).UnixNano()) {
		if err := batch.Set(messageKey(kindIndex, q.name, m.id), m.record(now.UnixNano(), m.group.name), nil); err != nil {
			return nil, nil, err
		}
		deliveries = append(deliveries, queue.Delivery{
			Message:  queue.Message{Group: m.group.name},
			ID:       identity(m.id),
			Receipt:  m.receipt(),
			Receives: m.receives(),
			Sent:     toTime(m.sent),
		})
	}
	if !batch.Empty() {
		if err := q.store.apply(batch, true); err != nil {
			return nil, nil, err
		}
	}
	if len(deliveries) > 0 {
		q.wake() // the next one takes what is left, or looks at the times again
		return deliveries, nil, nil
	}
	return nil, q.enlist(now), nil
}

// bodies reads the bodies of deliveries. It leaves out messages that were hidden so briefly that others have finished
// them.
func (q *Queue) bodies(deliveries []queue.Delivery) ([]queue.Delivery, error) {
	whole := deliveries[:0]
	for _, d := range deliveries {
		id, _, err := parseReceipt(d.Receipt)
		if err != nil {
			return nil, err
		}
		d.Body, err = q.body(id)
		if errors.Is(err, pebble.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		whole = append(whole, d)
	}
	return whole, nil
}

func (q *Queue) body(id uint64) ([]byte, error) {
	value, closer, err := q.store.db.Get(messageKey(kindBody, q.name, id))
	if err != nil {
		return nil, err
	}
	defer closer.Close()
	return slices.Clone(value), nil
}

// waiter is a Receive that found nothing.
type waiter struct {
	woken chan struct{} // closed by wake
	due   time.Duration // until the next message is due
}

// errOver means that a Receive has waited long enough.
var errOver = errors.New("nothing to receive in time")

// enlist makes a waiter. There is no timer of the queue: each waiter waits for the next message that is due. A call
// that makes one due earlier, and a waiter that gives up, wake another waiter, which looks at the times again.
func (q *Queue) enlist(now time.Time) *waiter {
	w := &waiter{woken: make(chan struct{}), due: queue.MaxVisibility}
	if len(q.timed) > 0 {
		w.due = time.Duration(q.timed[0].due - now.UnixNano())
	}
	if q.store.simulated {
		w.due = min(w.due, jumps)
	}
	q.waiters = append(q.waiters, w)
	return w
}

// wake wakes the Receive that has waited longest. The caller holds mu.
func (q *Queue) wake() {
	if len(q.waiters) > 0 {
		close(q.waiters[0].woken)
		q.waiters = slices.Delete(q.waiters, 0, 1)
	}
}

// await returns nil when it is time to look again, and errOver at the deadline.
func (q *Queue) await(ctx context.Context, w *waiter, deadline time.Time) (err error) {
	left := time.Until(deadline)
	timer := time.NewTimer(min(left, w.due))
	defer timer.Stop()
	select {
	case <-w.woken:
		return nil
	case <-timer.C:
		if left <= w.due {
			err = errOver
		}
	case <-ctx.Done():
		err = ctx.Err()
	case <-q.store.ending:
		err = ErrClosed
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if i := slices.Index(q.waiters, w); i >= 0 {
		q.waiters = slices.Delete(q.waiters, i, i+1)
	}
	if err != nil {
		q.wake()
	}
	return err
}

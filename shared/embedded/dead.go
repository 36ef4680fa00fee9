package embedded

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/cockroachdb/pebble/v2"

	"github.com/mailtrail/mailtrail/shared/queue"
)

var _ queue.DeadLetters = (*Queue)(nil)

// Depth is how many messages a queue holds.
type Depth struct {
	Ready, Delayed, InFlight, Dead int
}

// Depth counts the queue's messages.
func (q *Queue) Depth(ctx context.Context) (Depth, error) {
	if err := q.bury(ctx); err != nil {
		return Depth{}, q.failed("count", err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return Depth{
		Ready:    q.waiting - len(q.timed),
		Delayed:  len(q.timed) - q.inFlight,
		InFlight: q.inFlight,
		Dead:     q.dead,
	}, nil
}

// turn makes ready what is due, and puts into batch what dies instead: its record moves, its body stays. After a crash
// before the batch is durable it dies again. The caller holds mu and applies the batch before it gives it back.
func (q *Queue) turn(batch *pebble.Batch, now int64) error {
	for _, m := range q.advance(now) {
		if err := batch.Delete(messageKey(kindIndex, q.name, m.id), nil); err != nil {
			return err
		}
		if err := batch.Set(messageKey(kindDead, q.name, m.id), m.record(now, m.group.name), nil); err != nil {
			return err
		}
		q.dead++
	}
	return nil
}

// bury does what a Receive would do about messages that are due.
func (q *Queue) bury(ctx context.Context) (err error) {
	if err := q.store.enterWrite(ctx); err != nil {
		return err
	}
	defer q.store.leaveWrite()
	batch := q.store.db.NewBatch()
	defer func() { err = errors.Join(err, batch.Close()) }()
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.turn(batch, q.store.now().UnixNano()); err != nil || batch.Empty() {
		return err
	}
	return q.store.apply(batch, false)
}

// Dead implements queue.DeadLetters.
func (q *Queue) Dead(ctx context.Context, after string, limit int) ([]queue.DeadLetter, error) {
	var from uint64
	if after != "" {
		id, err := parseIdentity(after)
		if err != nil {
			return nil, err
		}
		if from = id + 1; from == 0 {
			return nil, nil // after the last ID that there can be
		}
	}
	letters, err := q.letters(ctx, from, limit)
	if err != nil {
		return nil, q.failed("list dead letters of", err)
	}
	return letters, nil
}

// Letter implements queue.DeadLetters.
func (q *Queue) Letter(ctx context.Context, id string) (queue.DeadLetter, error) {
	n, err := parseIdentity(id)
	if err != nil {
		return queue.DeadLetter{}, err
	}
	letters, err := q.letters(ctx, n, 1)
	if err != nil {
		return queue.DeadLetter{}, q.failed("look up a dead letter of", err)
	}
	if len(letters) == 0 || letters[0].ID != identity(n) {
		return queue.DeadLetter{}, fmt.Errorf("%w: %s in queue %s", queue.ErrAbsent, identity(n), q.name)
	}
	return letters[0], nil
}

func (q *Queue) letters(ctx context.Context, from uint64, limit int) (letters []queue.DeadLetter, err error) {
	if err := q.bury(ctx); err != nil {
		return nil, err
	}
	if err := q.store.enter(ctx); err != nil {
		return nil, err
	}
	defer q.store.leave()
	rows, err := q.store.db.NewIter(&pebble.IterOptions{
		LowerBound: messageKey(kindDead, q.name, from),
		UpperBound: keyAfter(appendName([]byte{kindDead}, q.name)),
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for ok := rows.First(); ok && len(letters) < limit; ok = rows.Next() {
		value, err := rows.ValueAndErr()
		if err != nil {
			return nil, err
		}
		letter, err := q.letter(rows.Key(), value)
		if errors.Is(err, pebble.ErrNotFound) {
			continue // it was dropped after the iterator was opened
		}
		if err != nil {
			return nil, err
		}
		letters = append(letters, letter)
	}
	return letters, rows.Error()
}

func (q *Queue) letter(key, value []byte) (queue.DeadLetter, error) {
	_, id, err := parseMessageKey(key)
	if err != nil {
		return queue.DeadLetter{}, err
	}
	m, group, err := parseRecord(value)
	if err != nil {
		return queue.DeadLetter{}, err
	}
	body, err := q.body(id)
	if err != nil {
		return queue.DeadLetter{}, fmt.Errorf("body of dead letter %s: %w", identity(id), err)
	}
	return queue.DeadLetter{
		ID: identity(id), Group: group, Body: body, Sent: toTime(m.sent), Died: toTime(m.due), Receives: m.receives(),
	}, nil
}

// Redrive implements queue.DeadLetters.
func (q *Queue) Redrive(ctx context.Context, ids ...string) (int, error) {
	return q.eachDead(ctx, "redrive in", ids, func(batch *pebble.Batch, id uint64, value []byte) error {
		m, group, err := parseRecord(value)
		if err != nil {
			return err
		}
		m.id, m.pardoned, m.due = id, m.deliveries, q.store.now().UnixNano()
		if err := batch.Set(messageKey(kindIndex, q.name, id), m.record(m.due, group), nil); err != nil {
			return err
		}
		q.adopt(&m, group)
		q.wake()
		return nil
	})
}

// Drop implements queue.DeadLetters.
func (q *Queue) Drop(ctx context.Context, ids ...string) (int, error) {
	return q.eachDead(ctx, "drop from", ids, func(batch *pebble.Batch, id uint64, _ []byte) error {
		return batch.Delete(messageKey(kindBody, q.name, id), nil)
	})
}

// eachDead takes those of ids that are dead letters off the dead, and does the rest in the same batch.
func (q *Queue) eachDead(
	ctx context.Context, verb string, ids []string, rest func(*pebble.Batch, uint64, []byte) error,
) (int, error) {
	numbers := make([]uint64, len(ids))
	for i, id := range ids {
		var err error
		if numbers[i], err = parseIdentity(id); err != nil {
			return 0, err
		}
	}
	if err := q.store.enterWrite(ctx); err != nil {
		return 0, q.failed(verb, err)
	}
	defer q.store.leaveWrite()
	n := 0
	for _, id := range numbers {
		was, err := q.undead(id, rest)
		if err != nil {
			return n, q.failed(verb, err)
		}
		if was {
			n++
		}
	}
	if err := q.store.sync(); err != nil {
		return n, q.failed(verb, err)
	}
	return n, nil
}

func (q *Queue) undead(id uint64, rest func(*pebble.Batch, uint64, []byte) error) (was bool, err error) {
	batch := q.store.db.NewBatch()
	defer func() { err = errors.Join(err, batch.Close()) }()
	q.mu.Lock()
	defer q.mu.Unlock()
	key := messageKey(kindDead, q.name, id)
	value, closer, err := q.store.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer closer.Close()
	if err := batch.Delete(key, nil); err != nil {
		return false, err
	}
	if err := rest(batch, id, value); err != nil {
		return false, err
	}
	q.dead--
	return true, q.store.apply(batch, false)
}

func identity(id uint64) string { return fmt.Sprintf("%016x", id) }

func parseIdentity(id string) (uint64, error) {
	n, err := strconv.ParseUint(id, 16, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: %.40q is no identity of a message", queue.ErrInvalid, id)
	}
	return n, nil
}

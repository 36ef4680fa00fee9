package embedded

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/mailtrail/mailtrail/shared/queue"
)

// DeadLetter is a message that was delivered MaxReceives times, and never done. It is kept until it is redriven or dropped.
type DeadLetter struct {
	ID       string
	Group    string
	Body     []byte
	Sent     time.Time
	Died     time.Time
	Receives int // deliveries, since it was sent or last redriven
}

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

// Dead returns up to limit dead letters in the order in which they were sent, those after the one with ID after; "" is from the start.
func (q *Queue) Dead(ctx context.Context, after string, limit int) ([]DeadLetter, error) {
	var from uint64
	if after != "" {
		id, err := parseIdentity(after)
		if err != nil {
			return nil, err
		}
		from = id + 1
	}
	if err := q.bury(ctx); err != nil {
		return nil, q.failed("list dead letters of", err)
	}
	letters, err := q.letters(ctx, from, limit)
	if err != nil {
		return nil, q.failed("list dead letters of", err)
	}
	return letters, nil
}

func (q *Queue) letters(ctx context.Context, from uint64, limit int) (letters []DeadLetter, err error) {
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
		if err != nil {
			return nil, err
		}
		letters = append(letters, letter)
	}
	return letters, rows.Error()
}

func (q *Queue) letter(key, value []byte) (DeadLetter, error) {
	_, id, err := parseMessageKey(key)
	if err != nil {
		return DeadLetter{}, err
	}
	m, group, err := parseRecord(value)
	if err != nil {
		return DeadLetter{}, err
	}
	body, err := q.body(id)
	if err != nil {
		return DeadLetter{}, fmt.Errorf("body of dead letter %s: %w", identity(id), err)
	}
	return DeadLetter{
		ID: identity(id), Group: group, Body: body, Sent: toTime(m.sent), Died: toTime(m.due), Receives: m.receives(),
	}, nil
}

// Redrive puts dead letters back on the queue, as if they had never been received, durably and each on its own. It returns how many
// of ids were dead letters.
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

// Drop deletes dead letters, durably and each on its own. It returns how many of ids were dead letters.
func (q *Queue) Drop(ctx context.Context, ids ...string) (int, error) {
	return q.eachDead(ctx, "drop from", ids, func(batch *pebble.Batch, id uint64, _ []byte) error {
		return batch.Delete(messageKey(kindBody, q.name, id), nil)
	})
}

// eachDead takes those of ids that are dead letters off the dead, and does the rest in the same batch.
func (q *Queue) eachDead(ctx context.Context, verb string, ids []string, rest func(*pebble.Batch, uint64, []byte) error) (int, error) {
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

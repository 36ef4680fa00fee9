package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/mailtrail/mailtrail/shared/queue"
)

// message is what memory holds of a message: about 100 bytes with its places in the lists, so 1 million of them take
// about 100 MB. Its body stays on disk.
type message struct {
	id    uint64
	group *group
	sent  int64 // nanoseconds since 1970
	due   int64 // when its delay or its visibility ends
	// deliveries counts all of them, and names the last one in its receipt; those before the last redrive are pardoned.
	deliveries uint32
	pardoned   uint32
	place      int32 // in the heap of timed messages
	state      state
}

// state says where a message is.
type state uint8

const (
	ready    state = iota // in its group's list
	delayed               // in the heap, until it is ready
	inFlight              // in the heap and in known, until its visibility ends
	gone                  // done, but still in its group's list
)

func (m *message) receives() int { return int(m.deliveries - m.pardoned) }

func (m *message) receipt() string {
	return identity(m.id) + "." + strconv.FormatUint(uint64(m.deliveries), 16)
}

func parseReceipt(receipt string) (id uint64, delivery uint32, err error) {
	first, second, ok := strings.Cut(receipt, ".")
	id, err1 := strconv.ParseUint(first, 16, 64)
	n, err2 := strconv.ParseUint(second, 16, 32)
	if !ok || err1 != nil || err2 != nil {
		return 0, 0, fmt.Errorf("%w: receipt %.40q", queue.ErrInvalid, receipt)
	}
	return id, uint32(n), nil
}

// The record of a message that waits, and of a dead letter, is
//
//	version 1, sent, time (when its delay ends, or when it died), deliveries, pardoned, group
//
// where numbers are varints, times are nanoseconds since 1970, and the group is what is left. That a message is in
// flight, and for how long, is not stored.
const recordVersion = 1

func (m *message) record(at int64, group string) []byte {
	dst := append(make([]byte, 0, 32+len(group)), recordVersion)
	dst = binary.AppendVarint(dst, m.sent)
	dst = binary.AppendVarint(dst, at)
	dst = binary.AppendUvarint(dst, uint64(m.deliveries))
	dst = binary.AppendUvarint(dst, uint64(m.pardoned))
	return append(dst, group...)
}

// parseRecord returns the message without its id and its group.
func parseRecord(value []byte) (m message, group string, err error) {
	if len(value) == 0 || value[0] != recordVersion {
		return message{}, "", errValue
	}
	d := decoder{rest: value[1:]}
	m.sent, m.due = d.varint(), d.varint()
	m.deliveries, m.pardoned = uint32(d.uvarint()), uint32(d.uvarint())
	return m, string(d.rest), d.err
}

// loadQueues reads the messages of all queues: their records, not their bodies. Each is due when its delay ends, or at
// once: whatever had received it ended with the process.
func (s *Store) loadQueues() error {
	err := s.eachRecord(kindIndex, func(q *Queue, id uint64, value []byte) error {
		m, group, err := parseRecord(value)
		if err != nil {
			return err
		}
		m.id = id
		q.adopt(&m, group)
		return nil
	})
	if err != nil {
		return err
	}
	return s.eachRecord(kindDead, func(q *Queue, _ uint64, _ []byte) error {
		q.dead++
		return nil
	})
}

func (s *Store) eachRecord(kind byte, do func(q *Queue, id uint64, value []byte) error) (err error) {
	rows, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{kind}, UpperBound: []byte{kind + 1}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for ok := rows.First(); ok; ok = rows.Next() {
		name, id, err := parseMessageKey(rows.Key())
		if err != nil {
			return err
		}
		value, err := rows.ValueAndErr()
		if err != nil {
			return err
		}
		if err := do(s.queue(name), id, value); err != nil {
			return fmt.Errorf("message %x of queue %s: %w", id, name, err)
		}
	}
	return rows.Error()
}

func parseMessageKey(key []byte) (queue string, id uint64, err error) {
	name, rest, err := cutName(key[1:])
	if err != nil || len(rest) != 8 {
		return "", 0, errKey
	}
	return name, binary.BigEndian.Uint64(rest), nil
}

func toTime(nanoseconds int64) time.Time { return time.Unix(0, nanoseconds).UTC() }

package forensic

import (
	"context"
	"fmt"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/table"
)

// Load reads the stored messages with these ids of connection c, in the order of ids, each once. It skips ids without
// a message: the message was never committed, or has expired. fault.Poison means that a message is there and cannot
// be read. Then the whole call fails, because a search must not skip a message silently.
func Load(ctx context.Context, events table.Table, c connection.ID, ids []RecordID) ([]Message, error) {
	keys := make([]table.Key, len(ids))
	for i, id := range ids {
		keys[i] = MessageKey(c, id)
	}
	items, err := events.GetMany(ctx, keys)
	if err != nil {
		return nil, fmt.Errorf("load %d messages of connection %s: %w", len(ids), c, err)
	}

	found := make(map[RecordID]Message, len(items))
	parts := make(map[RecordID]rest)
	for _, item := range items {
		m, more, err := decode(c, item)
		if err != nil {
			return nil, err
		}
		found[m.Record] = m
		if more.parts > 0 {
			parts[m.Record] = more
		}
	}
	for id, more := range parts {
		if found[id], err = loadParts(ctx, events, found[id], more); err != nil {
			return nil, err
		}
	}

	messages := make([]Message, 0, len(found))
	for _, id := range ids {
		if m, ok := found[id]; ok {
			messages = append(messages, m)
			delete(found, id)
		}
	}
	return messages, nil
}

// loadParts adds the contents of the message's further items.
func loadParts(ctx context.Context, events table.Table, m Message, more rest) (Message, error) {
	n := more.parts
	keys := make([]table.Key, n)
	for i := range keys {
		keys[i] = partKey(m.Connection, m.Record, m.Arrival, more.generation, i)
	}
	items, err := events.GetMany(ctx, keys)
	if err != nil {
		return Message{}, fmt.Errorf("load parts of message %s of connection %s: %w", m.Record, m.Connection, err)
	}
	attrs := make(map[table.Key]table.Attrs, n)
	for _, item := range items {
		attrs[item.Key] = item.Attrs
	}
	for i, k := range keys {
		a, ok := attrs[k]
		if !ok {
			return Message{}, fmt.Errorf("message %s of connection %s: part %d of %d is missing: %w",
				m.Record, m.Connection, i+1, n, fault.Poison)
		}
		take(&m, a)
	}
	return m, nil
}

// Posting is one entry of an index: a message, under the term or the day by which it was found. It counts only if the
// message is there and confirms it.
type Posting struct {
	Record   RecordID
	Observed time.Time // zero in arrival postings
	Value    string    // of term postings
	Files    int64     // of day postings: how many files the message has
}

// ReadDay reads a posting of a DayPartition.
func ReadDay(item table.Item) (Posting, error) {
	t, r, err := SplitTimeSort(item.Sort)
	if err != nil {
		return Posting{}, err
	}
	n, _ := item.Attrs[attrFileCount].(int64)
	return Posting{Record: r, Observed: t, Files: n}, nil
}

// ReadTerm reads a posting of a TermPartition.
func ReadTerm(item table.Item) (Posting, error) {
	value, at, ok := SplitTermSort(item.Sort)
	if !ok {
		return Posting{}, fmt.Errorf("posting %q has no value", item.Sort)
	}
	t, r, err := SplitTimeSort(at)
	if err != nil {
		return Posting{}, err
	}
	return Posting{Record: r, Observed: t, Value: value}, nil
}

// ReadArrival reads a posting of an ArrivalPartition.
func ReadArrival(item table.Item) (Posting, error) {
	r, ok := item.Attrs[attrRecord].(string)
	if !ok || r == "" {
		return Posting{}, fmt.Errorf("arrival posting %q has no record", item.Sort)
	}
	return Posting{Record: RecordID(r)}, nil
}

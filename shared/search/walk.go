package search

import (
	"context"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/forensic"
	"github.com/mailtrail/mailtrail/shared/table"
)

// batchSize is how many messages are loaded at once, as many as DynamoDB gives in one request.
const batchSize = 100

// batch is some postings of a stream, and their messages.
type batch struct {
	postings []posting
	messages map[messageKey]*forensic.Message
	err      error
}

type messageKey struct {
	conn   connection.ID
	record forensic.RecordID
}

// walk loads the message of each posting of s and visits it, in order, until visit returns false. While one batch is
// visited the next one is loaded; no more than these two are in memory. Postings without a message that confirms them
// are passed over: their message was never committed, or is another one's repetition.
func walk(ctx context.Context, events table.Table, s stream, visit func(posting, *forensic.Message) bool) error {
	ctx, stop := context.WithCancel(ctx)
	batches := make(chan batch)
	go func() {
		defer close(batches)
		for more := true; more; {
			b := load(ctx, events, s)
			more = len(b.postings) == batchSize && b.err == nil
			select {
			case batches <- b:
			case <-ctx.Done():
				return
			}
		}
	}()
	defer func() { // the loader has ended before walk does
		stop()
		for range batches {
			continue
		}
	}()

	for b := range batches {
		if b.err != nil {
			return b.err
		}
		for _, p := range b.postings {
			m, ok := b.messages[messageKey{p.conn.ID, p.record}]
			if ok && p.confirmed(m) && !visit(p, m) {
				return nil
			}
		}
	}
	return ctx.Err()
}

// confirmed reports whether the message is where the posting says.
func (p posting) confirmed(m *forensic.Message) bool {
	if p.hash != "" {
		return p.at.Equal(m.Arrival)
	}
	return p.at.Equal(m.Observed)
}

// load takes the next postings of s, fewer than batchSize only at its end, and loads their messages.
func load(ctx context.Context, events table.Table, s stream) batch {
	b := batch{messages: make(map[messageKey]*forensic.Message, batchSize)}
	ids := make(map[connection.ID][]forensic.RecordID)
	for len(b.postings) < batchSize {
		p, ok, err := s.next(ctx)
		if err != nil {
			return batch{err: err}
		}
		if !ok {
			break
		}
		b.postings = append(b.postings, p)
		ids[p.conn.ID] = append(ids[p.conn.ID], p.record)
	}
	for conn, records := range ids {
		messages, err := forensic.Load(ctx, events, conn, records)
		if err != nil {
			return batch{err: err}
		}
		for i := range messages {
			b.messages[messageKey{conn, messages[i].Record}] = &messages[i]
		}
	}
	return b
}

package forensic

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/table"
)

const (
	// requestLife is how long a request to look again is remembered.
	requestLife = 14 * 24 * time.Hour
	// requestStep is how many messages of a request one sweep goes through.
	requestStep = 1000
)

// Request asks to look again, at once, for what is missing of a connection's messages.
type Request struct {
	ID      string
	By      string    // who asked
	Asked   time.Time // when
	Reasons []Reason  // of these; empty is all that may pass
	From    time.Time // of messages observed from then on
	To      time.Time // and before then

	Seen int64     // messages that were gone through
	Sent int64     // of them, those that are looked for again
	Done time.Time // when all were gone through; zero until then

	at string // where the next sweep goes on: a time sort
}

// Requests keeps requests to look again, in table Connections: whoever asks needs no other. It is safe for concurrent
// use. A request is carried out by sweeps (Desk.Sweep), step by step: a crash repeats a step.
//
//	access                       partition     sort
//	requests of a connection     c|requests    <asked>-<random>    expires
type Requests struct {
	Table table.Table
	Now   func() time.Time
	Rand  io.Reader
}

func requestsPartition(c connection.ID) string { return string(c) + "|requests" }

// Add stores a request and returns it with its id.
func (q *Requests) Add(ctx context.Context, c connection.ID, r Request) (Request, error) {
	b := make([]byte, 8)
	if _, err := io.ReadFull(q.Rand, b); err != nil {
		return Request{}, fmt.Errorf("read randomness: %w", err)
	}
	r.Asked = q.Now().UTC().Truncate(time.Millisecond)
	r.ID = fmt.Sprintf("%012x-%s", r.Asked.UnixMilli(), hex.EncodeToString(b))
	r.at = ""
	return r, q.save(ctx, c, r)
}

func (q *Requests) save(ctx context.Context, c connection.ID, r Request) error {
	reasons := make([]string, len(r.Reasons))
	for i, reason := range r.Reasons {
		reasons[i] = string(reason)
	}
	item := table.Item{
		Key: table.Key{Partition: requestsPartition(c), Sort: r.ID},
		Attrs: table.Attrs{
			"by": r.By, "asked": table.Stamp(r.Asked), "reasons": reasons, "from": table.Stamp(r.From),
			"to": table.Stamp(r.To), "seen": r.Seen, "sent": r.Sent, "done": table.Stamp(r.Done), "at": r.at,
		},
		Expires: r.Asked.Add(requestLife),
	}
	if err := q.Table.Load(ctx, item); err != nil {
		return fmt.Errorf("store a request to look again for messages of connection %s: %w", c, err)
	}
	return nil
}

// List returns the requests of a connection, the oldest first.
func (q *Requests) List(ctx context.Context, c connection.ID) ([]Request, error) {
	var all []Request
	for item, err := range q.Table.Query(ctx, table.Query{Partition: requestsPartition(c)}) {
		if err != nil {
			return nil, fmt.Errorf("list the requests of connection %s: %w", c, err)
		}
		a := item.Attrs
		r := Request{
			ID: item.Sort, By: text(a, "by", ""), Asked: table.TimeOf(a["asked"]), From: table.TimeOf(a["from"]),
			To: table.TimeOf(a["to"]), Done: table.TimeOf(a["done"]), at: text(a, "at", ""),
		}
		r.Seen, _ = a["seen"].(int64)
		r.Sent, _ = a["sent"].(int64)
		reasons, _ := a["reasons"].([]string)
		for _, reason := range reasons {
			r.Reasons = append(r.Reasons, Reason(reason))
		}
		all = append(all, r)
	}
	return all, nil
}

// wants reports whether a request is for a message.
func (r *Request) wants(m *Message) bool {
	if !m.Open() {
		return false
	}
	if len(r.Reasons) == 0 || slices.Contains(r.Reasons, m.Copy.Reason) {
		return true
	}
	return slices.ContainsFunc(m.Files, func(f File) bool {
		return f.Attachment.NoHash != "" && slices.Contains(r.Reasons, f.Attachment.NoHash)
	})
}

// sweepRequests carries out a step of each request that is not done.
func (d *Desk) sweepRequests(ctx context.Context, c connection.ID) (sent int, err error) {
	if d.Requests == nil {
		return 0, nil
	}
	all, err := d.Requests.List(ctx, c)
	if err != nil {
		return 0, err
	}
	for _, r := range all {
		if !r.Done.IsZero() {
			continue
		}
		n, err := d.step(ctx, c, &r)
		if err == nil {
			err = d.Requests.save(ctx, c, r)
		}
		if sent += n; err != nil {
			return sent, fmt.Errorf("carry out request %s: %w", r.ID, err)
		}
	}
	return sent, nil
}

// step goes through the next messages of a request, and sends those that it wants.
func (d *Desk) step(ctx context.Context, c connection.ID, r *Request) (sent int, err error) {
	records, err := d.next(ctx, c, r)
	if err != nil {
		return 0, err
	}
	messages, err := Load(ctx, d.Events, c, records)
	if err != nil {
		return 0, err
	}
	wanted := records[:0]
	for i := range messages {
		if r.wants(&messages[i]) {
			wanted = append(wanted, messages[i].Record)
		}
	}
	r.Sent += int64(len(wanted))
	return len(wanted), sendWaiting(ctx, d.Queue, c, againGroup(c), wanted, Waiting{Again: true, Asked: true})
}

// next lists up to requestStep messages of a request, in the order of the time observed, and moves it on.
func (d *Desk) next(ctx context.Context, c connection.ID, r *Request) (records []RecordID, err error) {
	from := table.Stamp(r.From)
	if r.at != "" {
		from = r.at
	}
	to := table.Stamp(r.To)
	days := table.Query{
		Partition: DaysPartition(c), From: DaysObserved + from[:min(len(from), len(dayLayout))], To: DaysArrival,
	}
	if days.From > days.To {
		days.To = ""
	}
	for day, err := range d.Events.Query(ctx, days) {
		if err != nil {
			return nil, fmt.Errorf("list the days of connection %s: %w", c, err)
		}
		name, ok := strings.CutPrefix(day.Sort, DaysObserved)
		if !ok || name > to {
			continue
		}
		at, err := time.Parse(dayLayout, name)
		if err != nil {
			continue // no day of ours
		}
		q := table.Query{Partition: DayPartition(c, at), From: from, To: to, Limit: requestStep - len(records)}
		for item, err := range d.Events.Query(ctx, q) {
			if err != nil {
				return nil, fmt.Errorf("list the messages of connection %s: %w", c, err)
			}
			posting, err := ReadDay(item)
			if err != nil {
				return nil, err
			}
			records = append(records, posting.Record)
			r.at = item.Sort + "\x00"
			r.Seen++
		}
		if len(records) >= requestStep {
			return records, nil
		}
	}
	r.Done = d.Now().UTC().Truncate(time.Millisecond)
	return records, nil
}

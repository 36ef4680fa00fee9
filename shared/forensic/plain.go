package forensic

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/people"
	"github.com/mailtrail/mailtrail/shared/queue"
)

// Senders remembers when people last sent mail of any kind, so that somebody whose sends do not come is noticed. It is
// safe for concurrent use.
type Senders interface {
	// Sent records the latest send of each name, a principal's name or an address as the audit record has it. A time that
	// is earlier than the recorded one changes nothing.
	Sent(ctx context.Context, c connection.ID, latest map[string]time.Time) error
}

const (
	// maxHeard bounds the names that one reading remembers; later ones are left out.
	maxHeard = 50_000
	// maxChecks bounds the sends of one blob that are checked.
	maxChecks = 10
	// maxClient is how many bytes of a client's name are kept.
	maxClient = 40
)

// Check asks whether a mail has attachments whose audit record names none. It travels on the message queue, in a
// Waiting. Whoever loses one loses a sample.
type Check struct {
	Operation         string    `json:"operation"`
	Actor             string    `json:"actor"`
	Mailbox           string    `json:"mailbox"`
	InternetMessageID string    `json:"internetMessageId"`
	Sent              time.Time `json:"sent"`
	Queued            time.Time `json:"queued"`
	Client            string    `json:"client"`
}

// Message is the send that is checked, in the form in which a mailbox is searched.
func (c Check) Message(id connection.ID, r RecordID) Message {
	return Message{
		Connection: id, Record: r, Observed: c.Sent, Stored: c.Queued, Operation: c.Operation,
		Actor: c.Actor, Sender: c.Actor, From: c.Mailbox, Mailbox: c.Mailbox, InternetMessageID: c.InternetMessageID,
	}
}

// plains is what a reading knows of the sends without attachments.
type plains struct {
	latest map[string]time.Time // by name, of any send
	checks []Waiting
}

// plain takes a send without attachments.
func (r *reading) plain(record []byte) {
	p, ok := audit.Glance(record)
	if !ok {
		full, err := audit.Decode(record)
		if err != nil || full.CreationTime.IsZero() { // it is no send with attachments: nothing is lost
			return
		}
		p = audit.Plain{
			ID: []byte(full.ID), UserID: []byte(full.UserID), MailboxOwnerUPN: []byte(full.MailboxOwnerUPN),
			CreationTime: full.CreationTime,
		}
	}
	r.tally.Plain++
	r.hear(p.UserID, p.CreationTime)
	r.hear(p.MailboxOwnerUPN, p.CreationTime)
	if r.in.Queue != nil && r.in.CheckOneIn > 0 && len(r.plains.checks) < maxChecks && sampled(p.ID, r.in.CheckOneIn) {
		r.sample(record)
	}
}

// hear notes that somebody sent a mail.
func (r *reading) hear(name []byte, at time.Time) {
	if r.in.Senders == nil || bytes.IndexByte(name, '@') < 0 {
		return
	}
	before, known := r.plains.latest[string(name)]
	if known && !at.After(before) || !known && len(r.plains.latest) >= maxHeard {
		return
	}
	if r.plains.latest == nil {
		r.plains.latest = make(map[string]time.Time)
	}
	r.plains.latest[string(name)] = at
}

// sampled chooses one in n records by their ids, so that a record that is read again is chosen again.
func sampled(id []byte, n int) bool {
	h := fnv.New32a()
	h.Write(bytes.ToLower(id))
	return h.Sum32()%uint32(n) == 0
}

// sample keeps a send to be checked.
func (r *reading) sample(record []byte) {
	full, err := audit.Decode(record)
	if err != nil || !succeeded(full.ResultStatus) {
		return
	}
	id, err := recordID(full.ID)
	if err != nil || strings.TrimSpace(full.Item.InternetMessageID) == "" {
		return
	}
	actor, _, _ := parties(full)
	r.plains.checks = append(r.plains.checks, Waiting{
		Connection: r.blob.Connection, Record: id,
		Check: &Check{
			Operation: string(full.Operation), Actor: actor, Mailbox: clean(full.MailboxOwnerUPN),
			InternetMessageID: clean(full.Item.InternetMessageID), Sent: full.CreationTime,
			Queued: r.in.Now().UTC().Truncate(time.Millisecond), Client: clientOf(full.ClientInfoString),
		},
	})
}

// clientOf is the kind of client that sent a mail: what ClientInfoString says after Client=, such as OWA or REST.
func clientOf(info string) string {
	_, name, _ := strings.Cut(clean(info), "Client=")
	if end := strings.IndexAny(name, ";/ "); end >= 0 {
		name = name[:end]
	}
	if name == "" {
		return "unknown"
	}
	return cut(name, maxClient)
}

// heard records who sent, and queues the checks. Both can be done again. A mail that would not be kept is not looked
// for either.
func (r *reading) heard(ctx context.Context) error {
	if len(r.plains.latest) > 0 {
		if err := r.in.Senders.Sent(ctx, r.blob.Connection, r.plains.latest); err != nil {
			return fmt.Errorf("record who sent mail: %w", err)
		}
	}
	checks, err := r.judged(ctx)
	if err != nil || len(checks) == 0 {
		return err
	}
	messages := make([]queue.Message, len(checks))
	for i, w := range checks {
		body, err := json.Marshal(w)
		if err != nil {
			return fmt.Errorf("encode the check of record %s for the queue: %w", w.Record, err)
		}
		messages[i] = queue.Message{Body: body, Group: backlogGroup(r.blob.Connection)}
	}
	if err := r.in.Queue.Send(ctx, messages...); err != nil {
		return fmt.Errorf("queue %d checks of connection %s: %w", len(messages), r.blob.Connection, err)
	}
	return nil
}

// judged are the checks of mail that would be kept.
func (r *reading) judged(ctx context.Context) ([]Waiting, error) {
	checks := r.plains.checks
	if r.in.Gate == nil || len(checks) == 0 {
		return checks, nil
	}
	sends := make([]people.Send, len(checks))
	for i, w := range checks {
		sends[i] = people.Send{At: w.Check.Sent, Actor: w.Check.Actor, Mailbox: w.Check.Mailbox}
	}
	judged, err := r.in.Gate.Judge(ctx, r.blob.Connection, r.blob.Tenant, sends)
	if err != nil {
		return nil, err
	}
	var kept []Waiting
	for i, w := range checks {
		if judged[i].Verdict == people.Kept {
			kept = append(kept, w)
		}
	}
	return kept, nil
}

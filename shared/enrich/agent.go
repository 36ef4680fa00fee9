package enrich

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/forensic"
)

// Messages are the messages that wait, as they are stored. It is safe for concurrent use.
type Messages interface {
	// Load returns the message, and whether there is nothing more to be done for it: it is settled, or not there
	// any more.
	Load(ctx context.Context, c connection.ID, r forensic.RecordID) (m forensic.Message, settled bool, err error)
	// Settle adds what was found to a loaded message, durably. Of several findings only the first counts, and later
	// ones (Again) only for what was missing: settling twice is harmless.
	Settle(ctx context.Context, m forensic.Message, f forensic.Finding) error
	// Tried records an attempt that found nothing, or not all, of a message that goes on waiting.
	Tried(ctx context.Context, m forensic.Message, f forensic.Finding) error

	// Refusal returns what is known of a mailbox that refused us. Refused and Answered record what it did now; after
	// Answered the messages that waited for the mailbox are sent again. All are durable.
	Refusal(ctx context.Context, c connection.ID, mailbox string) (forensic.Refusal, error)
	Refused(
		ctx context.Context, c connection.ID, mailbox string, why forensic.Reason, answer string,
	) (forensic.Refusal, error)
	Answered(ctx context.Context, c connection.ID, mailbox string) error

	// Rival reports whether the mail with this internet message id may be that of another record than m.
	Rival(ctx context.Context, m forensic.Message, messageID string) (bool, error)
}

// Connections finds the connection of a message, or returns connection.ErrNotFound.
type Connections interface {
	Get(ctx context.Context, id connection.ID) (connection.Connection, error)
}

// Domains lists the company's own mail domains, in lower case. It lists none until the census has learned them.
type Domains interface {
	Domains(ctx context.Context, c connection.ID) ([]string, error)
}

// Setting says of which messages the attachments are hashed.
type Setting string

const (
	All      Setting = "all"
	Outgoing Setting = "external" // only where a recipient is outside of the company, or none is known
	None     Setting = "none"
)

// ParseSetting reads a setting; "" is All.
func ParseSetting(s string) (Setting, error) {
	switch set := Setting(s); set {
	case "":
		return All, nil
	case All, Outgoing, None:
		return set, nil
	}
	return "", fmt.Errorf("setting %q is none of all, external, none", s)
}

// Config is what an Agent needs. Graph, Messages and Connections are required.
type Config struct {
	Graph       Graph
	Messages    Messages
	Connections Connections
	Domains     Domains // nil: the sender's own domain is the company's
	Checks      Checks  // nil: nothing is checked
	People      People  // nil: mailboxes are addressed by name

	Hashes Setting // "" means All
	Limit  int64   // bytes of a file that is hashed at the most; 0 means DefaultLimit
	// from a message's Stored until it is settled without what was not found; 0 means DefaultDeadline
	Deadline time.Duration
	// that one attempt may take at the most; 0 means DefaultAttempt. It ends before its context does in any case
	Attempt time.Duration
	// SentLag is how long after a send its copy may still be on its way to Sent Items; 0 means DefaultSentLag.
	// Until then a copy elsewhere in the mailbox is not taken, for one that was received shows no Bcc.
	SentLag time.Duration

	Workers    int // messages that are worked on at a time; 0 means DefaultWorkers
	PerMailbox int // calls at a time in one mailbox; 0 means DefaultPerMailbox
	Now        func() time.Time
}

// Defaults of a Config.
const (
	DefaultLimit    = 150 << 20 // as large as Exchange Online takes a message
	DefaultDeadline = 30 * time.Minute
	DefaultAttempt  = 10 * time.Minute // shorter than a message of the queue stays hidden
	DefaultSentLag  = 10 * time.Minute
	DefaultWorkers  = 32
	// "Outlook service limits" of Microsoft Graph: 4 concurrent requests per application and mailbox
	DefaultPerMailbox = 4
)

// Agent enriches stored messages. It is safe for concurrent use.
type Agent struct {
	config   Config
	places   places
	again    chan struct{} // a place for each look at a message that is settled
	boxes    boxes
	refusals refusals
	ids      ids
	progress progress
	buffers  sync.Pool
}

// New returns an agent; where the configuration has no value, the default is used.
func New(c Config) *Agent {
	c.Hashes = cmp.Or(c.Hashes, All)
	c.Limit = cmp.Or(c.Limit, DefaultLimit)
	c.Deadline = cmp.Or(c.Deadline, DefaultDeadline)
	c.Attempt = cmp.Or(c.Attempt, DefaultAttempt)
	c.SentLag = cmp.Or(c.SentLag, DefaultSentLag)
	c.Workers = cmp.Or(c.Workers, DefaultWorkers)
	c.PerMailbox = cmp.Or(c.PerMailbox, DefaultPerMailbox)
	if c.Now == nil {
		c.Now = time.Now
	}
	a := &Agent{config: c}
	a.places.open(c.Workers)
	a.again = make(chan struct{}, max(1, c.Workers/againShare))
	a.refusals.open(c.Messages, c.Now)
	a.ids.open(c.People, c.Now)
	a.boxes.open(c.PerMailbox, c.Now)
	a.progress.open(c.Now)
	a.buffers.New = func() any { return new([bufferSize]byte) }
	return a
}

// againShare is the part of the workers, and so of the calls, that may look again for what was settled: an eighth.
const againShare = 8

// Enrich does the work of one forensic.Waiting: it finds the message in a mailbox, reads recipients and hashes,
// and settles it. Doing it twice is harmless. When nothing can be found yet it returns a *fault.Error of kind
// Retry, whose After says when to come back; from the deadline on the message is settled with the reasons for
// what is missing.
//
// The work of a connection that was deauthorized is parked: it returns nil, and whoever sweeps the waiting
// messages sends it again when the connection is resumed. A body that is no forensic.Waiting has fault.Poison.
func (a *Agent) Enrich(ctx context.Context, body []byte) error {
	var w forensic.Waiting
	if err := json.Unmarshal(body, &w); err != nil || w.Connection == "" || w.Record == "" {
		return fmt.Errorf("enrich a message: the queued text names none: %w", fault.Poison)
	}
	c, err := a.config.Connections.Get(ctx, w.Connection)
	switch {
	case errors.Is(err, connection.ErrNotFound):
		return nil
	case err != nil:
		return fmt.Errorf("enrich message %s: %w", w.Record, err)
	case !c.Followed():
		return nil
	}
	if w.Again {
		select {
		case a.again <- struct{}{}:
			defer func() { <-a.again }()
		default:
			return busy("enough messages are being looked for again", againDelay)
		}
	}
	leave, err := a.places.enter(ctx, c.Tenant)
	if err != nil {
		return fmt.Errorf("enrich message %s: %w", w.Record, err)
	}
	defer leave()
	if w.Check != nil {
		return a.check(ctx, c.Tenant, w)
	}
	m, settled, err := a.config.Messages.Load(ctx, w.Connection, w.Record)
	if err != nil {
		return fmt.Errorf("enrich message %s: %w", w.Record, err)
	}
	if settled && !(w.Again && m.Open()) {
		return nil
	}
	t := a.task(c.Tenant, m)
	t.again, t.asked = settled, w.Asked
	t.final = t.last || t.again
	t.last = t.last && !t.again
	return a.settle(ctx, t)
}

// task is one attempt at one message.
type task struct {
	tenant  connection.Tenant
	message forensic.Message
	now     time.Time
	age     time.Duration // since the message was stored
	last    bool          // the deadline has come: this attempt is more patient than others
	again   bool          // the message is settled, and what is missing is looked for again
	asked   bool          // by an operator, who wants to know now
	final   bool          // the attempt is settled with what it finds
	young   bool          // its copy may still be on its way to Sent Items
	waits   *budget       // of the last attempt
}

func (a *Agent) task(t connection.Tenant, m forensic.Message) task {
	now, since := a.config.Now(), m.Stored
	if since.IsZero() {
		since = m.Arrival
	}
	age := now.Sub(since)
	return task{
		tenant: t, message: m, now: now, age: max(0, age), last: age >= a.config.Deadline,
		young: now.Sub(m.Observed) < a.config.SentLag, waits: &budget{left: allWaits},
	}
}

// settle makes the finding, and stores it when it is whole or the deadline has come.
func (a *Agent) settle(ctx context.Context, t task) error {
	attempt, cancel := a.attempt(ctx)
	f, err := a.finding(attempt, t)
	cancel()
	if ctx.Err() != nil { // a shutdown is no reason for anything
		return fmt.Errorf("enrich message %s: %w", t.message.Record, ctx.Err())
	}
	if errors.Is(err, errStore) { // the message waits, past its deadline too: Microsoft was not asked
		err = fmt.Errorf("enrich message %s: %w", t.message.Record, err)
		return &fault.Error{Kind: fault.Retry, After: min(max(firstDelay, t.age), longestDelay), Err: err}
	}
	if err != nil {
		reason, _ := unfound(err)
		tried := forensic.Finding{At: t.now, Reason: reason, Answer: answer(err)}
		return a.later(t, errors.Join(err, a.config.Messages.Tried(ctx, t.message, tried)))
	}
	f.Again = t.again
	if err := a.config.Messages.Settle(ctx, t.message, f); err != nil {
		return fmt.Errorf("enrich message %s: %w", t.message.Record, err)
	}
	a.progress.forget(keyOf(t.message))
	return nil
}

// attempt bounds the time of one attempt, so that it ends before the message is delivered again, or the
// function that makes it is stopped: what was found until then can still be stored.
func (a *Agent) attempt(ctx context.Context) (context.Context, context.CancelFunc) {
	most := a.config.Attempt
	if end, ok := ctx.Deadline(); ok {
		left := time.Until(end)
		most = min(most, left-min(storing, left/4))
	}
	return context.WithTimeout(ctx, most)
}

// errStore means that a table of our own failed. That says nothing about a message, and is the reason for nothing.
var errStore = errors.New("a table of our own failed")

// storing is what is left of a function's time for settling.
const storing = 10 * time.Second

// finding looks for the message and at what is attached to it. A final attempt does not fail.
func (a *Agent) finding(ctx context.Context, t task) (forensic.Finding, error) {
	own, err := a.ownDomains(ctx, t.message)
	if err != nil {
		return forensic.Finding{}, err
	}
	found, err := a.find(ctx, t)
	if errors.Is(err, errStore) {
		return forensic.Finding{}, err
	}
	if reason, hopeless := unfound(err); err != nil && (hopeless || t.final) {
		f := forensic.Finding{At: t.now, Reason: reason, Answer: answer(err), After: fault.Wait(err)}
		var r *refusing
		switch {
		case errors.As(err, &r) && r.known && r.alone:
			f.Refused, f.Probed = r.mailbox, r.probed
		case errors.Is(err, errNowhere):
			f.Never = true
		}
		return f, nil
	}
	if err != nil {
		return forensic.Finding{}, err
	}
	f := forensic.Finding{
		At: t.now, Mailbox: found.name, From: found.mail.From, Sender: found.mail.Sender, Subject: found.mail.Subject,
		Sent: found.mail.Sent, Recipients: recipients(found, t.message),
	}
	if f.MatchedBy = found.matchedBy; f.MatchedBy == forensic.ByLikeness {
		f.MessageID = found.mail.MessageID
	}
	attached, err := a.attachments(ctx, t, found)
	if err != nil && t.final {
		f.Files, f.Answer, f.After = unlisted(t.message, err), answer(err), fault.Wait(err)
		return f, nil
	}
	if err != nil {
		return forensic.Finding{}, err
	}
	f.Files, f.Answer, err = a.files(ctx, t, found, attached, a.unhashed(f.Recipients, own))
	return f, err
}

// unlisted are the files as the audit record names them, of a message whose attachments could not be listed.
func unlisted(m forensic.Message, err error) []forensic.Attachment {
	list := make([]forensic.Attachment, len(m.Files))
	for i, file := range m.Files {
		list[i] = forensic.Attachment{Record: i, Name: file.Name, StoredSize: file.StoredSize, Size: -1}
		list[i].NoHash, _ = unfound(err)
	}
	return list
}

// recipients are those of the message that was found. A copy outside of Sent Items may be one that was
// received, without its Bcc, so those whom only the audit record names are added, in no role.
func recipients(found located, m forensic.Message) []forensic.Recipient {
	list := found.mail.Recipients
	if found.sent {
		return list
	}
	known := make(map[string]bool, len(list))
	for _, r := range list {
		known[forensic.Normal(r.Address)] = true
	}
	for _, address := range m.Recipients {
		if !known[forensic.Normal(address)] {
			list = append(list, forensic.Recipient{Address: address, Role: forensic.Unknown})
		}
	}
	return list
}

// unhashed is why no file of a message with these recipients is hashed, or "". Where nobody is known, they may
// be outside.
func (a *Agent) unhashed(list []forensic.Recipient, own []string) forensic.Reason {
	switch a.config.Hashes {
	case None:
		return forensic.HashingOff
	case Outgoing:
		for _, r := range list {
			if forensic.ReachOf(r.Address, own) != forensic.Internal {
				return ""
			}
		}
		if len(list) > 0 {
			return forensic.InternalOnly
		}
	}
	return ""
}

func (a *Agent) ownDomains(ctx context.Context, m forensic.Message) ([]string, error) {
	if a.config.Hashes != Outgoing {
		return nil, nil
	}
	if a.config.Domains != nil {
		own, err := a.config.Domains.Domains(ctx, m.Connection)
		if err != nil {
			return nil, errors.Join(errStore, fmt.Errorf("ask for the company's own domains: %w", err))
		}
		if len(own) > 0 {
			return own, nil
		}
	}
	return []string{forensic.Domain(cmp.Or(m.Mailbox, m.Sender, m.Actor))}, nil
}

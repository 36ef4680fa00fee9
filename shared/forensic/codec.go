package forensic

import (
	"fmt"
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/table"
)

// The attributes of a message item. Empty texts are left out, and so are the three addresses when they repeat the one
// before: an actor's own mail, which nearly all are, stores one address. Attributes that are not listed here belong to
// others, and are passed over on reading.
const (
	attrObserved   = "observed" // times are as in keys: UTC, whole milliseconds
	attrArrival    = "arrival"
	attrStored     = "stored"
	attrOperation  = "operation"
	attrActor      = "actor"
	attrSender     = "sender"  // absent: the actor
	attrFrom       = "from"    // absent: the sender
	attrMailbox    = "mailbox" // absent: the sender; "" is stored
	attrSubject    = "subject"
	attrMessageID  = "messageid"
	attrClientIP   = "ip"
	attrClient     = "client"
	attrAppID      = "app"
	attrSession    = "session"
	attrRecipients = "recipients"
	attrCount      = "recipientcount" // absent: as many as the item has
	attrFiles      = "files"          // a list of maps with name and size, and what was found (codec_found.go)
	attrName       = "name"
	attrSize       = "size" // absent: not known
	attrText       = "attachments"
	attrBlob       = "blob"
	attrParts      = "parts"      // how many further items the message has
	attrGeneration = "generation" // by what their keys differ from those of the message before it was enriched; absent: nothing
)

// encode is the message's item, and the further items that hold what does not fit into it, which are to be there first. An enriched
// message has further items of its own, named by the generation: who reads the message as it was before finds those of then.
func encode(m Message, generation string, expires time.Time) (message table.Item, parts []table.Item) {
	shares := split(m)
	a := make(table.Attrs, 14)
	a[attrObserved] = stamp(m.Observed)
	a[attrArrival] = stamp(m.Arrival)
	a[attrStored] = stamp(m.Stored)
	for _, t := range [...]struct{ name, value, implied string }{
		{attrOperation, m.Operation, ""},
		{attrActor, m.Actor, ""},
		{attrSender, m.Sender, m.Actor},
		{attrFrom, m.From, m.Sender},
		{attrMailbox, m.Mailbox, m.Sender},
		{attrSubject, m.Subject, ""},
		{attrMessageID, m.InternetMessageID, ""},
		{attrClientIP, m.ClientIP, ""},
		{attrClient, m.Client, ""},
		{attrAppID, m.AppID, ""},
		{attrSession, m.Session, ""},
		{attrBlob, string(m.Blob), ""},
	} {
		if t.value != t.implied {
			a[t.name] = t.value
		}
	}
	if m.RecipientCount != int64(len(m.Recipients)) || len(shares) > 1 {
		a[attrCount] = m.RecipientCount
	}
	putFound(a, m)
	shares[0].put(a)

	for i, s := range shares[1:] {
		part := make(table.Attrs, 3)
		s.put(part)
		parts = append(parts, table.Item{Key: partKey(m.Connection, m.Record, m.Arrival, generation, i), Attrs: part, Expires: expires})
	}
	if len(parts) > 0 {
		a[attrParts] = int64(len(parts))
		if generation != "" {
			a[attrGeneration] = generation
		}
	}
	return table.Item{Key: MessageKey(m.Connection, m.Record), Attrs: a, Expires: expires}, parts
}

// rest names the further items of a message.
type rest struct {
	parts      int
	generation string
}

// decode undoes encode, but for what is in the further items: it says which there are.
func decode(c connection.ID, item table.Item) (m Message, more rest, err error) {
	prefix, record, ok := strings.Cut(item.Partition, "|message|")
	if !ok || prefix != string(c) || item.Sort != messageSort {
		return Message{}, rest{}, fmt.Errorf("item %q %q is no message of connection %s: %w", item.Partition, item.Sort, c, fault.Poison)
	}
	a := item.Attrs
	m = Message{
		Connection:        c,
		Record:            RecordID(record),
		Operation:         text(a, attrOperation, ""),
		Actor:             text(a, attrActor, ""),
		Subject:           text(a, attrSubject, ""),
		InternetMessageID: text(a, attrMessageID, ""),
		ClientIP:          text(a, attrClientIP, ""),
		Client:            text(a, attrClient, ""),
		AppID:             text(a, attrAppID, ""),
		Session:           text(a, attrSession, ""),
		Blob:              audit.ContentID(text(a, attrBlob, "")),
	}
	m.Sender = text(a, attrSender, m.Actor)
	m.From = text(a, attrFrom, m.Sender)
	m.Mailbox = text(a, attrMailbox, m.Sender)
	for _, t := range [...]struct {
		name string
		to   *time.Time
	}{{attrObserved, &m.Observed}, {attrArrival, &m.Arrival}, {attrStored, &m.Stored}} {
		if *t.to, err = time.Parse(timeLayout, text(a, t.name, "")); err != nil {
			return Message{}, rest{}, fmt.Errorf("message %s of connection %s: time %s: %w", record, c, t.name, fault.Poison)
		}
	}
	if err := takeFound(&m, a); err != nil {
		return Message{}, rest{}, err
	}
	take(&m, a)
	m.RecipientCount = int64(len(m.Recipients))
	if n, ok := a[attrCount].(int64); ok {
		m.RecipientCount = n
	}
	n, _ := a[attrParts].(int64)
	return m, rest{int(n), text(a, attrGeneration, "")}, nil
}

func stamp(t time.Time) string { return t.UTC().Format(timeLayout) }

// text is an attribute, or what its absence implies.
func text(a table.Attrs, name, implied string) string {
	if s, ok := a[name].(string); ok {
		return s
	}
	return implied
}

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
	attrFiles      = "files"          // a list of maps with name and size
	attrName       = "name"
	attrSize       = "size" // absent: not known
	attrText       = "attachments"
	attrBlob       = "blob"
	attrParts      = "parts" // how many further items the message has
)

// encode is the message's item, and the further items that hold what does not fit into it, which are to be there first.
func encode(m Message, expires time.Time) (message table.Item, parts []table.Item) {
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
	shares[0].put(a)

	for i, s := range shares[1:] {
		part := make(table.Attrs, 3)
		s.put(part)
		parts = append(parts, table.Item{Key: partKey(m.Connection, m.Record, m.Arrival, i), Attrs: part, Expires: expires})
	}
	if len(parts) > 0 {
		a[attrParts] = int64(len(parts))
	}
	return table.Item{Key: MessageKey(m.Connection, m.Record), Attrs: a, Expires: expires}, parts
}

// decode undoes encode, but for what is in the further items: it says how many there are.
func decode(c connection.ID, item table.Item) (m Message, parts int, err error) {
	prefix, record, ok := strings.Cut(item.Partition, "|message|")
	if !ok || prefix != string(c) || item.Sort != messageSort {
		return Message{}, 0, fmt.Errorf("item %q %q is no message of connection %s: %w", item.Partition, item.Sort, c, fault.Poison)
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
			return Message{}, 0, fmt.Errorf("message %s of connection %s: time %s: %w", record, c, t.name, fault.Poison)
		}
	}
	take(&m, a)
	m.RecipientCount = int64(len(m.Recipients))
	if n, ok := a[attrCount].(int64); ok {
		m.RecipientCount = n
	}
	n, _ := a[attrParts].(int64)
	return m, int(n), nil
}

func stamp(t time.Time) string { return t.UTC().Format(timeLayout) }

// text is an attribute, or what its absence implies.
func text(a table.Attrs, name, implied string) string {
	if s, ok := a[name].(string); ok {
		return s
	}
	return implied
}

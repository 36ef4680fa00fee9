package forensic

import (
	"fmt"
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/table"
)

// The attributes of a message item. Empty texts are left out. So are the three addresses if they repeat the one
// before: most mail is sent from the actor's own mailbox and stores one address. Attributes that are not listed here
// belong to others, and are ignored on reading.
const (
	attrForm       = "form"     // of the item, a number; absent: 1, which has no facts of how the message was sent
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
	attrAppID      = "app"
	attrClient     = "client"
	attrClientIP   = "ip"
	attrSession    = "session"
	attrFacts      = "facts" // of how the message was sent: see facts
	attrRecipients = "recipients"
	attrCount      = "recipientcount" // absent: as many as the item has
	attrFiles      = "files"          // a list of maps with name and size, and what the mailbox has
	attrName       = "name"
	attrSize       = "size" // absent: not known
	attrText       = "attachments"
	attrBlob       = "blob"
	attrParts      = "parts"      // how many further items the message has
	attrGeneration = "generation" // part of their keys once the message is enriched; absent: none
)

// currentForm is the form in which messages are stored. decode reads every form up to it. Form 1 says nothing of how
// the message was sent, except for client, application and session.
const currentForm int64 = 2

// encode returns the message's item, and the further items that hold what does not fit into it, which must be stored
// first. An enriched message has further items of its own, named by the generation: whoever reads the message as it
// was before finds the earlier items.
func encode(m *Message, generation string, expires time.Time) (message table.Item, parts []table.Item) {
	shares := split(*m)
	a := make(table.Attrs, 16)
	a[attrForm] = currentForm
	a[attrObserved] = table.Stamp(m.Observed)
	a[attrArrival] = table.Stamp(m.Arrival)
	a[attrStored] = table.Stamp(m.Stored)
	texts := m.texts()
	for i := range texts {
		if t := &texts[i]; *t.text != "" {
			a[t.name] = *t.text
		}
	}
	for _, t := range [...]struct{ name, value, implied string }{
		{attrActor, m.Actor, ""},
		{attrSender, m.Sender, m.Actor},
		{attrFrom, m.From, m.Sender},
		{attrMailbox, m.Mailbox, m.Sender},
	} {
		if t.value != t.implied {
			a[t.name] = t.value
		}
	}
	if facts := m.facts(); facts != "" {
		a[attrFacts] = facts
	}
	if m.RecipientCount != int64(len(m.Recipients)) || len(shares) > 1 {
		a[attrCount] = m.RecipientCount
	}
	putCopy(a, *m)
	shares[0].put(a)

	for i, s := range shares[1:] {
		part := make(table.Attrs, 3)
		s.put(part)
		key := partKey(m.Connection, m.Record, m.Arrival, generation, i)
		parts = append(parts, table.Item{Key: key, Attrs: part, Expires: expires})
	}
	if len(parts) > 0 {
		a[attrParts] = int64(len(parts))
		if generation != "" {
			a[attrGeneration] = generation
		}
	}
	return table.Item{Key: MessageKey(m.Connection, m.Record), Attrs: a, Expires: expires}, parts
}

// attrOf is a text of a message with the name of its attribute.
type attrOf struct {
	name string
	text *string
}

// texts returns the texts that are left out if they are empty.
func (m *Message) texts() [8]attrOf {
	return [...]attrOf{
		{attrOperation, &m.Operation},
		{attrSubject, &m.Subject},
		{attrMessageID, &m.InternetMessageID},
		{attrAppID, &m.AppID},
		{attrClient, &m.Client},
		{attrClientIP, &m.ClientIP},
		{attrSession, &m.Session},
		{attrBlob, (*string)(&m.Blob)},
	}
}

// rest names the further items of a message.
type rest struct {
	parts      int
	generation string
}

// decode reverses encode, except for the contents of further items: it says which of them exist.
func decode(c connection.ID, item table.Item) (m Message, more rest, err error) {
	prefix, record, ok := strings.Cut(item.Partition, "|message|")
	if !ok || prefix != string(c) || item.Sort != messageSort {
		return Message{}, rest{}, fmt.Errorf("item %q %q is not a message of connection %s: %w",
			item.Partition, item.Sort, c, fault.Poison)
	}
	a := item.Attrs
	form := int64(1)
	if n, ok := a[attrForm].(int64); ok {
		form = n
	}
	if form > currentForm {
		return Message{}, rest{}, fmt.Errorf("message %s of connection %s is stored in form %d; this version of Mailtrail "+
			"reads forms 1 to %d: %w", record, c, form, currentForm, fault.Poison)
	}
	m = Message{
		Connection: c,
		Record:     RecordID(record),
		Expires:    item.Expires,
		Actor:      text(a, attrActor, ""),
	}
	texts := m.texts()
	for i := range texts {
		*texts[i].text = text(a, texts[i].name, "")
	}
	if form >= 2 {
		m.takeFacts(text(a, attrFacts, ""))
	}
	m.Sender = text(a, attrSender, m.Actor)
	m.From = text(a, attrFrom, m.Sender)
	m.Mailbox = text(a, attrMailbox, m.Sender)
	for _, t := range [...]struct {
		name string
		to   *time.Time
	}{{attrObserved, &m.Observed}, {attrArrival, &m.Arrival}, {attrStored, &m.Stored}} {
		if *t.to, err = table.ParseTime(a[t.name]); err != nil || a[t.name] == nil {
			return Message{}, rest{}, fmt.Errorf("message %s of connection %s: time %s: %w", record, c, t.name, fault.Poison)
		}
	}
	if err := takeCopy(&m, a); err != nil {
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

// text returns an attribute, or the value that its absence implies.
func text(a table.Attrs, name, implied string) string {
	if s, ok := a[name].(string); ok {
		return s
	}
	return implied
}

// The attributes of a message's copy in the mailbox. Texts that equal those of the audit record are left out: nearly
// all do.
const (
	attrWaiting    = "waiting"    // true while recipients and hashes are to be found
	attrFound      = "found"      // a time; absent: nothing was found
	attrReason     = "reason"     // absent: the message was found
	attrFoundIn    = "foundin"    // absent: the record's mailbox
	attrMatchedBy  = "matchedby"  // absent: the internet message id
	attrGraphFrom  = "graphfrom"  // absent: the record's from
	attrGraphBy    = "graphby"    // absent: the record's sender
	attrGraphTitle = "graphtitle" // absent: the record's subject
	attrGraphSent  = "graphsent"  // a time; absent: not reported
	attrOwnID      = "ownid"      // absent: the record's internet message id
	attrLooks      = "looks"      // how often it was looked for; absent: not counted
	attrLooked     = "looked"     // a time
	attrAnswer     = "answer"
	attrNextLook   = "nextlook" // a time; absent: only on request
	attrRefused    = "refused"
	attrAddressees = "addressees" // a list of maps with address, name and role
	attrAddress    = "address"
	attrRole       = "role"

	// Of an attachment in attrFiles.
	attrGraphName   = "graphname" // absent: the record's name
	attrGraphSize   = "graphsize" // absent: not reported
	attrTrueSize    = "truesize"  // absent: not counted
	attrID          = "id"
	attrContentType = "type"
	attrByBytes     = "bytes"
	attrKind        = "kind" // absent: a file
	attrInline      = "inline"
	attrMD5         = "md5"
	attrSHA256      = "sha256"
	attrQuickXor    = "quickxor"
	attrURL         = "url"
	attrNoHash      = "nohash"
	attrMissing     = "missing"
)

// putCopy sets the attributes of a message's copy, except for those in lists.
func putCopy(a table.Attrs, m Message) {
	if m.Waiting {
		a[attrWaiting] = true
	}
	f := m.Copy
	for _, t := range [...]struct {
		name string
		at   time.Time
	}{{attrFound, f.At}, {attrLooked, f.Looked}, {attrNextLook, f.Next}} {
		if !t.at.IsZero() {
			a[t.name] = table.Stamp(t.at)
		}
	}
	if f.Looks > 0 {
		a[attrLooks] = int64(f.Looks)
	}
	for _, t := range [...]struct{ name, value string }{
		{attrReason, string(f.Reason)}, {attrAnswer, f.Answer}, {attrRefused, f.Refused},
	} {
		if t.value != "" {
			a[t.name] = t.value
		}
	}
	if !f.Known() {
		return
	}
	for _, t := range [...]struct{ name, value, implied string }{
		{attrMatchedBy, string(f.MatchedBy), ""},
		{attrFoundIn, f.Mailbox, m.Mailbox},
		{attrGraphFrom, f.From, m.From},
		{attrGraphBy, f.Sender, m.Sender},
		{attrGraphTitle, f.Subject, m.Subject},
		{attrOwnID, f.MessageID, ""},
	} {
		if t.value != t.implied {
			a[t.name] = t.value
		}
	}
	if !f.Sent.IsZero() {
		a[attrGraphSent] = table.Stamp(f.Sent)
	}
}

// takeCopy reverses putCopy. m already holds what the record says.
func takeCopy(m *Message, a table.Attrs) (err error) {
	m.Waiting, _ = a[attrWaiting].(bool)
	f := Copy{Reason: Reason(text(a, attrReason, "")), Answer: text(a, attrAnswer, ""), Refused: text(a, attrRefused, "")}
	looks, _ := a[attrLooks].(int64)
	f.Looks = int(looks)
	for _, t := range [...]struct {
		name string
		to   *time.Time
	}{{attrFound, &f.At}, {attrGraphSent, &f.Sent}, {attrLooked, &f.Looked}, {attrNextLook, &f.Next}} {
		if *t.to, err = table.ParseTime(a[t.name]); err != nil {
			return fmt.Errorf("message %s of connection %s: time %s: %w", m.Record, m.Connection, t.name, fault.Poison)
		}
	}
	if f.Known() {
		f.MatchedBy = Match(text(a, attrMatchedBy, ""))
		f.Mailbox = text(a, attrFoundIn, m.Mailbox)
		f.From = text(a, attrGraphFrom, m.From)
		f.Sender = text(a, attrGraphBy, m.Sender)
		f.Subject = text(a, attrGraphTitle, m.Subject)
		f.MessageID = text(a, attrOwnID, "")
	}
	m.Copy = f
	return nil
}

// fileAttrs returns the attributes of a file, with its attachment in the mailbox if that was found.
func fileAttrs(f *File, found bool) table.Attrs {
	a := table.Attrs{attrName: f.Name}
	if f.StoredSize >= 0 {
		a[attrSize] = f.StoredSize
	}
	if !found {
		return a
	}
	for _, t := range [...]struct{ name, value, implied string }{
		{attrGraphName, f.Attachment.Name, f.Name},
		{attrID, f.Attachment.ID, ""},
		{attrContentType, f.Attachment.ContentType, ""},
		{attrByBytes, f.Attachment.ByBytes, ""},
		{attrKind, string(f.Attachment.Kind), string(FileKind)},
		{attrMD5, f.Attachment.MD5, ""},
		{attrSHA256, f.Attachment.SHA256, ""},
		{attrQuickXor, f.Attachment.QuickXor, ""},
		{attrURL, f.Attachment.URL, ""},
		{attrNoHash, string(f.Attachment.NoHash), ""},
		{attrMissing, string(f.Attachment.Missing), ""},
	} {
		if t.value != t.implied {
			a[t.name] = t.value
		}
	}
	if f.Attachment.Inline {
		a[attrInline] = true
	}
	if f.Attachment.StoredSize >= 0 {
		a[attrGraphSize] = f.Attachment.StoredSize
	}
	if f.Attachment.Size >= 0 {
		a[attrTrueSize] = f.Attachment.Size
	}
	return a
}

// readFile reverses fileAttrs. The file is the message's i-th.
func readFile(a table.Attrs, i int, found bool) File {
	f := File{Name: text(a, attrName, ""), StoredSize: size(a, attrSize)}
	if !found {
		return f
	}
	f.Attachment = Attachment{
		Record:      i,
		Missing:     Reason(text(a, attrMissing, "")),
		ID:          text(a, attrID, ""),
		Name:        text(a, attrGraphName, f.Name),
		ContentType: text(a, attrContentType, ""),
		ByBytes:     text(a, attrByBytes, ""),
		Kind:        Kind(text(a, attrKind, string(FileKind))),
		StoredSize:  size(a, attrGraphSize),
		Size:        size(a, attrTrueSize),
		MD5:         text(a, attrMD5, ""),
		SHA256:      text(a, attrSHA256, ""),
		QuickXor:    text(a, attrQuickXor, ""),
		URL:         text(a, attrURL, ""),
		NoHash:      Reason(text(a, attrNoHash, "")),
	}
	f.Attachment.Inline, _ = a[attrInline].(bool)
	if f.Attachment.Missing == NotInRecord {
		f.Attachment.Record = -1
	}
	return f
}

// size returns a number of bytes, or -1 if there is none.
func size(a table.Attrs, name string) int64 {
	if n, ok := a[name].(int64); ok {
		return n
	}
	return -1
}

func addresseeAttrs(r Recipient) table.Attrs {
	a := table.Attrs{attrAddress: r.Address}
	if r.Name != "" {
		a[attrName] = r.Name
	}
	if r.Role != Unknown {
		a[attrRole] = string(r.Role)
	}
	return a
}

func readAddressee(a table.Attrs) Recipient {
	return Recipient{Address: text(a, attrAddress, ""), Name: text(a, attrName, ""), Role: Role(text(a, attrRole, ""))}
}

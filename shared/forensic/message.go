// Package forensic turns audit records of sent mail into messages and file events, stores each once, and keeps
// the term index that searches run on.
package forensic

import (
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/connection"
)

// RecordID is an audit record's Id in lower case: what makes a message the same message, however often Microsoft tells of it.
type RecordID string

// Message is one sent mail with attachments; the unit of storage.
type Message struct {
	Connection connection.ID
	Record     RecordID
	Observed   time.Time // the record's CreationTime, UTC (Incydr: @timestamp)
	Arrival    time.Time // when its blob was first listed (Incydr: event.ingested); whole milliseconds
	Stored     time.Time // when it became searchable (Incydr: event.inserted)

	Operation string // Send, SendAs, SendOnBehalf
	Actor     string // who did it: UserId (Incydr: user.email)
	Sender    string // the transmitting address (Incydr: source.email.sender)
	From      string // whom the recipient sees (Incydr: source.email.from); differs from Sender for SendOnBehalf
	Mailbox   string // MailboxOwnerUPN

	Subject           string
	InternetMessageID string // with its angle brackets
	ClientIP          string // without port and brackets
	Client            string // ClientInfoString
	AppID             string // ClientAppId, else AppId
	Session           string // SessionId

	// Recipients are recipientList's addresses, where the record has them; RecipientCount its count. Roles are not told.
	Recipients     []string
	RecipientCount int64

	Files []File // those of the audit record, in its order, and after them those that only the message has
	// Attachments is the record's own text, kept when it could not be parsed cleanly; else "".
	Attachments string
	Blob        audit.ContentID // where the record came from

	// Waiting tells that recipients and hashes are still to be found in a mailbox. Where nobody looks for them, as with exported
	// records, it is false and Copy is zero.
	Waiting bool
	Copy    Copy
}

// Copy is the message as Microsoft Graph reports it, apart from its files. What the audit record says stays where it is.
type Copy struct {
	At      time.Time // when it was found, or given up; whole milliseconds; zero while neither
	Reason  Reason    // why the message was not found; then what follows is zero
	Mailbox string    // user principal name of the mailbox that held it

	From, Sender string // addresses
	Subject      string
	Sent         time.Time // whole milliseconds
	Recipients   []Recipient
}

// Known reports whether the message was found, so that Copy and each File.Attachment describe it.
func (c Copy) Known() bool { return !c.At.IsZero() && c.Reason == "" }

// Addresses are all recipients that are known, in whatever role: first those that the message has, then those that only the audit
// record names, regardless of case. It is not to be changed.
func (m *Message) Addresses() []string {
	if len(m.Copy.Recipients) == 0 {
		return m.Recipients
	}
	all := make([]string, 0, len(m.Copy.Recipients)+len(m.Recipients))
	seen := make(map[string]bool, cap(all))
	add := func(address string) {
		if key := strings.ToLower(address); !seen[key] {
			seen[key] = true
			all = append(all, address)
		}
	}
	for _, r := range m.Copy.Recipients {
		add(r.Address)
	}
	for _, r := range m.Recipients {
		add(r)
	}
	return all
}

// File is one attachment of a message.
type File struct {
	Name string // as the audit record has it; as the message has it, where the record does not name it
	// StoredSize is what the audit record says, in bytes: the stored attachment object, some hundred bytes more than the file. -1 when it was not said.
	StoredSize int64
	// Attachment is the attachment in the mailbox if the message was found, else zero.
	Attachment Attachment
}

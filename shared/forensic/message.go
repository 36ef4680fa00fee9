// Package forensic turns audit records of sent mail into messages and file events, stores each once, and maintains
// the term index that searches use.
package forensic

import (
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/connection"
)

// RecordID is the Id of an audit record, in lower case. It identifies the message, however often Microsoft reports
// it.
type RecordID string

// Message is one sent mail with attachments: the unit of storage.
type Message struct {
	Connection connection.ID
	Record     RecordID
	Observed   time.Time // the record's CreationTime, UTC (Incydr: @timestamp)
	Arrival    time.Time // when its blob was first listed (Incydr: event.ingested); whole milliseconds
	Stored     time.Time // when it became searchable (Incydr: event.inserted)

	Operation string // Send, SendAs, SendOnBehalf
	Actor     string // who acted: UserId (Incydr: user.email)
	Sender    string // the transmitting address (Incydr: source.email.sender)
	From      string // whom the recipient sees (Incydr: source.email.from); differs from Sender for SendOnBehalf
	Mailbox   string // MailboxOwnerUPN

	Subject           string
	InternetMessageID string // with its angle brackets
	ClientIP          string // without port and brackets
	Client            string // ClientInfoString
	AppID             string // ClientAppId, else AppId
	Session           string // SessionId

	// Recipients are the addresses of recipientList, if the record has it; RecipientCount is its count. Roles are not
	// reported.
	Recipients     []string
	RecipientCount int64

	// Files are those of the audit record, in its order, followed by those that only the message has.
	Files []File
	// Attachments is the record's own text if it could not be parsed cleanly, else "".
	Attachments string
	Blob        audit.ContentID // where the record came from

	// Waiting means that recipients and hashes are still to be found in a mailbox. Where nobody looks for them, as
	// with exported records, it is false and Copy is zero.
	Waiting bool
	Copy    Copy
}

// Copy is the message as Microsoft Graph reports it, apart from its files. What the audit record says stays in Message.
type Copy struct {
	At      time.Time // when it was found or given up, in whole milliseconds; zero until then
	Reason  Reason    // why the message was not found; then the fields below are zero
	Mailbox string    // user principal name of the mailbox that held it

	From, Sender string // addresses
	Subject      string
	Sent         time.Time // whole milliseconds
	Recipients   []Recipient
}

// Known reports whether the message was found, so that Copy and each File.Attachment describe it.
func (c Copy) Known() bool { return !c.At.IsZero() && c.Reason == "" }

// Addresses returns all known recipients, in any role: first those that the message has, then those that only the
// audit record names, ignoring case. Callers must not change the result.
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
	Name string // as in the audit record; as in the message, if the record does not name it
	// StoredSize is the size in bytes that the audit record reports: that of the stored attachment, some hundred
	// bytes more than the file. It is -1 if not reported.
	StoredSize int64
	// Attachment is the attachment in the mailbox if the message was found, else zero.
	Attachment Attachment
}

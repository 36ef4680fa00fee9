// Package forensic turns audit records of sent mail into messages and file events, stores each once, and keeps
// the term index that searches run on.
package forensic

import (
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

	Files []File
	// Attachments is the record's own text, kept when it could not be parsed cleanly; else "".
	Attachments string
	Blob        audit.ContentID // where the record came from
}

// File is one attachment of a message, in the audit record's order.
type File struct {
	Name string
	// StoredSize is what the audit record says, in bytes: the stored attachment object, some hundred bytes more than the file. -1 when it was not said.
	StoredSize int64
}

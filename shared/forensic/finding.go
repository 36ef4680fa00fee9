package forensic

import (
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
)

// Waiting is what travels on the message queue, as JSON: a message that is stored, and whose recipients and hashes are to be found.
type Waiting struct {
	Connection connection.ID `json:"connection"`
	Record     RecordID      `json:"record"`
}

// Role is in which line of a mail a recipient stands.
type Role string

const (
	To      Role = "to"
	Cc      Role = "cc"
	Bcc     Role = "bcc"
	Unknown Role = "" // the audit record names recipients without their roles
)

// Recipient is one addressee of a message. Distribution groups are not expanded.
type Recipient struct {
	Address string
	Name    string
	Role    Role
}

// Kind is what an attachment is (Microsoft Graph: attachment, @odata.type).
type Kind string

const (
	FileKind      Kind = "file"
	ItemKind      Kind = "item"      // an Outlook message, event or contact
	ReferenceKind Kind = "reference" // a link to a file in OneDrive, SharePoint or elsewhere
)

// Reason says why something of a message is not known. "" is that it is known.
type Reason string

const (
	NotFound      Reason = "MESSAGE_NOT_FOUND"     // in no mailbox that it may be in: deleted, or not saved to Sent Items
	MailboxDenied Reason = "MAILBOX_DENIED"        // a policy of the tenant keeps the application out of this mailbox
	NoMailbox     Reason = "NO_MAILBOX"            // the sender has none in the cloud
	NoPermission  Reason = "NO_PERMISSION"         // the application lacks Mail.Read, or Files.Read.All for a reference
	OutOfTime     Reason = "OUT_OF_TIME"           // Microsoft did not answer, or broke off, until the deadline
	TooLarge      Reason = "TOO_LARGE"             // the file is above the limit for hashing
	ItemAttached  Reason = "ITEM_ATTACHED"         // a message within the message: its bytes are made anew at each download
	NotReachable  Reason = "REFERENCE_UNREACHABLE" // the file behind a reference is deleted, elsewhere, or not told
	NotInMessage  Reason = "NOT_IN_MESSAGE"        // the audit record names an attachment that the message does not have
	NotInRecord   Reason = "NOT_IN_RECORD"         // the message has an attachment that the audit record does not name
	HashingOff    Reason = "HASHING_OFF"           // by the operator's setting
	InternalOnly  Reason = "INTERNAL_RECIPIENTS"   // hashes are only made of what leaves the company, by the operator's setting
)

// Finding is what Microsoft Graph told of a message, or why it told nothing.
type Finding struct {
	At      time.Time // when it was made
	Reason  Reason    // why the message was not found; then all that follows is zero
	Mailbox string    // user principal name of the mailbox that held it

	From, Sender string // addresses
	Subject      string
	Sent         time.Time
	// Recipients are all of To, then Cc, then Bcc.
	Recipients []Recipient
	// Files are the attachments that the message has, in Graph's order, and after them those that only the audit record names.
	Files []Attachment
}

// Attachment is one attachment of a Finding.
type Attachment struct {
	// Record is the index in Message.Files of the file that this is; -1 for one that the audit record does not name.
	Record int
	// Missing is NotInMessage for one that only the audit record names, and NotInRecord for one that it does not name; else "".
	Missing Reason

	ID          string // Graph's immutable id
	Name        string
	ContentType string // as the message says
	ByBytes     string // media type told by the file's first bytes; "" when they tell none, or were not read
	Kind        Kind
	Inline      bool
	StoredSize  int64 // Graph's "size": the stored object, some hundred bytes more than the file; -1 when it was not said
	Size        int64 // bytes of the file itself; -1 when they were not counted

	MD5, SHA256 string // of the file's bytes, lower-case hex; "" with NoHash
	QuickXor    string // OneDrive's quickXorHash of a reference's file, base64, where that is told
	URL         string // where a reference's file is, where that is told
	NoHash      Reason // why MD5 and SHA256 are not known; "" when they are
}

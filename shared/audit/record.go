package audit

import (
	"strings"
	"time"
)

// Record is one audit record of a sent mail, as Microsoft tells it (Office 365 Management Activity API schema: common
// schema and Exchange mailbox schema). What Microsoft left out, or told as null, is zero; texts are not trimmed.
type Record struct {
	ID             string    // GUID; the same event may come more than once, with the same ID
	RecordType     int       // AuditLogRecordType; 2, ExchangeItem, for a send
	CreationTime   time.Time // when the user did it, in UTC
	Operation      Operation
	OrganizationID string // GUID of the tenant
	UserType       int    // 0 regular, 2 admin, 5 application ...; Untold
	UserKey        string
	UserID         string // usually the user principal name of who sent; a SID for the system
	ResultStatus   string // Succeeded, PartiallySucceeded, Failed
	Workload       string // Exchange

	ClientIP         string // perhaps with a port, perhaps in brackets; Microsoft's own for REST clients
	ClientIPAddress  string // as ClientIP
	ClientInfoString string // e.g. Client=OWA;Action=ViaProxy
	SessionID        string
	AppID            string
	ClientAppID      string

	LogonType              int // 0 owner, 1 admin, 2 delegate ...; Untold
	ExternalAccess         bool
	MailboxGUID            string
	MailboxOwnerUPN        string
	OrganizationName       string
	OriginatingServer      string // ends in a line break
	SendAsUserSmtp         string // SendAs: the mailbox that the mail says it is from
	SendOnBehalfOfUserSmtp string // SendOnBehalf: likewise
	SaveToSentItems        *bool  // nil if not told

	RecipientCount int64     // of all recipients, which may be more than are listed
	Recipients     []Address // To, Cc and Bcc together, at most MaxRecipients; none before April 2026

	Item Item
}

// Item is the mail that was sent. It is told at submission, so the mail in Sent Items has another store id.
type Item struct {
	ID                string // store id of the draft, or the word Unknown
	ImmutableID       string
	InternetMessageID string // in angle brackets
	Subject           string
	Attachments       string // for ParseAttachments
	SizeInBytes       int64  // of the mail; 0 if not told
	ParentFolderPath  string // e.g. \Drafts
}

// Address is one entry of recipientList.
type Address struct {
	Address string
	Name    string
}

// Untold is the UserType and the LogonType of a record that does not tell them, or not as a number.
const Untold = -1

// MaxRecipients is how many recipients a Record holds. It is as many as Microsoft lists.
const MaxRecipients = 1000

// Operation is what a user did, in Microsoft's words.
type Operation string

// The operations that send a mail.
const (
	Send         Operation = "Send"
	SendAs       Operation = "SendAs"
	SendOnBehalf Operation = "SendOnBehalf"
)

// operation is the Operation that is written s. The letter case does not matter for those that send.
func operation(s string) Operation {
	for _, o := range [...]Operation{Send, SendAs, SendOnBehalf} {
		if strings.EqualFold(s, string(o)) {
			return o
		}
	}
	return Operation(s)
}

func (o Operation) sends() bool { return o == Send || o == SendAs || o == SendOnBehalf }

// SendsFiles reports whether the record is a send of a mail with attachments.
func (r *Record) SendsFiles() bool {
	return r.Operation.sends() && strings.TrimSpace(r.Item.Attachments) != ""
}

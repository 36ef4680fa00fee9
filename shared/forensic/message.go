// Package forensic turns audit records of sent mail into messages and file events, stores each once, and maintains
// the term index that searches use.
package forensic

import (
	"cmp"
	"strconv"
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
	Expires    time.Time // when it stops being stored, as Load found it; zero is never

	Operation string // Send, SendAs, SendOnBehalf
	Actor     string // who acted: UserId (Incydr: user.email)
	Sender    string // the transmitting address (Incydr: source.email.sender)
	From      string // whom the recipient sees (Incydr: source.email.from); differs from Sender for SendOnBehalf
	Mailbox   string // MailboxOwnerUPN

	Subject           string
	InternetMessageID string // with its angle brackets

	// How it was sent, and by whom, as far as the record says.
	UserID         string // UserId as Microsoft reports it: a user principal name, or a SID for the system
	UserKey        string // UserKey: a stable id of the user, or the id of the application
	UserType       UserType
	Coverage       string // what the sender's coverage was when the message was judged
	LogonType      LogonType
	ExternalAccess *bool  // somebody outside the company acted; nil if the record does not say
	MailboxGUID    string // of the mailbox
	AppID          string // of the application that sent the message
	Service        string // AppId: the service that the application called, if it is another application
	Client         string // ClientInfoString
	ClientIP       string // without port and brackets
	ActorIP        string // likewise
	DeviceID       string
	Session        string // SessionId, else AppAccessContext.AADSessionId
	Folder         string // path of the folder from which the message was sent
	ItemID         string // store id of the draft
	ImmutableID    string // of the draft
	Sensitivity    string
	SavedToSent    *bool // SaveToSentItems; nil if the record does not say

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

// UserType is what kind of user acted (AuditLogRecord: UserType), in lower camel case; a number that we have no word
// for stands for itself. "" if the record does not say.
type UserType string

// The user types that we distinguish.
const (
	RegularUser      UserType = "regular"
	SystemUser       UserType = "system"
	ApplicationUser  UserType = "application"
	ServicePrincipal UserType = "servicePrincipal"
)

// userType returns the word for Microsoft's number.
func userType(n int) UserType {
	words := [...]UserType{
		RegularUser, "reserved", "admin", "dcAdmin", SystemUser, ApplicationUser, ServicePrincipal, "customPolicy",
		"systemPolicy", "partnerTechnician", "guest",
	}
	return UserType(word(n, len(words), func(i int) string { return string(words[i]) }))
}

// LogonType is how the mailbox was opened (Exchange mailbox schema: LogonType), written as a UserType is.
type LogonType string

// OwnerLogon is the logon type of somebody who sends from their own mailbox.
const OwnerLogon LogonType = "owner"

// logonType returns the word for Microsoft's number.
func logonType(n int) LogonType {
	words := [...]string{
		string(OwnerLogon), "admin", "delegate", "transport", "systemService", "bestAccess", "delegatedAdmin",
	}
	return LogonType(word(n, len(words), func(i int) string { return words[i] }))
}

func word(n, words int, of func(int) string) string {
	switch {
	case n == audit.Absent:
		return ""
	case n >= 0 && n < words:
		return of(n)
	}
	return strconv.Itoa(n)
}

// ByApplication reports whether an application sent the message with its own permissions: no person did.
func (m *Message) ByApplication() bool {
	return m.UserType == ApplicationUser || m.UserType == ServicePrincipal
}

// SentBy says in words who sent the message, and from whose mailbox if that is another's.
func (m *Message) SentBy() string {
	who := m.Actor
	switch {
	case m.ByApplication() && m.AppID == "":
		who = "an unknown application"
	case m.ByApplication():
		who = "application " + cmp.Or(ApplicationName(m.AppID), m.AppID)
	case m.UserType == SystemUser || isSID(m.UserID):
		who = "the system"
	case m.Mailbox == "" || strings.EqualFold(m.Mailbox, m.Actor):
		return who
	}
	if m.Mailbox == "" {
		return who
	}
	return who + " in " + m.Mailbox + "'s mailbox"
}

// Copy is the message as Microsoft Graph reports it, apart from its files. What the audit record says stays in Message.
type Copy struct {
	At      time.Time // when it was found or given up, in whole milliseconds; zero until then
	Reason  Reason    // why the message was not found; then the fields below are zero
	Mailbox string    // user principal name of the mailbox that held it
	// MatchedBy is what the copy and the record have in common; "" is the internet message id.
	MatchedBy Match

	From, Sender string // addresses
	Subject      string
	Sent         time.Time // whole milliseconds
	Recipients   []Recipient

	// MessageID is the copy's own internet message id where that is not the record's, else "".
	MessageID string

	Looks   int       // how often it was looked for; 0 in what was stored before looks were counted
	Looked  time.Time // when it was last looked for
	Answer  string    // what Microsoft answered when it was not found, or not whole; "" if it was
	Next    time.Time // when it is looked for again; zero if only on request
	Refused string    // the mailbox that refuses us and has to answer before it is looked for again, or ""
}

// Open reports whether something of a settled message may still be found: what kept it from us may pass.
func (m *Message) Open() bool {
	if m.Waiting || m.Copy.At.IsZero() {
		return false
	}
	if m.Copy.Reason != "" {
		return m.Copy.Reason.Passes()
	}
	for i := range m.Files {
		if a := &m.Files[i].Attachment; a.NoHash.Passes() && (a.Kind != ReferenceKind || a.NoHash == OutOfTime) {
			return true
		}
	}
	return false
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

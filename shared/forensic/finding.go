package forensic

import (
	"slices"
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
)

// Waiting is a stored message whose recipients and hashes are still to be found. It travels on the message queue, as
// JSON.
type Waiting struct {
	Connection connection.ID `json:"connection"`
	Record     RecordID      `json:"record"`
	// Check asks something else: it is about a send without attachments, of which no message is stored.
	Check *Check `json:"check,omitempty"`
	// Again says that the message was settled before, and that what is missing of it is to be looked for once more.
	Again bool `json:"again,omitempty"`
	// Asked says that an operator asked for it: a mailbox that refuses us is asked too.
	Asked bool `json:"asked,omitempty"`
}

// Role is the line of a mail in which a recipient stands.
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

// Reason says why something about a message is not known. "" means that it is known.
type Reason string

const (
	NotFound      Reason = "MESSAGE_NOT_FOUND"     // in no mailbox that it may be in: deleted, or not saved to Sent Items
	MailboxDenied Reason = "MAILBOX_DENIED"        // a policy of the tenant keeps the application out of this mailbox
	NoMailbox     Reason = "NO_MAILBOX"            // the sender has none in the cloud
	NoPermission  Reason = "NO_PERMISSION"         // the application lacks Mail.Read, or Files.Read.All for a reference
	OutOfTime     Reason = "OUT_OF_TIME"           // Microsoft did not answer, or broke off, until the deadline
	TooLarge      Reason = "TOO_LARGE"             // the file is above the limit for hashing
	ItemAttached  Reason = "ITEM_ATTACHED"         // a message within the message: each download makes its bytes anew
	NotReachable  Reason = "REFERENCE_UNREACHABLE" // the file behind a reference is deleted, elsewhere, or unknown
	NotInMessage  Reason = "NOT_IN_MESSAGE"        // the audit record names an attachment that the message does not have
	NotInRecord   Reason = "NOT_IN_RECORD"         // the message has an attachment that the audit record does not name
	HashingOff    Reason = "HASHING_OFF"           // by the operator's setting
	InternalOnly  Reason = "INTERNAL_RECIPIENTS"   // by the operator's setting only what leaves the company is hashed
)

// Match is what a record and the copy of its message have in common, by which the copy was found.
type Match string

const (
	ByMessageID Match = "messageId"              // the internet message id
	ByLikeness  Match = "timeSubjectAttachments" // the time, the subject and the attachments
)

// Passes reports whether what the reason says may be otherwise at another time.
func (r Reason) Passes() bool {
	switch r {
	case NotFound, MailboxDenied, NoMailbox, NoPermission, OutOfTime:
		return true
	}
	return false
}

// Finding is what Microsoft Graph reported about a message, or why it reported nothing.
type Finding struct {
	At      time.Time // when it was made
	Again   bool      // the message was settled before: only what is better than what is known of it counts
	Answer  string    // what Microsoft answered; "" if nothing is missing
	Refused string    // the mailbox that has refused us for so long that we wait for it to answer, or ""
	Probed  bool      // Refused was asked just now, and refused
	Never   bool      // there is nothing to look into, so that looking again is useless
	// After is how long Microsoft asked us to wait.
	After   time.Duration
	Reason  Reason // why the message was not found; then all fields below are zero
	Mailbox string // user principal name of the mailbox that held it
	// MatchedBy is what the copy and the record have in common; "" is the internet message id.
	MatchedBy    Match
	MessageID    string // the message's own internet message id where that is not the record's, else ""
	From, Sender string // addresses
	Subject      string
	Sent         time.Time
	// Recipients are all of To, then Cc, then Bcc.
	Recipients []Recipient
	// Files are the attachments of the message, in Graph's order, followed by those that only the audit record names.
	Files []Attachment
}

// Attachment is one attachment of a Finding.
type Attachment struct {
	// Record is the index of the file in Message.Files, or -1 if the audit record does not name the attachment.
	Record int
	// Missing is NotInMessage if only the audit record names the attachment, NotInRecord if the record does not name
	// it, else "".
	Missing Reason

	ID          string // Graph's immutable id
	Name        string
	ContentType string // as the message says
	ByBytes     string // media type according to the file's first bytes; "" if they show none, or were not read
	Kind        Kind
	Inline      bool
	// StoredSize is Graph's "size": the stored object, some hundred bytes more than the file; -1 if not reported.
	StoredSize int64
	Size       int64 // bytes of the file itself; -1 if they were not counted

	MD5, SHA256 string // of the file's bytes, in lower-case hex; "" with NoHash
	QuickXor    string // OneDrive's quickXorHash of the file behind a reference, in base64, if reported
	URL         string // where the file behind a reference is, if reported
	NoHash      Reason // why MD5 and SHA256 are not known; "" if they are
}

// with returns the message with the finding added. Texts are cut as those of records are, and there are at most
// MaxFiles files.
func (m Message) with(f Finding) Message {
	m.Waiting = false
	m = m.looked(f)
	m.Copy = Copy{
		At: f.At.UTC().Truncate(time.Millisecond), Reason: cutWord(f.Reason),
		Looks: m.Copy.Looks, Looked: m.Copy.Looked, Answer: m.Copy.Answer,
	}
	if f.Reason != "" {
		return m
	}
	m.Copy.MessageID = clean(f.MessageID)
	m.Copy.Mailbox, m.Copy.From, m.Copy.Sender = clean(f.Mailbox), cut(f.From, maxName), cut(f.Sender, maxName)
	m.Copy.Subject = clean(f.Subject)
	if f.MatchedBy != ByMessageID {
		m.Copy.MatchedBy = cutWord(f.MatchedBy)
	}
	if y := f.Sent.UTC().Year(); y >= 1 && y <= 9999 {
		m.Copy.Sent = f.Sent.UTC().Truncate(time.Millisecond)
	}
	for _, r := range f.Recipients {
		r.Address, r.Name, r.Role = cut(strings.TrimSpace(r.Address), maxName), clean(r.Name), cutWord(r.Role)
		if r.Address != "" {
			m.Copy.Recipients = append(m.Copy.Recipients, r)
		}
	}
	m.Files = m.filesWith(f.Files)
	return m
}

// looked returns the message with one more look counted.
func (m Message) looked(f Finding) Message {
	m.Copy.Looks++
	m.Copy.Looked, m.Copy.Answer = f.At.UTC().Truncate(time.Millisecond), clean(f.Answer)
	return m
}

// improved returns a settled message with what a later look found. What was known of it stays, so that its events
// keep their places: files that only the message has keep their order. The time of the copy moves only if something
// changed that readers see.
func (m Message) improved(f Finding) Message {
	if f.Reason != "" {
		if m = m.looked(f); !m.Copy.Known() {
			m.Copy.Reason = cutWord(f.Reason)
		}
		return m
	}
	was := m
	record, extra := m.Files, []Attachment(nil)
	for i, file := range m.Files {
		if file.Attachment.Missing == NotInRecord {
			record = m.Files[:i:i]
			break
		}
	}
	for _, file := range m.Files[len(record):] {
		old := file.Attachment
		for i, a := range f.Files {
			if a.ID == old.ID && a.Record < 0 {
				old = a
				f.Files = slices.Delete(slices.Clone(f.Files), i, i+1)
				break
			}
		}
		extra = append(extra, old)
	}
	at := slices.IndexFunc(f.Files, func(a Attachment) bool { return a.Record < 0 })
	if at < 0 {
		at = len(f.Files)
	}
	f.Files = slices.Insert(slices.Clone(f.Files), at, extra...)
	m.Files = slices.Clone(record)
	for i := range m.Files {
		m.Files[i].Attachment = Attachment{}
	}
	m = m.with(f)
	if was.Copy.Known() && slices.Equal(was.Files, m.Files) {
		m.Copy.At = was.Copy.At
	}
	return m
}

// filesWith returns the message's files, each with its attachment, followed by the attachments that the record does
// not name. A file that the finding does not mention is not in the message.
func (m Message) filesWith(found []Attachment) []File {
	files := make([]File, len(m.Files), len(m.Files)+len(found))
	for i, f := range m.Files {
		f.Attachment = Attachment{
			Record: i, Missing: NotInMessage, Name: f.Name, Kind: FileKind, StoredSize: -1, Size: -1, NoHash: NotInMessage,
		}
		files[i] = f
	}
	paired := make([]bool, len(files))
	for _, a := range found {
		a = a.cut()
		switch {
		case a.Record >= 0 && a.Record < len(paired) && !paired[a.Record]:
			paired[a.Record] = true
			if a.Name == "" {
				a.Name = files[a.Record].Name
			}
			files[a.Record].Attachment = a
		case len(files) < MaxFiles:
			a.Record, a.Missing = -1, NotInRecord
			files = append(files, File{Name: a.Name, StoredSize: -1, Attachment: a})
		}
	}
	return files
}

func (a Attachment) cut() Attachment {
	if a.Kind == "" {
		a.Kind = FileKind
	}
	a.ID, a.Name, a.URL = clean(a.ID), cut(a.Name, maxName), clean(a.URL)
	a.ContentType, a.ByBytes = cut(a.ContentType, maxName), cut(a.ByBytes, maxName)
	a.MD5, a.SHA256 = strings.ToLower(cut(a.MD5, maxName)), strings.ToLower(cut(a.SHA256, maxName))
	a.QuickXor = cut(a.QuickXor, maxName)
	a.Kind, a.Missing, a.NoHash = cutWord(a.Kind), cutWord(a.Missing), cutWord(a.NoHash)
	a.StoredSize, a.Size = max(a.StoredSize, -1), max(a.Size, -1)
	return a
}

// cutWord is cut for a word that has a type of its own.
func cutWord[T ~string](word T) T { return T(cut(string(word), maxName)) }

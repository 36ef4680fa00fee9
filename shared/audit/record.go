package audit

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/shared/fault"
)

// Record is one audit record of a sent mail, as Microsoft reports it (Office 365 Management Activity API schema:
// common schema and Exchange mailbox schema). Fields that Microsoft left out or set to null are zero. Texts are not
// trimmed.
type Record struct {
	ID             string    // GUID; the same event may come several times, with the same ID
	RecordType     int       // AuditLogRecordType; 2, ExchangeItem, for a send
	CreationTime   time.Time // when the user did it, in UTC
	Operation      Operation
	OrganizationID string // GUID of the tenant
	UserType       int    // 0 regular, 2 admin, 5 application ...; or Absent
	UserKey        string
	UserID         string // usually the user principal name of the sender; a SID for the system
	ResultStatus   string // Succeeded, PartiallySucceeded, Failed
	Workload       string // Exchange

	ClientIP         string // possibly with a port or in brackets; Microsoft's own address for REST clients
	ClientIPAddress  string // as ClientIP
	ClientInfoString string // e.g. Client=OWA;Action=ViaProxy
	SessionID        string
	AppID            string
	ClientAppID      string
	AccessAppID      string // AppAccessContext.ClientAppId
	AccessSession    string // AppAccessContext.AADSessionId
	ActorIP          string // as ClientIP
	DeviceID         string

	LogonType              int   // 0 owner, 1 admin, 2 delegate ...; or Absent
	ExternalAccess         *bool // nil if absent
	MailboxGUID            string
	MailboxOwnerUPN        string
	SendAsUserSmtp         string // SendAs: the mailbox that the mail claims to be from
	SendOnBehalfOfUserSmtp string // SendOnBehalf: the same
	SaveToSentItems        *bool  // nil if absent

	RecipientCount int64     // of all recipients, possibly more than are listed
	Recipients     []Address // To, Cc and Bcc together, at most MaxRecipients; none before April 2026

	Item Item
}

// Item is the mail that was sent. It is recorded at submission, so the mail in Sent Items has another store id.
type Item struct {
	ID                string // store id of the draft, or the word Unknown
	ImmutableID       string
	InternetMessageID string // in angle brackets
	Subject           string
	Attachments       string // for ParseAttachments
	SizeInBytes       int64  // of the mail; 0 if absent
	ParentFolderPath  string // e.g. \Drafts
	Sensitivity       string
}

// Address is one entry of recipientList.
type Address struct {
	Address string
	Name    string
}

// Absent is the UserType or LogonType of a record that has none, or none that is a number.
const Absent = -1

// MaxRecipients is how many recipients a Record holds: as many as Microsoft lists.
const MaxRecipients = 1000

// Operation is what a user did, in Microsoft's words.
type Operation string

// The operations that send a mail.
const (
	Send         Operation = "Send"
	SendAs       Operation = "SendAs"
	SendOnBehalf Operation = "SendOnBehalf"
)

// operation returns the Operation that is written s. Letter case does not matter for operations that send.
func operation(s string) Operation {
	for _, o := range [...]Operation{Send, SendAs, SendOnBehalf} {
		if strings.EqualFold(s, string(o)) {
			return o
		}
	}
	return Operation(s)
}

func (o Operation) sends() bool { return o == Send || o == SendAs || o == SendOnBehalf }

// Sends reports whether the record is a send of a mail, with attachments or without.
func (r *Record) Sends() bool { return r.Operation.sends() }

// SendsFiles reports whether the record is a send of a mail with attachments.
func (r *Record) SendsFiles() bool {
	return r.Operation.sends() && strings.TrimSpace(r.Item.Attachments) != ""
}

// Decode reads one audit record that Reader.Next returned. Microsoft's schema drifts, so Decode accepts what it can:
// names in any letter case (the last duplicate wins), unknown members, null for anything, numbers and bools in
// strings, anything as a text, an Item that is missing, null, or JSON in a string. A number or bool that cannot be
// read is left out.
//
// It returns fault.Poison, wrapped, with the field at fault, if raw is not a JSON object, if the Item cannot be read,
// or if a send with attachments has no Id or no readable CreationTime. Whether the record is such a send is for the
// caller to ask: see Record.SendsFiles.
func Decode(raw []byte) (Record, error) {
	r := Record{UserType: Absent, LogonType: Absent}
	var created string
	var itemErr error

	f := fields{rest: raw}
	for f.next() {
		switch name := string(f.name()); name {
		case "creationtime":
			setText(&created, f.value)
		case "item":
			itemErr = r.Item.decode(f.value)
		case "recipientlist":
			r.setRecipients(f.value)
		default:
			r.set(name, f.value)
		}
	}
	switch {
	case f.err != nil:
		return Record{}, poison(r.ID, "record", f.err)
	case itemErr != nil && r.Operation.sends():
		return Record{}, poison(r.ID, "Item", itemErr)
	}

	var timeErr error
	r.CreationTime, timeErr = parseTime(created)
	switch {
	case !r.SendsFiles():
		return r, nil
	case r.ID == "":
		return Record{}, poison("", "Id", errors.New("missing"))
	case timeErr != nil:
		return Record{}, poison(r.ID, "CreationTime", timeErr)
	}
	return r, nil
}

func poison(id, field string, err error) error {
	return fmt.Errorf("decode audit record %.64q: %s: %w: %w", id, field, err, fault.Poison)
}

// set takes the member name of the record, which is in lower case.
func (r *Record) set(name string, value []byte) {
	switch name {
	case "id":
		setText(&r.ID, value)
	case "recordtype":
		setNumber(&r.RecordType, value)
	case "operation":
		setText(&r.Operation, value)
		r.Operation = operation(string(r.Operation))
	case "organizationid":
		setText(&r.OrganizationID, value)
	case "usertype":
		setNumber(&r.UserType, value)
	case "userkey":
		setText(&r.UserKey, value)
	case "userid":
		setText(&r.UserID, value)
	case "resultstatus":
		setText(&r.ResultStatus, value)
	case "workload":
		setText(&r.Workload, value)
	default:
		r.setExchange(name, value)
	}
}

// setExchange takes a member of the Exchange mailbox schema.
func (r *Record) setExchange(name string, value []byte) {
	switch name {
	case "clientip":
		setText(&r.ClientIP, value)
	case "clientipaddress":
		setText(&r.ClientIPAddress, value)
	case "clientinfostring":
		setText(&r.ClientInfoString, value)
	case "sessionid":
		setText(&r.SessionID, value)
	case "appid":
		setText(&r.AppID, value)
	case "clientappid":
		setText(&r.ClientAppID, value)
	case "appaccesscontext":
		r.setAccess(value)
	case "actorip":
		setText(&r.ActorIP, value)
	case "deviceid":
		setText(&r.DeviceID, value)
	case "logontype":
		setNumber(&r.LogonType, value)
	case "externalaccess":
		setTruth(&r.ExternalAccess, value)
	case "mailboxguid":
		setText(&r.MailboxGUID, value)
	case "mailboxownerupn":
		setText(&r.MailboxOwnerUPN, value)
	case "sendasusersmtp":
		setText(&r.SendAsUserSmtp, value)
	case "sendonbehalfofusersmtp":
		setText(&r.SendOnBehalfOfUserSmtp, value)
	case "savetosentitems":
		setTruth(&r.SaveToSentItems, value)
	case "recipientcount":
		setNumber(&r.RecipientCount, value)
	}
}

// setAccess takes AppAccessContext. One that is not an object says nothing.
func (r *Record) setAccess(value []byte) {
	f := fields{rest: unwrapped(value)}
	for f.next() {
		switch string(f.name()) {
		case "clientappid":
			setText(&r.AccessAppID, f.value)
		case "aadsessionid":
			setText(&r.AccessSession, f.value)
		}
	}
}

// setRecipients takes recipientList: an array of objects, or of bare addresses.
func (r *Record) setRecipients(value []byte) {
	if isNull(value) {
		return
	}
	r.Recipients = nil
	c, rest := token(unwrapped(value))
	for c == '[' || c == ',' {
		var entry []byte
		if entry, rest = cutValue(rest); len(entry) == 0 || len(r.Recipients) == MaxRecipients {
			return
		}
		if a := address(entry); a != (Address{}) {
			r.Recipients = append(r.Recipients, a)
		}
		c, rest = token(rest)
	}
}

func address(value []byte) (a Address) {
	if value[0] == '"' {
		return Address{Address: textOf(value)}
	}
	f := fields{rest: value}
	for f.next() {
		switch string(f.name()) {
		case "address":
			setText(&a.Address, f.value)
		case "name":
			setText(&a.Name, f.value)
		}
	}
	return a
}

// decode takes the record's Item, which may be null or JSON in a string.
func (i *Item) decode(value []byte) error {
	object := unwrapped(value)
	if isNull(object) || strings.TrimSpace(string(object)) == "" {
		return nil
	}

	f := fields{rest: object}
	for f.next() {
		switch string(f.name()) {
		case "id":
			setText(&i.ID, f.value)
		case "immutableid":
			setText(&i.ImmutableID, f.value)
		case "internetmessageid":
			setText(&i.InternetMessageID, f.value)
		case "subject":
			setText(&i.Subject, f.value)
		case "attachments":
			setText(&i.Attachments, f.value)
		case "sizeinbytes":
			setNumber(&i.SizeInBytes, f.value)
		case "sensitivity":
			setText(&i.Sensitivity, f.value)
		case "parentfolder":
			i.setParentFolder(f.value)
		}
	}
	return f.err
}

func (i *Item) setParentFolder(value []byte) {
	f := fields{rest: unwrapped(value)}
	for f.next() {
		if string(f.name()) == "path" {
			setText(&i.ParentFolderPath, f.value)
		}
	}
}

// setText leaves the field unchanged on null, and so do the other setters: a duplicate without a value removes
// nothing.
func setText[S ~string](field *S, value []byte) {
	if !isNull(value) {
		*field = S(textOf(value))
	}
}

func setNumber[N int | int64](field *N, value []byte) {
	if n, ok := numberOf(value); ok && int64(N(n)) == n {
		*field = N(n)
	}
}

func setTruth(field **bool, value []byte) {
	if is, ok := truthOf(value); ok {
		*field = &is
	}
}

// parseTime reads a time as Microsoft writes it: without a zone, which means UTC, or with Z or an offset; with or
// without a fraction of seconds.
func parseTime(s string) (time.Time, error) {
	s = strings.TrimSpace(s)
	for _, layout := range [...]string{"2006-01-02T15:04:05", time.RFC3339, "2006-01-02 15:04:05"} {
		t, err := time.Parse(layout, s)
		if err == nil && !t.IsZero() { // year 1 is what .NET writes for no time at all
			return t.UTC(), nil
		}
	}
	if s == "" {
		return time.Time{}, errors.New("missing")
	}
	return time.Time{}, fmt.Errorf("%.40q is no time", s)
}

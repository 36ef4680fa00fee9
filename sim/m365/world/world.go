// Package world holds what the simulated Microsoft 365 knows: tenants, their people, their mail, and the audit
// records that report it. It is plain data: the servers in m365sim answer from it, and the company invents it.
// Nothing here knows Mailtrail.
package world

import "time"

// Tenant is one simulated customer of Microsoft 365.
type Tenant struct {
	ID            string // GUID
	DisplayName   string
	DefaultDomain string   // e.g. contoso.onmicrosoft.com
	Domains       []string // verified domains, the default one included
	Cloud         string   // commercial, gcc, gcchigh, dod
}

// Person is one directory object of a tenant, as Graph's /users returns it.
type Person struct {
	ID                string // GUID
	DisplayName       string
	UserPrincipalName string
	Mail              string // "" for a person without a mailbox
	ProxyAddresses    []string
	UserType          string // Member or Guest
	Enabled           bool
	Plans             []Plan
	Roles             []string // directory role template ids, which become wids
	UnitRoles         []string // roles within an administrative unit, which allow no consent for the tenant
	Password          string   // what the sign-in page accepts
}

// Group is a group of a tenant. Its members are people and other groups.
type Group struct {
	ID          string // GUID
	DisplayName string
	Members     []string // IDs of people and of groups
}

// Plan is one assigned service plan.
type Plan struct {
	ID               string // GUID, e.g. 2f442157-a11c-46b9-ae5b-6e39ff4e5849 (M365_ADVANCED_AUDITING)
	Service          string // e.g. exchange
	CapabilityStatus string // Enabled, Warning, Suspended, Deleted, LockedOut
}

// Address is a mail address with its display name.
type Address struct{ Name, Address string }

// Message is one item of a mailbox, as Graph returns it.
type Message struct {
	ID                string // the store id, which changes when the item moves
	ImmutableID       string
	Mailbox           string // Person.ID of the mailbox that holds this copy
	Folder            string // sentitems, drafts, inbox, deleteditems
	InternetMessageID string // with its angle brackets
	Subject           string
	Sent              time.Time
	From, Sender      Address
	To, Cc, Bcc       []Address
	Draft             bool
	Attachments       []Attachment
}

// Attachment is one attachment of a message. Its bytes are made when asked for, so that a company of gigabytes
// fits in memory: the same attachment always gives the same bytes.
type Attachment struct {
	ID          string
	Name        string
	ContentType string
	Kind        string // file, item or reference
	Inline      bool
	ContentID   string
	SourceURL   string // reference: the file that it leads to; "" when Microsoft does not say
	Folder      bool   // reference: it leads to a folder
	StoredSize  int64  // what Graph calls size: content and properties, not the length of the file
	Length      int64  // bytes of the file itself
	Seed        uint64 // seeds the bytes
	Magic       []byte // the first bytes of the file, which show its type
}

// Record is one audit record, exactly as Microsoft would serve it.
type Record struct {
	ID      string
	Created time.Time // CreationTime
	JSON    []byte    // one JSON value; may be damaged on purpose
}

// Truth is what really happened in one send, for a test to compare a search's answer with.
type Truth struct {
	RecordID          string
	Operation         string // Send, SendAs, SendOnBehalf
	Observed          time.Time
	Actor             string // who did it, as the record names them
	UserType          int64  // of the record: 0 a person, 5 an application, 4 a service
	Application       string // id of the application that sent it without a person
	Mailbox           string // user principal name of the mailbox's owner, as the record names them
	Client            string // ClientInfoString
	Sender            string // the transmitting address
	From              string
	Recipients        []string
	Subject           string
	InternetMessageID string
	Files             []TruthFile // in the order of the audit record
	Noise             bool        // a sharing notification that no analyst wants
	Copies            []TruthCopy // where the mail can be found
	Unrecorded        string      // why the audit log has no record of it; "" when it has one
	Unlisted          bool        // the record does not list the files
	Premium           bool        // actor or owner is enabled and has a usable plan with Audit (Premium)
}

// TruthCopy is one copy of a mail that a mailbox keeps.
type TruthCopy struct {
	Mailbox           string // Person.ID
	Folder            string
	InternetMessageID string // the copy's own, which need not be the record's
}

// TruthFile is one attachment that really left.
type TruthFile struct {
	Name   string
	Stored int64 // the size that the audit record states
	Length int64 // the size of the file itself
	MD5    string
	SHA256 string
	Inline bool
}

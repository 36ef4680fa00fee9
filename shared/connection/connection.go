// Package connection holds the connections: each is a tenant that has let us in, or is about to. It covers their life
// and history, and the consent by which an administrator opens one.
package connection

import (
	"fmt"
	"strings"
	"time"
)

// ID names a connection: 12 lower-case letters and digits. It stands in keys and event ids, and is never reused.
type ID string

// TenantID is a tenant's GUID in lower case ("tid" in Microsoft's tokens).
type TenantID string

func (t TenantID) valid() bool { return IsGUID(string(t)) && string(t) == strings.ToLower(string(t)) }

// IsGUID says whether s is a GUID as Microsoft writes the ids of tenants, people, groups and applications: 32
// hexadecimal digits of either case, with four hyphens.
func IsGUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		switch {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if s[i] != '-' {
				return false
			}
		case !strings.ContainsRune("0123456789abcdefABCDEF", rune(s[i])):
			return false
		}
	}
	return true
}

// Cloud is one of Microsoft's national clouds.
type Cloud string

// The clouds that the Office 365 Management Activity API reference lists.
const (
	Commercial Cloud = "commercial"
	GCC        Cloud = "gcc"
	GCCHigh    Cloud = "gcchigh"
	DoD        Cloud = "dod"
)

// Clouds are all of them.
func Clouds() []Cloud { return []Cloud{Commercial, GCC, GCCHigh, DoD} }

// ParseCloud reads a cloud's name; "" is commercial.
func ParseCloud(s string) (Cloud, error) {
	switch c := Cloud(s); c {
	case "":
		return Commercial, nil
	case Commercial, GCC, GCCHigh, DoD:
		return c, nil
	}
	return "", fmt.Errorf("cloud %q is none of commercial, gcc, gcchigh, dod", s)
}

// Title is the name that Microsoft gives the cloud.
func (c Cloud) Title() string {
	switch c {
	case GCC:
		return "GCC"
	case GCCHigh:
		return "GCC High"
	case DoD:
		return "DoD"
	}
	return "commercial"
}

// Tenant is where a tenant is found: its id, and the cloud that it lives in.
type Tenant struct {
	ID    TenantID
	Cloud Cloud
}

// Status is the state of a connection (Incydr: Data Connections, status).
type Status string

const (
	// not consented yet, or permissions are still spreading through Microsoft's directory
	Initializing Status = "Initializing"
	Monitoring   Status = "Monitoring"
	Error        Status = "Error"
	Deauthorized Status = "Deauthorized"
)

// Connection is one tenant that has let us in, or is about to.
type Connection struct {
	ID          ID
	DisplayName string // unique, case-insensitively
	Tenant      Tenant // Tenant.ID is "" until an administrator has consented
	Wanted      string // the tenant that it was added for, as an id or a domain; "" if any tenant may consent
	Status      Status
	Since       time.Time // since when it has this status
	Reason      string    // a sentence for the administrator: what is wrong and what to do; "" while Monitoring
	Created     time.Time
	CreatedBy   string    // who added it: an API client's id
	Consented   time.Time // when the administrator consented; zero before
	ConsentedBy string    // the administrator's object id in the tenant ("oid"), never an address
	Claims      string    // which of the claims wids and acct the administrator's id_token had, not their values
	// Denied is the code of Microsoft's refusal when the tenant's users were last listed; "" when they were listed. It
	// is kept apart from the outcome of polling: however well the audit log is listed, without the directory nobody can
	// say whose mail is to be kept.
	Denied string
	// KeepsAll says that every send which Microsoft delivers is kept unless somebody chooses otherwise. It is false for
	// connections that were made when only the mail of people with a licence was.
	KeepsAll   bool
	Subscribed time.Time // when the audit subscription was first seen enabled; zero before
	// since when the subscription at Microsoft waits to be stopped; zero when there is nothing to stop
	Stopping time.Time
	Resumed  time.Time // when it was last resumed; what was parked before that is queued again; zero if never
	// Refusals is how many blobs in a row Microsoft refused to hand out, and RefusalCode with what code the last one.
	Refusals    int64
	RefusalCode string
	// StartAfter is when the subscription at Microsoft may next be started; zero if nobody has tried to start it.
	StartAfter time.Time
	Purge      Purge
	Revision   int64 // the table's, for replacing
}

// Purge is the progress of deleting a connection with all its data; zero when nobody has asked for that.
type Purge struct {
	Asked   time.Time
	By      string // who asked: an API client's id
	Deleted int64  // table items deleted so far
}

// Followed says whether the tenant's audit log is followed, and its events are shown in searches. A connection in Error
// is followed too: that is how it returns to Monitoring by itself.
func (c Connection) Followed() bool { return c.Status != Deauthorized && c.Tenant.ID != "" }

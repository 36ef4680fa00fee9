// Package people knows who is in a tenant: the census of its directory, who of them is monitored and why not,
// and what mail is kept for it.
//
// Facts are stored, and coverage is computed from them when it is asked for, so that a change of the gate or
// the scope counts at once.
package people

import "strings"

// ObjectID is the id of a person or a group in the directory of its tenant: a GUID in lower case.
type ObjectID string

// AdvancedAuditing is the service plan M365_ADVANCED_AUDITING, which every subscription with Audit (Premium)
// contains.
const AdvancedAuditing = "2f442157-a11c-46b9-ae5b-6e39ff4e5849"

// Person is one user of a tenant's directory (Graph: "user resource type").
type Person struct {
	ID        ObjectID
	Principal string   // userPrincipalName, as Microsoft writes it
	Name      string   // displayName
	Addresses []string // mail and the SMTP addresses of proxyAddresses: lower case, each once, the primary one first
	Facts
}

// Facts are what coverage depends on.
type Facts struct {
	Enabled bool // accountEnabled
	Guest   bool // userType is Guest: the mail that it has is its home's
	// Mailbox says that a member has an address. Graph shows mailboxes themselves only to those who may read them.
	// So a mailbox on premises counts as one in the cloud, and the audit log then has nothing of it.
	Mailbox bool
	// Plan is the capabilityStatus of AdvancedAuditing, the best where there are several: Enabled, Warning,
	// Suspended, LockedOut, Deleted; "" for a person without the plan.
	Plan string
}

// Licensed reports whether the plan can be used: Warning is the grace period of a subscription that has ended
// ("assignedPlan resource type").
func (f Facts) Licensed() bool { return f.Plan == "Enabled" || f.Plan == "Warning" }

// Fold is an address as it is compared: lower case, valid UTF-8, without the spaces around it.
func Fold(address string) string {
	return strings.ToLower(strings.ToValidUTF8(strings.TrimSpace(address), "\ufffd"))
}

// Change is one entry of a directory page: a person as they are now, or that they have left.
type Change struct {
	Person
	Removed bool // only ID is set
	Partial bool // only a part of the person came: look them up for the rest
}

// Page is one page of a directory.
type Page struct {
	Changes []Change
	Next    string // where the next page is, or ""
	Delta   string // after the last page of changes: where the next changes are
}

// Members is one page of a group's people.
type Members struct {
	IDs  []ObjectID
	Next string // where the next page is, or ""
}

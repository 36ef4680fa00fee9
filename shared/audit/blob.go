// Package audit follows a tenant's audit log: it lists the content blobs that Microsoft says are ready, queues each one,
// remembers in a ledger what became of it, and reads the records out of it.
package audit

import (
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
)

// ContentType names a feed of the Office 365 Management Activity API. Sends come in Exchange.
type ContentType string

// Exchange is the only content type that tells of sent mail.
const Exchange ContentType = "Audit.Exchange"

// ContentID is Microsoft's opaque name of a content blob.
type ContentID string

// Blob is a bundle of audit records that Microsoft says is ready. It is what travels on the blob queue, as JSON.
type Blob struct {
	Connection connection.ID     `json:"connection"`
	Tenant     connection.Tenant `json:"tenant"`
	Type       ContentType       `json:"contentType"`
	ID         ContentID         `json:"contentId"`
	URI        string            `json:"contentUri"` // its host is pinned to the tenant's cloud before a token is sent
	Created    time.Time         `json:"contentCreated"`
	Expires    time.Time         `json:"contentExpiration"`
	// Arrival is when we first listed the blob: the same for all blobs of one poll of a connection, strictly later at each
	// poll, in whole milliseconds. Event ids begin with it.
	Arrival time.Time `json:"arrival"`
	// Attempts is how often reading it was begun, this time included; the ledger sets it.
	Attempts int `json:"-"`
}

// Tally is what was found in a blob. Sends = Noise + Failed + Unmonitored + Messages + Repeated; what is unreadable is in none of them.
type Tally struct {
	Records int64 `json:"records"` // all elements of the array
	Sends   int64 `json:"sends"`   // records of a sent mail with attachments
	Noise   int64 `json:"noise"`   // sends that no analyst wants: sharing notifications that SharePoint sends in a user's name
	Failed  int64 `json:"failed"`  // sends whose result was not a success: nothing left
	// Unmonitored are sends of nobody who is monitored, which are not kept; Unknown are those of them whose people the tenant's directory
	// does not know.
	Unmonitored int64 `json:"unmonitored"`
	Unknown     int64 `json:"unknown"`
	Messages    int64 `json:"messages"`   // new messages
	Repeated    int64 `json:"repeated"`   // sends that were stored before: Microsoft repeats records by design, and so does a second reading of the blob
	Events      int64 `json:"events"`     // attachments of the new messages
	Unreadable  int64 `json:"unreadable"` // elements that are no record, and records of a send that cannot be read; each one kept with its reason
	// LastSend is when the newest message that was found was sent, be it new, repeated or of nobody who is monitored; zero when there was none.
	LastSend time.Time `json:"lastSend,omitzero"`
}

// Package audit follows a tenant's audit log: it lists the content blobs that Microsoft says are ready, queues each
// of them, records in a ledger what became of it, and reads its records.
package audit

import (
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
)

// ContentType names a feed of the Office 365 Management Activity API. Sends come in Exchange.
type ContentType string

// Exchange is the content type that holds records of sent mail.
const Exchange ContentType = "Audit.Exchange"

// ContentID is Microsoft's opaque name of a content blob.
type ContentID string

// Blob is a bundle of audit records that Microsoft says is ready. It travels on the blob queue, as JSON.
type Blob struct {
	Connection connection.ID     `json:"connection"`
	Tenant     connection.Tenant `json:"tenant"`
	Type       ContentType       `json:"contentType"`
	ID         ContentID         `json:"contentId"`
	URI        string            `json:"contentUri"` // its host is pinned to the tenant's cloud before a token is sent
	Created    time.Time         `json:"contentCreated"`
	Expires    time.Time         `json:"contentExpiration"`
	// Arrival is when we first listed the blob, in whole milliseconds. All blobs of one poll of a connection share
	// it, and it is strictly later in each poll. Event ids begin with it.
	Arrival time.Time `json:"arrival"`
	// Attempts is how many times reading the blob was begun, including this time. The ledger sets it.
	Attempts int `json:"-"`
}

// Tally counts what was found in a blob. Sends = Noise + Failed + Unmonitored + Messages + Repeated. Plain and
// Unreadable elements are in none of these.
type Tally struct {
	Records int64 `json:"records"` // all elements of the array
	Sends   int64 `json:"sends"`   // records of a sent mail with attachments
	// Plain counts records of a sent mail that name no attachments.
	Plain int64 `json:"plain"`
	// Noise counts sends that no analyst wants: sharing notifications that SharePoint sends in a user's name.
	Noise  int64 `json:"noise"`
	Failed int64 `json:"failed"` // sends whose result was not a success: nothing left
	// Unmonitored counts sends that are not kept because nobody in them is monitored. Unknown counts those of them
	// whose people are not in the tenant's directory.
	Unmonitored int64 `json:"unmonitored"`
	Unknown     int64 `json:"unknown"`
	Messages    int64 `json:"messages"` // new messages
	// Repeated counts sends that were stored before. Microsoft repeats records by design, and so does a second
	// reading of the blob.
	Repeated int64 `json:"repeated"`
	Events   int64 `json:"events"` // attachments of the new messages
	// Unreadable counts elements that are not records, and records of a send that cannot be read. Each is kept with
	// its reason.
	Unreadable int64 `json:"unreadable"`
	// LastSend is when the newest message was sent, whether it was new, repeated, or not kept. It is zero if there
	// was none.
	LastSend time.Time `json:"lastSend,omitzero"`
}

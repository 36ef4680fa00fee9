// Package enrich finds what the audit record of a sent mail lacks: its recipients with their roles, and the
// hashes of its attachments. It reads them from the sender's mailbox through Microsoft Graph. It keeps no text
// and no file of any mail.
package enrich

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/forensic"
)

// What Graph says about one mailbox, message or file. None of it is a fault of the connection. Every other
// error of Graph has a kind of package fault.
var (
	// ErrNoMailbox: the address has no mailbox in the cloud: nobody has it, or the mailbox is on-premises.
	ErrNoMailbox = errors.New("no mailbox in the cloud")
	// ErrDenied: a policy of the tenant keeps the application out of this mailbox.
	ErrDenied = errors.New("kept out of the mailbox by policy")
	// ErrNotPermitted: the application lacks the permission altogether; while permissions spread, that passes.
	ErrNotPermitted = errors.New("permission missing")
	// ErrGone: the message, attachment or file is not there (any more).
	ErrGone = errors.New("not there")
)

// Graph reads the mail of a tenant's people. mailbox is a user principal name or an address. Ids are immutable
// ids, which stay when a message moves. It is safe for concurrent use, and keeps nothing.
type Graph interface {
	// FindSent returns the messages in Sent Items that have the internet message id, and FindAnywhere those in the
	// whole mailbox, Deleted Items included. The id of a message is not unique: drafts, copies and mail to oneself
	// share it.
	FindSent(ctx context.Context, t connection.Tenant, mailbox, internetMessageID string) ([]Mail, error)
	FindAnywhere(ctx context.Context, t connection.Tenant, mailbox, internetMessageID string) ([]Mail, error)

	// FindDeleted is FindSent for what was deleted for good, and is kept for some days (Recoverable Items).
	FindDeleted(ctx context.Context, t connection.Tenant, mailbox, internetMessageID string) ([]Mail, error)
	// FindAround returns the messages of a folder that were sent within a time. all is false if there are more.
	FindAround(
		ctx context.Context, t connection.Tenant, mailbox string, folder Folder, from, to time.Time,
	) (mails []Mail, all bool, err error)

	// Attachments lists what is attached to a message, in Graph's order, inline images included.
	Attachments(ctx context.Context, t connection.Tenant, mailbox, message string) ([]Attached, error)

	// OpenAttachment streams the bytes of a file attachment; the caller closes it. The time that it takes is not
	// bounded, only its silence is; a read that breaks off fails with fault.Retry and never with io.EOF.
	// contentType is what the answer says of itself.
	OpenAttachment(ctx context.Context, t connection.Tenant, mailbox, message, attachment string) (body io.ReadCloser,
		contentType string, err error)
	// OpenEncoded streams the same bytes from a form that marks its own end. It is longer on the wire, and fails
	// with fault.Retry if it was cut, or if something else came in its place.
	OpenEncoded(ctx context.Context, t connection.Tenant, mailbox, message, attachment string) (io.ReadCloser, error)

	// Source returns the address that a reference attachment leads to; "" if Graph does not say.
	Source(ctx context.Context, t connection.Tenant, mailbox, message, attachment string) (string, error)
	// ResolveShared resolves such an address to the file behind it, and OpenShared streams it, as OpenAttachment does.
	ResolveShared(ctx context.Context, t connection.Tenant, address string) (SharedFile, error)
	OpenShared(ctx context.Context, t connection.Tenant, f SharedFile) (body io.ReadCloser, contentType string,
		err error)
}

// Folder is a folder that every mailbox has (Graph: mailFolder, well-known name).
type Folder string

const (
	SentItems      Folder = "sentitems"
	DeletedForGood Folder = "recoverableitemsdeletions"
)

// Mail is a message as Graph has it (Graph: message).
type Mail struct {
	ID           string
	MessageID    string // internet message id
	Draft        bool
	From, Sender string // addresses
	Subject      string
	Sent         time.Time
	// HasAttachments is false if there are none but inline ones.
	HasAttachments bool
	Recipients     []forensic.Recipient // To, then Cc, then Bcc
}

// Attached is one attachment of a message (Graph: attachment).
type Attached struct {
	ID          string
	Name        string
	ContentType string
	Kind        forensic.Kind
	Inline      bool
	StoredSize  int64 // Graph's "size"; -1 when Graph did not say
}

// SharedFile is the file behind a reference (Graph: driveItem).
type SharedFile struct {
	Drive, ID string
	Size      int64  // bytes; -1 when Graph did not say
	QuickXor  string // base64; "" when Graph did not say
	Folder    bool
}

package audit

import (
	"context"
	"errors"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
)

var (
	// ErrNotSubscribed means that there is no enabled subscription to list (AF20022, AF20023): subscribe, and list
	// again.
	ErrNotSubscribed = errors.New("no enabled subscription")
	// ErrPage means that Microsoft no longer knows the page (AF20031): list again from the first page.
	ErrPage = errors.New("page of the listing is not valid")
	// ErrWindow means that Microsoft refuses the window (AF20030, AF20055): it begins too far back, by Microsoft's clock.
	ErrWindow = errors.New("window of the listing is refused")
	// ErrGone means that a content blob is no longer available (AF20050, AF20051, AF20052, 404). It comes with
	// fault.Poison.
	ErrGone = errors.New("content blob is gone")
	// ErrEnded means that a blob was settled or lost before: there is nothing to do.
	ErrEnded = errors.New("blob has ended")
)

// Listed is one content blob as Microsoft lists it (Office 365 Management Activity API reference, "List available
// content").
type Listed struct {
	ID      ContentID
	URI     string
	Type    ContentType
	Created time.Time // when the blob became available; the windows of a listing refer to this time
	Expires time.Time
}

// Page is one page of a listing.
type Page struct {
	Blobs []Listed
	Next  string // NextPageUri, verbatim; "" on the last page
}

// Feed lists the contents of a tenant's audit log. Its errors wrap the sentinels of package fault and those above.
type Feed interface {
	// Subscribe makes sure that the subscription is enabled. It is idempotent.
	Subscribe(ctx context.Context, t connection.Tenant, ct ContentType) error
	// Unsubscribe stops the subscription, and discards everything that is cached for the tenant, tokens above all. It
	// is idempotent: stopping a subscription that does not exist succeeds.
	Unsubscribe(ctx context.Context, t connection.Tenant, ct ContentType) error
	// List returns one page of the blobs that became available in [from, to); page is "" or the Next of an earlier
	// page. The caller keeps the window within 24 hours and 7 days back.
	List(ctx context.Context, t connection.Tenant, ct ContentType, from, to time.Time, page string) (Page, error)
}

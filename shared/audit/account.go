package audit

import (
	"context"

	"github.com/mailtrail/mailtrail/shared/connection"
)

// Account is what the ledger knows of a connection, in the shape in which the connections API shows it.
type Account struct {
	Sums
	Open     int64  `json:"open"` // blobs that are listed and have not ended
	Progress Cursor `json:"progress"`
}

// Account sums a connection's blobs up, and tells how far the listing has come.
func (l *Ledger) Account(ctx context.Context, c connection.ID) (Account, error) {
	sums, err := l.Sums(ctx, c)
	if err != nil {
		return Account{}, err
	}
	progress, err := l.Progress(ctx, c)
	return Account{Sums: sums, Open: sums.Open(), Progress: progress}, err
}

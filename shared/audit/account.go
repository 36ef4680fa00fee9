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

// Tell is an account as a connection's details tell it.
func (l *Ledger) Tell(ctx context.Context, c connection.ID) (connection.Progress, error) {
	a, err := l.Account(ctx, c)
	if err != nil {
		return connection.Progress{}, err
	}
	mark, err := l.Watermark(ctx, c)
	return connection.Progress{
		LastPoll: a.Progress.LastGood, LastBlob: a.Progress.LastBlob, LastSend: a.Tally.LastSend, Read: mark,
		Failures: a.Progress.Failures, Listed: a.Listed, Open: a.Open, Ledger: a,
	}, err
}

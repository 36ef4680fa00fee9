package enrich

import (
	"context"
	"errors"
	"fmt"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/forensic"
)

// Checks counts what came of looking for sends whose records name no attachments. It is safe for concurrent use.
type Checks interface {
	// Checked counts a mail that was found; missing means that it has attachments.
	Checked(ctx context.Context, c connection.ID, client string, missing bool) error
}

// check looks for a mail whose record names no attachments, and counts whether it has some. One that is not found until
// the deadline is left out of the sample. Graph says of inline images that they are none, so a mail that has
// attachments has some that its record should name.
func (a *Agent) check(ctx context.Context, t connection.Tenant, w forensic.Waiting) error {
	if a.config.Checks == nil {
		return nil
	}
	one := a.task(t, w.Check.Message(w.Connection, w.Record))
	attempt, cancel := a.attempt(ctx)
	found, err := a.find(attempt, one)
	cancel()
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("check record %s: %w", w.Record, ctx.Err())
	case err != nil && one.last:
		return nil
	case errors.Is(err, errNowhere), errors.Is(err, fault.Refused):
		return nil
	case err != nil:
		return a.later(one, err)
	}
	if err := a.config.Checks.Checked(ctx, w.Connection, w.Check.Client, found.mail.HasAttachments); err != nil {
		return fmt.Errorf("check record %s: %w", w.Record, err)
	}
	a.progress.forget(keyOf(one.message))
	return nil
}

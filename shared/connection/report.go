package connection

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/table"
)

// Report records the outcome of the last poll on the connection. nil means Monitoring, unless the directory is refused.
// fault.Refused means Error, with a sentence that says what is wrong and what to do, except while permissions are still
// spreading. Anything else leaves the connection as it is, above all a refusal of our own credential. Report writes
// only when the status or the reason changes.
func (r *Registry) Report(ctx context.Context, id ID, outcome error) error {
	now := r.now()
	_, err := r.change(ctx, id, Poller, func(s *stored) ([]table.Op, error) {
		s.Connection = s.after(outcome, now)
		return nil, nil
	})
	return err
}

// ReportDirectory records the outcome of reading the tenant's directory on the connection. fault.Refused is kept in
// Denied, and shows as it does in Report, until nil clears it; the next poll that succeeds then sets Monitoring.
// Anything else changes nothing. A connection that is already in Error keeps the reason that polling gave it: the next
// poll that succeeds shows the directory's problem.
func (r *Registry) ReportDirectory(ctx context.Context, id ID, outcome error) error {
	now := r.now()
	_, err := r.change(ctx, id, Poller, func(s *stored) ([]table.Op, error) {
		switch {
		case !s.Followed():
		case outcome == nil:
			s.Denied = ""
		case blames(outcome):
			if s.Denied = fault.Code(outcome); s.Denied == "" {
				s.Denied = unnamed
			}
			if s.Status != Error {
				s.Connection = s.refused(s.Denied, now)
			}
		}
		return nil, nil
	})
	return err
}

// manyRefused is how many blobs in a row Microsoft may refuse before the connection says so. One or two are Microsoft's
// own trouble; if all are refused, we probably ask for them in the wrong tenant or cloud.
const manyRefused = 5

// ReportBlob records that Microsoft handed out a blob that it had listed (nil), or refused another one. Five in a row
// are Error; the next poll that succeeds after a blob was handed out sets Monitoring. A call that was done and then
// reported as failed may count twice.
func (r *Registry) ReportBlob(ctx context.Context, id ID, outcome error) error {
	now := r.now()
	_, err := r.change(ctx, id, Poller, func(s *stored) ([]table.Op, error) {
		switch {
		case !s.Followed():
		case outcome == nil:
			s.Refusals, s.RefusalCode = 0, ""
		default:
			s.Refusals++
			s.RefusalCode = fault.Code(outcome)
			if !strings.HasPrefix(s.RefusalCode, OtherCloud) {
				s.RefusalCode = ContentRefused + s.RefusalCode
			}
			if s.Refusals >= manyRefused && s.Status != Error {
				s.Connection = s.refused(s.RefusalCode, now)
			}
		}
		return nil, nil
	})
	return err
}

// unnamed is stored for a refusal without a code.
const unnamed = "Refused"

// after is the connection after a poll with this outcome.
func (c Connection) after(outcome error, now time.Time) Connection {
	if !c.Followed() {
		return c // it was deauthorized while the poll ran, and stays so
	}
	if outcome == nil {
		if c.Subscribed.IsZero() {
			c.Subscribed = now
		}
		if c.Denied != "" {
			return c.refused(c.Denied, now)
		}
		if c.Refusals >= manyRefused {
			return c.refused(c.RefusalCode, now)
		}
		c.Status, c.Reason = Monitoring, ""
		return c
	}
	if !blames(outcome) {
		return c
	}
	return c.refused(fault.Code(outcome), now)
}

// blames says whether an outcome is the tenant's to mend.
func blames(outcome error) bool {
	if !errors.Is(outcome, fault.Refused) || errors.Is(outcome, fault.Ours) {
		return false
	}
	cause := CauseOf(fault.Code(outcome))
	return cause.Class == fault.Refused && cause.About == OfTenant
}

// refused is the connection after its tenant refused something with this code.
func (c Connection) refused(code string, now time.Time) Connection {
	cause := CauseOf(code)
	if cause.Spreads && now.Before(c.Consented.Add(spreading)) {
		c.Status, c.Reason = Initializing, permissionsSpread
	} else {
		c.Status, c.Reason = Error, cause.Reason(c.DisplayName)
	}
	return c
}

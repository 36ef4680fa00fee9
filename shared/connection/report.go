package connection

import (
	"context"
	"errors"
	"time"

	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/table"
)

// Report tells the connection what its last poll came to. nil is Monitoring, unless the directory is refused. fault.Refused is Error with a
// sentence that says what is wrong and what to do, except for permissions that are still spreading. Everything else, our own refused credential above
// all, leaves the connection as it is. It writes only when the status or the reason changes.
func (r *Registry) Report(ctx context.Context, id ID, outcome error) error {
	now := r.now()
	_, err := r.change(ctx, id, Poller, func(s *stored) ([]table.Op, error) {
		s.Connection = s.after(outcome, now)
		return nil, nil
	})
	return err
}

// ReportDirectory tells the connection what reading its tenant's directory came to. fault.Refused is kept in Denied, and shows itself as it does
// in Report until nil takes it back; the next poll that goes well then says Monitoring. Everything else changes nothing. A connection that
// is in Error keeps its reason, which polls have given it and may still give it: the next poll that goes well tells of the directory.
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

// unnamed stands for a refusal that came without a code.
const unnamed = "Refused"

// after is the connection as a poll's outcome leaves it.
func (c Connection) after(outcome error, now time.Time) Connection {
	if !c.Followed() {
		return c // deauthorized while the poll ran: it stays so
	}
	if outcome == nil {
		if c.Subscribed.IsZero() {
			c.Subscribed = now
		}
		if c.Denied != "" {
			return c.refused(c.Denied, now)
		}
		c.Status, c.Reason = Monitoring, ""
		return c
	}
	if !blames(outcome) {
		return c
	}
	return c.refused(fault.Code(outcome), now)
}

// blames tells whether an outcome is the tenant's affair.
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

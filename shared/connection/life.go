package connection

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/mailtrail/mailtrail/shared/table"
)

// spreading is how long missing permissions are no error after a consent: they take up to an hour to spread through
// Microsoft's directory.
const spreading = time.Hour

const (
	waitsForConsent = "Waiting for an administrator of the tenant to consent. If the link has expired or was " +
		"used, ask for a new one."
	waitsForFirstPoll = "Waiting for the first listing of the audit log."
	permissionsSpread = "The permissions were granted a short while ago and are still spreading through Microsoft's " +
		"directory. This can take up to an hour; nothing needs to be done."
	deauthorized = "Monitoring was stopped. Events are hidden until it is resumed."
)

// Consented binds the connection to the tenant whose administrator has consented: the connection and its lock on the
// tenant in one Commit. A verified sign-in must have proven the administrator's tenant. It is idempotent. Errors:
// ErrNotFound, ErrTenant, ErrDeauthorized, or the table's.
func (r *Registry) Consented(ctx context.Context, id ID, a Administrator) (Connection, error) {
	if !a.Tenant.valid() || a.Object == "" {
		return Connection{}, fmt.Errorf("consent for connection %s: the administrator's tenant or object id is missing", id)
	}
	return r.bind(ctx, id, a, func(stored) error { return nil })
}

// bind is Consented, unless allowed returns an error for the connection as it is then.
func (r *Registry) bind(
	ctx context.Context, id ID, a Administrator, allowed func(stored) error,
) (Connection, error) {
	now := r.now()
	return r.change(ctx, id, a.Object, func(s *stored) ([]table.Op, error) {
		switch {
		case !s.Purge.Asked.IsZero():
			return nil, ErrPurging
		case s.Status == Deauthorized:
			return nil, ErrDeauthorized
		}
		if err := allowed(*s); err != nil {
			return nil, err
		}
		var ops []table.Op
		switch s.Tenant.ID {
		case a.Tenant:
		case "":
			switch holder, err := r.holder(ctx, tenantKey(a.Tenant)); {
			case err == nil && holder != id:
				return nil, ErrTenant
			case err != nil && !errors.Is(err, table.ErrAbsent):
				return nil, err
			}
			ops = append(ops, table.Op{Verb: table.Create, Item: lock(tenantKey(a.Tenant), id)})
		default:
			return nil, ErrTenant
		}
		s.Tenant.ID = a.Tenant
		s.Status, s.Reason = Initializing, waitsForFirstPoll
		s.Consented, s.ConsentedBy, s.Claims, s.Denied = now, a.Object, a.Claims, ""
		return ops, nil
	})
}

// Deauthorize stops following the tenant and hides its events at once. It deletes nothing; the poller stops the
// subscription at Microsoft at its next tick. It is idempotent.
func (r *Registry) Deauthorize(ctx context.Context, id ID, by string) (Connection, error) {
	now := r.now()
	return r.change(ctx, id, by, func(s *stored) ([]table.Op, error) {
		if !s.Purge.Asked.IsZero() {
			return nil, nil // it is more than that
		}
		if s.Followed() {
			s.Stopping = now
		}
		if s.Status != Deauthorized {
			s.links++ // a consent that is under way would let the connection come back unasked,
		}
		s.link, s.linkUntil = "", time.Time{} // and so would an open link
		s.Status, s.Reason = Deauthorized, deauthorized
		return nil, nil
	})
}

// Resume follows the tenant again and shows its events. It does nothing to a connection that is not deauthorized.
// Errors: ErrNotFound, ErrPurging, or the table's.
func (r *Registry) Resume(ctx context.Context, id ID, by string) (Connection, error) {
	now := r.now()
	return r.change(ctx, id, by, func(s *stored) ([]table.Op, error) {
		switch {
		case !s.Purge.Asked.IsZero():
			return nil, ErrPurging
		case s.Status != Deauthorized:
			return nil, nil
		}
		s.Status, s.Reason = Initializing, waitsForFirstPoll
		if s.Tenant.ID == "" {
			s.Reason = waitsForConsent
		}
		s.Stopping, s.Resumed, s.Denied = time.Time{}, now, ""
		return nil, nil
	})
}

// Stopping returns the connections whose subscription at Microsoft waits to be stopped.
func (r *Registry) Stopping(ctx context.Context) ([]Connection, error) {
	return r.list(ctx, func(c Connection) bool { return !c.Stopping.IsZero() && r.shares(c) })
}

// Stopped records that there is nothing left to stop at Microsoft. It leaves a connection alone that was resumed
// meanwhile.
func (r *Registry) Stopped(ctx context.Context, id ID) error {
	_, err := r.change(ctx, id, Poller, func(s *stored) ([]table.Op, error) {
		s.Stopping = time.Time{}
		return nil, nil
	})
	return err
}

// free is nil when the connection may be bound to the tenant, and ErrTenant when one of them belongs elsewhere.
// Consented makes the decision; this check only spares an administrator a consent that would be refused.
func (r *Registry) free(ctx context.Context, id ID, t TenantID) error {
	s, err := r.get(ctx, id)
	if err != nil {
		return err
	}
	if s.Tenant.ID != "" {
		if s.Tenant.ID != t {
			return ErrTenant
		}
		return nil
	}
	holder, err := r.holder(ctx, tenantKey(t))
	switch {
	case errors.Is(err, table.ErrAbsent) || err == nil && holder == id:
		return nil
	case err == nil:
		return ErrTenant
	}
	return err
}

// LogChanges returns a Changed for a Registry that logs a line for each change of status, as a warning when it is
// Error. Alarms are made of these lines.
func LogChanges(log *slog.Logger) func(c Connection, by string) {
	return func(c Connection, by string) {
		level := slog.LevelInfo
		if c.Status == Error {
			level = slog.LevelWarn
		}
		log.Log(context.Background(), level, "a connection changed its status",
			"connection", c.ID, "tenant", c.Tenant.ID, "status", c.Status, "reason", c.Reason, "by", by)
	}
}

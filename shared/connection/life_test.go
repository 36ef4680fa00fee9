package connection_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/table"
)

func TestReport(t *testing.T) {
	own := &fault.Error{Kind: fault.Ours, Code: "AADSTS7000222", Err: errors.New("our secret has expired")}
	for _, step := range []struct {
		name    string
		after   time.Duration // since the consent
		outcome error
		status  connection.Status
		reason  string // part of it
	}{
		{"the first poll that succeeds", 0, nil, connection.Monitoring, ""},
		{"permissions that are still spreading", time.Minute, refusedBy("AF10001"), connection.Initializing,
			"still spreading"},
		{"the application is not known everywhere yet", 59 * time.Minute, refusedBy("AADSTS700016"), connection.Initializing,
			"still spreading"},
		{"permissions that should have spread", time.Hour, refusedBy("AF10001"), connection.Error,
			"does not have the right permissions"},
		{"the application was deleted", 2 * time.Hour, refusedBy("AADSTS700016"), connection.Error, "has been deleted"},
		{"the application was disabled, in the first hour", time.Minute, refusedBy("AADSTS7000112"), connection.Error,
			"has been disabled"},
		{"the audit log is off, in the first hour", time.Minute, refusedBy(connection.AuditLogOff), connection.Error,
			"Turn auditing on in the Microsoft Purview portal"},
		{"a refusal that nobody knows", time.Minute, refusedBy("AADSTS4711"), connection.Error,
			"There was an issue with the connection to Acme: Microsoft refused access (AADSTS4711)"},
		{"a refusal without a code", time.Minute, fault.Refused, connection.Error,
			"There was an issue with the connection to Acme"},
		{"our own credential", time.Minute, own, connection.Initializing, "first listing"},
		{"our own credential, called refused", time.Minute, refusedBy("AADSTS7000222"), connection.Initializing,
			"first listing"},
		{"throttled", time.Minute, &fault.Error{Kind: fault.Retry, Code: "AF429", Err: errors.New("throttled")},
			connection.Initializing, "first listing"},
		{"something else", time.Minute, errors.New("disk full"), connection.Initializing, "first listing"},
		{"poison", time.Minute, fault.Poison, connection.Initializing, "first listing"},
	} {
		t.Run(step.name, func(t *testing.T) {
			r, c := newRegistry(t)
			id := consented(t, r)
			c.advance(step.after)
			if err := r.Report(t.Context(), id, step.outcome); err != nil {
				t.Fatal(err)
			}
			got, err := r.Get(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			if got.Status != step.status || !strings.Contains(got.Reason, step.reason) ||
				(step.reason == "") != (got.Reason == "") {
				t.Errorf("%s, %q; want %s, %q", got.Status, got.Reason, step.status, step.reason)
			}
		})
	}
}

func consented(t *testing.T, r *connection.Registry) connection.ID {
	t.Helper()
	c, _, err := r.Add(t.Context(), "Acme", connection.Commercial, "key-1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Consented(t.Context(), c.ID, administrator(acme)); err != nil {
		t.Fatal(err)
	}
	return c.ID
}

func TestLifeAndHistory(t *testing.T) {
	r, c := newRegistry(t)
	id := consented(t, r)
	var subscribed time.Time
	for i, step := range []func() error{
		func() error { subscribed = c.now(); return r.Report(t.Context(), id, nil) },
		func() error { return r.Report(t.Context(), id, refusedBy(connection.AuditLogOff)) },
		func() error { return r.Report(t.Context(), id, fault.Retry) }, // a retry hides no error
		func() error { return r.Report(t.Context(), id, nil) },         // back by itself
		func() error { _, err := r.Deauthorize(t.Context(), id, "key-2"); return err },
		func() error { return r.Report(t.Context(), id, nil) }, // a poll that was still running
		func() error { _, err := r.Resume(t.Context(), id, "key-3"); return err },
		func() error { return r.Report(t.Context(), id, nil) },
	} {
		c.advance(time.Hour)
		if err := step(); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
	}
	history, err := r.History(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, h := range history {
		got = append(got, fmt.Sprintf("%s %s by %s", h.At.Format("15:04"), h.Status, h.By))
	}
	want := []string{
		"17:00 Monitoring by mailtrail",
		"16:00 Initializing by key-3",
		"14:00 Deauthorized by key-2",
		"13:00 Monitoring by mailtrail",
		"11:00 Error by mailtrail",
		"10:00 Monitoring by mailtrail",
		"09:00 Initializing by admin",
		"09:00 Initializing by key-1",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("history\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if conn, err := r.Get(t.Context(), id); err != nil || !conn.Subscribed.Equal(subscribed) {
		t.Errorf("subscribed since %s, want %s: the first time (%v)", conn.Subscribed, subscribed, err)
	}
}

func TestDeauthorizedIsNotFollowed(t *testing.T) {
	r, _ := newRegistry(t)
	id := consented(t, r)
	if _, err := r.Deauthorize(t.Context(), id, "key-1"); err != nil {
		t.Fatal(err)
	}
	if followed, err := r.Followed(t.Context()); len(followed) != 0 || err != nil {
		t.Errorf("%d are followed (%v)", len(followed), err)
	}
}

func TestPollThatChangesNothingWritesNothing(t *testing.T) {
	r, _ := newRegistry(t)
	id := consented(t, r)
	counted := &counting{Table: r.Table}
	r.Table = counted
	for _, outcome := range []error{nil, nil, fault.Retry, nil, refusedBy(connection.AuditLogOff),
		refusedBy(connection.AuditLogOff), fault.Ours, fault.Poison} {
		if err := r.Report(t.Context(), id, outcome); err != nil {
			t.Fatal(err)
		}
	}
	if counted.commits != 2 {
		t.Errorf("%d commits for two changes", counted.commits)
	}
}

// counting counts the commits of a table.
type counting struct {
	table.Table
	commits int
}

func (c *counting) Commit(ctx context.Context, ops ...table.Op) error {
	c.commits++
	return c.Table.Commit(ctx, ops...)
}

func TestManyPollersChangeOneConnection(t *testing.T) {
	r, _ := newRegistry(t)
	id := consented(t, r)
	race(8, func(i int) error {
		outcome := error(nil)
		if i%2 == 0 {
			outcome = refusedBy(connection.AuditLogOff)
		}
		return r.Report(t.Context(), id, outcome)
	}, fault.Retry, t)
	history, err := r.History(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(history) - 1 {
		if history[i].Status == history[i+1].Status && history[i].Reason == history[i+1].Reason {
			t.Errorf("change %d of the history changes nothing: %v", i, history[i])
		}
	}
}

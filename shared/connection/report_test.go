package connection_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
)

// TestPollAndDirectoryAreBothToBeWell plays what polls (p) and the census (d) report, one after the other, and looks at
// the connection after each.
func TestPollAndDirectoryAreBothToBeWell(t *testing.T) {
	const (
		noUsers  = "Authorization_RequestDenied"
		noGroups = connection.GroupsDenied
		off      = connection.AuditLogOff
	)
	type step struct {
		who, code string // code "" is well
		status    connection.Status
		reason    string // part of it
		problem   string // part of what is said of the directory
	}
	for name, story := range map[string]struct {
		after time.Duration
		steps []step
	}{
		"a permission is taken away and granted again": {2 * time.Hour, []step{
			{"p", "", connection.Monitoring, "", ""},
			{"d", noUsers, connection.Error, "User.Read.All", "User.Read.All"},
			{"p", "", connection.Error, "User.Read.All", "User.Read.All"},
			{"p", "AF429", connection.Error, "User.Read.All", "User.Read.All"},
			{"d", "AF429", connection.Error, "User.Read.All", "User.Read.All"},
			{"d", "", connection.Error, "User.Read.All", ""},
			{"p", "", connection.Monitoring, "", ""},
		}},
		"both are refused, and the directory is mended last": {2 * time.Hour, []step{
			{"p", off, connection.Error, "audit log is inaccessible", ""},
			{"d", noUsers, connection.Error, "audit log is inaccessible", "User.Read.All"},
			{"p", "", connection.Error, "User.Read.All", "User.Read.All"},
			{"d", "", connection.Error, "User.Read.All", ""},
			{"p", "", connection.Monitoring, "", ""},
		}},
		"both are refused, and the directory is mended first": {2 * time.Hour, []step{
			{"d", noUsers, connection.Error, "User.Read.All", "User.Read.All"},
			{"p", off, connection.Error, "audit log is inaccessible", "User.Read.All"},
			{"d", "", connection.Error, "audit log is inaccessible", ""},
			{"p", off, connection.Error, "audit log is inaccessible", ""},
			{"p", "", connection.Monitoring, "", ""},
		}},
		"the people are told, and the groups are not": {2 * time.Hour, []step{
			{"d", noUsers, connection.Error, "User.Read.All", "User.Read.All"},
			{"d", noGroups, connection.Error, "User.Read.All", "GroupMember.Read.All"},
			{"p", "", connection.Error, "GroupMember.Read.All", "GroupMember.Read.All"},
		}},
		"in the first hour permissions spread": {time.Minute, []step{
			{"p", "", connection.Monitoring, "", ""},
			{"d", noUsers, connection.Initializing, "still spreading", "User.Read.All"},
			{"p", "", connection.Initializing, "still spreading", "User.Read.All"},
			{"d", "", connection.Initializing, "still spreading", ""},
			{"p", "", connection.Monitoring, "", ""},
		}},
		"nothing is known of the audit log yet": {2 * time.Hour, []step{
			{"d", "", connection.Initializing, "first listing", ""},
			{"d", "AADSTS7000222", connection.Initializing, "first listing", ""},
			{"d", "ErrorAccessDenied", connection.Initializing, "first listing", ""},
			{"d", "none", connection.Error, "Microsoft refused access (Refused)", "Microsoft refused access"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			r, clock := newRegistry(t)
			id := consented(t, r)
			clock.advance(story.after)
			report := map[string]func(error) error{
				"p": func(outcome error) error { return r.Report(t.Context(), id, outcome) },
				"d": func(outcome error) error { return r.ReportDirectory(t.Context(), id, outcome) },
			}
			for i, s := range story.steps {
				outcome := refusedBy(s.code)
				switch s.code {
				case "":
					outcome = nil
				case "none":
					outcome = fault.Refused
				case "AF429":
					outcome = &fault.Error{Kind: fault.Retry, Code: s.code, Err: errors.New("throttled")}
				}
				if err := report[s.who](outcome); err != nil {
					t.Fatal(err)
				}
				got, err := r.Get(t.Context(), id)
				if err != nil {
					t.Fatal(err)
				}
				problem := ""
				if got.Denied != "" {
					problem = connection.CauseOf(got.Denied).Reason(got.DisplayName)
				}
				if got.Status != s.status || !strings.Contains(got.Reason, s.reason) || (s.reason == "") != (got.Reason == "") ||
					!strings.Contains(problem, s.problem) ||
					(s.problem == "") != (problem == "") {
					t.Errorf("step %d, %s %s: %s %q, directory %q", i, s.who, s.code, got.Status, got.Reason, problem)
				}
			}
		})
	}
}

func TestWhatTheDirectoryRefusedIsForgottenWithConsentAndResume(t *testing.T) {
	r, clock := newRegistry(t)
	id := consented(t, r)
	for name, again := range map[string]func() error{
		"consent": func() error { _, err := r.Consented(t.Context(), id, administrator(acme)); return err },
		"resume": func() error {
			if _, err := r.Deauthorize(t.Context(), id, "key-1"); err != nil {
				return err
			}
			if err := r.ReportDirectory(t.Context(), id, nil); err != nil { // a census that was still running
				return err
			}
			_, err := r.Resume(t.Context(), id, "key-1")
			return err
		},
	} {
		clock.advance(2 * time.Hour)
		if err := errors.Join(
			r.ReportDirectory(t.Context(), id, refusedBy("Authorization_RequestDenied")),
			again(),
			r.Report(t.Context(), id, nil),
		); err != nil {
			t.Fatal(err)
		}
		if c, err := r.Get(t.Context(), id); err != nil || c.Status != connection.Monitoring || c.Denied != "" {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
}

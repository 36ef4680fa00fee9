package m365_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/enrich"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/m365"
)

// graphMicrosoft is a Microsoft whose Graph answers as a test says, to tokens that carry the roles.
func graphMicrosoft(t *testing.T, graph http.HandlerFunc, roles ...string) *microsoft {
	t.Helper()
	m := newMicrosoft(t, emptyPage)
	m.graph = graph
	m.login = func(w http.ResponseWriter, _ *http.Request) { m.grant(w, time.Hour, roles...) }
	return m
}

func TestGraphErrors(t *testing.T) {
	for _, tc := range []struct {
		name     string
		status   int
		code     string
		kind     error
		sentinel error
	}{
		{"no such message", 404, "ErrorItemNotFound", fault.Poison, enrich.ErrGone},
		{"no such person", 404, "ErrorInvalidUser", fault.Poison, enrich.ErrNoMailbox},
		{"no such object", 404, "Request_ResourceNotFound", fault.Poison, enrich.ErrNoMailbox},
		{"a mailbox on-premises", 404, "MailboxNotEnabledForRESTAPI", fault.Poison, enrich.ErrNoMailbox},
		{"an extension", 400, "extensionError", fault.Poison, enrich.ErrNoMailbox},
		{"an application access policy", 403, "ErrorAccessDenied", fault.Refused, enrich.ErrDenied},
		{"permission missing", 403, "Authorization_RequestDenied", fault.Refused, enrich.ErrNotPermitted},
		{"a token that is not good", 401, "InvalidAuthenticationToken", fault.Retry, nil},
		{"throttled", 429, "ApplicationThrottled", fault.Retry, nil},
		{"bandwidth", 509, "activityLimitReached", fault.Retry, nil},
		{"a code that means no more at a status of the server's", 503, "ErrorAccessDenied", fault.Retry, nil},
		{"too complex", 400, "InefficientFilter", fault.Ours, nil},
		{"a code of tomorrow", 404, "SomethingNew", fault.Poison, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := graphMicrosoft(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", "7")
				refuse(w, tc.status, tc.code, "The requested user 'ada@contoso.test' is invalid.")
			}, "Mail.Read")
			_, err := m.client(t).FindAnywhere(t.Context(), contoso(), "ada@contoso.test", "<a@b>")
			check(t, err, tc.kind, tc.code, tc.status)
			if tc.sentinel != nil && !errors.Is(err, tc.sentinel) {
				t.Errorf("%v is not %v", err, tc.sentinel)
			}
			if got := fault.Wait(err); got != 7*time.Second {
				t.Errorf("wait %s", got)
			}
			if strings.Contains(err.Error(), "ada") {
				t.Errorf("an address is told: %v", err)
			}
		})
	}
}

func TestAMissingPermissionIsToldFromAPolicy(t *testing.T) {
	refusing := func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "open@") {
			answer(w, 200, map[string]any{"value": []any{}})
			return
		}
		refuse(w, 403, "ErrorAccessDenied", "Access is denied.")
	}
	ask := func(c *m365.Client, mailbox string) error {
		_, err := c.FindSent(t.Context(), contoso(), mailbox, "<a@b>")
		return err
	}
	with := graphMicrosoft(t, refusing, "Mail.Read")
	if err := ask(with.client(t), "ada@contoso.test"); !errors.Is(err, enrich.ErrDenied) {
		t.Errorf("with the permission: %v", err)
	}
	if got := with.issued.Load(); got != 1 {
		t.Errorf("%d tokens were asked for: another one with the same permissions cannot help", got)
	}
	without := graphMicrosoft(t, refusing)
	c := without.client(t)
	if err := ask(c, "ada@contoso.test"); !errors.Is(err, enrich.ErrNotPermitted) {
		t.Errorf("without the permission: %v", err)
	}
	if got := without.issued.Load(); got != 2 {
		t.Errorf("%d tokens were asked for: permissions spread, so a fresh one is tried", got)
	}
	// RBAC for Applications: the grant lives in Exchange and covers some mailboxes, and the token does not show it.
	if err := ask(c, "open@contoso.test"); err != nil {
		t.Fatal(err)
	}
	if err := ask(c, "ada@contoso.test"); !errors.Is(err, enrich.ErrDenied) {
		t.Errorf("in a tenant that grants single mailboxes: %v", err)
	}
}

func TestGraphAnswersThatAreNone(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"a page":           always(200, "text/html", "<html>welcome</html>"),
		"cut JSON":         always(200, "application/json", `{"value":[{"id":"x"`),
		"another shape":    always(200, "application/json", `{"value":{"id":7}}`),
		"a gateway's page": always(404, "text/html", "<html>no such site</html>"),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := graphMicrosoft(
				t,
				h,
				"Mail.Read",
			).client(t).
				FindSent(t.Context(), contoso(), "ada@contoso.test", "<a@b>")
			if !errors.Is(err, fault.Retry) {
				t.Errorf("%v is no retry", err)
			}
		})
	}
}

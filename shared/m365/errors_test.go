package m365_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/m365"
)

const page = "text/html; charset=utf-8"

func af(code string) string { return `{"error":{"code":"` + code + `","message":"Something is so."}}` }

func TestActivityAnswersAreClassified(t *testing.T) {
	for _, tc := range []struct {
		status      int
		contentType string
		body        string
		kind        error
		code        string
		cause       error
	}{
		{401, "", af("AF10001"), fault.Refused, "AF10001", nil},
		{400, "", af("AF20001"), fault.Ours, "AF20001", nil},
		{400, "", af("AF20002"), fault.Ours, "AF20002", nil},
		{400, "", af("AF20003"), fault.Ours, "AF20003", nil},
		{400, "", af("AF20010"), fault.Ours, "AF20010", nil},
		{401, "", af("AF20010"), fault.Ours, "AF20010", nil},
		{400, "", af("AF20011"), fault.Refused, "AF20011", nil},
		{400, "", af("AF20012"), fault.Refused, "AF20012", nil},
		{400, "", af("AF20013"), fault.Ours, "AF20013", nil},
		{400, "", af("AF20020"), fault.Ours, "AF20020", nil},
		{400, "", af("AF20021"), fault.Ours, "AF20021", nil},
		{400, "", af("AF20022"), fault.Retry, "AF20022", audit.ErrNotSubscribed},
		{400, "", af("AF20023"), fault.Retry, "AF20023", audit.ErrNotSubscribed},
		{400, "", af("AF20024"), fault.Retry, "AF20024", nil},
		{400, "", af("AF20030"), fault.Ours, "AF20030", audit.ErrWindow},
		{400, "", af("AF20031"), fault.Retry, "AF20031", audit.ErrPage},
		{400, "", af("AF20050"), fault.Poison, "AF20050", audit.ErrGone},
		{404, "", af("AF20050"), fault.Poison, "AF20050", audit.ErrGone},
		{400, "", af("AF20051"), fault.Poison, "AF20051", audit.ErrGone},
		{400, "", af("AF20052"), fault.Poison, "AF20052", audit.ErrGone},
		{400, "", af("AF20053"), fault.Ours, "AF20053", nil},
		{400, "", af("AF20054"), fault.Ours, "AF20054", nil},
		{400, "", af("AF20055"), fault.Ours, "AF20055", audit.ErrWindow},
		{403, "", af("AF429"), fault.Retry, "AF429", nil},
		{429, "", af("AF429"), fault.Retry, "AF429", nil},
		{500, "", af("AF50000"), fault.Retry, "AF50000", nil},

		// Codes that Microsoft has not written down are never poison.
		{400, "", af("AF29999"), fault.Retry, "AF29999", nil},
		{418, "", af("Teapot"), fault.Retry, "Teapot", nil},
		{400, "", af("a sentence, not a code"), fault.Retry, "", nil},
		{400, "", ``, fault.Retry, "", nil},
		{400, "", `{"error":"text"}`, fault.Retry, "", nil},
		{400, "", `{"error":{"code":42}}`, fault.Retry, "", nil},
		{403, "", af("Forbidden"), fault.Refused, "Forbidden", nil},
		{401, "", `{"Message":"Authorization has been denied for this request."}`, fault.Refused, "", nil},
		{404, "", af("NotFound"), fault.Retry, "NotFound", nil}, // of a listing

		// A page of something in between says nothing about the tenant.
		{403, page, "<html>blocked</html>", fault.Retry, "", nil},
		{404, page, "<html>nothing here</html>", fault.Retry, "", nil},
		{200, page, "<html>sign in to the hotel</html>", fault.Retry, m365.Unreadable, nil},
		{200, "", `{"not":"an array"}`, fault.Retry, m365.Unreadable, nil},
		{200, "", `[{"contentId":"x"`, fault.Retry, m365.Unreadable, nil},
		{200, "", `[{"contentUri":"https://x","contentCreated":"2026-05-04T10:00:00.000Z"}]`, fault.Retry, m365.Unreadable, nil},
		{200, "", `[{"contentId":"x","contentUri":"https://x","contentCreated":"yesterday"}]`, fault.Retry, m365.Unreadable, nil},
		{502, page, "<html>bad gateway</html>", fault.Retry, "", nil},
		{503, "", "", fault.Retry, "", nil},
		{500, "", af("AF20050"), fault.Retry, "AF20050", nil}, // a server in trouble cannot condemn a blob
	} {
		t.Run(fmt.Sprintf("%d %.40s", tc.status, tc.body), func(t *testing.T) {
			m := newMicrosoft(t, always(tc.status, cmp.Or(tc.contentType, "application/json"), tc.body))
			_, err := list(m.client(t))
			check(t, err, tc.kind, tc.code, tc.status)
			for _, cause := range []error{audit.ErrNotSubscribed, audit.ErrPage, audit.ErrWindow, audit.ErrGone} {
				if errors.Is(err, cause) != (cause == tc.cause) {
					t.Errorf("is it %q: %v, in %v", cause, errors.Is(err, cause), err)
				}
			}
		})
	}
}

// check demands exactly one kind, and the code and status.
func check(t *testing.T, err, kind error, code string, status int) {
	t.Helper()
	for _, k := range []error{fault.Retry, fault.Refused, fault.Poison, fault.Ours} {
		if errors.Is(err, k) != (k == kind) {
			t.Errorf("is it %q: %v, in %v", k, errors.Is(err, k), err)
		}
	}
	var f *fault.Error
	if !errors.As(err, &f) {
		t.Fatalf("%v is no fault", err)
	}
	if f.Code != code || f.Status != status {
		t.Errorf("code %q status %d, want %q %d: %v", f.Code, f.Status, code, status, err)
	}
}

func TestAuditLogOffIsRefusedWithoutItsText(t *testing.T) {
	body := `{"error":{"code":"StartSubscription [CorrId=5a3][TenantId=` + tenantID + `,ContentType=Audit.Exchange,ApplicationId=x,PublisherId=y][AppId",` +
		`"message":"[AppId=x] Microsoft.Office.Compliance.Audit.DataServiceException: Tenant ` + strings.ToUpper(
		tenantID,
	) + ` does not exist.\r\n   at Microsoft.Office.Compliance.Audit.API"}}`
	m := newMicrosoft(t, always(400, "application/json", body))
	err := m.client(t).Subscribe(context.Background(), contoso(), audit.Exchange)
	check(t, err, fault.Refused, connection.AuditLogOff, 400)
	if strings.Contains(err.Error(), "DataService") || strings.Contains(err.Error(), "CorrId") {
		t.Errorf("the error quotes Microsoft's exception: %v", err)
	}
	// The same sentence about another tenant, or with a code of the API's own, is something else.
	other := newMicrosoft(
		t,
		always(400, "application/json", strings.ReplaceAll(body, strings.ToUpper(tenantID), clientID)),
	)
	check(t, other.client(t).Subscribe(context.Background(), contoso(), audit.Exchange), fault.Retry, "", 400)
	coded := newMicrosoft(
		t,
		always(400, "application/json", `{"error":{"code":"AF20023","message":"Tenant `+tenantID+` does not exist"}}`),
	)
	check(t, coded.client(t).Subscribe(context.Background(), contoso(), audit.Exchange), fault.Retry, "AF20023", 400)
}

func TestLoginAnswersAreClassified(t *testing.T) {
	type row struct {
		status  int
		name    string
		numbers []int
		kind    error
	}
	rows := []row{
		{400, "unauthorized_client", []int{700016, 700011, 7000112, 70001, 1000031, 7000229}, fault.Refused},
		{400, "invalid_grant", []int{65001, 53003, 530032, 650056}, fault.Refused},
		{400, "invalid_request", []int{90002, 90038, 900382, 900432, 650052, 650054}, fault.Refused},
		{400, "invalid_resource", []int{50001, 500011, 500014}, fault.Refused},
		{
			401,
			"invalid_client",
			[]int{7000215, 7000222, 700027, 700024, 50012, 50013, 50027, 7000216, 7000218, 700025},
			fault.Ours,
		},
		{400, "invalid_scope", []int{70011, 700022, 700023, 28002}, fault.Ours},
		{400, "invalid_request", []int{901002, 9001023, 650051, 650057, 50194, 50011, 900971}, fault.Ours},
		{503, "temporarily_unavailable", []int{90033, 90024, 90006, 90090, 50033, 90012}, fault.Retry},
		{400, "invalid_request", []int{90055, 50196}, fault.Retry},
		// "error" decides when the number is news to us, and nobody is blamed when both are.
		{400, "unauthorized_client", []int{700999}, fault.Refused},
		{401, "invalid_client", []int{700999}, fault.Ours},
		{400, "something_new", []int{700999}, fault.Retry},
		// What is transient is, whatever the number says.
		{400, "temporarily_unavailable", []int{700016}, fault.Retry},
		{503, "unauthorized_client", []int{700016}, fault.Retry},
		{429, "invalid_client", []int{7000215}, fault.Retry},
	}
	for _, r := range rows {
		for _, n := range r.numbers {
			t.Run(fmt.Sprintf("%s %d", r.name, n), func(t *testing.T) {
				m := newMicrosoft(t, emptyPage)
				m.login = func(w http.ResponseWriter, _ *http.Request) { loginRefuses(w, r.status, r.name, n) }
				_, err := list(m.client(t))
				check(t, err, r.kind, fmt.Sprintf("AADSTS%d", n), r.status)
				if text := err.Error(); strings.Contains(text, "Trace ID") || strings.Count(text, "AADSTS") != 1 {
					t.Errorf("not one cleaned line: %q", text)
				}
			})
		}
	}
}

func loginRefuses(w http.ResponseWriter, status int, name string, number int) {
	answer(w, status, map[string]any{
		"error":          name,
		"error_codes":    []int{number},
		"trace_id":       "t",
		"correlation_id": "c",
		"error_description": fmt.Sprintf(
			"AADSTS%d: It is so. Trace ID: 0f1 Correlation ID: 0f2\r\nTimestamp: 2026-05-04 12:00:00Z",
			number,
		),
	})
}

func TestLoginAnswersThatAreNone(t *testing.T) {
	for name, tc := range map[string]struct {
		answer http.HandlerFunc
		kind   error
		code   string
		status int
	}{
		"a page":         {always(200, page, "<html>"), fault.Retry, m365.Unreadable, 0},
		"a failing page": {always(502, page, "<html>"), fault.Retry, "", 502},
		"no token":       {always(200, "application/json", `{"expires_in":3599}`), fault.Retry, m365.Unreadable, 0},
		"no lifetime":    {always(200, "application/json", `{"access_token":"x"}`), fault.Retry, m365.Unreadable, 0},
		"no number":      {always(401, "application/json", `{"error":"invalid_client"}`), fault.Ours, "invalid_client", 401},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://evil.example/", http.StatusTemporaryRedirect)
		}, fault.Retry, m365.Redirect, 307},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMicrosoft(t, emptyPage)
			m.login = tc.answer
			_, err := list(m.client(t))
			check(t, err, tc.kind, tc.code, tc.status)
		})
	}
}

func TestNetworkFailuresAreRetried(t *testing.T) {
	m := newMicrosoft(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	_, err := list(m.client(t))
	check(t, err, fault.Retry, "", 0)

	m = newMicrosoft(t, emptyPage)
	c := m.client(t)
	m.Close()
	_, err = list(c)
	check(t, err, fault.Retry, "", 0)

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = newMicrosoft(t, emptyPage).client(t).List(ctx, contoso(), audit.Exchange, time.Time{}, time.Time{}, "")
	check(t, err, fault.Retry, "", 0)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v does not say that the caller gave up", err)
	}
}

func TestRetryAfterIsReadInBothForms(t *testing.T) {
	c := newClock()
	for value, want := range map[string]time.Duration{
		"120": 2 * time.Minute,
		"0":   0,
		c.Now().Add(90 * time.Second).Format(http.TimeFormat): 90 * time.Second,
		c.Now().Add(-time.Hour).Format(http.TimeFormat):       0,
		"":         0,
		"soon":     0,
		"-5":       0,
		"99999999": 24 * time.Hour,
	} {
		m := newMicrosoft(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", value)
			refuse(w, 403, "AF429", "Too many requests. Method=GetBlob, PublisherId=x")
		})
		_, err := list(m.client(t, at(c)))
		if got := fault.Wait(err); got != want {
			t.Errorf("Retry-After %q: wait %v, want %v", value, got, want)
		}
	}
}

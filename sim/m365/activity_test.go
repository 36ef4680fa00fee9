package m365sim_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	m365sim "github.com/mailtrail/mailtrail/sim/m365"
	"github.com/mailtrail/mailtrail/sim/m365/world"
)

const (
	publisher  = "PublisherIdentifier=" + vendor
	feedPath   = "/manage/api/v1.0/" + contoso + "/activity/feed/"
	contentOf  = feedPath + "subscriptions/content?" + publisher + "&contentType=" + exchange
	nobody     = "33333333-3333-4333-8333-333333333333"
	goodWindow = "&startTime=2026-05-04T11:00:00&endTime=2026-05-04T12:00:00"
)

func TestActivityErrors(t *testing.T) {
	cases := map[string]struct {
		method string // GET when empty
		path   string
		body   string
		header http.Header
		setUp  func(m *microsoft)
		status int
		code   string
	}{
		"no token": {path: contentOf, header: http.Header{"Authorization": nil}, status: 401},
		"an invented token": {path: contentOf, header: http.Header{"Authorization": {"Bearer x.y.z"}},
			status: 401},
		"a tenant that is no id": {path: "/manage/api/v1.0/contoso.test/activity/feed/subscriptions/list?" + publisher,
			status: 400, code: "AF20013"},
		"another tenant's id": {
			path:   "/manage/api/v1.0/" + fabrikam + "/activity/feed/subscriptions/list?" + publisher,
			status: 400,
			code:   "AF20010",
		},
		"a tenant of another cloud": {path: contentOf, status: 400, code: "AF20011", setUp: func(m *microsoft) {
			m.AddTenant(world.Tenant{ID: contoso, Cloud: "gcc"}, nil)
		}},
		"a deleted tenant": {path: contentOf, status: 400, code: "AF20011",
			setUp: func(m *microsoft) { m.must(m.RemoveTenant(contoso)) }},
		"no content type": {path: feedPath + "subscriptions/content?" + publisher, status: 400,
			code: "AF20001"},
		"a wrong content type": {path: feedPath + "subscriptions/content?contentType=Audit.Mail&" + publisher,
			status: 400, code: "AF20020"},
		"an unknown parameter":    {path: contentOf + "&filter=Send", status: 400, code: "AF20002"},
		"a parameter given twice": {path: contentOf + "&contentType=" + exchange, status: 400, code: "AF20002"},
		"a publisher that is no id": {path: feedPath + "subscriptions/list?PublisherIdentifier=us", status: 400,
			code: "AF20002"},
		"a time that is none": {path: contentOf + "&startTime=yesterday&endTime=2026-05-04", status: 400,
			code: "AF20002"},
		"a start without an end": {path: contentOf + "&startTime=2026-05-04T11:00:00", status: 400, code: "AF20030"},
		"an end without a start": {path: contentOf + "&endTime=2026-05-04T11:00:00", status: 400, code: "AF20030"},
		"more than 7 days back": {path: contentOf + "&startTime=2026-04-27T11:59:59&endTime=2026-04-27T13:00:00",
			status: 400, code: "AF20030"},
		"exactly 7 days back": {path: contentOf + "&startTime=2026-04-27T12:00:00&endTime=2026-04-27T13:00:00",
			status: 200},
		"more than 24 hours": {path: contentOf + "&startTime=2026-05-03T10:00:00&endTime=2026-05-04T10:00:01",
			status: 400, code: "AF20055"},
		"exactly 24 hours": {path: contentOf + "&startTime=2026-05-03T10:00&endTime=2026-05-04T10:00",
			status: 200},
		"an end before its start": {path: contentOf + "&startTime=2026-05-04T11:00:00&endTime=2026-05-04T11:00:00",
			status: 400, code: "AF20055"},
		"no times at all": {path: contentOf, status: 200},
		"times as dates":  {path: contentOf + "&startTime=2026-05-03&endTime=2026-05-04", status: 200},
		"times with a zone": {
			path:   contentOf + "&startTime=2026-05-04T11:00:00Z&endTime=2026-05-04T12:00:00.5Z",
			status: 200,
		},
		"a wrong next page": {path: contentOf + goodWindow + "&nextPage=bm9uc2Vuc2U", status: 400,
			code: "AF20031"},
		"no subscription": {path: feedPath + "subscriptions/content?contentType=DLP.All&" + publisher,
			status: 400, code: "AF20022"},
		"a disabled subscription": {path: contentOf, status: 400, code: "AF20023",
			setUp: func(m *microsoft) { m.must(m.DisableSubscription(contoso, exchange, true)) }},
		"a content id that is none": {path: feedPath + "audit/123?" + publisher, status: 400, code: "AF20052"},
		"content that is not there": {path: feedPath + "audit/1$2$3$4$5?" + publisher, status: 400, code: "AF20050"},
		"an enabled subscription": {
			method: "POST",
			path:   feedPath + "subscriptions/start?contentType=" + exchange + "&" + publisher,
			status: 400,
			code:   "AF20024",
		},
		"a webhook": {
			method: "POST",
			path:   feedPath + "subscriptions/start?contentType=DLP.All&" + publisher,
			body:   `{"webhook":{"address":"https://us.test/"}}`,
			status: 400,
			code:   "AF20021",
		},
		"an empty start body": {
			method: "POST",
			path:   feedPath + "subscriptions/start?contentType=DLP.All&" + publisher,
			body:   `{}`,
			status: 200,
		},
		"a broken start body": {
			method: "POST",
			path:   feedPath + "subscriptions/start?contentType=DLP.All&" + publisher,
			body:   `{"web`,
			status: 400,
			code:   "AF20002",
		},
		"a stop of nothing": {
			method: "POST",
			path:   feedPath + "subscriptions/stop?contentType=DLP.All&" + publisher,
			status: 400,
			code:   "AF20022",
		},
		"a wrong method": {path: feedPath + "subscriptions/start?contentType=" + exchange + "&" + publisher,
			status: 405, code: "MethodNotAllowed"},
		"a wrong path": {path: feedPath + "subscriptions?" + publisher, status: 404, code: "UnknownPath"},
		"a wrong Accept": {path: contentOf, header: http.Header{"Accept": {"text/html"}}, status: 406,
			code: "NotAcceptable"},
		"a throttle": {path: contentOf, status: 403, code: "AF429",
			setUp: func(m *microsoft) { m.Fault(m365sim.Fault{Op: "feed.content", Status: 403, Code: "AF429"}) }},
		"a failure": {path: contentOf, status: 500, code: "AF50000",
			setUp: func(m *microsoft) { m.Fault(m365sim.Fault{Tenant: contoso, Code: "AF50000"}) }},
		"another tenant's fault": {path: contentOf, status: 200,
			setUp: func(m *microsoft) { m.Fault(m365sim.Fault{Tenant: fabrikam, Code: "AF50000"}) }},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := consented(t, m365sim.Options{})
			header := bearer(m.token(contoso, "manage"))
			for key, value := range c.header {
				header[key] = value
			}
			if c.setUp != nil {
				c.setUp(m)
			}
			method := c.method
			if method == "" {
				method = "GET"
			}
			if r := m.do(method, c.path, header, strings.NewReader(c.body)); r.status != c.status ||
				r.code() != c.code {
				t.Errorf("want %d %s, got %d %s", c.status, c.code, r.status, r.body)
			}
		})
	}
}

func (m *microsoft) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

func TestGraphTokensDoNotOpenTheActivityAPI(t *testing.T) {
	m := consented(t, m365sim.Options{})
	if a := m.feed("GET", "subscriptions/list", m.token(contoso, "graph")); a.status != 401 || a.code() != "" {
		t.Errorf("got %d %s", a.status, a.body)
	}
}

// The code is no AF code, and the message must not be shown to anyone; only a substring shows what is wrong.
func TestAuditOffIsToldInAStrangeWay(t *testing.T) {
	m := consented(t, m365sim.Options{})
	token := m.token(contoso, "manage")
	m.must(m.AuditOff(contoso, true))
	for _, r := range []reply{m.feed("POST", "subscriptions/start?contentType=DLP.All", token), m.feed("GET",
		"subscriptions/content?contentType="+exchange, token)} {
		if r.status != 400 || strings.HasPrefix(r.code(), "AF") || !strings.Contains(r.code(), "[TenantId="+contoso) ||
			!strings.Contains(r.body, "Microsoft.Office.Compliance.Audit.DataServiceException: Tenant "+contoso+" "+
				"does not exist.") {
			t.Errorf("got %d %s", r.status, r.body)
		}
	}
	m.must(m.AuditOff(contoso, false))
	if r := m.feed("POST", "subscriptions/start?contentType=DLP.All", token); r.status != 200 {
		t.Errorf("with the audit log on again: %d %s", r.status, r.body)
	}
}

func TestSharedPoolIsExhausted(t *testing.T) {
	m := consented(t, m365sim.Options{StrictPublisher: true})
	r := m.do("GET", feedPath+"subscriptions/list", bearer(m.token(contoso, "manage")), nil)
	if r.status != 403 || r.code() != "AF429" || !strings.Contains(r.body,
		"PublisherId=00000000-0000-0000-0000-000000000000") {
		t.Errorf("got %d %s", r.status, r.body)
	}
	calls := m.History(m365sim.Filter{Op: "feed.list"})
	if len(calls) != 1 || !calls[0].SharedPool {
		t.Errorf("the history does not show it: %+v", calls)
	}
}

func TestQuotaIsPerTenantAndMinute(t *testing.T) {
	m := consented(t, m365sim.Options{TenantQuota: 3})
	token := m.token(contoso, "manage")
	var statuses []int
	for range 4 { // the start of the subscription was the first
		statuses = append(statuses, m.feed("GET", "subscriptions/list", token).status)
	}
	if statuses[1] != 200 || statuses[2] != 403 {
		t.Errorf("statuses %v", statuses)
	}
	m.Advance(time.Minute)
	if a := m.feed("GET", "subscriptions/list", token); a.status != 200 {
		t.Errorf("a minute later: %d %s", a.status, a.body)
	}
}

func TestSubscriptionsAreListed(t *testing.T) {
	m := consented(t, m365sim.Options{})
	token := m.token(contoso, "manage")
	if a := m.feed("GET", "subscriptions/list", token); strings.TrimSpace(
		a.body,
	) != `[{"contentType":"Audit.Exchange","status":"enabled","webhook":null}]` {
		t.Errorf("enabled: %s", a.body)
	}
	m.must(m.DisableSubscription(contoso, exchange, true))
	if a := m.feed("GET", "subscriptions/list", token); !strings.Contains(a.body, `"disabled"`) {
		t.Errorf("disabled: %s", a.body)
	}
	if a := m.feed("POST", "subscriptions/stop?contentType="+exchange, token); a.status != 200 || a.body != "" {
		t.Errorf("stop: %d %s", a.status, a.body)
	}
	if a := m.feed("GET", "subscriptions/list", token); strings.TrimSpace(a.body) != "[]" {
		t.Errorf("stopped: %s", a.body)
	}
}

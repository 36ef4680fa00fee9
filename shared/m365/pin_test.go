package m365

import (
	"net/url"
	"strings"
	"testing"
)

const (
	activityRoot = "https://manage.office.com"
	simRoot      = "http://127.0.0.1:4000/manage"
)

func TestPin(t *testing.T) {
	const feed = "/api/v1.0/33333333-3333-4333-8333-333333333333/activity/feed/"
	for _, tc := range []struct{ root, uri, want string }{
		{activityRoot, activityRoot + feed + "audit/2026$x$audit_exchange$na1", activityRoot + feed + "audit/2026$x$audit_exchange$na1"},
		{activityRoot, activityRoot + "/api/v1/t/activity/feed/subscriptions/content?nextPage=a%2fb", activityRoot + "/api/v1/t/activity/feed/subscriptions/content?nextPage=a%2fb"},
		{activityRoot, "https://MANAGE.Office.COM" + feed + "audit/x", activityRoot + feed + "audit/x"},
		{activityRoot, "HTTPS://manage.office.com:443" + feed + "audit/x", activityRoot + feed + "audit/x"},
		{simRoot, simRoot + feed + "audit/x", simRoot + feed + "audit/x"},

		{activityRoot, "http://manage.office.com" + feed + "audit/x", ""},
		{activityRoot, "https://manage.office.com:8443" + feed + "audit/x", ""},
		{activityRoot, "https://manage.office.com:80" + feed + "audit/x", ""},
		{activityRoot, "https://manage.office.com.evil.example" + feed + "audit/x", ""},
		{activityRoot, "https://evil.example/manage.office.com" + feed + "audit/x", ""},
		{activityRoot, "https://xmanage.office.com" + feed + "audit/x", ""},
		{activityRoot, "https://manage-gcc.office.com" + feed + "audit/x", ""},
		{activityRoot, "https://manage.office.com." + feed + "audit/x", ""},
		{activityRoot, "https://manage.office.com@evil.example" + feed + "audit/x", ""},
		{activityRoot, "https://user:pass@manage.office.com" + feed + "audit/x", ""},
		{activityRoot, "https://manage.office.com%2eevil.example" + feed + "audit/x", ""},
		{activityRoot, "https://manage.office.com%00.evil.example" + feed + "audit/x", ""},
		{activityRoot, `https://manage.office.com\@evil.example` + feed + "audit/x", ""},
		{activityRoot, `https:\\manage.office.com` + feed + "audit/x", ""},
		{activityRoot, "https://mаnage.office.com" + feed + "audit/x", ""}, // a Cyrillic a
		{activityRoot, "//manage.office.com" + feed + "audit/x", ""},
		{activityRoot, "//evil.example" + feed + "audit/x", ""},
		{activityRoot, feed + "audit/x", ""},
		{activityRoot, "https:manage.office.com" + feed + "audit/x", ""},
		{activityRoot, "javascript:alert(1)", ""},
		{activityRoot, "", ""},
		{activityRoot, activityRoot + "//api/v1.0/t/audit/x", ""},
		{activityRoot, activityRoot + "/api/v1.0//t", ""},
		{activityRoot, activityRoot + "/api/v1.0/../../evil", ""},
		{activityRoot, activityRoot + "/api/v1.0/%2e%2e/%2E%2e/evil", ""},
		{activityRoot, activityRoot + "/api/v1.0/./x", ""},
		{activityRoot, activityRoot + "/api/v1.0/..%2fevil", ""},
		{activityRoot, activityRoot + "/api/v1.0/..%5cevil", ""},
		{activityRoot, activityRoot + `/api/v1.0/..\evil`, ""},
		{activityRoot, activityRoot + "/api/v1.0", ""},
		{activityRoot, activityRoot + "/api/v1.0evil/x", ""},
		{activityRoot, activityRoot + "/api/v10/x", ""},
		{activityRoot, activityRoot + "/other/api/v1.0/x", ""},
		{activityRoot, activityRoot + feed + "audit/x#fragment", ""},
		{activityRoot, activityRoot + feed + "audit/x#", ""},
		{activityRoot, activityRoot + feed + "audit/x\r\nHost: evil.example", ""},
		{activityRoot, activityRoot + feed + "audit/%zz", ""},
		{activityRoot, " " + activityRoot + feed + "audit/x", ""},
		{activityRoot, activityRoot + feed + "audit/" + strings.Repeat("x", maxURI), ""},
		{simRoot, "http://127.0.0.1:4000" + feed + "audit/x", ""},
		{simRoot, "http://127.0.0.1:4000/graph" + feed + "audit/x", ""},
		{simRoot, "http://127.0.0.1:4000/manage/../graph" + feed + "audit/x", ""},
		{simRoot, "http://127.0.0.1:4001/manage" + feed + "audit/x", ""},
		{simRoot, "http://localhost:4000/manage" + feed + "audit/x", ""},
	} {
		got := ""
		if u, err := pin(tc.root, "/api/v1", tc.uri); err == nil {
			got = u.String()
		}
		if got != tc.want {
			t.Errorf("pin(%s, %.120q) = %q, want %q", tc.root, tc.uri, got, tc.want)
		}
	}
}

func FuzzPin(f *testing.F) {
	f.Add(activityRoot + "/api/v1.0/t/activity/feed/audit/x?a=b")
	f.Add("https://manage.office.com:443/api/v1/%2e%2e/x")
	f.Add("https://a@manage.office.com/api/v1.0/x")
	f.Fuzz(func(t *testing.T, uri string) {
		u, err := pin(activityRoot, "/api/v1", uri)
		if err != nil {
			return
		}
		// What is sent is read anew by whoever gets it.
		again, err := url.Parse(u.String())
		if err != nil {
			t.Fatalf("%q became %q: %v", uri, u, err)
		}
		if again.Scheme != "https" || again.Host != "manage.office.com" || again.User != nil || again.Fragment != "" ||
			!strings.HasPrefix(
				again.Path,
				"/api/v1",
			) || strings.Contains(again.Path, "/../") || strings.Contains(again.Path, "//") {
			t.Errorf("%q became %q", uri, u)
		}
	})
}

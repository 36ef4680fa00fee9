package m365sim_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	m365sim "github.com/mailtrail/mailtrail/sim/m365"
)

// Whatever a client asks, in a friendly world the answer is the client's fault or a good one: never a panic and
// never a failure of the server.
func FuzzProtocolDoor(f *testing.F) {
	for _, seed := range [][3]string{
		{"GET", feedPath + "subscriptions/content", "contentType=Audit.Exchange&startTime=2026-05-04&endTime=2026-05-05&nextPage=YXxi"},
		{"GET", feedPath + "audit/1$2$3$4$5", publisher},
		{"POST", feedPath + "subscriptions/start", "contentType=DLP.All"},
		{"GET", messageOf, "$filter=internetMessageId eq '<x>'&$top=5&$skip=1"},
		{"GET", messageOf + "/S1/attachments/A2/$value", ""},
		{"GET", messageOf + "/S1/attachments", "$select=id,contentId"},
		{"GET", "/graph/v1.0/users/delta", "$deltatoken=MHwxfDJ8M3w"},
		{"GET", "/graph/v1.0/users", "$filter=assignedPlans/any(p:p/service eq 'x')&$skiptoken=LTE"},
		{"GET", "/login/organizations/oauth2/v2.0/authorize", "client_id=" + clientID + "&redirect_uri=" + callback},
		{"POST", "/login/" + contoso + "/oauth2/v2.0/token", "grant_type=client_credentials"},
		{"GET", "/login/" + contoso + "/v2.0/adminconsent", "scope=x"},
		{"PATCH", "/manage//..", "%zz"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	m := mailed(f, m365sim.Options{})
	door := m.Handler()
	tokens := map[bool]string{true: m.token(contoso, "manage"), false: m.token(contoso, "graph")}
	f.Fuzz(func(t *testing.T, method, path, query string) {
		if !strings.HasPrefix(path, "/") || strings.ContainsAny(method, " \t\r\n/:") || method == "" {
			t.Skip()
		}
		r := &http.Request{
			Method: method, URL: &url.URL{Path: path, RawQuery: query}, Host: strings.TrimPrefix(m.base, "http://"),
			Header: bearer(tokens[strings.HasPrefix(path, "/manage")]), Body: http.NoBody, Proto: "HTTP/1.1",
			ProtoMajor: 1, ProtoMinor: 1,
		}
		recorder := httptest.NewRecorder()
		door.ServeHTTP(recorder, r.WithContext(t.Context()))
		if recorder.Code >= 500 {
			t.Errorf("%s %s?%s: %d %s", method, path, query, recorder.Code, recorder.Body)
		}
	})
}

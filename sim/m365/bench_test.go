package m365sim_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	m365sim "github.com/mailtrail/mailtrail/sim/m365"
	"github.com/mailtrail/mailtrail/sim/m365/world"
)

// Benchmarks of what a poller does most, without a network: how little the simulation adds to what it measures.
func benchmark(b *testing.B, path func(blob string) string) {
	s := m365sim.New(m365sim.Options{Key: testKey(), PageSize: 200, Now: func() time.Time { return noon }})
	s.AddApp(m365sim.App{ClientID: clientID, Secrets: []m365sim.Secret{{Value: "s"}},
		ActivityRoles: []string{"ActivityFeed.Read"}})
	handler, token, blob := benchWorld(b, s)
	request := httptest.NewRequest("GET", path(blob), nil)
	request.Header.Set("Authorization", "Bearer "+token)
	b.ReportAllocs()
	for b.Loop() {
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, request)
		if recorder.Code != http.StatusOK {
			b.Fatalf("%d %s", recorder.Code, recorder.Body)
		}
	}
}

func BenchmarkList(b *testing.B) {
	benchmark(b, func(string) string { return contentOf + goodWindow })
}

func BenchmarkBlob(b *testing.B) {
	benchmark(b, func(blob string) string { return feedPath + "audit/" + blob + "?" + publisher })
}

// benchWorld fills one tenant with a week of blobs, one per minute, and gives a token and the id of one blob.
func benchWorld(b *testing.B, s *m365sim.Server) (handler http.Handler, token, blob string) {
	b.Helper()
	s.AddTenant(world.Tenant{ID: contoso, DefaultDomain: "contoso.test"}, nil)
	if err := s.Grant(contoso, clientID); err != nil {
		b.Fatal(err)
	}
	for i := range 7*24*60 - 1 {
		id, err := s.PublishRaw(contoso, exchange, noon.Add(time.Duration(-i)*time.Minute), make([]byte, 4096))
		if err != nil {
			b.Fatal(err)
		}
		blob = id
	}
	handler = s.Handler()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {clientID}, "client_secret": {"s"},
		"scope": {"https://manage.office.com/.default"}}
	request := httptest.NewRequest("POST", "/login/"+contoso+"/oauth2/v2.0/token", strings.NewReader(form.Encode()))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, request)
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(recorder.Body.Bytes(), &answer); err != nil {
		b.Fatal(err)
	}
	start := httptest.NewRequest("POST", feedPath+"subscriptions/start?contentType="+exchange+"&"+publisher, nil)
	start.Header.Set("Authorization", "Bearer "+answer.AccessToken)
	handler.ServeHTTP(httptest.NewRecorder(), start)
	return handler, answer.AccessToken, blob
}

package m365_test

import (
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/m365"
)

const feed = "/manage/api/v1.0/" + tenantID + "/activity/feed"

func TestSubscribe(t *testing.T) {
	var got *http.Request
	m := newMicrosoft(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		answer(w, http.StatusOK, map[string]any{"contentType": "Audit.Exchange", "status": "enabled", "webhook": nil})
	})
	must(t, m.client(t).Subscribe(context.Background(), contoso(), audit.Exchange))
	address(
		t,
		got.URL.String(),
		feed+"/subscriptions/start",
		map[string]string{"contentType": "Audit.Exchange", "PublisherIdentifier": publisher},
	)
	if got.Method != http.MethodPost || got.ContentLength != 0 ||
		got.Header.Get("Authorization") != "Bearer "+roleToken(1) {
		t.Errorf("asked %s with %d bytes and %q", got.Method, got.ContentLength, got.Header.Get("Authorization"))
	}
	again := newMicrosoft(t, func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, 400, "AF20024", "The subscription is already enabled. No property change.")
	})
	must(t, again.client(t).Subscribe(context.Background(), contoso(), audit.Exchange))
}

func TestListAsksForTheWindow(t *testing.T) {
	var got *url.URL
	m := newMicrosoft(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.URL
		w.Header()["nextpageuri"] = []string{"https://next.example/verbatim?a=%24b"}
		answer(w, http.StatusOK, []any{
			map[string]any{
				"contentType":       "Audit.Exchange",
				"contentId":         "20260504$x$audit_exchange$Audit_Exchange$na1",
				"contentUri":        "https://manage.office.com/x",
				"contentCreated":    "2026-05-04T11:30:51.748Z",
				"contentExpiration": "2026-05-24T11:30:51.748Z",
				"news":              map[string]any{"of": "2027"},
			},
			map[string]any{
				"contentType":    "Audit.Exchange",
				"contentId":      "y",
				"contentUri":     "https://manage.office.com/y",
				"contentCreated": "2026-05-04T11:30:52",
			},
		})
	})
	zone := time.FixedZone("", 2*3600)
	from := time.Date(2026, 5, 4, 12, 0, 0, 999, zone)
	page, err := m.client(t).List(context.Background(), contoso(), audit.Exchange, from, from.Add(time.Hour), "")
	if err != nil {
		t.Fatal(err)
	}
	address(t, got.String(), feed+"/subscriptions/content", map[string]string{
		"contentType":         "Audit.Exchange",
		"startTime":           "2026-05-04T10:00:00",
		"endTime":             "2026-05-04T11:00:00",
		"PublisherIdentifier": publisher,
	})
	want := audit.Page{Next: "https://next.example/verbatim?a=%24b", Blobs: []audit.Listed{
		{
			ID:   "20260504$x$audit_exchange$Audit_Exchange$na1",
			URI:  "https://manage.office.com/x",
			Type: audit.Exchange,
			Created: time.Date(
				2026,
				5,
				4,
				11,
				30,
				51,
				748e6,
				time.UTC,
			),
			Expires: time.Date(2026, 5, 24, 11, 30, 51, 748e6, time.UTC),
		},
		{
			ID: "y", URI: "https://manage.office.com/y", Type: audit.Exchange,
			Created: time.Date(2026, 5, 4, 11, 30, 52, 0, time.UTC), Expires: time.Date(2026, 5, 11, 11, 30, 52, 0, time.UTC),
		},
	}}
	if !reflect.DeepEqual(page, want) {
		t.Errorf("page %+v\nwant %+v", page, want)
	}
}

func TestListFollowsThePageAsItIs(t *testing.T) {
	var got string
	m := newMicrosoft(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.URL.RequestURI()
		emptyPage(w, r)
	})
	next := "/manage/api/v1/" + tenantID + "/activity/feed/subscriptions/content?contentType=Audit.Exchange&startTime=2026-05-04T10:00&nextPage=20%2f05$a+b"
	for suffix, want := range map[string]string{
		"":                                  next + "&PublisherIdentifier=" + publisher,
		"&PublisherIdentifier=" + publisher: next + "&PublisherIdentifier=" + publisher,
		"&publisheridentifier=" + publisher: next + "&publisheridentifier=" + publisher,
	} {
		_, err := m.client(t).
			List(context.Background(), contoso(), audit.Exchange, time.Time{}, time.Time{}, m.URL+next+suffix)
		must(t, err)
		if got != want {
			t.Errorf("asked for %s\nwant %s", got, want)
		}
	}
}

func TestListBoundsAPage(t *testing.T) {
	m := newMicrosoft(t, always(200, "application/json", "["+strings.Repeat(" ", 9<<20)+"]"))
	_, err := list(m.client(t))
	check(t, err, fault.Retry, m365.Unreadable, 200)
}

// No request, and so no token, leaves for where a forged URI points.
func TestForeignURIsGetNoRequest(t *testing.T) {
	asked := 0
	foreign := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer foreign.Close()
	m := newMicrosoft(t, emptyPage)
	c := m.client(t)
	uri := foreign.URL + feed + "/audit/x"
	_, err := c.Open(context.Background(), contoso(), uri)
	check(t, err, fault.Poison, m365.ForeignURI, 0)
	_, err = c.List(context.Background(), contoso(), audit.Exchange, time.Time{}, time.Time{}, uri)
	check(t, err, fault.Retry, m365.ForeignURI, 0)
	if asked != 0 || m.issued.Load() != 0 {
		t.Errorf("%d requests left, %d tokens were asked for", asked, m.issued.Load())
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	asked := 0
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer elsewhere.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		m := newMicrosoft(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+"/secret-path", status)
		})
		c := m.client(t)
		_, err := c.Open(context.Background(), contoso(), m.URL+feed+"/audit/x")
		check(t, err, fault.Retry, m365.Redirect, status)
		if host := strings.TrimPrefix(
			elsewhere.URL,
			"http://",
		); !strings.Contains(err.Error(), host) ||
			strings.Contains(err.Error(), "secret-path") {
			t.Errorf("%v does not name %s alone", err, host)
		}
	}
	if asked != 0 {
		t.Errorf("%d redirects were followed", asked)
	}
}

func TestOpenStreamsABlob(t *testing.T) {
	for _, compressed := range []bool{false, true} {
		var got *http.Request
		m := newMicrosoft(t, func(w http.ResponseWriter, r *http.Request) {
			got = r
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
			if !compressed {
				_, _ = io.WriteString(w, `[{"Id":"1"}]`)
				return
			}
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			defer z.Close()
			_, _ = io.WriteString(z, `[{"Id":"1"}]`)
		})
		blob, err := m.client(t).Open(context.Background(), contoso(), m.URL+feed+"/audit/2026$x$audit_exchange$na1")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(blob)
		if err != nil || string(body) != `[{"Id":"1"}]` {
			t.Errorf("read %q, %v", body, err)
		}
		must(t, blob.Close())
		if want := feed + "/audit/2026$x$audit_exchange$na1?PublisherIdentifier=" + publisher; got.URL.RequestURI() != want {
			t.Errorf("asked for %s, want %s", got.URL.RequestURI(), want)
		}
		if got.Header.Get("Accept-Encoding") != "gzip" {
			t.Errorf("Accept-Encoding is %q", got.Header.Get("Accept-Encoding"))
		}
	}
}

func TestOpenOfABlobThatIsGone(t *testing.T) {
	for name, tc := range map[string]struct {
		answer http.HandlerFunc
		gone   bool
	}{
		"nothing said":  {always(404, "", ""), true},
		"a new code":    {always(404, "application/json", af("NotFound")), true},
		"expired":       {always(400, "application/json", af("AF20051")), true},
		"a door's page": {always(404, page, "<html>no such site</html>"), false},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMicrosoft(t, tc.answer)
			_, err := m.client(t).Open(context.Background(), contoso(), m.URL+feed+"/audit/x")
			if isGone(err) != tc.gone {
				t.Errorf("is it gone: %v, want %v: %v", isGone(err), tc.gone, err)
			}
		})
	}
}

func TestATornBlobIsNoEnd(t *testing.T) {
	m := newMicrosoft(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, `[{"Id":"1"},`)
	})
	blob, err := m.client(t).Open(context.Background(), contoso(), m.URL+feed+"/audit/x")
	if err != nil {
		t.Fatal(err)
	}
	defer blob.Close()
	body, err := io.ReadAll(blob)
	if string(body) != `[{"Id":"1"},` {
		t.Errorf("read %q before it broke off", body)
	}
	check(t, err, fault.Retry, "", 0)
}

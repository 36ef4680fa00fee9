package m365sim_test

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	m365sim "github.com/mailtrail/mailtrail/sim/m365"
	"github.com/mailtrail/mailtrail/sim/m365/world"
)

type listed struct{ ContentType, ContentID, ContentURI, ContentCreated, ContentExpiration string }

// list follows every page of the window and gives the entries in the order in which they came, and the page count.
func (m *microsoft) list(token string, from, to time.Time) (entries []listed, pages int) {
	m.t.Helper()
	const layout = "2006-01-02T15:04:05"
	a := m.feed(
		"GET",
		"subscriptions/content?contentType="+exchange+"&startTime="+from.Format(layout)+"&endTime="+to.Format(layout),
		token,
	)
	for {
		if a.status != 200 {
			m.t.Fatalf("list content: %d %s", a.status, a.body)
		}
		pages++
		entries = append(entries, into[[]listed](m.t, a)...)
		next := a.header.Get("NextPageUri")
		if next == "" {
			return entries, pages
		}
		a = m.do("GET", next+"&PublisherIdentifier="+vendor, bearer(token), nil)
	}
}

func TestContentIsListedByPagesAndFetched(t *testing.T) {
	m := consented(t, m365sim.Options{PageSize: 3})
	var want []string
	for i := range 8 {
		id, err := m.Publish(contoso, exchange, noon.Add(time.Duration(i-20)*time.Minute),
			[]world.Record{{JSON: fmt.Appendf(nil, `{"Id":"%d"}`, i)}, {JSON: []byte(`{"torn`)}})
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, id)
	}
	token := m.token(contoso, "manage")
	entries, pages := m.list(token, noon.Add(-time.Hour), noon)
	var got []string
	for _, e := range entries {
		got = append(got, e.ContentID)
	}
	if !slices.Equal(got, want) || pages != 3 {
		t.Fatalf("listed %v on %d pages, want %v on 3", got, pages, want)
	}
	blob := m.do("GET", entries[4].ContentURI+"?PublisherIdentifier="+vendor, bearer(token), nil)
	if blob.status != 200 || blob.body != `[{"Id":"4"},{"torn]` {
		t.Errorf("blob: %d %q", blob.status, blob.body)
	}
}

func (m *microsoft) publish(created time.Time, body string) string {
	m.t.Helper()
	id, err := m.PublishRaw(contoso, exchange, created, []byte(body))
	m.must(err)
	return id
}

func ids(entries []listed) []string {
	var all []string
	for _, e := range entries {
		all = append(all, e.ContentID)
	}
	return all
}

func TestWindowsAreHalfOpenOnContentCreated(t *testing.T) {
	m := consented(t, m365sim.Options{PageSize: 100})
	from, to := noon.Add(-2*time.Hour), noon.Add(-time.Hour)
	m.publish(from.Add(-time.Millisecond), "[]")
	first := m.publish(from, "[]")
	last := m.publish(to.Add(-time.Millisecond), "[]")
	m.publish(to, "[]")
	late, err := m.PublishBlob(m365sim.Publication{Tenant: contoso, ContentType: exchange, Created: from,
		Visible: to.Add(time.Minute), Body: []byte("[]")})
	m.must(err)
	entries, _ := m.list(m.token(contoso, "manage"), from, to)
	if got, want := ids(entries), []string{first, last, late}; !slices.Equal(got, want) {
		t.Errorf("listed %v, want %v", got, want)
	}
	if want := to.Add(-time.Millisecond).Format("2006-01-02T15:04:05.000Z"); entries[1].ContentCreated != want {
		t.Errorf("contentCreated %s, want %s", entries[1].ContentCreated, want)
	}
}

func TestContentIsListedInTheOrderOfItsAvailability(t *testing.T) {
	m := consented(t, m365sim.Options{PageSize: 2})
	created := noon.Add(-30 * time.Minute)
	late, err := m.PublishBlob(m365sim.Publication{Tenant: contoso, ContentType: exchange, Created: created,
		Visible: noon.Add(10 * time.Minute), Body: []byte("[]")})
	m.must(err)
	future := m.publish(noon.Add(5*time.Minute), "[]")
	soon := m.publish(created.Add(time.Minute), "[]")
	token := m.token(contoso, "manage")
	if entries, _ := m.list(token, noon.Add(-time.Hour), noon.Add(time.Hour)); !slices.Equal(ids(entries),
		[]string{soon}) {
		t.Errorf("at noon: %v", ids(entries))
	}
	if a := m.feed("GET", "audit/"+url.PathEscape(future), token); a.code() != "AF20050" {
		t.Errorf("a blob of the future: %d %s", a.status, a.body)
	}
	m.Advance(10 * time.Minute)
	entries, pages := m.list(token, noon.Add(-time.Hour), noon.Add(time.Hour))
	if want := []string{soon, future, late}; !slices.Equal(ids(entries), want) || pages != 2 {
		t.Errorf("ten minutes later: %v on %d pages, want %v on 2", ids(entries), pages, want)
	}
}

func TestNextPageHoldsWhatTheAPIWantsAndNoPublisher(t *testing.T) {
	m := consented(t, m365sim.Options{PageSize: 1})
	m.publish(noon.Add(-time.Minute), "[]")
	m.publish(noon.Add(-time.Second), "[]")
	token := m.token(contoso, "manage")
	a := m.feed("GET", "subscriptions/content?contentType="+exchange, token)
	next, err := url.Parse(a.header.Get("NextPageUri"))
	if err != nil || !strings.HasPrefix(next.String(), m.base+"/manage/api/v1.0/"+contoso+"/") {
		t.Fatalf("NextPageUri %q, error %v", next, err)
	}
	if q := next.Query(); q.Get("contentType") != exchange || q.Get("startTime") == "" || q.Get("endTime") == "" ||
		q.Get("nextPage") == "" || q.Has("PublisherIdentifier") {
		t.Errorf("query of the next page: %v", q)
	}
	q := next.Query()
	q.Set("contentType", "Audit.General")
	m.feed("POST", "subscriptions/start?contentType=Audit.General", token)
	if a := m.feed("GET", "subscriptions/content?"+q.Encode(), token); a.code() != "AF20031" {
		t.Errorf("a page mark used for another list: %d %s", a.status, a.body)
	}
}

func TestWhatComesWhileStoppedIsLost(t *testing.T) {
	m := consented(t, m365sim.Options{PageSize: 100})
	token := m.token(contoso, "manage")
	before := m.publish(noon.Add(-time.Minute), "[]")
	m.feed("POST", "subscriptions/stop?contentType="+exchange, token)
	if a := m.feed("GET", "audit/"+before, token); a.code() != "AF20022" {
		t.Errorf("a blob while stopped: %d %s", a.status, a.body)
	}
	lost := m.publish(noon.Add(time.Minute), "[]")
	m.Advance(2 * time.Minute)
	m.feed("POST", "subscriptions/start?contentType="+exchange, token)
	after := m.publish(noon.Add(2*time.Minute), "[]")
	if entries, _ := m.list(token, noon.Add(-time.Hour), noon.Add(time.Hour)); !slices.Equal(ids(entries),
		[]string{before, after}) {
		t.Errorf("listed %v, want %v without %s", ids(entries), []string{before, after}, lost)
	}
	if a := m.feed("GET", "audit/"+lost, token); a.code() != "AF20050" {
		t.Errorf("the lost blob: %d %s", a.status, a.body)
	}
}

func TestBlobsExpire(t *testing.T) {
	m := consented(t, m365sim.Options{ContentLife: time.Hour})
	token := m.token(contoso, "manage")
	one, two := m.publish(noon, "[1]"), m.publish(noon, "[2]")
	m.must(m.ExpireBlob(contoso, one))
	if a := m.feed("GET", "audit/"+one, token); a.status != 400 || a.code() != "AF20051" {
		t.Errorf("expired on purpose: %d %s", a.status, a.body)
	}
	if a := m.feed("GET", "audit/"+two, token); a.body != "[2]" {
		t.Errorf("the other: %d %s", a.status, a.body)
	}
	m.Advance(59*time.Minute + 59*time.Second)
	if a := m.feed("GET", "audit/"+two, m.token(contoso, "manage")); a.status != 200 {
		t.Errorf("a second before its end: %d %s", a.status, a.body)
	}
	m.Advance(time.Second)
	if a := m.feed("GET", "audit/"+two, m.token(contoso, "manage")); a.code() != "AF20051" {
		t.Errorf("at its end: %d %s", a.status, a.body)
	}
}

func TestBlobsAreWrittenWhenAskedFor(t *testing.T) {
	m := consented(t, m365sim.Options{})
	const records = 200_000
	write := func(w io.Writer) error {
		for i := range records {
			mark := ","
			if i == 0 {
				mark = "["
			}
			if _, err := io.WriteString(w, mark+`{"Id":"x"}`); err != nil {
				return err
			}
		}
		_, err := io.WriteString(w, "]")
		return err
	}
	long, err := m.PublishBlob(m365sim.Publication{Tenant: contoso, ContentType: exchange, Created: noon, Write: write})
	m.must(err)
	broken, err := m.PublishBlob(m365sim.Publication{Tenant: contoso, ContentType: exchange, Created: noon,
		Write: func(w io.Writer) error {
			_, err := io.WriteString(w, "[")
			return errors.Join(err, errors.New("the generator failed"))
		}})
	m.must(err)
	token := m.token(contoso, "manage")
	if a := m.feed("GET", "audit/"+long, token); len(into[[]struct{ ID string }](t, a)) != records {
		t.Errorf("read %d bytes", len(a.body))
	}
	if a := m.feed("GET", "audit/"+broken, token); a.err == nil {
		t.Errorf("a body that failed ended as if it were whole: %d %q", a.status, a.body)
	}
}

func TestPublishRefusesWhatIsNotThere(t *testing.T) {
	m := start(t, m365sim.Options{})
	if _, err := m.PublishRaw(nobody, exchange, noon, nil); err == nil {
		t.Error("published at an unknown tenant")
	}
	if _, err := m.PublishRaw(contoso, "Audit.Mail", noon, nil); err == nil {
		t.Error("published an unknown content type")
	}
}

func TestOldContentIsForgotten(t *testing.T) {
	m := consented(t, m365sim.Options{})
	old := m.publish(noon, "[]")
	m.Advance(14*24*time.Hour + time.Second)
	kept := m.publish(m.Now(), "[]")
	blobs, err := m.Blobs(contoso)
	m.must(err)
	if len(blobs) != 1 || blobs[0].ContentID != kept || kept == old {
		t.Errorf("two weeks later: %+v", blobs)
	}
}

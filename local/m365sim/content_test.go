package m365sim_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/local/m365sim"
	"github.com/mailtrail/mailtrail/local/m365sim/world"
)

type listed struct{ ContentType, ContentID, ContentURI, ContentCreated, ContentExpiration string }

// list follows every page of the window and gives the entries in the order in which they came, and the page count.
func (m *microsoft) list(token string, from, to time.Time) (entries []listed, pages int) {
	m.t.Helper()
	const layout = "2006-01-02T15:04:05"
	a := m.feed("GET", "subscriptions/content?contentType="+exchange+"&startTime="+from.Format(layout)+"&endTime="+to.Format(layout), token)
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
		id, err := m.Publish(contoso, exchange, noon.Add(time.Duration(i-20)*time.Minute), []world.Record{{JSON: fmt.Appendf(nil, `{"Id":"%d"}`, i)}, {JSON: []byte(`{"torn`)}})
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

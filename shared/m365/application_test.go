package m365_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/m365"
)

const (
	otherClientID  = "aaaaaaaa-1111-4111-8111-111111111111"
	otherPublisher = "bbbbbbbb-2222-4222-8222-222222222222"
)

// Pain 13: endpoints of one cloud in the code. One client serves tenants of several clouds, each at its own hosts, with
// the application that is registered there.
func TestEachCloudHasItsOwnHostsAndApplication(t *testing.T) {
	var mu sync.Mutex
	var asked []string
	note := func(text string) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, text)
	}
	ask := func(cloud connection.Cloud) *microsoft {
		m := newMicrosoft(t, func(w http.ResponseWriter, r *http.Request) {
			note(string(cloud) + " feed " + r.URL.Query().Get("PublisherIdentifier"))
			emptyPage(w, r)
		})
		m.login = func(w http.ResponseWriter, r *http.Request) {
			note(string(cloud) + " login " + r.PostFormValue("client_id") + " " + r.PostFormValue("client_secret"))
			m.grant(w, time.Hour)
		}
		return m
	}
	first, second := ask(connection.Commercial), ask(connection.GCCHigh)
	c := first.client(t, func(c *m365.Config) {
		c.Endpoints[connection.GCCHigh] = second.endpoints()[connection.Commercial]
		c.Applications = map[connection.Cloud]m365.Application{connection.GCCHigh: {
			ClientID:    otherClientID,
			Publisher:   otherPublisher,
			Credentials: []m365.Credential{{Secret: "of the other cloud"}},
		}}
	})
	now := time.Now()
	for _, cloud := range []connection.Cloud{connection.Commercial, connection.GCCHigh} {
		_, err := c.List(t.Context(), connection.Tenant{ID: tenantID, Cloud: cloud}, audit.Exchange, now, now, "")
		must(t, err)
	}
	want := strings.Join([]string{
		"commercial login " + clientID + " " + secret, "commercial feed " + publisher,
		"gcchigh login " + otherClientID + " of the other cloud", "gcchigh feed " + otherPublisher,
	}, "\n")
	if got := strings.Join(asked, "\n"); got != want {
		t.Errorf("asked\n%s\nwant\n%s", got, want)
	}
	for cloud, id := range map[connection.Cloud]string{connection.Commercial: clientID,
		connection.GCCHigh: otherClientID} {
		in, err := c.SignInURL(cloud, challenge())
		must(t, err)
		consent, err := c.ConsentURL(connection.Tenant{ID: tenantID, Cloud: cloud}, "state")
		must(t, err)
		if !strings.Contains(in, "client_id="+id) || !strings.Contains(consent, "client_id="+id) {
			t.Errorf("%s: %s and %s do not name application %s", cloud, in, consent, id)
		}
	}
	if _, err := c.SignInURL(connection.DoD, challenge()); err == nil {
		t.Error("a cloud that is not configured has an address")
	}
}

func TestApplicationsOfCloudsAreChecked(t *testing.T) {
	good := m365.Application{
		ClientID:    otherClientID,
		Publisher:   otherPublisher,
		Credentials: []m365.Credential{{Secret: "s"}},
	}
	for wrong, change := range map[string]func(*m365.Config){
		"":                                  func(c *m365.Config) {},
		"cloud dod: there are no Endpoints": func(c *m365.Config) { c.Applications[connection.DoD] = good },
		"cloud gcc: ClientID is missing": func(c *m365.Config) {
			c.Applications[connection.GCC] = m365.Application{Publisher: publisher, Credentials: good.Credentials}
		},
		"cloud gcc: an application has 1 to 4": func(c *m365.Config) {
			c.Applications[connection.GCC] = m365.Application{ClientID: clientID, Publisher: publisher}
		},
		"credential 1: one of Secret and Certif": func(c *m365.Config) {
			c.Applications[connection.GCC] = m365.Application{ClientID: clientID, Publisher: publisher,
				Credentials: []m365.Credential{{}}}
		},
		"Publisher is missing": func(c *m365.Config) { c.Endpoints[connection.Commercial] = m365.Clouds()[connection.Commercial] },
	} {
		c := m365.Config{
			RedirectURL:  redirect,
			Endpoints:    map[connection.Cloud]m365.Endpoints{connection.GCC: m365.Clouds()[connection.GCC]},
			Applications: map[connection.Cloud]m365.Application{connection.GCC: good},
		}
		change(&c)
		_, err := m365.New(c)
		if wrong == "" && err != nil || wrong != "" && (err == nil || !strings.Contains(err.Error(), wrong)) {
			t.Errorf("%v, want %q", err, wrong)
		}
	}
}

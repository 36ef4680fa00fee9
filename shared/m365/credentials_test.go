package m365_test

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/m365"
	m365sim "github.com/mailtrail/mailtrail/sim/m365"
)

// offered is a login that takes one secret, and writes down which ones it was offered.
type offered struct {
	mu      sync.Mutex
	good    string
	refusal int
	secrets []string
}

func (o *offered) serve(m *microsoft) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		o.mu.Lock()
		defer o.mu.Unlock()
		got := r.PostFormValue("client_secret")
		o.secrets = append(o.secrets, got)
		if got == o.good {
			m.grant(w, time.Hour)
			return
		}
		loginRefuses(w, 401, "invalid_client", o.refusal)
	}
}

func (o *offered) take() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	got := o.secrets
	o.secrets = nil
	return got
}

func (o *offered) takes(secret string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.good = secret
}

func TestTheOtherCredentialIsTriedWhenOneIsRefusedAndRemembered(t *testing.T) {
	for _, refusal := range []int{7000215, 7000222, 700027, 700024, 50012, 50013, 50027, 700999} {
		o := &offered{good: "new", refusal: refusal}
		m := newMicrosoft(t, emptyPage)
		m.login = o.serve(m)
		c := m.client(t, func(c *m365.Config) { c.Secret, c.Credentials = "old", []m365.Credential{{Secret: "new"}} })
		ask := func() error {
			c.Forget(contoso())
			return listOnly(c)
		}
		must(t, ask())
		must(t, ask())
		if got := o.take(); !slices.Equal(got, []string{"old", "new", "new"}) {
			t.Errorf("AADSTS%d: %q were offered", refusal, got)
		}
		o.takes("old") // the operator went back
		must(t, ask())
		must(t, ask())
		if got := o.take(); !slices.Equal(got, []string{"new", "old", "old"}) {
			t.Errorf("AADSTS%d: %q were offered", refusal, got)
		}
		o.takes("neither")
		if err := ask(); !errors.Is(err, fault.Ours) || strings.Contains(err.Error(), "old") {
			t.Errorf("AADSTS%d: both are refused: %v", refusal, err)
		}
	}
}

func TestNoOtherCredentialIsTriedForWhatIsNotItsFault(t *testing.T) {
	for number, kind := range map[int]error{700016: fault.Refused, 90033: fault.Retry, 70011: fault.Ours} {
		o := &offered{refusal: number}
		m := newMicrosoft(t, emptyPage)
		m.login = o.serve(m)
		c := m.client(t, func(c *m365.Config) { c.Credentials = []m365.Credential{{Secret: "new"}} })
		if err := listOnly(c); !errors.Is(err, kind) {
			t.Errorf("AADSTS%d: %v", number, err)
		}
		if got := o.take(); len(got) != 1 {
			t.Errorf("AADSTS%d: %d credentials were offered", number, len(got))
		}
	}
}

func TestCredentialsAreReadAgainWhenAllAreRefused(t *testing.T) {
	o := &offered{good: "third", refusal: 7000222}
	m := newMicrosoft(t, emptyPage)
	m.login = o.serve(m)
	stored, failing, asked := []m365.Credential{{Secret: "first"}}, error(nil), 0
	c := m.client(t, func(c *m365.Config) {
		c.Secret, c.Credentials = "first", []m365.Credential{{Secret: "second"}}
		c.Renew = func(context.Context) ([]m365.Credential, error) { asked++; return stored, failing }
	})
	ask := func() error {
		c.Forget(contoso())
		return listOnly(c)
	}
	if err := ask(); !errors.Is(err, fault.Ours) || asked != 1 {
		t.Errorf("nothing new is stored: %v, asked %d times", err, asked)
	}
	failing = errors.New("the store is away")
	if err := ask(); !errors.Is(err, fault.Ours) || !strings.Contains(err.Error(), "the store is away") {
		t.Errorf("the store is away: %v", err)
	}
	failing, stored = nil, []m365.Credential{{}}
	if err := ask(); !errors.Is(err, fault.Ours) {
		t.Errorf("nonsense is stored: %v", err)
	}
	stored = []m365.Credential{{Secret: "third"}, {Secret: "second"}}
	o.take()
	must(t, ask())
	must(t, ask())
	if got := o.take(); !slices.Equal(got, []string{"first", "second", "third", "third"}) || asked != 4 {
		t.Errorf("%q were offered, and the store was asked %d times", got, asked)
	}
}

func TestTheSignInFallsOverToTheOtherCredentialToo(t *testing.T) {
	fresh := newCertificate(t)
	s, c := simulated(
		t,
		m365sim.Options{},
		func(c *m365.Config) { c.Credentials = []m365.Credential{{Certificate: fresh}} },
	)
	s.AddApp(m365sim.App{
		ClientID:      clientID,
		HomeTenant:    publisher,
		RedirectURIs:  []string{redirect},
		ActivityRoles: []string{"ActivityFeed.Read"},
		Certificates:  []*x509.Certificate{fresh.Leaf}, // and the secret is not registered any more
	})
	must(t, s.Grant(tenantID, clientID))
	address, err := c.SignInURL(connection.Commercial, challenge())
	must(t, err)
	who, err := c.Redeem(t.Context(), connection.Commercial, signIn(t, address), challenge())
	if err != nil || who.Tenant != tenantID {
		t.Errorf("%+v, %v", who, err)
	}
	must(t, c.Subscribe(t.Context(), contoso(), audit.Exchange))
}

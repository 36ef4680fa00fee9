package connection_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/mailtrail/mailtrail/shared/access"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/table"
)

func newRegistry(t *testing.T) (*connection.Registry, *clock) {
	c := newClock()
	return &connection.Registry{Table: newTable(t, c), Now: c.now, Rand: rand.Reader}, c
}

func administrator(t connection.TenantID) connection.Administrator {
	return connection.Administrator{Tenant: t, Object: "admin", Roles: []string{globalAdministrator}}
}

func refusedBy(code string) error {
	return fmt.Errorf("poll: %w", &fault.Error{Kind: fault.Refused, Code: code, Err: errors.New(code)})
}

func TestAddedConnectionWaitsForConsent(t *testing.T) {
	r, c := newRegistry(t)
	added, link, err := r.Add(t.Context(), "  Acme   Inc ", "", "key-7")
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.Get(t.Context(), added.ID)
	if err != nil {
		t.Fatal(err)
	}
	if got.DisplayName != "Acme Inc" || got.Tenant.Cloud != connection.Commercial ||
		got.Status != connection.Initializing ||
		got.CreatedBy != "key-7" ||
		!got.Created.Equal(c.now()) {
		t.Errorf("added as %+v", got)
	}
	if got.Followed() {
		t.Error("a connection without a tenant is polled or searched")
	}
	if !strings.HasPrefix(link, string(added.ID)+".") || len(link) != 12+1+43 {
		t.Errorf("link %q has another shape", link)
	}
}

func TestLinkIsStoredHashedOnly(t *testing.T) {
	r, _ := newRegistry(t)
	_, link, err := r.Add(t.Context(), "Acme", connection.Commercial, "key-1")
	if err != nil {
		t.Fatal(err)
	}
	_, secret, _ := strings.Cut(link, ".")
	for item, err := range r.Table.Query(t.Context(), table.Query{Partition: "connection"}) {
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(fmt.Sprint(item), secret) {
			t.Error("the table holds the link's secret")
		}
	}
}

func TestDisplayNames(t *testing.T) {
	r, _ := newRegistry(t)
	if _, _, err := r.Add(t.Context(), "Straße & Söhne", connection.Commercial, "key-1"); err != nil {
		t.Fatal(err)
	}
	invalid := &access.Refused{}
	for _, step := range []struct {
		name string
		want error
	}{
		{"STRAßE & SÖHNE", connection.ErrName},
		{" straße  &\u00a0söhne ", connection.ErrName},
		{"Straße & Söhne 2", nil},
		{strings.Repeat("ä", 100), nil},
		{"\u212aelvin", nil}, // the Kelvin sign
		{"kelvin", connection.ErrName},
		{"<script>alert(1)</script>", nil}, // pages escape
		{"", invalid},
		{" \t ", invalid},
		{strings.Repeat("a", 101), invalid},
		{"two\nlines", invalid},
		{"zero\u200bwidth", invalid},
		{"right\u202eto left", invalid},
		{"not UTF-8 \xff", invalid},
	} {
		_, _, err := r.Add(t.Context(), step.name, connection.Commercial, "key-1")
		if step.want == invalid {
			if got := new(access.Refused); !errors.As(err, &got) || got.Problems[0].Field != "displayName" ||
				got.Problems[0].Description == "" {
				t.Errorf("%q: %v, want an invalid display name", step.name, err)
			}
		} else if !errors.Is(err, step.want) {
			t.Errorf("%q: %v, want %v", step.name, err, step.want)
		}
	}
}

func TestUnknownCloudIsInvalid(t *testing.T) {
	r, _ := newRegistry(t)
	var invalid *access.Refused
	if _, _, err := r.Add(t.Context(), "Acme", "mars", "key-1"); !errors.As(err, &invalid) ||
		invalid.Problems[0].Field != "cloud" {
		t.Errorf("cloud mars: %v", err)
	}
}

func TestOneOfManyGetsTheName(t *testing.T) {
	r, _ := newRegistry(t)
	won := race(8, func(i int) error {
		_, _, err := r.Add(t.Context(), []string{"Acme", "ACME"}[i%2], connection.Commercial, "key-1")
		return err
	}, connection.ErrName, t)
	if all, err := r.List(t.Context()); err != nil || len(all) != 1 || won != 1 {
		t.Errorf("%d won, %d connections, %v", won, len(all), err)
	}
}

func TestOneOfManyGetsTheTenant(t *testing.T) {
	r, _ := newRegistry(t)
	ids := make([]connection.ID, 8)
	for i := range ids {
		c, _, err := r.Add(t.Context(), fmt.Sprintf("Acme %d", i), connection.Commercial, "key-1")
		if err != nil {
			t.Fatal(err)
		}
		ids[i] = c.ID
	}
	won := race(len(ids), func(i int) error {
		_, err := r.Consented(t.Context(), ids[i], administrator(acme))
		return err
	}, connection.ErrTenant, t)
	if polled, err := r.Followed(t.Context()); err != nil || len(polled) != 1 || won != 1 {
		t.Errorf("%d won, %d polled, %v", won, len(polled), err)
	}
}

// race runs f n times at once and counts those that won; the others must fail with loses.
func race(n int, f func(int) error, loses error, t *testing.T) int {
	t.Helper()
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = f(i) })
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		switch {
		case err == nil:
			won++
		case !errors.Is(err, loses):
			t.Errorf("lost with %v, want %v", err, loses)
		}
	}
	return won
}

func TestConsentBindsTheTenantForGood(t *testing.T) {
	r, c := newRegistry(t)
	added, _, err := r.Add(t.Context(), "Acme", connection.Commercial, "key-1")
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.Consented(t.Context(), added.ID, administrator(acme))
	if err != nil {
		t.Fatal(err)
	}
	if got.Tenant.ID != acme || got.Status != connection.Initializing || got.ConsentedBy != "admin" ||
		!got.Consented.Equal(c.now()) ||
		!got.Followed() {
		t.Errorf("consented as %+v", got)
	}
	if _, err := r.Consented(t.Context(), added.ID, administrator(globex)); !errors.Is(err, connection.ErrTenant) {
		t.Errorf("a second tenant: %v", err)
	}
	if _, err := r.Consented(t.Context(), added.ID, administrator(acme)); err != nil {
		t.Errorf("consent again: %v", err)
	}
	for _, bad := range []connection.TenantID{"", "common", "11111111-2222-3333-4444-55555555555", "11111111-2222-3333-4444-55555555555G", "AAAAAAAA-2222-3333-4444-555555555555"} {
		if _, err := r.Consented(t.Context(), added.ID, administrator(bad)); err == nil {
			t.Errorf("tenant %q was accepted", bad)
		}
	}
}

func TestUnknownConnections(t *testing.T) {
	r, _ := newRegistry(t)
	for _, id := range []connection.ID{"", "abcdefghijkl", "ABCDEFGHIJKL", "a|b", "\xff", connection.ID(strings.Repeat("a", 5000))} {
		_, errGet := r.Get(t.Context(), id)
		_, errLink := r.NewLink(t.Context(), id, "key-1")
		_, errConsent := r.Consented(t.Context(), id, administrator(acme))
		for _, err := range []error{errGet, errLink, errConsent, r.Report(t.Context(), id, nil)} {
			if !errors.Is(err, connection.ErrNotFound) {
				t.Errorf("connection %.20q: %v", id, err)
			}
		}
	}
}

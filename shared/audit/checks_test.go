package audit_test

import (
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/mailtrail/mailtrail/shared/audit"
)

// What was checked is counted by client, by many at once, and the connection says which client's attachments are left
// out.
func TestChecksAreCountedByClientAndAreAWarning(t *testing.T) {
	s := newStage(t, 1)
	var all sync.WaitGroup
	for i := range 30 {
		all.Go(func() {
			client, missing := "OWA", false
			if i%3 == 0 {
				client, missing = "MSExchangeRPC", i%2 == 0
			}
			if err := s.Ledger.Checked(t.Context(), "c0", client, missing); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	account, err := s.Ledger.Account(t.Context(), "c0")
	want := []audit.Checks{
		{Client: "MSExchangeRPC", Checked: 10, Missing: 5, LastMissing: s.clock.Now()}, {Client: "OWA", Checked: 20},
	}
	if err != nil || !reflect.DeepEqual(account.Checks, want) {
		t.Errorf("checks are %+v, %v, want %+v", account.Checks, err, want)
	}
	told, err := s.Ledger.Tell(t.Context(), "c0")
	if err != nil || len(told.Warnings) != 1 ||
		!strings.Contains(told.Warnings[0], "client MSExchangeRPC: 5 of 10 such mails") {
		t.Errorf("warnings %q, %v", told.Warnings, err)
	}

	// A client names itself as it likes: there are only so many.
	for i := range 60 {
		if err := s.Ledger.Checked(t.Context(), "c0", fmt.Sprint("client", i), true); err != nil {
			t.Fatal(err)
		}
	}
	checks, err := s.Ledger.Checks(t.Context(), "c0")
	var sum int64
	for _, k := range checks {
		sum += k.Checked
	}
	if err != nil || len(checks) > 51 || sum != 90 {
		t.Errorf("%d clients with %d checks, %v", len(checks), sum, err)
	}

	if _, done, err := s.Ledger.Purge(t.Context(), "c0", 1000); err != nil || !done {
		t.Fatal(done, err)
	}
	if checks, err := s.Ledger.Checks(t.Context(), "c0"); err != nil || len(checks) != 0 {
		t.Errorf("after a purge: %v, %v", checks, err)
	}
}

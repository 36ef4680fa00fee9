package audit_test

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/audit"
)

// TestAccountOnTheWire holds the names that clients of the connections API read: what has not come to pass is left out.
func TestAccountOnTheWire(t *testing.T) {
	s := newStage(t, 1)
	s.feed.publish("t0", 3, s.clock.Now().Add(-time.Minute))
	s.poll(t)
	if _, err := s.Ledger.Begin(t.Context(), s.out.sent[0]); err != nil {
		t.Fatal(err)
	}
	if err := s.Ledger.Settle(t.Context(), s.out.sent[0], audit.Tally{Records: 9, Sends: 5, Noise: 1, Failed: 1, Messages: 2, Repeated: 1, Events: 3, Unreadable: 1}); err != nil {
		t.Fatal(err)
	}
	account, err := s.Ledger.Account(t.Context(), "c0")
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.MarshalIndent(account, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/account.json"
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(golden, append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(bytes.TrimSpace(want), got) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

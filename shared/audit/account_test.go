package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/table"
)

// TestAccountOnTheWire holds the names that clients of the connections API read: what has not come to pass is left out.
func TestAccountOnTheWire(t *testing.T) {
	s := newStage(t, 1)
	s.feed.publish("t0", 3, s.clock.Now().Add(-time.Minute))
	s.poll(t)
	if _, err := s.Ledger.Begin(t.Context(), s.out.sent[0]); err != nil {
		t.Fatal(err)
	}
	tally := audit.Tally{Records: 9, Sends: 5, Noise: 1, Failed: 1, Messages: 2, Repeated: 1, Events: 3, Unreadable: 1}
	if err := s.Ledger.Settle(t.Context(), s.out.sent[0], tally); err != nil {
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

func TestAPurgeLeavesNothingOfALedger(t *testing.T) {
	s := newStage(t, 2)
	for _, tenant := range []connection.TenantID{"t0", "t1"} {
		s.feed.publish(tenant, 30, s.clock.Now().Add(-time.Minute))
	}
	s.poll(t)
	for i, b := range s.out.sent {
		if i%3 == 0 {
			continue // it stays open
		}
		begun, err := s.Ledger.Begin(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		end := s.Ledger.Settle
		if i%3 == 1 {
			end = func(ctx context.Context, b audit.Blob, tally audit.Tally) error {
				if err := s.Ledger.Keep(ctx, b, []audit.Unreadable{{Offset: 1, Reason: "torn"}}); err != nil {
					return err
				}
				return s.Ledger.Lose(ctx, b, "torn", tally)
			}
		}
		if err := end(t.Context(), begun, audit.Tally{Records: 1, LastSend: s.clock.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	told, err := s.Ledger.Tell(t.Context(), "c0")
	if err != nil || told.Listed != 30 || told.Open != 10 || !told.LastSend.Equal(s.clock.Now()) ||
		told.LastPoll.IsZero() ||
		told.LastBlob.IsZero() {
		t.Errorf("%+v, %v", told, err)
	}
	slices := 0
	for done := false; !done; slices++ {
		if _, done, err = s.Ledger.Purge(t.Context(), "c0", 20); err != nil || slices > 20 {
			t.Fatal(slices, err)
		}
	}
	for _, kind := range []string{"blob", "open", "lost", "unreadable", "sums", "poll"} {
		for item, err := range s.Ledger.Table.Query(t.Context(), table.Query{Partition: "c0|" + kind}) {
			t.Errorf("%s is left (%v)", item.Key, err)
		}
	}
	if sums := s.sums(t, "c1"); sums.Listed != 30 || s.open(t, "c1") != 10 || slices < 4 {
		t.Errorf("of the other connection %+v are left, after %d slices", sums, slices)
	}
}

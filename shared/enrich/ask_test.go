package enrich

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
)

// Microsoft asks calls that were under way together to wait for different times; the longest counts.
func TestAMailboxIsLeftAloneForTheLongestThatMicrosoftAsks(t *testing.T) {
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	var b boxes
	b.open(4, func() time.Time { return now })
	key := boxKey{connection.Tenant{ID: "t"}, "ada@contoso.test"}
	refuse := func(after time.Duration) error {
		return &fault.Error{Kind: fault.Retry, After: after, Err: errors.New("too many requests")}
	}
	err := b.in(t.Context(), key, func(ctx context.Context) error {
		_ = b.in(ctx, key, func(context.Context) error { return refuse(5 * time.Minute) })
		return refuse(time.Second)
	})
	if fault.Wait(err) != time.Second {
		t.Fatal(err)
	}
	now = now.Add(time.Minute)
	err = b.in(t.Context(), key, func(context.Context) error {
		t.Error("the mailbox was asked within the five minutes")
		return nil
	})
	if fault.Wait(err) != 4*time.Minute {
		t.Errorf("%v, in %s", err, fault.Wait(err))
	}
	now = now.Add(4 * time.Minute)
	if err := b.in(t.Context(), key, func(context.Context) error { return nil }); err != nil {
		t.Error(err)
	}
	if len(b.all) != 0 {
		t.Errorf("%d mailboxes are remembered that nobody needs", len(b.all))
	}
}

func TestTheLastAttemptWaitsAMinuteInSum(t *testing.T) {
	b := budget{left: allWaits}
	for i, want := range []bool{true, true, false} {
		if got := b.spend(longestWait); got != want {
			t.Errorf("wait %d of %s: %t", i+1, longestWait, got)
		}
	}
}

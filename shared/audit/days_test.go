package audit_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/table"
)

const day = 24 * time.Hour

// followed is a stage whose connection has been followed for ten days.
func followed(t *testing.T) *stage {
	t.Helper()
	s := newStage(t, 1)
	for range 10 {
		s.poll(t)
		s.clock.advance(day)
	}
	for range 10 {
		s.poll(t)
		s.clock.advance(time.Minute)
	}
	return s
}

// A blob that appears days after it became available, or that we missed, is found within a day.
func TestAllSevenDaysAreListedAgainOnceADay(t *testing.T) {
	s := followed(t)
	s.feed.publish("t0", 1, s.clock.Now().Add(-3*day))
	s.feed.publish("t0", 1, s.clock.Now().Add(-5*day-20*time.Hour))
	before, queued := len(s.feed.asked), 0
	for range 25 * 60 {
		s.clock.advance(time.Minute)
		queued += s.poll(t).Queued
	}
	if queued != 2 {
		t.Errorf("%d blobs were found within 25 hours, want 2", queued)
	}
	old := 0
	for _, w := range s.feed.asked[before:] {
		from, err := time.Parse(time.RFC3339, strings.Fields(w)[0])
		if err != nil {
			t.Fatal(err)
		}
		if s.clock.Now().Sub(from) > 2*day+2*time.Hour {
			old++
		}
	}
	if old > 7 {
		t.Errorf("%d windows of days before the last one were listed in 25 hours, want 7 at most", old)
	}
}

// While Microsoft fails to list old days, what is new is listed all the same, and the old days follow when it can.
func TestOldDaysThatCannotBeListedDelayNothingNew(t *testing.T) {
	s := followed(t)
	s.feed.publish("t0", 5, s.clock.Now().Add(-4*day))
	down := true
	list := s.Poller.Feed
	s.Poller.Feed = listing{list, func(from time.Time, page string) error {
		if down && s.clock.Now().Sub(from) > 2*day && (page != "" || s.clock.Now().Sub(from) > 5*day) {
			return &fault.Error{Kind: fault.Retry, Status: 503, Err: errors.New("unavailable")}
		}
		return nil
	}}
	for hour := range 30 {
		s.feed.publish("t0", 1, s.clock.Now())
		s.clock.advance(time.Hour)
		if o := s.poll(t); o.Queued < 1 {
			t.Fatalf("in hour %d a new blob was not queued: %+v", hour, o)
		}
	}
	down = false
	for range 60 {
		s.clock.advance(time.Minute)
		s.poll(t)
	}
	if listed := s.sums(t, "c0").Listed; listed != 35 {
		t.Errorf("%d blobs were found, want 30 new ones and 5 old ones", listed)
	}
}

// listing is a feed that fails for some windows.
type listing struct {
	audit.Feed
	fail func(from time.Time, page string) error
}

func (l listing) List(
	ctx context.Context, t connection.Tenant, ct audit.ContentType, from, to time.Time, page string,
) (audit.Page, error) {
	if err := l.fail(from, page); err != nil {
		return audit.Page{}, err
	}
	return l.Feed.List(ctx, t, ct, from, to, page)
}

// Our clock is behind Microsoft's by more than the margin: the oldest day that we ask for is too far back for it.
func TestAClockBehindMicrosoftsLosesNothingAndIsReportedOnce(t *testing.T) {
	for _, behind := range []time.Duration{20 * time.Minute, 3 * time.Hour} {
		t.Run(behind.String(), func(t *testing.T) {
			s := newStage(t, 1)
			s.poll(t)
			s.feed.skew = behind
			s.clock.advance(8 * day)
			s.feed.publish("t0", 4, s.clock.Now().Add(-6*day))
			var log bytes.Buffer
			s.Log = slog.New(slog.NewTextHandler(&log, nil))
			queued := 0
			for range 120 {
				queued += s.poll(t).Queued
				s.clock.advance(time.Second)
			}
			if queued != 4 {
				t.Errorf("%d of 4 blobs were queued; reported %v", queued, s.roll.reported["c0"])
			}
			if n := strings.Count(log.String(), "behind Microsoft's"); n != 1 {
				t.Errorf("the clock was reported %d times, want once", n)
			}
			if n := strings.Count(log.String(), "blobs may be missed"); n != 1 {
				t.Errorf("a gap was reported %d times, want once", n)
			}
		})
	}
}

// Each time that nobody could list stands in the cursor, however many there are.
func TestASecondGapDoesNotOverwriteTheFirst(t *testing.T) {
	s := newStage(t, 1)
	var want []audit.Gap
	for range 3 {
		s.poll(t)
		from := s.clock.Now()
		s.clock.advance(9 * day)
		want = append(want, audit.Gap{From: from, To: s.clock.Now().Add(15*time.Minute - 7*day)})
	}
	s.poll(t)
	if got := s.gaps(t); !slices.Equal(got, want) {
		t.Errorf("gaps are\n%v\nwant\n%v", got, want)
	}

	// One that grows while nothing can be listed stays one.
	s.feed.fail = func(connection.TenantID, string) error { return errors.New("unavailable") }
	from := s.clock.Now()
	for range 5 {
		s.clock.advance(9 * day)
		s.poll(t)
	}
	want = append(want, audit.Gap{From: from, To: s.clock.Now().Add(15*time.Minute - 7*day)})
	if got := s.gaps(t); !slices.Equal(got, want) {
		t.Errorf("gaps are\n%v\nwant\n%v", got, want)
	}

	// They are bounded, and what is not listed never shrinks.
	s.feed.fail = nil
	for range 120 {
		s.poll(t)
		s.clock.advance(9 * day)
	}
	if got := s.gaps(t); len(got) != 100 || got[0].From != want[0].From {
		t.Errorf("%d gaps, the first is %v", len(got), got[0])
	}
}

func (s *stage) gaps(t *testing.T) []audit.Gap {
	t.Helper()
	p, err := s.Ledger.Progress(t.Context(), "c0")
	if err != nil {
		t.Fatal(err)
	}
	return p.Gaps
}

// Until version 0.2 a cursor held its last gap in two attributes.
func TestAGapOfAnOlderVersionIsKept(t *testing.T) {
	s := newStage(t, 1)
	s.poll(t)
	key := table.Key{Partition: "c0|poll", Sort: "cursor"}
	item, err := s.Ledger.Table.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	delete(item.Attrs, "gaps")
	item.Attrs["gapfrom"], item.Attrs["gapto"] = "2026-10-01T00:00:00.000Z", "2026-10-02T00:00:00.000Z"
	if err := s.Ledger.Table.Load(t.Context(), item); err != nil {
		t.Fatal(err)
	}
	s.clock.advance(time.Minute)
	s.poll(t)
	october := func(d int) time.Time { return time.Date(2026, 10, d, 0, 0, 0, 0, time.UTC) }
	if got := s.gaps(t); !slices.Equal(got, []audit.Gap{{From: october(1), To: october(2)}}) {
		t.Errorf("gaps are %v", got)
	}
}

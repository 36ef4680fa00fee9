package table_test

import (
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/table"
)

func TestTimesAreReadAsAnyReleaseWroteThem(t *testing.T) {
	at := time.Date(2026, 11, 30, 8, 15, 30, 250_000_000, time.UTC)
	for _, c := range []struct {
		name string
		attr any
		want time.Time
	}{
		{"as it is written now", table.Stamp(at.In(time.FixedZone("", 7200))), at},
		{"with nanoseconds, as connections were", "2026-11-30T08:15:30.250000001Z", at.Add(1)},
		{"in whole seconds", "2026-11-30T08:15:30Z", at.Truncate(time.Second)},
		{"with a zone", "2026-11-30T09:15:30.250+01:00", at},
		{"the zero time of old messages", "0001-01-01T00:00:00.000Z", time.Time{}},
		{"empty", table.Stamp(time.Time{}), time.Time{}},
		{"absent", nil, time.Time{}},
	} {
		if got, err := table.ParseTime(c.attr); err != nil || got != c.want {
			t.Errorf("%s: read as %v, %v; want %v", c.name, got, err, c.want)
		}
	}
	for _, attr := range []any{"yesterday", int64(5), true} {
		if _, err := table.ParseTime(attr); err == nil || !table.TimeOf(attr).IsZero() {
			t.Errorf("%v was taken for a time", attr)
		}
	}
}

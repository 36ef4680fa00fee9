package search

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	momentFormat = "2006-01-02T15:04:05.000Z" // how documents show times: UTC, milliseconds
	dayFormat    = "2006-01-02"
)

// span is the milliseconds of Unix time [from, to).
type span struct{ from, to int64 }

// All times that a filter can name and a document can show: the years 1 to 9999.
const (
	minMoment int64 = -62135596800000
	maxMoment int64 = 253402300800000
)

func always() span { return span{minMoment, maxMoment} }

func (s span) has(ms int64) bool { return s.from <= ms && ms < s.to }

func (s span) intersect(o span) span { return span{max(s.from, o.from), min(s.to, o.to)} }

// hull is the smallest span that holds both.
func (s span) hull(o span) span {
	if s.from >= s.to {
		return o
	}
	if o.from >= o.to {
		return s
	}
	return span{min(s.from, o.from), max(s.to, o.to)}
}

// momentLayouts are the forms of times; seconds may have a fraction.
func momentLayouts() []string {
	return []string{
		time.RFC3339, "2006-01-02T15:04:05Z0700", "2006-01-02T15:04Z07:00", "2006-01-02T15:04Z0700",
		"2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02 15:04",
	}
}

// parseMoment reads a date or a time in ISO 8601; without a zone it is UTC. whole is how long it lasts: a day or a
// millisecond.
func parseMoment(s string) (at int64, whole int64, err error) {
	if t, err := time.Parse(dayFormat, s); err == nil {
		return t.UnixMilli(), dayMillis, nil
	}
	for _, layout := range momentLayouts() {
		if t, err := time.Parse(layout, s); err == nil {
			at = t.UnixMilli()
			if at < minMoment || at >= maxMoment {
				break
			}
			return at, 1, nil
		}
	}
	return 0, 0, fmt.Errorf("%q is no date and no time in ISO 8601, such as 2026-10-01 or 2026-10-01T12:00:00.000Z", s)
}

const dayMillis = 24 * 60 * 60 * 1000

// dayOf is the UTC day that ms is in.
func dayOf(ms int64) span {
	from := ms - ((ms%dayMillis)+dayMillis)%dayMillis
	return span{from, from + dayMillis}
}

// period is an ISO 8601 duration: years and months are the calendar's.
type period struct {
	years, months, weeks, days int
	clock                      time.Duration
}

// parsePeriod reads a duration such as P30D, PT15M, P1DT2H, P1W or P1M. It takes whole numbers of up to 6 digits.
func parsePeriod(s string) (period, error) {
	var p period
	rest, ok := strings.CutPrefix(strings.ToUpper(s), "P")
	date, clock, timed := strings.Cut(rest, "T")
	var hours, minutes, seconds int
	if !ok || rest == "" || (timed && clock == "") ||
		!parseUnits(date, "YMWD", &p.years, &p.months, &p.weeks, &p.days) ||
		!parseUnits(clock, "HMS", &hours, &minutes, &seconds) {
		return period{}, fmt.Errorf("%q is no duration in ISO 8601, such as P30D or PT15M", s)
	}
	p.clock = time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute + time.Duration(seconds)*time.Second
	return p, nil
}

// parseUnits reads numbers that are each followed by one of the units, in their order.
func parseUnits(s, units string, to ...*int) bool {
	for s != "" {
		digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
		if digits == 0 || digits > 6 || digits == len(s) {
			return false
		}
		at := strings.IndexByte(units, s[digits])
		if at < 0 {
			return false
		}
		*to[at], _ = strconv.Atoi(s[:digits]) // up to 6 digits always fit
		units, to, s = units[at+1:], to[at+1:], s[digits+1:]
	}
	return true
}

// before is the moment that lies the period before now.
func (p period) before(now time.Time) int64 {
	at := now.UTC().AddDate(-p.years, -p.months, -p.days-7*p.weeks).Add(-p.clock).UnixMilli()
	return max(at, minMoment)
}

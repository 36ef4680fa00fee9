package company

import (
	"slices"
	"time"

	"github.com/mailtrail/mailtrail/sim/m365/world"
)

// event is one audit record and, for a send, the mail that it reports.
type event struct {
	at     time.Time
	record world.Record
	mail   *send
}

// oddEvery is how often something odd is sent in office hours. The oddities take turns, so all of them occur in any
// few hours, whatever the company's size.
const oddEvery = 5 * time.Minute

// minute returns what happens in the minute that begins at the given time, in the order of time.
func (c *Company) minute(at time.Time) []event {
	d := throw(c.seed, uint64(at.Unix()/60))
	busy := c.busy(at)
	perMinute := busy * float64(c.options.MailsPerHour) / 60
	sends := d.sometimes(perMinute)
	odd := at.Truncate(oddEvery).Equal(at) && c.Oddity(at) != ""
	if odd {
		sends = max(sends, 1)
	}

	var events []event
	for i := range sends {
		s := c.compose(d, at.Add(time.Duration(d.IntN(60))*time.Second))
		if odd && i == 0 {
			if len(s.files) == 0 { // what befalls a mail matters where files leave
				s.files = append(s.files, d.document())
			}
			c.turn(at).befall(c, d, s)
		} else {
			c.vary(d, s)
		}
		s.file(d)
		record := c.sendRecord(d, s)
		if c.options.Field != (Field{}) {
			record = c.weathered(s, odd && i == 0)
		}
		events = append(events, event{s.at, record, s})
	}
	events = append(events, c.unrecorded(at, perMinute)...)
	for range d.sometimes(perMinute * float64(max(0, c.options.Noise))) {
		at := at.Add(time.Duration(d.IntN(60)) * time.Second)
		events = append(events, event{at: at, record: c.bystander(d, at)})
	}
	slices.SortStableFunc(events, func(a, b event) int { return a.at.Compare(b.at) })
	return events
}

// Oddity names the odd mail of the five minutes that the time falls into (10:00 to 10:05, and so on); it is sent in the
// first of them. Outside of office hours nothing is odd, and the name is "". It helps a test to find what is odd, or to
// explain it.
func (c *Company) Oddity(at time.Time) string {
	if c.busy(at.UTC()) < 1 {
		return ""
	}
	return c.turn(at).name
}

func (c *Company) turn(at time.Time) oddity {
	return c.oddities[at.Unix()/int64(oddEvery/time.Second)%int64(len(c.oddities))]
}

// busy is the share of an office hour's mail that is sent at a time of the week.
func (c *Company) busy(at time.Time) float64 {
	weekend := at.Weekday() == time.Saturday || at.Weekday() == time.Sunday
	switch hour := at.Hour(); {
	case c.options.AlwaysOpen:
		return 1
	case weekend:
		return 0.03
	case hour >= 8 && hour < 18:
		return 1
	case hour >= 6 && hour < 22:
		return 0.15
	default:
		return 0.02
	}
}

package audit

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/shared/table"
)

const (
	// relistEvery is how often everything that Microsoft still lists is listed again, for blobs that appear days late, or
	// that we missed.
	relistEvery = 24 * time.Hour
	// maxGaps bounds the gaps that a cursor remembers. Beyond it the two oldest become one that spans both.
	maxGaps = 100
	// firstBehind is by how much our clock is first assumed to be behind Microsoft's, beyond what lookBack allows; the
	// assumption doubles until Microsoft accepts the oldest window, up to maxBehind.
	firstBehind = 15 * time.Minute
	maxBehind   = 16 * time.Hour
)

// Gap is a period that was not listed completely, in terms of when blobs became available: nobody listed it before it
// was too far back, or the connection was deauthorized.
type Gap struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// addGap remembers a gap, and reports whether it is a new one. One that touches the last gap extends it.
func (c *Cursor) addGap(from, to time.Time) (isNew bool) {
	if n := len(c.Gaps); n > 0 && !from.After(c.Gaps[n-1].To) && !to.Before(c.Gaps[n-1].From) {
		last := &c.Gaps[n-1]
		if from.Before(last.From) {
			last.From = from
		}
		if to.After(last.To) {
			last.To = to
		}
		return false
	}
	c.Gaps = append(c.Gaps, Gap{from, to})
	if len(c.Gaps) > maxGaps {
		c.Gaps[1].From = c.Gaps[0].From
		c.Gaps = slices.Delete(c.Gaps, 0, 1)
	}
	return true
}

// gapTexts is how gaps are stored: two times and a space between them.
func gapTexts(gaps []Gap) []string {
	texts := make([]string, len(gaps))
	for i, g := range gaps {
		texts[i] = table.Stamp(g.From) + " " + table.Stamp(g.To)
	}
	return texts
}

// gapsOf reads the gaps of a stored cursor. Until version 0.2 a cursor held the last gap only, in two attributes.
func gapsOf(a table.Attrs) []Gap {
	texts, _ := a["gaps"].([]string)
	if old := (Gap{table.TimeOf(a["gapfrom"]), table.TimeOf(a["gapto"])}); len(texts) == 0 && !old.To.IsZero() {
		return []Gap{old}
	}
	var gaps []Gap
	for _, text := range texts {
		from, to, _ := strings.Cut(text, " ")
		gaps = append(gaps, Gap{table.TimeOf(from), table.TimeOf(to)})
	}
	return gaps
}

// oldest is how far back a window may begin: as far as Microsoft allows, by what we know of its clock.
func (f *follower) oldest(now time.Time) time.Time {
	return now.Add(time.Duration(f.cur.ClockBehind)*time.Second - lookBack)
}

// behind takes note that Microsoft refused the oldest window, which we think it should accept: our clock is behind. It
// returns false if that explains nothing any more.
func (f *follower) behind(err error) bool {
	if !errors.Is(err, ErrWindow) {
		return false
	}
	next := max(firstBehind, 2*time.Duration(f.cur.ClockBehind)*time.Second)
	if next > maxBehind {
		return false
	}
	f.cur.ClockBehind = int64(next / time.Second)
	f.tooOld = true
	return true
}

// reportClock logs, once, that our clock is behind.
func (f *follower) reportClock(known int64) {
	if f.tooOld && f.cur.ClockBehind > known {
		f.Log.Error("our clock is behind Microsoft's: correct it, so that all seven days can be listed",
			"connection", f.c.ID, "by at most", time.Duration(f.cur.ClockBehind)*time.Second+lookBackMargin)
	}
}

// relist lists again what Microsoft still lists, once a day, one day of it in a poll: seven calls, unless a day has
// more pages than one. It comes after what is new, so that no trouble with old days delays that. A failure leaves the
// cursor at the page that failed, where the next poll goes on.
func (f *follower) relist(ctx context.Context, now time.Time) error {
	known := f.cur.ClockBehind
	defer func() { f.reportClock(known) }()
	if f.cur.again == (window{}) {
		if now.Sub(f.cur.Relisted) < relistEvery {
			return nil
		}
		f.cur.Relisted, f.cur.ClockBehind = now, 0
		f.cur.again, f.cur.againPage = f.dayFrom(f.cur.Since), ""
	}
	for {
		if oldest := f.oldest(now); f.cur.again.From.Before(oldest) {
			f.cur.again, f.cur.againPage = f.dayFrom(oldest), ""
		}
		if f.cur.again == (window{}) {
			return nil
		}
		left, page := f.cur.left, f.cur.page // none: what is new was listed to its end
		err := f.window(ctx, f.cur.again, f.cur.againPage)
		f.cur.left, f.cur.page, f.cur.againPage = left, page, f.cur.page
		if err == nil {
			f.cur.again, f.cur.againPage = f.dayFrom(f.cur.again.To), ""
			return nil
		}
		if !f.behind(err) {
			return err
		}
	}
}

// dayFrom is the window of the round that begins at from: a day, or what is left until the round began. It is zero
// when nothing is left.
func (f *follower) dayFrom(from time.Time) window {
	from = from.UTC().Truncate(time.Second)
	to := from.Add(maxWindow)
	if end := f.cur.Relisted.UTC().Truncate(time.Second); to.After(end) {
		to = end
	}
	if !from.Before(to) {
		return window{}
	}
	return window{from, to}
}

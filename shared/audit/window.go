package audit

import "time"

const (
	// maxWindow is the longest window that one listing may ask for (AF20055).
	maxWindow = 24 * time.Hour
	// lookBack is how far back a listing may begin: Microsoft's 7 days, minus how far our clock may be behind theirs
	// and how long a request may wait before it is read (AF20030, AF20055).
	lookBack       = 7*24*time.Hour - lookBackMargin
	lookBackMargin = 15 * time.Minute
	// overlap is how much of what was listed before is listed again at each poll: Microsoft does not promise that a
	// past window gains no more blobs, and our clock may run ahead of theirs.
	overlap = 15 * time.Minute
	// sweepEvery is how often the last day is listed again as a whole, for blobs that appear later than overlap.
	sweepEvery = time.Hour
)

// window is [From, To), in whole seconds. It refers to when blobs became available.
type window struct{ From, To time.Time }

// windows cuts the time from from to now into windows that Microsoft accepts, the oldest first. None begins before
// oldest.
func windows(from, now, oldest time.Time) []window {
	from, now = from.UTC().Truncate(time.Second), now.UTC().Truncate(time.Second)
	if from.Before(oldest) {
		// Rounding up keeps the start inside the 7 days.
		from = oldest.UTC().Add(time.Second - time.Nanosecond).Truncate(time.Second)
	}
	var all []window
	for from.Before(now) {
		to := from.Add(maxWindow)
		if to.After(now) {
			to = now
		}
		all = append(all, window{from, to})
		from = to
	}
	return all
}

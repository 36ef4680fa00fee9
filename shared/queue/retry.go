package queue

import (
	"errors"
	"time"

	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/pace"
)

// retries is how long a message that failed stays hidden when nobody asked for a wait.
// a constant, but for its type
var retries = pace.Backoff{First: time.Second, Longest: time.Minute} //nolint:gochecknoglobals

// Backoff returns how long a message stays hidden whose work failed with err: what Microsoft asked for, or else twice
// as long each time. What is poison comes back at once, so that it is soon among the dead letters, where somebody can
// look at it.
func Backoff(receives int, err error) time.Duration {
	if wait := fault.Wait(err); wait > 0 {
		return min(wait, MaxDelay)
	}
	if errors.Is(err, fault.Poison) {
		return 0
	}
	return retries.After(receives)
}

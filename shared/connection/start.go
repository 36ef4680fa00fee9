package connection

import (
	"context"
	"encoding/hex"
	"time"

	"github.com/mailtrail/mailtrail/shared/table"
)

// startSpacing is how far apart Microsoft wants two starts of a subscription ("Start a subscription" of the Office 365
// Management Activity API reference).
const startSpacing = 15 * time.Minute

// ClaimStart asks for the right to start the connection's subscription once. wait is 0 if the caller has it, and
// otherwise how long nobody has it. The attempt is stored before Microsoft is called, for the consent page and every
// poller alike: whatever becomes of it, even in a crash, no other start follows within 15 minutes.
func (r *Registry) ClaimStart(ctx context.Context, id ID) (wait time.Duration, err error) {
	b, err := random(r.Rand, 8)
	if err != nil {
		return 0, err
	}
	me, now := hex.EncodeToString(b), r.now()
	_, err = r.change(ctx, id, Poller, func(s *stored) ([]table.Op, error) {
		wait = 0
		switch {
		case s.starter == me: // the table had stored the claim and then reported a failure
		case s.StartAfter.After(now.Add(maxStartWait)): // written by a clock that was ahead
			fallthrough
		case !s.StartAfter.After(now):
			s.StartAfter, s.starter = now.Add(startSpacing), me
		default:
			wait = s.StartAfter.Sub(now)
		}
		return nil, nil
	})
	return wait, err
}

// maxStartWait bounds what Microsoft may ask us to wait before the next start.
const maxStartWait = 2 * time.Hour

// PostponeStart stores that Microsoft throttled a start, and how long it asked us to wait before the next one. A
// shorter wait than 15 minutes changes nothing: refused starts may count as well.
func (r *Registry) PostponeStart(ctx context.Context, id ID, wait time.Duration) error {
	next := r.now().Add(min(wait, maxStartWait))
	_, err := r.change(ctx, id, Poller, func(s *stored) ([]table.Op, error) {
		if next.After(s.StartAfter) {
			s.StartAfter = next
		}
		return nil, nil
	})
	return err
}

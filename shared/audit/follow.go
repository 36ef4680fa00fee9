package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/pace"
	"github.com/mailtrail/mailtrail/shared/queue"
	"github.com/mailtrail/mailtrail/shared/table"
)

const (
	maxBackoff = 10 * time.Minute
	maxWait    = time.Hour // of what Microsoft asks us to wait
)

// follower is one poll of one connection.
type follower struct {
	*Poller
	c        connection.Connection
	cur      Cursor
	seen     map[ContentID]bool // queued or known in this poll: pages may repeat blobs
	pages    int                // listed to their end
	loose    bool               // something was queued and is not remembered
	tooOld   bool               // Microsoft refused a window that we took for listable
	waiting  bool               // we did not call Microsoft: it asked us to wait
	queued   int
	requeued int
}

// follow lists what is new since the cursor. It always ends by releasing the lease.
func (p *Poller) follow(ctx context.Context, c connection.Connection, holder string) (*follower, error) {
	f := &follower{Poller: p, c: c, seen: map[ContentID]bool{}}
	now := p.Now()
	cur, err := p.Ledger.acquire(ctx, c.ID, holder, now, p.Patience)
	if err != nil {
		return f, err
	}
	f.cur = cur

	err = f.requeue(ctx)
	if f.waiting = err == nil && f.cur.NotBefore.After(now); err == nil && !f.waiting {
		err = f.list(ctx, now)
		f.note(err, p.Now()) // a wait begins when it is asked for
	}
	return f, errors.Join(err, p.Ledger.release(ctx, c.ID, f.cur, !f.loose))
}

// note records the result of the listing in the cursor.
func (f *follower) note(err error, now time.Time) {
	f.cur.LastTry = now
	if err == nil {
		f.cur.LastGood, f.cur.Failures, f.cur.NotBefore, f.cur.Starts = now, 0, time.Time{}, 0
		return
	}
	if f.cur.Failures++; f.pages > 0 {
		f.cur.Failures = 1 // it made progress: the next failure is not a repetition
	}
	if wait := fault.Wait(err); wait > 0 {
		f.cur.NotBefore = now.Add(min(wait, maxWait))
	} else if f.cur.Failures > 3 {
		// The first failures are tried again at the next tick, because most pass at once; later ones less and less often.
		backoff := pace.Backoff{First: 2 * time.Second, Longest: maxBackoff}
		f.cur.NotBefore = now.Add(backoff.After(int(f.cur.Failures)))
	}
}

// requeue takes care of blobs that have been open too long. Those that expired are lost. Those of which nothing was
// read arrive anew, so that they do not hold back the watermark of other tenants. Those that were queued long ago are
// queued again; after a connection was resumed, that applies to everything that was parked.
func (f *follower) requeue(ctx context.Context) error {
	now := f.Now()
	then := now.Add(-f.Hold)
	if f.c.Resumed.After(then) {
		then = f.c.Resumed
	}
	for {
		stale, err := f.Ledger.stale(ctx, f.c.ID, then)
		if err != nil {
			return err
		}
		parked := 0
		for _, e := range stale {
			if e.Queued.Before(f.c.Resumed) {
				parked++
			}
			if e.expired(now) {
				err = f.Ledger.Lose(ctx, e.Blob, e.lostBy(), e.Tally)
			} else {
				err = f.renew(ctx, e, now)
			}
			if err != nil && !errors.Is(err, table.ErrConflict) {
				return err
			}
		}
		if parked == 0 || len(stale) < staleAtOnce {
			return nil
		}
	}
}

func (f *follower) renew(ctx context.Context, e Entry, now time.Time) error {
	moved := e
	if e.State == WasListed {
		moved.Arrival = f.cur.Arrival
	}
	again := now.Sub(e.Queued) >= f.Requeue || e.Queued.Before(f.c.Resumed)
	if again {
		if err := f.send(ctx, []Blob{moved.Blob}); err != nil {
			return err
		}
		if moved.Queued = now; now.Before(f.c.Resumed) { // by another clock
			moved.Queued = f.c.Resumed
		}
		f.requeued++
	}
	if !again && moved.Arrival.Equal(e.Arrival) {
		return nil
	}
	return f.Ledger.move(ctx, e, moved, f.cur)
}

const (
	maxPages  = 10_000           // of one window; more means a listing that never ends
	maxAsks   = 3                // for one page
	maxPage   = 4 << 10          // bytes of a page's address that are kept; a longer one, never seen, is not
	old       = 30 * time.Minute // a blob that became available longer ago is of a backlog
	throttled = "AF429"          // comes without a Retry-After (its troubleshooting page)
)

// rests is how long a throttled page rests before it is asked for again.
//
//nolint:gochecknoglobals // a constant, but for its type
var rests = pace.Backoff{First: 200 * time.Millisecond, Longest: time.Second}

// list finishes the window that the last poll left, and then lists the windows from the cursor to now. It moves the
// cursor past each window that was listed to its end. Last it lists a day of those that have passed again.
func (f *follower) list(ctx context.Context, now time.Time) error {
	f.reopen(now)
	if err := f.resume(ctx, now); err != nil {
		return err
	}
	from, sweep := f.from(now)
	known := f.cur.ClockBehind
	err := f.listFrom(ctx, from, now)
	for f.behind(err) {
		err = f.listFrom(ctx, from, now)
	}
	f.reportClock(known)
	if err != nil {
		return err
	}
	if sweep {
		f.cur.Swept = now
	}
	return f.relist(ctx, now)
}

// listFrom lists the windows from a time to now, and notes what of it is too far back.
func (f *follower) listFrom(ctx context.Context, from, now time.Time) error {
	oldest := f.oldest(now)
	if through := f.cur.Through; !through.IsZero() && through.Before(oldest) && f.cur.addGap(through, oldest) {
		f.Log.Error("blobs may be missed: they are too far back to be listed",
			"connection", f.c.ID, "from", through, "to", oldest)
	}
	all := windows(from, now, oldest)
	for i, w := range all {
		err := f.window(ctx, w, "")
		if errors.Is(err, ErrNotSubscribed) {
			if err = f.subscribe(ctx, err); err == nil {
				err = f.window(ctx, w, "")
			}
		}
		if err != nil {
			return err
		}
		if !w.To.After(f.cur.Through) {
			continue
		}
		f.cur.Through = w.To
		if i == len(all)-1 { // releasing the lease stores it
			break
		}
		saved, err := f.Ledger.save(ctx, f.c.ID, f.cur)
		if err != nil {
			return err
		}
		f.cur = saved
	}
	return nil
}

// resume continues with the page at which the last poll failed: a window of thousands of pages is finished even if no
// single poll has the time, or the luck, for all of them. Blobs that were added to earlier pages meanwhile are found
// by the overlap and the sweep, like everything late.
func (f *follower) resume(ctx context.Context, now time.Time) error {
	w, page := f.cur.left, f.cur.page
	f.cur.left, f.cur.page = window{}, ""
	if page == "" || w.From.Before(f.oldest(now)) {
		return nil
	}
	switch err := f.window(ctx, w, page); {
	case errors.Is(err, ErrNotSubscribed):
		f.cur.left, f.cur.page = window{}, "" // what is listed next subscribes
		return nil
	case err != nil:
		return err
	}
	if w.To.After(f.cur.Through) {
		f.cur.Through = w.To
	}
	return nil
}

// from returns where this poll's listing begins, and whether it sweeps the last day. The first listing decides how
// far back we ever look; a later consent does not change that.
func (f *follower) from(now time.Time) (from time.Time, sweep bool) {
	if f.cur.Through.IsZero() {
		f.cur.Since, f.cur.Relisted = f.c.Consented.Add(-f.First), now // this listing is a whole one
		return f.cur.Since, false
	}
	from = f.cur.Through.Add(-overlap)
	if sweep = now.Sub(f.cur.Swept) >= sweepEvery; sweep {
		if day := now.Add(-maxWindow); day.Before(from) {
			from = day
		}
	}
	if from.Before(f.cur.Since) {
		from = f.cur.Since
	}
	return from, sweep
}

// window lists one window, page by page from next, which is "" for the first. If Microsoft no longer knows a page,
// the window begins again, once. On error the cursor keeps the page that failed: all earlier ones are remembered.
func (f *follower) window(ctx context.Context, w window, next string) error {
	again := false
	for range maxPages {
		page, err := f.ask(ctx, w, next)
		if errors.Is(err, ErrPage) {
			if next = ""; !again {
				again = true
				continue
			}
		}
		if err != nil {
			err = fmt.Errorf("list content of connection %s: %w", f.c.ID, err)
		} else {
			err = f.page(ctx, page.Blobs)
		}
		if err != nil {
			if len(next) <= maxPage {
				f.cur.left, f.cur.page = w, next
			}
			return err
		}
		f.pages++
		if next = page.Next; next == "" {
			return nil
		}
	}
	return fmt.Errorf("list content of connection %s: more than %d pages in one window: %w", f.c.ID, maxPages, fault.Retry)
}

// ask requests one page. It asks again if Microsoft's servers fail or throttle without saying how long to wait: most
// such failures pass at once, and waiting for the next tick costs a minute on AWS.
func (f *follower) ask(ctx context.Context, w window, next string) (Page, error) {
	for attempt := 1; ; attempt++ {
		page, err := f.Feed.List(ctx, f.c.Tenant, Exchange, w.From, w.To, next)
		var failure *fault.Error
		if attempt == maxAsks || !errors.As(err, &failure) || failure.After > 0 {
			return page, err
		}
		switch {
		case failure.Code == throttled:
			if pace.Sleep(ctx, rests.After(attempt)) != nil {
				return page, err
			}
		case failure.Status < 500:
			return page, err
		}
	}
}

// page queues the blobs that the ledger does not know, and then remembers them.
func (f *follower) page(ctx context.Context, listed []Listed) error {
	var candidates []Listed
	for _, b := range listed {
		if b.Created.After(f.cur.LastBlob) {
			f.cur.LastBlob = b.Created
		}
		if !f.seen[b.ID] {
			f.seen[b.ID] = true
			candidates = append(candidates, b)
		}
	}
	known, err := f.Ledger.known(ctx, f.c.ID, candidates)
	if err != nil {
		return f.forget(candidates, err)
	}
	var fresh []Blob
	for _, b := range candidates {
		if !known[b.ID] {
			fresh = append(fresh, Blob{
				Connection: f.c.ID, Tenant: f.c.Tenant, Type: b.Type, ID: b.ID, URI: b.URI,
				Created: b.Created, Expires: b.Expires, Arrival: f.cur.Arrival,
			})
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	f.loose = true
	if err := f.send(ctx, fresh); err != nil {
		return f.forget(candidates, err)
	}
	if err := f.Ledger.remember(ctx, f.c.ID, fresh, f.cur, f.Now()); err != nil {
		return f.forget(candidates, err)
	}
	f.loose = false
	f.queued += len(fresh)
	return nil
}

// forget removes blobs from those seen, so that a window that is listed again in this poll finds them new.
func (f *follower) forget(listed []Listed, err error) error {
	for _, b := range listed {
		delete(f.seen, b.ID)
	}
	return err
}

// send queues blobs. A backlog goes into a group of its own, so that new blobs do not wait behind it.
func (f *follower) send(ctx context.Context, blobs []Blob) error {
	messages := make([]queue.Message, len(blobs))
	for i, b := range blobs {
		body, err := json.Marshal(b)
		if err != nil {
			return fmt.Errorf("encode blob %s: %w", b.ID, err)
		}
		messages[i] = queue.Message{Body: body, Group: string(f.c.ID)}
		if f.Now().Sub(b.Created) > old {
			messages[i].Group += "/backlog"
		}
	}
	if err := f.Queue.Send(ctx, messages...); err != nil {
		return fmt.Errorf("queue %d blobs of connection %s: %w", len(blobs), f.c.ID, err)
	}
	return nil
}

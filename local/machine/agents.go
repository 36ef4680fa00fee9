package machine

import (
	"context"
	"sync"
	"time"

	"github.com/mailtrail/mailtrail/shared/embedded"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/pace"
	"github.com/mailtrail/mailtrail/shared/queue"
)

const (
	visibility = 15 * time.Minute // longer than any blob or message takes; a crash makes all visible at once
	waiting    = 20 * time.Second
	// overlapping is how many polls may run at once: one that hangs on a tenant must not hold the others' next tick up.
	overlapping = 16
	// sweeping is how often messages are looked for that have waited too long to be enriched.
	sweeping = time.Minute
)

// agents runs the poller, the census and the workers until ctx ends and all have stopped.
func (m *Machine) agents(ctx context.Context) {
	if err := m.free(ctx); err != nil && ctx.Err() == nil {
		// Nothing is lost by it: the leases run out.
		m.config.Log.Warn("leases of the last start could not be freed", "err", err)
	}
	var all sync.WaitGroup
	all.Go(func() { m.tick(ctx) })
	all.Go(func() { m.purge(ctx) })
	if m.Census != nil {
		all.Go(func() { m.count(ctx) })
	}
	for range m.config.Workers {
		all.Go(func() { m.work(ctx, job{"blob", m.blobs, m.Ingester.Ingest}) })
	}
	if m.Enricher != nil {
		for range m.config.Enrichers {
			all.Go(func() { m.work(ctx, job{"message", m.messages, m.Enricher.Enrich}) })
		}
		all.Go(func() { m.sweep(ctx) })
	}
	all.Wait()
}

// free takes back the leases of polls and censuses that the end of the last start cut off: this process has the folder alone.
func (m *Machine) free(ctx context.Context) error {
	polled, err := m.Registry.Followed(ctx)
	if err != nil {
		return err
	}
	for _, c := range polled {
		if err := m.Ledger.Free(ctx, c.ID); err != nil {
			return err
		}
		if m.Census == nil {
			continue
		}
		if err := m.Census.Free(ctx, c.ID); err != nil {
			return err
		}
	}
	return nil
}

// count takes the census of every tenant where it is due, at once and then at every tick. A run that takes longer than a tick delays the
// next one: a census is nobody's hurry, for an unknown sender is asked for at once.
func (m *Machine) count(ctx context.Context) {
	for ctx.Err() == nil {
		outcome, err := m.Census.Run(ctx)
		if err != nil && ctx.Err() == nil {
			m.config.Log.Error("census failed", "err", err)
		}
		if outcome.Finished > 0 {
			m.config.Log.Info("census taken", outcome.Attrs()...)
		}
		_ = pace.Sleep(ctx, m.config.Census) // the loop looks at ctx
	}
}

// tick polls at once and then at every tick, however long earlier polls take.
func (m *Machine) tick(ctx context.Context) {
	clock := time.NewTicker(m.config.Tick)
	defer clock.Stop()
	var polls sync.WaitGroup
	defer polls.Wait()
	slots := make(chan struct{}, overlapping)
	for {
		select {
		case slots <- struct{}{}:
			polls.Go(func() {
				defer func() { <-slots }()
				m.poll(ctx)
			})
		default: // the next tick will find a place
		}
		select {
		case <-ctx.Done():
			return
		case <-clock.C:
		}
	}
}

func (m *Machine) poll(ctx context.Context) {
	outcome, err := m.Poller.Poll(ctx, m.config.Now())
	if err != nil && ctx.Err() == nil {
		m.config.Log.Error("poll failed", "err", err)
	}
	if outcome.Queued+outcome.Requeued+outcome.Failed > 0 {
		m.config.Log.Info("polled", outcome.Attrs()...)
	}
}

// purge deletes, at every tick, a slice of each connection that is to be deleted.
func (m *Machine) purge(ctx context.Context) {
	for ctx.Err() == nil {
		if err := m.Purger.Tick(ctx); err != nil && ctx.Err() == nil {
			m.config.Log.Error("deleting connections failed", "err", err)
		}
		_ = pace.Sleep(ctx, m.config.Tick) // the loop looks at ctx
	}
}

// sweep sends again, at once and then every minute, what has waited too long to be enriched. A connection that fails holds no other up.
func (m *Machine) sweep(ctx context.Context) {
	for ctx.Err() == nil {
		if err := m.Sweep(ctx); err != nil && ctx.Err() == nil {
			m.config.Log.Error("sweeping the waiting messages failed", "err", err)
		}
		_ = pace.Sleep(ctx, sweeping) // the loop looks at ctx
	}
}

// job is what a worker does: what is on the queue is a what, and do does one's work.
type job struct {
	what  string
	queue *embedded.Queue
	do    func(ctx context.Context, body []byte) error
}

// work takes one after the other off the queue until ctx ends. What has been begun is brought to its end, or until shutdown runs out.
func (m *Machine) work(ctx context.Context, j job) {
	for ctx.Err() == nil {
		deliveries, err := j.queue.Receive(ctx, 1, waiting, visibility)
		if err != nil {
			if ctx.Err() == nil {
				m.config.Log.Error("receiving from the "+j.what+" queue failed", "err", err)
				_ = pace.Sleep(ctx, time.Second) // the loop looks at ctx
			}
			continue
		}
		for _, d := range deliveries {
			m.deliver(ctx, j, d)
		}
	}
}

func (m *Machine) deliver(ctx context.Context, j job, d queue.Delivery) {
	end, cancel := graceful(ctx)
	defer cancel()
	err := j.do(end, d.Body)
	if err == nil {
		err = j.queue.Done(end, d)
	} else {
		m.config.Log.Debug(j.what+" comes back later", "receives", d.Receives, "code", fault.Code(err), "err", err)
		err = j.queue.Hide(end, d, queue.Backoff(d.Receives, err))
	}
	if err != nil {
		// Nothing is lost: the message comes back when its visibility ends, or at the next start.
		m.config.Log.Warn(j.what+" queue", "err", err)
	}
}

// graceful is ctx that lives on for a while after it ends.
func graceful(ctx context.Context) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(shutdown, cancel) })
	return longer, func() { stop(); cancel() }
}

package machine

import (
	"context"
	"sync"
	"time"

	"github.com/mailtrail/mailtrail/shared/embedded"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/pace"
	"github.com/mailtrail/mailtrail/shared/queue"
	"github.com/mailtrail/mailtrail/shared/search"
)

const (
	// visibility is longer than any blob or message takes. After a crash all of them are visible at once, at the next
	// start.
	visibility = 15 * time.Minute
	waiting    = 20 * time.Second
	// overlapping is how many polls may run at once, so that one that hangs on a tenant does not delay the next tick of
	// the others.
	overlapping = 16
	// sweepEvery is how often we look for messages that have waited too long to be enriched.
	sweepEvery = time.Minute
	// packEvery is how often the packer looks for settled mail.
	packEvery = 5 * time.Second
)

// agents runs the poller, the census, the purger, the sweep and the workers until ctx ends and all have stopped.
func (m *Machine) agents(ctx context.Context) {
	if err := m.free(ctx); err != nil && ctx.Err() == nil {
		// Nothing is lost: the leases expire.
		m.config.Log.Warn("leases of the last start could not be freed", "err", err)
	}
	var all sync.WaitGroup
	all.Go(func() { m.tick(ctx) })
	all.Go(func() { m.every(ctx, m.config.Tick, "deleting connections failed", m.Purger.Tick) })
	all.Go(func() { m.every(ctx, packEvery, "packing failed", m.pack) })
	if m.Census != nil {
		all.Go(func() { m.every(ctx, m.config.Census, "census failed", m.count) })
	}
	for range m.config.Workers {
		all.Go(func() { m.work(ctx, job{"blob", m.blobs, m.Ingester.Ingest}) })
	}
	if m.Enricher != nil {
		for range m.config.Enrichers {
			all.Go(func() { m.work(ctx, job{"message", m.messages, m.Enricher.Enrich}) })
		}
		all.Go(func() { m.every(ctx, sweepEvery, "sweeping the waiting messages failed", m.Sweep) })
	}
	all.Wait()
}

// free takes back the leases of polls and censuses that were cut off when the last run ended: no other process uses the
// folder.
func (m *Machine) free(ctx context.Context) error {
	followed, err := m.Registry.Followed(ctx)
	if err != nil {
		return err
	}
	for _, c := range followed {
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

// every does something at once and then again and again until ctx ends, with a pause in between. It logs a failure and
// goes on.
func (m *Machine) every(ctx context.Context, wait time.Duration, failed string, do func(context.Context) error) {
	for ctx.Err() == nil {
		if err := do(ctx); err != nil && ctx.Err() == nil {
			m.config.Log.Error(failed, "err", err)
		}
		_ = pace.Sleep(ctx, wait) // the loop looks at ctx
	}
}

// count takes the census of every tenant where it is due. A run that takes long delays only the next run: unknown
// senders are looked up at once.
func (m *Machine) count(ctx context.Context) error {
	outcome, err := m.Census.Run(ctx)
	if outcome.Finished > 0 {
		m.config.Log.Info("census taken", outcome.Attrs()...)
	}
	return err
}

// pack packs settled mail into segments, and merges segments.
func (m *Machine) pack(ctx context.Context) error {
	outcome, err := m.Packer.Run(ctx)
	if outcome != (search.PackOutcome{}) {
		m.config.Log.Info("packed", outcome.Attrs()...)
	}
	return err
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
		default: // a later tick will find a slot
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

// job is what a worker does with each message of a queue.
type job struct {
	what  string // a message of the queue, in one word
	queue *embedded.Queue
	do    func(ctx context.Context, body []byte) error
}

// work takes messages off the queue, one at a time, until ctx ends. The message that it is working on then is finished,
// unless that takes longer than a shutdown may.
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

// graceful returns a context that outlives ctx by the time that a shutdown may take.
func graceful(ctx context.Context) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(shutdown, cancel) })
	return longer, func() { stop(); cancel() }
}

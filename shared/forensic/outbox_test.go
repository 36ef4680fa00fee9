package forensic_test

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"testing"

	"github.com/mailtrail/mailtrail/shared/forensic"
	"github.com/mailtrail/mailtrail/shared/queue"
)

// outbox is a queue that keeps what it was sent.
type outbox struct {
	mu     sync.Mutex
	bodies []forensic.Waiting
	groups []string
}

func (o *outbox) Send(_ context.Context, messages ...queue.Message) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, m := range messages {
		var w forensic.Waiting
		if err := json.Unmarshal(m.Body, &w); err != nil {
			return err
		}
		o.bodies, o.groups = append(o.bodies, w), append(o.groups, m.Group)
	}
	return nil
}

// enrich does what whoever enriches does with all that was sent.
func (o *outbox) enrich(t *testing.T, d *forensic.Desk) {
	t.Helper()
	bodies := o.bodies
	o.bodies = nil
	var all sync.WaitGroup
	for some := range slices.Chunk(bodies, 1+len(bodies)/16) {
		all.Go(func() {
			for _, b := range some {
				m, settled, err := d.Load(context.Background(), b.Connection, b.Record)
				if err == nil && !settled {
					err = d.Settle(context.Background(), m, finding(0))
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}

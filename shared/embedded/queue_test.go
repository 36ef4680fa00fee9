package embedded_test

import (
	"testing"

	"github.com/mailtrail/mailtrail/shared/embedded"
	"github.com/mailtrail/mailtrail/shared/queue"
	"github.com/mailtrail/mailtrail/shared/queue/queuetest"
)

// The suite runs on a clock that is moved by hand, and on the real one, on which nobody looks at the clock again and
// again.
func TestQueueKeepsTheContract(t *testing.T) {
	c := newClock()
	moved := open(t, t.TempDir(), embedded.Options{Now: c.now})
	t.Run("moved", func(t *testing.T) {
		queuetest.Run(t, queuetest.Options{Advance: c.advance}, func(t *testing.T) queue.Queue {
			return moved.Queue(t.Name(), embedded.QueueOptions{MaxReceives: 5})
		})
	})
	real := open(t, t.TempDir(), embedded.Options{})
	t.Run("real", func(t *testing.T) {
		queuetest.Run(t, queuetest.Options{}, func(t *testing.T) queue.Queue {
			return real.Queue(t.Name(), embedded.QueueOptions{MaxReceives: 5})
		})
	})
}

package embedded_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/embedded"
	"github.com/mailtrail/mailtrail/shared/table"
	"github.com/mailtrail/mailtrail/shared/table/tabletest"
)

// clock is a clock that only moves when told to.
type clock struct{ nanoseconds atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.nanoseconds.Store(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.nanoseconds.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.nanoseconds.Add(int64(d)) }

func TestTableKeepsTheContract(t *testing.T) {
	c := newClock()
	s := open(t, t.TempDir(), embedded.Options{Now: c.now})
	tabletest.Run(t, tabletest.Options{Now: c.now, Advance: c.advance}, func(t *testing.T) table.Table {
		return s.Table(t.Name())
	})
}

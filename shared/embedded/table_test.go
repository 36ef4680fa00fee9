package embedded_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/mailtrail/mailtrail/shared/embedded"
	"github.com/mailtrail/mailtrail/shared/table"
	"github.com/mailtrail/mailtrail/shared/table/tabletest"
)

// clock is a clock that moves only when a test moves it.
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

// TestOneCreatorUnderPressure starts creators at the same moment, on a disk without delay, so that they meet between a
// look and a write, which they hardly do in the suite.
func TestOneCreatorUnderPressure(t *testing.T) {
	disk := vfs.NewMem()
	if err := disk.MkdirAll("store", 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := embedded.OpenOn(disk, "store", embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer shut(t, s)
	tab := s.Table("t")
	const creators = 4
	for round := range 3000 {
		it := table.Item{Key: table.Key{Partition: "p", Sort: fmt.Sprint(round)}}
		var wins atomic.Int32
		var ready, done sync.WaitGroup
		ready.Add(creators)
		for i := range creators {
			done.Go(func() {
				ready.Done()
				ready.Wait()
				if i%2 == 0 {
					if tab.Commit(t.Context(), table.Op{Verb: table.Create, Item: it}) == nil {
						wins.Add(1)
					}
				} else if created, err := tab.Create(t.Context(), it); err == nil && created[0] {
					wins.Add(1)
				}
			})
		}
		done.Wait()
		if wins.Load() != 1 {
			t.Fatalf("item %d has %d creators", round, wins.Load())
		}
	}
}

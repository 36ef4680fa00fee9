package embedded_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/embedded"
	"github.com/mailtrail/mailtrail/shared/queue"
	"github.com/mailtrail/mailtrail/shared/table"
)

// posting is an item as the term index has them, of 100 bytes, in random places of 100,000 partitions.
func posting(n uint64) table.Item {
	random := n * 0x9e3779b97f4a7c15
	return table.Item{Key: table.Key{
		Partition: fmt.Sprintf("connection-1|sender|someone.%08d@example.com", random%100_000),
		Sort:      fmt.Sprintf("20260301T120000Z|%016x%016x", n, random),
	}}
}

func postings(from, n uint64) []table.Item {
	items := make([]table.Item, n)
	for i := range items {
		items[i] = posting(from + uint64(i))
	}
	return items
}

func rate(b *testing.B, n int64, unit string) {
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), unit)
}

// BenchmarkLoad loads batches of 500, each of them synced.
func BenchmarkLoad(b *testing.B) {
	tab := open(b, b.TempDir(), embedded.Options{}).Table("t")
	var n uint64
	for b.Loop() {
		if err := tab.Load(b.Context(), postings(n, 500)...); err != nil {
			b.Fatal(err)
		}
		n += 500
	}
	rate(b, int64(n), "items/s")
}

// BenchmarkCreate creates batches of 100 in 8 goroutines, each batch synced.
func BenchmarkCreate(b *testing.B) {
	tab := open(b, b.TempDir(), embedded.Options{}).Table("t")
	var n atomic.Uint64
	b.SetParallelism(8 / runtime.GOMAXPROCS(0))
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := tab.Create(context.Background(), postings(n.Add(100), 100)...); err != nil {
				b.Error(err)
			}
		}
	})
	rate(b, int64(n.Load()), "items/s")
}

// BenchmarkCommit commits three operations, in more and more goroutines that share syncs.
func BenchmarkCommit(b *testing.B) {
	for _, goroutines := range []int{1, 16, 128} {
		b.Run(fmt.Sprint(goroutines), func(b *testing.B) {
			tab := open(b, b.TempDir(), embedded.Options{}).Table("t")
			var n atomic.Uint64
			b.SetParallelism(max(1, goroutines/runtime.GOMAXPROCS(0)))
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					at := n.Add(3)
					err := tab.Commit(context.Background(),
						table.Op{Verb: table.Create, Item: posting(at)},
						table.Op{Verb: table.Put, Item: posting(at + 1)},
						table.Op{Verb: table.Check, Item: table.Item{Key: posting(at + 2).Key}})
					if err != nil {
						b.Error(err)
					}
				}
			})
			rate(b, int64(b.N), "commits/s")
		})
	}
}

// BenchmarkQuery reads pages of 50 from 1 million items, and one item by its key.
func BenchmarkQuery(b *testing.B) {
	tab := open(b, b.TempDir(), embedded.Options{}).Table("t")
	const items = 1_000_000
	for n := uint64(0); n < items; n += 10_000 {
		if err := tab.Load(b.Context(), postings(n, 10_000)...); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("10 of a partition", func(b *testing.B) {
		var n uint64
		for b.Loop() {
			n += 7919
			for _, err := range tab.Query(b.Context(),
				table.Query{Partition: posting(n % items).Partition, Backward: true, Limit: 10}) {
				if err != nil {
					b.Fatal(err)
				}
			}
		}
	})
	b.Run("get", func(b *testing.B) {
		var n uint64
		for b.Loop() {
			n += 7919
			if _, err := tab.Get(b.Context(), posting(n%items).Key); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func messages(n int) []queue.Message {
	batch := make([]queue.Message, n)
	for i := range batch {
		batch[i] = queue.Message{Body: make([]byte, 200), Group: fmt.Sprint(i % 10)}
	}
	return batch
}

// BenchmarkSend sends batches of 500, each of them synced.
func BenchmarkSend(b *testing.B) {
	q := open(b, b.TempDir(), embedded.Options{}).Queue("q", embedded.QueueOptions{})
	batch := messages(500)
	for b.Loop() {
		if err := q.Send(b.Context(), batch...); err != nil {
			b.Fatal(err)
		}
	}
	rate(b, int64(b.N)*500, "messages/s")
}

// BenchmarkReceive receives ten at a time and finishes each of them, in 32 goroutines.
func BenchmarkReceive(b *testing.B) {
	q := open(b, b.TempDir(), embedded.Options{}).Queue("q",
		embedded.QueueOptions{MaxReceives: 3, MaxInFlightPerGroup: 1000})
	for n := 0; n < b.N; n += 1000 {
		if err := q.Send(b.Context(), messages(1000)...); err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	var done atomic.Int64
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for done.Load() < int64(b.N) {
				ds, err := q.Receive(b.Context(), 10, 0, time.Minute)
				if err != nil {
					b.Error(err)
					return
				}
				for _, d := range ds {
					if err := q.Done(b.Context(), d); err != nil {
						b.Error(err)
						return
					}
				}
				done.Add(int64(len(ds)))
			}
		})
	}
	wg.Wait()
	rate(b, done.Load(), "messages/s")
}

// BenchmarkBacklog measures what a waiting message takes of memory, and how long a folder full of them takes to open.
func BenchmarkBacklog(b *testing.B) {
	const waiting = 1_000_000
	dir := b.TempDir()
	s := open(b, dir, embedded.Options{})
	for range waiting / 10_000 {
		if err := s.Queue("q", embedded.QueueOptions{}).Send(b.Context(), messages(10_000)...); err != nil {
			b.Fatal(err)
		}
	}
	shut(b, s)
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	for b.Loop() {
		b.StopTimer()
		before := heap()
		b.StartTimer()
		s := open(b, dir, embedded.Options{})
		b.StopTimer()
		if ready, err := s.Queue("q", embedded.QueueOptions{}).Depth(b.Context()); err != nil || ready.Ready != waiting {
			b.Fatal(ready, err)
		}
		b.ReportMetric(float64(heap()-before)/waiting, "bytes/message")
		shut(b, s)
		b.StartTimer()
	}
}

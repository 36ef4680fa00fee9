package embedded_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/embedded"
	"github.com/mailtrail/mailtrail/shared/queue"
)

func TestQueueSmoke(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	s := open(t, dir, embedded.Options{})
	q := s.Queue("q", embedded.QueueOptions{MaxReceives: 2})
	fmt.Println(q.Send(ctx, queue.Message{Body: []byte("a"), Group: "1"}, queue.Message{Body: []byte("b"), Group: "1"}, queue.Message{Body: []byte("c"), Group: "2"}))
	d, err := q.Receive(ctx, 2, 0, time.Second)
	fmt.Println(d, err)
	fmt.Println(q.Done(ctx, d[0]))
	fmt.Println(q.Hide(ctx, d[1], 0))
	fmt.Println(q.Receive(ctx, 5, time.Second, 10*time.Millisecond))
	time.Sleep(20 * time.Millisecond)
	fmt.Println(q.Depth(ctx))
	fmt.Println(q.Dead(ctx, "", 10))
	s.Close()
	s = open(t, dir, embedded.Options{})
	q = s.Queue("q", embedded.QueueOptions{MaxReceives: 2})
	fmt.Println(q.Depth(ctx))
	fmt.Println(q.Receive(ctx, 5, time.Second, 10*time.Millisecond))
	_, err = embedded.Open(dir, embedded.Options{})
	fmt.Println(err)
}

func BenchmarkQueue(b *testing.B) {
	ctx := context.Background()
	s := open(b, b.TempDir(), embedded.Options{})
	q := s.Queue("q", embedded.QueueOptions{MaxReceives: 2})
	batch := make([]queue.Message, 500)
	for i := range batch {
		batch[i] = queue.Message{Body: make([]byte, 200), Group: fmt.Sprint(i % 10)}
	}
	n := 100000
	start := time.Now()
	for i := 0; i < n; i += 500 {
		if err := q.Send(ctx, batch...); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)/time.Since(start).Seconds(), "send/s")
	start = time.Now()
	var done atomic.Int64
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for {
				ds, err := q.Receive(ctx, 10, 0, time.Minute)
				if err != nil {
					b.Error(err)
				}
				if len(ds) == 0 {
					return
				}
				for _, d := range ds {
					if err := q.Done(ctx, d); err != nil {
						b.Error(err)
					}
				}
				done.Add(int64(len(ds)))
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(done.Load())/time.Since(start).Seconds(), "done/s")
}

package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/mailtrail/mailtrail/shared/embedded"
	"github.com/mailtrail/mailtrail/shared/table"
)

func open(tb testing.TB, dir string, o embedded.Options) *embedded.Store {
	tb.Helper()
	s, err := embedded.Open(dir, o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil && !errors.Is(err, embedded.ErrClosed) {
			tb.Error(err)
		}
	})
	return s
}

func TestSmoke(t *testing.T) {
	s := open(t, t.TempDir(), embedded.Options{})
	tab := s.Table("x")
	ctx := context.Background()
	it := table.Item{Key: table.Key{Partition: "p", Sort: "s"}, Attrs: table.Attrs{"a": int64(1), "l": []string{"x"}}}
	fmt.Println(tab.Create(ctx, it, it))
	fmt.Println(tab.Get(ctx, it.Key))
	fmt.Println(tab.Load(ctx, it))
	for i, err := range tab.Query(ctx, table.Query{Partition: "p", Backward: true}) {
		fmt.Println(i, err)
	}
	fmt.Println(tab.Commit(ctx, table.Op{Verb: table.Check, Item: it}))
	fmt.Println(tab.Units())
}

func BenchmarkLoad(b *testing.B) {
	s := open(b, b.TempDir(), embedded.Options{})
	tab := s.Table("x")
	ctx := context.Background()
	b.ResetTimer()
	n := uint64(0)
	for b.Loop() {
		items := make([]table.Item, 500)
		for i := range items {
			n++
			items[i] = table.Item{Key: table.Key{Partition: fmt.Sprintf("connection-1|sender|%016x", n*0x9e3779b97f4a7c15%100000), Sort: fmt.Sprintf("%016x%016x", n, n*0x9e3779b97f4a7c15)}}
		}
		if err := tab.Load(ctx, items...); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "items/s")
}

package embedded

import (
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/mailtrail/mailtrail/shared/table"
)

// stored counts the items in the store, expired or not.
func stored(t *testing.T, s *Store) (n int) {
	t.Helper()
	rows, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{kindItem}, UpperBound: []byte{kindItem + 1}})
	if err != nil {
		t.Fatal(err)
	}
	for ok := rows.First(); ok; ok = rows.Next() {
		n++
	}
	if err := rows.Close(); err != nil {
		t.Fatal(err)
	}
	return n
}

func sweepAll(t *testing.T, s *Store) (batches int) {
	t.Helper()
	for from := []byte{kindItem}; from != nil; batches++ {
		next, err := s.sweep(from)
		if err != nil {
			t.Fatal(err)
		}
		from = next
	}
	return batches
}

// TestJanitor deletes what has expired and nothing else, whether it lies in memory or in files.
func TestJanitor(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	s, err := Open(t.TempDir(), Options{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	tab := s.Table("t")
	put := func(first, n int, expires time.Time) {
		t.Helper()
		var items []table.Item
		for i := range n {
			items = append(items, table.Item{
				Key:     table.Key{Partition: fmt.Sprint("p", i%7), Sort: fmt.Sprintf("%05d", first+i)},
				Attrs:   table.Attrs{"n": int64(i)},
				Expires: expires,
			})
		}
		if err := tab.Load(t.Context(), items...); err != nil {
			t.Fatal(err)
		}
	}
	flush := func() {
		t.Helper()
		if err := s.db.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	put(0, 2500, now.Add(time.Minute))
	put(10_000, 300, now.Add(time.Hour))
	put(20_000, 300, time.Time{})
	sweepAll(t, s)
	if got := stored(t, s); got != 3100 {
		t.Fatalf("%d items before anything expired, want 3100", got)
	}
	flush()
	put(0, 70, now.Add(2*time.Hour)) // written anew above what has been flushed
	flush()
	put(70, 70, time.Time{})
	now = now.Add(time.Minute)
	if batches := sweepAll(t, s); batches < 3 {
		t.Errorf("2360 items deleted in %d batches: a batch is not bounded", batches)
	}
	if got := stored(t, s); got != 740 {
		t.Errorf("%d items after the first expiry, want 740", got)
	}
	now = now.Add(time.Hour)
	sweepAll(t, s)
	if got := stored(t, s); got != 440 {
		t.Errorf("%d items after the second expiry, want 440", got)
	}
}

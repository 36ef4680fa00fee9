package table_test

import (
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/table"
)

// The sizes follow "DynamoDB item sizes and formats" of the developer guide.
func TestSize(t *testing.T) {
	const keys = len("pk") + len("p") + len("sk") + len("s")
	tests := []struct {
		name string
		item table.Item
		want int // besides the keys
	}{
		{"bare", table.Item{}, 0},
		{"expires", table.Item{Expires: time.Unix(1_772_366_400, 0)}, 3 + 5}, // 8 significant digits
		{"revision", table.Item{Revision: 123}, 3 + 3},
		{"text", table.Item{Attrs: table.Attrs{"name": "value"}}, 4 + 5},
		{"text is counted in bytes", table.Item{Attrs: table.Attrs{"ä": "😀"}}, 2 + 4},
		{"empty text", table.Item{Attrs: table.Attrs{"n": ""}}, 1},
		{"bool", table.Item{Attrs: table.Attrs{"n": false}}, 1 + 1},
		{"zero", table.Item{Attrs: table.Attrs{"n": int64(0)}}, 1 + 1},
		{"one digit", table.Item{Attrs: table.Attrs{"n": int64(7)}}, 1 + 2},
		{"two digits", table.Item{Attrs: table.Attrs{"n": int64(27)}}, 1 + 2},
		{"three digits", table.Item{Attrs: table.Attrs{"n": int64(127)}}, 1 + 3},
		{"trailing zeros do not count", table.Item{Attrs: table.Attrs{"n": int64(27_000_000)}}, 1 + 2},
		{"minus counts", table.Item{Attrs: table.Attrs{"n": int64(-27)}}, 1 + 3},
		{"greatest", table.Item{Attrs: table.Attrs{"n": int64(math.MaxInt64)}}, 1 + 11},
		{"least", table.Item{Attrs: table.Attrs{"n": int64(math.MinInt64)}}, 1 + 12},
		{"list", table.Item{Attrs: table.Attrs{"n": []string{"ab", "c", ""}}}, 1 + 3 + 3*1 + 3},
		{"empty list is not stored", table.Item{Attrs: table.Attrs{"n": []string{}, "m": []table.Attrs{}}}, 0},
		{"empty map", table.Item{Attrs: table.Attrs{"n": table.Attrs{}}}, 1 + 3},
		{"map", table.Item{Attrs: table.Attrs{"n": table.Attrs{"a": "b", "c": true}}}, 1 + 3 + 2*1 + (1 + 1) + (1 + 1)},
		{"map with an empty list", table.Item{Attrs: table.Attrs{"n": table.Attrs{"l": []string{}}}}, 1 + 3},
		{"list of maps", table.Item{Attrs: table.Attrs{"n": []table.Attrs{{"a": "b"}, {}}}}, 1 + 3 + 2*1 + (3 + 1 + 2) + 3},
	}
	for _, test := range tests {
		test.item.Key = table.Key{Partition: "p", Sort: "s"}
		if got := table.Size(test.item); got != keys+test.want {
			t.Errorf("%s: %d bytes, want %d", test.name, got, keys+test.want)
		}
	}
}

const kb = 1024

// The examples are those of "DynamoDB read and write operations" and "DynamoDB on-demand capacity mode".
func TestMeter(t *testing.T) {
	tests := []struct {
		name        string
		do          func(m *table.Meter)
		read, write float64
	}{
		{"item of 512 bytes written", func(m *table.Meter) { m.Write(512) }, 0, 1},
		{"item of 1 KB written", func(m *table.Meter) { m.Write(kb) }, 0, 1},
		{"item of 1.5 KB written", func(m *table.Meter) { m.Write(kb + kb/2) }, 0, 2},
		{"item of 2 KB written", func(m *table.Meter) { m.Write(2 * kb) }, 0, 2},
		{"item of 2 KB written in a transaction", func(m *table.Meter) { m.Commit(2 * kb) }, 0, 4},
		{"transaction of three items of 500 bytes", func(m *table.Meter) { m.Commit(500, 500, 500) }, 0, 6},
		{"batch of 500 bytes and 3.5 KB written", func(m *table.Meter) { m.Write(500, 3*kb+kb/2) }, 0, 5},
		{"item deleted that is not there", func(m *table.Meter) { m.Write(0) }, 0, 1},
		{"greatest item written", func(m *table.Meter) { m.Write(table.MaxItem) }, 0, 400},
		{"item of 3500 bytes read", func(m *table.Meter) { m.Get(3500) }, 1, 0},
		{"item of 4 KB read", func(m *table.Meter) { m.Get(4 * kb) }, 1, 0},
		{"item of 8 KB read", func(m *table.Meter) { m.Get(8 * kb) }, 2, 0},
		{"item of 17 KB read", func(m *table.Meter) { m.Get(17 * kb) }, 5, 0},
		{"item read that is not there", func(m *table.Meter) { m.Get(0) }, 1, 0},
		{"items of 1.5 KB and 6.5 KB read in a batch", func(m *table.Meter) { m.Get(kb + kb/2); m.Get(6*kb + kb/2) }, 3, 0},
		{"query of 40.8 KB", func(m *table.Meter) { m.Page(408*kb/10, false) }, 11, 0},
		{"query of 1500 items of 64 bytes", func(m *table.Meter) { m.Page(1500*64, false) }, 24, 0},
		{"eventual query of 1500 items of 64 bytes", func(m *table.Meter) { m.Page(1500*64, true) }, 12, 0},
		{"eventual query of 8 KB", func(m *table.Meter) { m.Page(8*kb, true) }, 1, 0},
		{"eventual query that finds nothing", func(m *table.Meter) { m.Page(0, true) }, 0.5, 0},
	}
	for _, test := range tests {
		var m table.Meter
		test.do(&m)
		if got := m.Units(); got.Read != test.read || got.Write != test.write {
			t.Errorf("%s: %+v, want %g read and %g write units", test.name, got, test.read, test.write)
		}
	}
}

func TestMeterCountsOperationsOfMany(t *testing.T) {
	var m table.Meter
	m.Write(1)
	before := m.Units()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				m.Get(5 * kb)
				m.Page(5*kb, true)
				m.Write(1, 1025)
				m.Commit(1)
			}
		})
	}
	wg.Wait()
	want := table.Units{Read: 8000 * (2 + 1), Write: 8000 * (3 + 2), Reads: 16000, Writes: 24000}
	if got := m.Units().Sub(before); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func BenchmarkSize(b *testing.B) {
	item := table.Item{
		Key: table.Key{Partition: "connection|sender|ann@example.com", Sort: "20260301T120000Z|message"},
		Attrs: table.Attrs{"subject": strings.Repeat("x", 80), "bytes": int64(123456),
			"to": []string{"a@example.com", "b@example.com"}},
	}
	for b.Loop() {
		table.Size(item)
	}
}

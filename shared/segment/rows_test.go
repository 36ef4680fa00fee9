package segment

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestRowsComeBackWhatTheyWere has lists that are stored in each of the forms, alone and mixed.
func TestRowsComeBackWhatTheyWere(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	total := 5 * chunkRows
	for range 300 {
		var rows []uint32
		for chunk := range 5 {
			base := uint32(chunk * chunkRows)
			switch r.IntN(5) {
			case 0: // a run
				from, n := r.IntN(chunkRows), 0
				for n = 1 + r.IntN(chunkRows-from); n > 0; n-- {
					rows = append(rows, base+uint32(from))
					from++
				}
			case 1: // few
				for _, i := range r.Perm(chunkRows)[:1+r.IntN(20)] {
					rows = append(rows, base+uint32(i))
				}
			case 2: // many
				for i := range chunkRows {
					if r.IntN(3) == 0 {
						rows = append(rows, base+uint32(i))
					}
				}
			case 3: // all
				for i := range chunkRows {
					rows = append(rows, base+uint32(i))
				}
			}
		}
		if len(rows) < 2 {
			continue
		}
		slices.Sort(rows)
		b := appendRows(nil, rows)
		all, enough, ok := readDirectory(b, len(b), total)
		if !ok || !enough {
			t.Fatal("the directory cannot be read")
		}
		var got []uint32
		for _, e := range all {
			var set bitmap
			if !e.read(b[e.from:e.to], &set) || set.count() != e.rows {
				t.Fatalf("chunk %d: %d rows, want %d", e.chunk, set.count(), e.rows)
			}
			fromBits := set.appendTo(nil, uint32(e.chunk)*chunkRows)
			if got, ok = e.appendTo(got, b[e.from:e.to]); !ok || !slices.Equal(fromBits, got[len(got)-e.rows:]) {
				t.Fatalf("chunk %d differs when it is read as a list", e.chunk)
			}
		}
		if !slices.Equal(got, rows) {
			t.Fatalf("%d rows came back, want %d", len(got), len(rows))
		}
	}
}

func TestPackedNumbersComeBack(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for w := range 65 {
		numbers := make([]uint64, 200)
		for i := range numbers {
			if w > 0 {
				numbers[i] = r.Uint64() & mask(w)
			}
		}
		b := appendPacked([]byte{1, 2, 3}, numbers, w)
		if len(b) != 3+packedBytes(len(numbers), w) {
			t.Fatalf("%d bits: %d bytes", w, len(b))
		}
		p := packed{b[3:], w}
		for i, n := range numbers {
			if p.at(i) != n {
				t.Fatalf("%d bits: number %d is %x, want %x", w, i, p.at(i), n)
			}
		}
	}
	for _, numbers := range [][]int64{{-1 << 63, 1<<63 - 1, 0}, {5}, {-7, -7}} {
		in := input{b: appendNumbers(nil, numbers)}
		got := in.numbers(len(numbers))
		for i, n := range numbers {
			if got.at(i) != n {
				t.Errorf("%v: number %d is %d", numbers, i, got.at(i))
			}
		}
	}
}

// FuzzRows reads lists that nobody wrote.
func FuzzRows(f *testing.F) {
	f.Add(appendRows(nil, []uint32{1, 5, 70_000}))
	f.Add(appendRows(nil, []uint32{0, 1, 2, 3}))
	f.Fuzz(func(t *testing.T, b []byte) {
		all, _, ok := readDirectory(b, len(b), 3*chunkRows)
		if !ok {
			return
		}
		for _, e := range all {
			var set bitmap
			list, whole := e.appendTo(nil, b[e.from:e.to])
			if e.read(b[e.from:e.to], &set) != whole {
				t.Errorf("chunk %d is whole in one form only", e.chunk)
			}
			if whole && !slices.IsSorted(list) {
				t.Errorf("chunk %d does not ascend", e.chunk)
			}
		}
	})
}

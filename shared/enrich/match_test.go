package enrich

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/mailtrail/mailtrail/shared/forensic"
)

func TestMatch(t *testing.T) {
	f := func(name string, size int64) forensic.File { return forensic.File{Name: name, StoredSize: size} }
	a := func(name string, size int64) Attached { return Attached{Name: name, StoredSize: size} }
	long := strings.Repeat("very long file name ", 15)
	for _, tc := range []struct {
		name     string
		files    []forensic.File
		attached []Attached
		want     []int
	}{
		{"the same", []forensic.File{f("a", 1), f("b", 2)}, []Attached{a("a", 1), a("b", 2)}, []int{0, 1}},
		{"another order", []forensic.File{f("a", 1), f("b", 2)}, []Attached{a("b", 2), a("a", 1)}, []int{1, 0}},
		{"another size", []forensic.File{f("a", 598)}, []Attached{a("a", 646)}, []int{0}},
		{"twins by size", []forensic.File{f("r.pdf", 900), f("r.pdf", 100)}, []Attached{a("r.pdf", 120), a("r.pdf", 920)},
			[]int{1, 0}},
		{"twins of one size", []forensic.File{f("r.pdf", 9), f("r.pdf", 9)}, []Attached{a("r.pdf", 9), a("r.pdf", 9)},
			[]int{0, 1}},
		{"three of a kind, one gone", []forensic.File{f("i.png", 10), f("i.png", 50), f("i.png", 90)},
			[]Attached{a("i.png", 91), a("i.png", 49)}, []int{2, 1}},
		{"three of a kind, one new", []forensic.File{f("i.png", 50), f("i.png", 90)},
			[]Attached{a("i.png", 91), a("i.png", 49), a("i.png", 10)}, []int{1, 0, -1}},
		{"the record has one more", []forensic.File{f("a", 1), f("b", 2000)}, []Attached{a("a", 1)}, []int{0}},
		{"the message has one more", []forensic.File{f("a", 1)}, []Attached{a("a", 1), a("b", 2000)}, []int{0, -1}},
		{"letter case", []forensic.File{f("Report.PDF", 5)}, []Attached{a("report.pdf", 99)}, []int{0}},
		{"characters that were replaced", []forensic.File{f("a:b/c?.txt", 5)}, []Attached{a("a_b_c_.txt", 9999)}, []int{0}},
		{"a line break that became a blank", []forensic.File{f("first\nline.txt", 5)}, []Attached{a("first_line.txt", 7)},
			[]int{0}},
		{"a name that was cut", []forensic.File{f(long[:200], 77)}, []Attached{a(long+".pdf", 90)}, []int{0}},
		{"a name that was cut before its extension", []forensic.File{f(long[:100]+".pdf", 77)},
			[]Attached{a(long+".pdf", 90)}, []int{0}},
		{"short names are not cut", []forensic.File{f("a", 500)}, []Attached{a("abc", 90)}, []int{-1}},
		{"no name in the message", []forensic.File{f("image.png", 5000)}, []Attached{a("", 5100)}, []int{0}},
		{"no name, and nothing like it", []forensic.File{f("image.png", 5000)}, []Attached{a("", 90_000)}, []int{-1}},
		{"renamed", []forensic.File{f("ATT00001.bin", 4321), f("other", 77)}, []Attached{a("winmail.dat", 4323)}, []int{0}},
		{"renamed, but two may be meant", []forensic.File{f("x", 4321), f("y", 4320)}, []Attached{a("winmail.dat", 4323)},
			[]int{-1}},
		{"sizes unknown", []forensic.File{f("a", -1), f("a", 10)}, []Attached{a("a", 11), a("a", -1)}, []int{1, 0}},
		{"nothing told", nil, []Attached{a("a", 1)}, []int{-1}},
		{"nothing there", []forensic.File{f("a", 1)}, nil, []int{}},
	} {
		if got := match(tc.files, tc.attached); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}

// oneToOne fails when a file has two attachments, or one is named that is none.
func oneToOne(t *testing.T, files []forensic.File, of []int, attached int) {
	t.Helper()
	if len(of) != attached {
		t.Fatalf("%d partners for %d attachments", len(of), attached)
	}
	seen := map[int]bool{}
	for _, f := range of {
		if f < -1 || f >= len(files) || f >= 0 && seen[f] {
			t.Fatalf("partners %v of %d files", of, len(files))
		}
		seen[f] = true
	}
}

func TestMatchingIsOneToOneWholeAndIndependentOfTheOrder(t *testing.T) {
	names := []string{"image001.png", "image002.png", "report.pdf", "Report.pdf", "", "a/b.txt", "a_b.txt",
		strings.Repeat("long name ", 5) + ".docx", strings.Repeat("long name ", 5)}
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 1))
		var files []forensic.File
		var attached []Attached
		for i := range r.IntN(12) {
			// sizes of their own, so that the order decides nothing
			name, size := names[r.IntN(len(names))], int64(i)*5000+r.Int64N(4000)
			if r.IntN(8) > 0 {
				files = append(files, forensic.File{Name: name, StoredSize: size})
			}
			if r.IntN(8) > 0 {
				attached = append(attached, Attached{ID: fmt.Sprint(i), Name: name, StoredSize: size + r.Int64N(3)})
			}
		}
		of := match(files, attached)
		oneToOne(t, files, of, len(attached))
		for _, name := range names {
			left, right := 0, 0
			for i, f := range files {
				if f.Name == name && name != "" && !slices.Contains(of, i) {
					left++
				}
			}
			for i, a := range attached {
				if a.Name == name && of[i] < 0 {
					right++
				}
			}
			if left > 0 && right > 0 {
				t.Fatalf("seed %d: %q is left on both sides: %v of %v and %v", seed, name, of, files, attached)
			}
		}

		shuffled := r.Perm(len(attached))
		mixed := make([]Attached, len(attached))
		for to, from := range shuffled {
			mixed[to] = attached[from]
		}
		again := match(files, mixed)
		for to, from := range shuffled {
			if again[to] != of[from] {
				t.Fatalf("seed %d: attachment %q is file %d, and in another order file %d", seed, attached[from].Name, of[from],
					again[to])
			}
		}
	}
}

func TestMatchingIsAsCheapAsCanBe(t *testing.T) {
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 2))
		few, many := 1+r.IntN(4), 0
		many = few + r.IntN(4)
		x, y := make([]int64, few), make([]int64, many)
		for i := range x {
			x[i] = r.Int64N(100)
		}
		for i := range y {
			y[i] = r.Int64N(100)
		}
		slices.Sort(x)
		slices.Sort(y)
		total := int64(0)
		for i, j := range align(few, many, func(i, j int) int64 { return abs(x[i] - y[j]) }) {
			total += abs(x[i] - y[j])
		}
		if best := cheapest(x, y); total != best {
			t.Fatalf("seed %d: %v and %v cost %d, and can cost %d", seed, x, y, total, best)
		}
	}
}

// cheapest tries all.
func cheapest(x, y []int64) int64 {
	if len(x) == 0 {
		return 0
	}
	best := int64(1 << 60)
	for j := range y {
		rest := slices.Delete(slices.Clone(y), j, j+1)
		best = min(best, abs(x[0]-y[j])+cheapest(x[1:], rest))
	}
	return best
}

func FuzzMatch(f *testing.F) {
	f.Add("a\nb", "b\na", uint8(3))
	f.Add("x\nx\nx", "x\nx", uint8(200))
	f.Add("", "", uint8(0))
	f.Fuzz(func(t *testing.T, told, listed string, step uint8) {
		var files []forensic.File
		var attached []Attached
		for i, name := range strings.Split(told, "\n") {
			files = append(files, forensic.File{Name: name, StoredSize: int64(i*int(step)) - 1})
		}
		for i, name := range strings.Split(listed, "\n") {
			attached = append(attached, Attached{Name: name, StoredSize: int64(i) * 7})
		}
		if len(files)*len(attached) > 4000 { // more than a mail has
			return
		}
		of := match(files, attached)
		oneToOne(t, files, of, len(attached))
		if !slices.Equal(of, match(files, attached)) {
			t.Error("the same again has other partners")
		}
	})
}

package enrich

import (
	"cmp"
	"slices"
	"strings"

	"github.com/mailtrail/mailtrail/shared/forensic"
)

const (
	shortestCut = 12      // letters that a name must keep to be taken for another one that was cut
	sameSize    = 8       // bytes that the stored size of one attachment may differ between the audit record and Graph
	nameless    = 1 << 10 // the same, for an attachment without a name
	unknownSize = 1 << 40 // what it costs to pair when a size is not known
	// pairs that are weighed against each other; beyond, attachments of one name go by the order of their sizes
	mostPairs = 1 << 20
)

// match returns, for each attachment, the index of the file in the audit record that it is, or -1. No file is
// used twice. The pairs depend on names and sizes, and on the order only where these are equal.
//
// Names come first: equal ones, then those that differ in letter case, blanks or characters that file systems
// refuse, then those of which one was cut. Of several with one name, those pair whose sizes lie nearest to each
// other. What is left pairs by size alone, if no other has that size.
func match(files []forensic.File, attached []Attached) []int {
	p := pairing{files: files, attached: attached, of: make([]int, len(attached)), taken: make([]bool, len(files))}
	for i := range p.of {
		p.of[i] = -1
	}
	p.byName(func(name string) string { return name })
	p.byName(plainName)
	p.near(func(file, name string) bool { return cutOf(plainName(file), plainName(name)) }, unknownSize)
	p.near(func(_, name string) bool { return strings.TrimSpace(name) == "" }, nameless)
	p.bySize()
	return p.of
}

// pairing is a match under way.
type pairing struct {
	files    []forensic.File
	attached []Attached
	of       []int  // by attachment
	taken    []bool // by file
}

// left are the files and attachments without a partner.
func (p *pairing) left() (files, attached []int) {
	for i, taken := range p.taken {
		if !taken {
			files = append(files, i)
		}
	}
	for i, file := range p.of {
		if file < 0 {
			attached = append(attached, i)
		}
	}
	return files, attached
}

func (p *pairing) pair(file, attached int) { p.of[attached], p.taken[file] = file, true }

// byName pairs what has the same name under key; an empty name is none.
func (p *pairing) byName(key func(string) string) {
	files, attached := p.left()
	named := make(map[string][]int)
	for _, i := range files {
		if name := key(p.files[i].Name); name != "" {
			named[name] = append(named[name], i)
		}
	}
	groups := make(map[string][]int)
	for _, i := range attached {
		if name := key(p.attached[i].Name); named[name] != nil {
			groups[name] = append(groups[name], i)
		}
	}
	for name, group := range groups { // groups have nothing in common, so their order does not matter
		p.nearest(named[name], group)
	}
}

// nearest pairs as many as there are of the fewer, so that the differences of their sizes are least in sum. In
// the order of sizes, pairs never need to cross.
func (p *pairing) nearest(files, attached []int) {
	bySize := func(size func(int) int64) func(x, y int) int {
		return func(x, y int) int { return cmp.Or(cmp.Compare(size(x), size(y)), cmp.Compare(x, y)) }
	}
	fileSize := func(i int) int64 { return known(p.files[i].StoredSize) }
	attachedSize := func(i int) int64 { return known(p.attached[i].StoredSize) }
	slices.SortFunc(files, bySize(fileSize))
	slices.SortFunc(attached, bySize(attachedSize))
	cost := func(f, a int) int64 { return min(unknownSize, abs(fileSize(files[f])-attachedSize(attached[a]))) }
	if len(files) > len(attached) {
		for a, f := range align(len(attached), len(files), func(a, f int) int64 { return cost(f, a) }) {
			p.pair(files[f], attached[a])
		}
		return
	}
	for f, a := range align(len(files), len(attached), cost) {
		p.pair(files[f], attached[a])
	}
}

// align gives each of few a partner among many, in the same order, at the least cost.
func align(few, many int, cost func(i, j int) int64) []int {
	partner := make([]int, few)
	for i := range partner {
		partner[i] = i
	}
	spare := many - few
	if spare == 0 || few*(spare+1) > mostPairs {
		return partner
	}
	// Partner i can be i+0 to i+spare. least[i][s] is the cost of the first i, none of which lies beyond its own
	// place by more than s.
	least := make([][]int64, few+1)
	least[0] = make([]int64, spare+1)
	for i := 1; i <= few; i++ {
		least[i] = make([]int64, spare+1)
		for s := range spare + 1 {
			least[i][s] = least[i-1][s] + cost(i-1, i-1+s)
			if s > 0 {
				least[i][s] = min(least[i][s], least[i][s-1])
			}
		}
	}
	for i, s := few, spare; i > 0; i-- {
		for s > 0 && least[i][s-1] == least[i][s] {
			s--
		}
		partner[i-1] = i - 1 + s
	}
	return partner
}

// near pairs what alike accepts, those of the nearest sizes first, as long as they differ by less than within.
func (p *pairing) near(alike func(file, name string) bool, within int64) {
	files, attached := p.left()
	if len(files)*len(attached) > mostPairs {
		return
	}
	type pair struct {
		apart          int64
		file, attached int
	}
	var pairs []pair
	for _, f := range files {
		for _, a := range attached {
			apart := abs(known(p.files[f].StoredSize) - known(p.attached[a].StoredSize))
			if apart < within && alike(p.files[f].Name, p.attached[a].Name) {
				pairs = append(pairs, pair{apart, f, a})
			}
		}
	}
	slices.SortFunc(pairs, func(x, y pair) int {
		return cmp.Or(cmp.Compare(x.apart, y.apart), cmp.Compare(x.file, y.file), cmp.Compare(x.attached, y.attached))
	})
	for _, one := range pairs {
		if !p.taken[one.file] && p.of[one.attached] < 0 {
			p.pair(one.file, one.attached)
		}
	}
}

// bySize pairs a file and an attachment that have each other's size, and share it with nothing else that is left.
func (p *pairing) bySize() {
	files, attached := p.left()
	if len(files)*len(attached) > mostPairs {
		return
	}
	only := func(size int64, among []int, of func(int) int64) int {
		one := -1
		for _, i := range among {
			if of(i) < 0 || size < 0 || abs(of(i)-size) > sameSize {
				continue
			}
			if one >= 0 {
				return -1
			}
			one = i
		}
		return one
	}
	fileSize := func(i int) int64 { return p.files[i].StoredSize }
	attachedSize := func(i int) int64 { return p.attached[i].StoredSize }
	for _, a := range attached {
		if f := only(attachedSize(a), files, fileSize); f >= 0 && only(fileSize(f), attached, attachedSize) == a {
			p.pair(f, a)
		}
	}
}

// known sorts unknown sizes behind all others.
func known(size int64) int64 {
	if size < 0 {
		return unknownSize
	}
	return size
}

func abs(n int64) int64 { return max(n, -n) }

// plainName is a name without what mail programs and file systems change about it.
func plainName(name string) string {
	name = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || strings.ContainsRune(`<>:"/\|?*`, r) {
			return '_'
		}
		return r
	}, name)
	return forensic.Normal(strings.Join(strings.Fields(name), " "))
}

// cutOf reports whether one of two plain names is the beginning of the other, perhaps with its extension kept.
func cutOf(x, y string) bool {
	if len(x) > len(y) {
		x, y = y, x
	}
	if len(x) < shortestCut {
		return false
	}
	stem := strings.TrimRight(strings.TrimSuffix(x, "."+forensic.Extension(x)), "._… ")
	return strings.HasPrefix(y, x) || len(stem) >= shortestCut && strings.HasPrefix(y, stem) &&
		forensic.Extension(x) == forensic.Extension(y)
}

package table

import (
	"sync/atomic"
	"time"
)

// The names of the attributes in which the adapters keep what is not in Attrs. They are short because every item has
// them, and DynamoDB counts names.
const (
	attrPartition = "pk"
	attrSort      = "sk"
	attrRevision  = "rev"
	attrExpires   = "ttl"
)

// Size is how many bytes item counts on DynamoDB: the names and values of its attributes, its keys included. The rules
// are those of "DynamoDB item sizes and formats"; AWS calls its own sizes of numbers approximate. A Revision of 0 and a
// zero Expires are not stored, and cost nothing.
func Size(item Item) int {
	size := len(attrPartition) + len(item.Partition) + len(attrSort) + len(item.Sort)
	if item.Revision != 0 {
		size += len(attrRevision) + sizeNumber(item.Revision)
	}
	if !item.Expires.IsZero() {
		size += len(attrExpires) + sizeNumber(item.Expires.Unix())
	}
	return size + sizeAttrs(item.Attrs)
}

// sizeAttrs counts names and values; an empty list is not stored.
func sizeAttrs(attrs Attrs) int {
	size := 0
	for name, value := range attrs {
		switch v := value.(type) {
		case string:
			size += len(name) + len(v)
		case []byte:
			size += len(name) + len(v)
		case int64:
			size += len(name) + sizeNumber(v)
		case bool:
			size += len(name) + 1
		case []string:
			if len(v) > 0 {
				size += len(name) + nested(len(v))
			}
			for _, s := range v {
				size += len(s)
			}
		case Attrs:
			size += len(name) + sizeMap(v)
		case []Attrs:
			if len(v) > 0 {
				size += len(name) + nested(len(v))
			}
			for _, a := range v {
				size += sizeMap(a)
			}
		}
	}
	return size
}

func sizeMap(attrs Attrs) int {
	entries := 0
	for _, value := range attrs {
		if !EmptyList(value) {
			entries++
		}
	}
	return nested(entries) + sizeAttrs(attrs)
}

// nested is what a list or a map costs besides its elements: 3 bytes, and 1 for each of them.
func nested(elements int) int { return 3 + elements }

// EmptyList reports whether value is a list without elements, which tables do not store.
func EmptyList(value any) bool {
	switch v := value.(type) {
	case []string:
		return len(v) == 0
	case []Attrs:
		return len(v) == 0
	}
	return false
}

// sizeNumber is one byte, one for each two significant digits, and one for a minus sign. Zeros at the end are not
// significant.
func sizeNumber(n int64) int {
	size, rest := 1, uint64(n)
	if n < 0 {
		size, rest = 2, -rest
	}
	for rest != 0 && rest%10 == 0 {
		rest /= 10
	}
	for ; rest != 0; rest /= 100 {
		size++
	}
	return size
}

// Units are what operations cost on DynamoDB in request units ("DynamoDB read and write operations"), and how many they
// were.
type Units struct {
	Read  float64 // strongly consistent: 1 for each begun 4 KB; eventually consistent: half of that
	Write float64 // 1 for each begun 1 KB, twice that in a Commit of several operations
	Reads int64   // items asked for by key, and pages of queries
	// Writes are items put, created, replaced, deleted or checked, whether the condition held or not.
	Writes int64
}

// Sub is the difference since before.
func (u Units) Sub(before Units) Units {
	return Units{u.Read - before.Read, u.Write - before.Write, u.Reads - before.Reads, u.Writes - before.Writes}
}

// Meter counts Units. Its zero value is ready, and it is safe for concurrent use.
type Meter struct {
	halves, writeUnits, reads, writes atomic.Int64 // halves are half read units
}

// Get counts the strongly consistent read of one item by its key. The size is 0 when there is none, which costs as much
// as a small one.
func (m *Meter) Get(size int) { m.read(size, 2) }

// Page counts one page of a query, whose items have size bytes together.
func (m *Meter) Page(size int, eventual bool) {
	if eventual {
		m.read(size, 1)
	} else {
		m.read(size, 2)
	}
}

func (m *Meter) read(size, halves int) {
	m.halves.Add(int64(halves * begun(size, 4096)))
	m.reads.Add(1)
}

// Write counts single writes of items with those sizes. The size of a write is the greater of the item's sizes before
// and after, and a condition that failed costs as if it had held.
func (m *Meter) Write(sizes ...int) { m.write(sizes, 1) }

// Alone reports whether a Commit is one operation that DynamoDB does without a transaction, at the price of a single
// write. A Delete at a revision is not one: it leaves nothing that would show what became of it when the answer is
// lost.
func Alone(ops []Op) bool {
	if len(ops) != 1 {
		return false
	}
	switch op := ops[0]; op.Verb {
	case Put, Create, Replace:
		return true
	case Delete:
		return op.Item.Revision == 0
	}
	return false
}

// Commit counts the operations of one Commit, which cost twice unless there is one Alone.
func (m *Meter) Commit(sizes ...int) { m.write(sizes, 2) }

func (m *Meter) write(sizes []int, factor int) {
	units := 0
	for _, size := range sizes {
		units += factor * begun(size, 1024)
	}
	m.writeUnits.Add(int64(units))
	m.writes.Add(int64(len(sizes)))
}

// begun is how many blocks size bytes begin; nothing begins one too.
func begun(size, block int) int { return max(1, (size+block-1)/block) }

// Units returns what was counted so far.
func (m *Meter) Units() Units {
	return Units{
		Read:   float64(m.halves.Load()) / 2,
		Write:  float64(m.writeUnits.Load()),
		Reads:  m.reads.Load(),
		Writes: m.writes.Load(),
	}
}

// Seconds is how adapters keep Expires: seconds since 1970, 0 for never.
func Seconds(expires time.Time) int64 {
	if expires.IsZero() {
		return 0
	}
	return expires.Unix()
}

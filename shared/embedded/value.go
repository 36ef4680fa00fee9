package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mailtrail/mailtrail/shared/table"
)

// The value of an item is
//
//	version 1, revision, expires (seconds, 0 is never), size (as table.Size counts), attributes
//
// where numbers are varints, attributes are their number and then for each, in the order of names, name, kind and
// value. Strings and lists start with their length. The size is there so that metering a read or a replaced item
// decodes nothing.
const valueVersion = 1

// The kinds of values. They are on disk: never reuse one.
const (
	kindString  = 1
	kindInt     = 2
	kindFalse   = 3
	kindTrue    = 4
	kindStrings = 5
	kindAttrs   = 6
	kindList    = 7 // []Attrs
	kindBytes   = 8
)

var errValue = errors.New("malformed value in the store")

// header is what stands before the attributes.
type header struct {
	revision int64
	expires  int64 // seconds, 0 is never
	size     int
}

func (h header) expired(now time.Time) bool { return h.expires != 0 && h.expires <= now.Unix() }

// appendValue appends the value of an item that is valid.
func appendValue(dst []byte, item table.Item) []byte {
	dst = append(dst, valueVersion)
	dst = binary.AppendUvarint(dst, uint64(item.Revision))
	dst = binary.AppendUvarint(dst, uint64(table.Seconds(item.Expires)))
	dst = binary.AppendUvarint(dst, uint64(table.Size(item)))
	return appendAttrs(dst, item.Attrs)
}

func appendAttrs(dst []byte, attrs table.Attrs) []byte {
	names := make([]string, 0, 16)
	for name, value := range attrs {
		if !table.EmptyList(value) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	dst = binary.AppendUvarint(dst, uint64(len(names)))
	for _, name := range names {
		dst = appendAny(appendString(dst, name), attrs[name])
	}
	return dst
}

func appendAny(dst []byte, value any) []byte {
	switch v := value.(type) {
	case string:
		return appendString(append(dst, kindString), v)
	case []byte:
		dst = binary.AppendUvarint(append(dst, kindBytes), uint64(len(v)))
		return append(dst, v...)
	case int64:
		return binary.AppendVarint(append(dst, kindInt), v)
	case bool:
		if v {
			return append(dst, kindTrue)
		}
		return append(dst, kindFalse)
	case []string:
		dst = binary.AppendUvarint(append(dst, kindStrings), uint64(len(v)))
		for _, s := range v {
			dst = appendString(dst, s)
		}
		return dst
	case table.Attrs:
		return appendAttrs(append(dst, kindAttrs), v)
	case []table.Attrs:
		dst = binary.AppendUvarint(append(dst, kindList), uint64(len(v)))
		for _, a := range v {
			dst = appendAttrs(dst, a)
		}
		return dst
	}
	panic(fmt.Sprintf("value of type %T was not refused", value))
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// decoder reads a value. After its first error it gives zeros, and keeps the error.
type decoder struct {
	rest []byte
	err  error
}

// decodeHeader reads the start of a value, and returns the decoder of its attributes.
func decodeHeader(value []byte) (header, *decoder, error) {
	if len(value) == 0 || value[0] != valueVersion {
		return header{}, nil, errValue
	}
	d := &decoder{rest: value[1:]}
	h := header{revision: int64(d.uvarint()), expires: int64(d.uvarint()), size: int(d.uvarint())}
	return h, d, d.err
}

// decodeItem reads the item under key. Nothing of it points into value.
func decodeItem(key table.Key, h header, d *decoder) (table.Item, error) {
	item := table.Item{Key: key, Revision: h.revision}
	if h.expires != 0 {
		item.Expires = time.Unix(h.expires, 0).UTC()
	}
	attrs := d.attrs(0)
	if d.err == nil && len(d.rest) != 0 {
		d.err = errValue
	}
	if d.err != nil {
		return table.Item{}, fmt.Errorf("read item %q %q: %w", key.Partition, key.Sort, d.err)
	}
	if len(attrs) > 0 {
		item.Attrs = attrs
	}
	return item, nil
}

func (d *decoder) fail() {
	d.rest, d.err = nil, errValue
}

func (d *decoder) uvarint() uint64 {
	n, size := binary.Uvarint(d.rest)
	if size <= 0 {
		d.fail()
		return 0
	}
	d.rest = d.rest[size:]
	return n
}

func (d *decoder) varint() int64 {
	n, size := binary.Varint(d.rest)
	if size <= 0 {
		d.fail()
		return 0
	}
	d.rest = d.rest[size:]
	return n
}

// length reads how many elements follow, of which each takes at least one byte: a lie cannot make us reserve more than
// there is.
func (d *decoder) length() int {
	n := d.uvarint()
	if n > uint64(len(d.rest)) {
		d.fail()
		return 0
	}
	return int(n)
}

func (d *decoder) string() string {
	n := d.length()
	s := string(d.rest[:n])
	d.rest = d.rest[n:]
	return s
}

func (d *decoder) byte() byte {
	if len(d.rest) == 0 {
		d.fail()
		return 0
	}
	b := d.rest[0]
	d.rest = d.rest[1:]
	return b
}

// attrs reads attributes. Their depth is bounded, because the stack is.
func (d *decoder) attrs(depth int) table.Attrs {
	if depth > table.MaxDepth {
		d.fail()
		return nil
	}
	n := d.length()
	attrs := make(table.Attrs, n)
	for range n {
		name := d.string()
		attrs[name] = d.any(depth + 1)
	}
	return attrs
}

func (d *decoder) any(depth int) any {
	switch d.byte() {
	case kindString:
		return d.string()
	case kindBytes:
		n := d.length()
		b := append([]byte{}, d.rest[:n]...)
		d.rest = d.rest[n:]
		return b
	case kindInt:
		return d.varint()
	case kindFalse:
		return false
	case kindTrue:
		return true
	case kindStrings:
		list := make([]string, d.length())
		for i := range list {
			list[i] = d.string()
		}
		return list
	case kindAttrs:
		return d.attrs(depth)
	case kindList:
		list := make([]table.Attrs, d.length())
		for i := range list {
			list[i] = d.attrs(depth + 1)
		}
		return list
	}
	d.fail()
	return nil
}

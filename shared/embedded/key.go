package embedded

import (
	"encoding/binary"
	"errors"

	"github.com/mailtrail/mailtrail/shared/table"
)

// The keys of the store, which Pebble orders by their bytes. A name is escaped and ended (see appendName), so that no
// two lists of names give the same bytes, and shorter names come before the longer ones that they start.
//
//	t name(table) name(partition) sort   an item (value.go)
//	i name(queue) id                     a message that waits, is delayed or in flight (message.go)
//	d name(queue) id                     a dead letter (message.go)
//	b name(queue) id                     the body of either
//	f                                    the form of the store (form.go)
//	n                                    the first number that was never given out (store.go)
const (
	kindItem   = 't'
	kindIndex  = 'i'
	kindDead   = 'd'
	kindBody   = 'b'
	kindForm   = 'f'
	kindNumber = 'n'
)

var errKey = errors.New("malformed key in the store")

// The end of a name sorts before every byte that may follow in a longer name, which are an escaped zero (00 ff) and 01
// to ff.
const (
	zero        = 0x00
	zeroEscaped = 0xff
	nameEnd     = 0x01
)

func appendName(dst []byte, name string) []byte {
	for i := range len(name) {
		if name[i] == zero {
			dst = append(dst, zero, zeroEscaped)
		} else {
			dst = append(dst, name[i])
		}
	}
	return append(dst, zero, nameEnd)
}

// cutName reads what appendName wrote, and returns what follows.
func cutName(key []byte) (name string, rest []byte, err error) {
	out := make([]byte, 0, len(key))
	for i := 0; i < len(key); i++ {
		if key[i] != zero {
			out = append(out, key[i])
			continue
		}
		if i++; i == len(key) {
			break
		}
		switch key[i] {
		case nameEnd:
			return string(out), key[i+1:], nil
		case zeroEscaped:
			out = append(out, zero)
		default:
			return "", nil, errKey
		}
	}
	return "", nil, errKey
}

// itemKey appends the key of an item to dst, given the prefix of its table.
func itemKey(dst, prefix []byte, key table.Key) []byte {
	dst = append(dst, prefix...)
	dst = appendName(dst, key.Partition)
	return append(dst, key.Sort...)
}

// messageKey is the key of a message's index entry, dead letter or body.
func messageKey(kind byte, queue string, id uint64) []byte {
	key := appendName([]byte{kind}, queue)
	return binary.BigEndian.AppendUint64(key, id)
}

// keyAfter is the smallest key that does not start with prefix, for prefixes of this file: none ends with ff.
func keyAfter(prefix []byte) []byte {
	after := append([]byte(nil), prefix...)
	after[len(after)-1]++
	return after
}

package embedded

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/table"
)

func sample() table.Item {
	return table.Item{
		Key:      table.Key{Partition: "p", Sort: "s"},
		Expires:  time.Unix(1_800_000_000, 0).UTC(),
		Revision: 42,
		Attrs: table.Attrs{
			"s": "text", "i": int64(math.MinInt64), "t": true, "f": false, "l": []string{"a", ""},
			"m": table.Attrs{"in": []table.Attrs{{"x": "y"}, {}}},
		},
	}
}

func TestValueRoundTrip(t *testing.T) {
	want := sample()
	value := appendValue(nil, want)
	h, attrs, err := decodeHeader(value)
	if err != nil {
		t.Fatal(err)
	}
	if h.size != table.Size(want) {
		t.Errorf("size is %d, want %d", h.size, table.Size(want))
	}
	got, err := decodeItem(want.Key, h, attrs)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %#v, %v, want %#v", got, err, want)
	}
	if !bytes.Equal(appendValue(nil, want), value) {
		t.Error("the same item gives other bytes")
	}
}

func TestTornValuesAreErrors(t *testing.T) {
	whole := appendValue(nil, sample())
	read := func(value []byte) error {
		h, attrs, err := decodeHeader(value)
		if err != nil {
			return err
		}
		_, err = decodeItem(table.Key{}, h, attrs)
		return err
	}
	for n := range whole {
		if err := read(whole[:n]); !errors.Is(err, errValue) {
			t.Errorf("the first %d of %d bytes: got %v", n, len(whole), err)
		}
	}
	if err := read(append(whole, 0)); !errors.Is(err, errValue) {
		t.Errorf("a byte too much: got %v", err)
	}
}

// FuzzValue decodes anything without harm, and what it decodes and could be stored, it encodes to the same item.
func FuzzValue(f *testing.F) {
	f.Add(appendValue(nil, sample()))
	f.Add(appendValue(nil, table.Item{}))
	f.Add([]byte{})
	f.Add([]byte{valueVersion, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f})                         // so many attributes
	f.Add([]byte{valueVersion, 0, 0, 0, 1, 1, 'a', kindStrings, 0xff, 0xff, 0xff, 0xff, 0x0f}) // so many strings
	f.Add(append([]byte{valueVersion, 0, 0, 0}, bytes.Repeat([]byte{1, 1, 'a', kindAttrs}, 500)...))
	f.Fuzz(func(t *testing.T, value []byte) {
		h, attrs, err := decodeHeader(value)
		if err != nil {
			return
		}
		key := table.Key{Partition: "p", Sort: "s"}
		item, err := decodeItem(key, h, attrs)
		if err != nil || item.Valid() != nil {
			return
		}
		h, attrs, err = decodeHeader(appendValue(nil, item))
		if err != nil {
			t.Fatal(err)
		}
		again, err := decodeItem(key, h, attrs)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(appendValue(nil, again), appendValue(nil, item)) {
			t.Errorf("got %#v, want %#v", again, item)
		}
	})
}

func FuzzRecord(f *testing.F) {
	m := message{sent: 1_700_000_000_000_000_000, deliveries: 3, pardoned: 1}
	f.Add(m.record(5, "group"))
	f.Add([]byte{recordVersion})
	f.Fuzz(func(t *testing.T, value []byte) {
		m, group, err := parseRecord(value)
		if err != nil {
			return
		}
		again, group2, err := parseRecord(m.record(m.due, group))
		if err != nil || again != m || group2 != group {
			t.Errorf("got %+v %q %v, want %+v %q", again, group2, err, m, group)
		}
	})
}

func FuzzReceipt(f *testing.F) {
	f.Add("0000000000000001.1")
	f.Add(".")
	f.Fuzz(func(t *testing.T, receipt string) {
		id, delivery, err := parseReceipt(receipt)
		if err != nil {
			return
		}
		m := message{id: id, deliveries: delivery}
		if id2, delivery2, err := parseReceipt(m.receipt()); err != nil || id2 != id || delivery2 != delivery {
			t.Errorf("receipt %q names %x.%x, then %x.%x, %v", receipt, id, delivery, id2, delivery2, err)
		}
	})
}

// FuzzKey holds the order of keys against that of what they are made of.
func FuzzKey(f *testing.F) {
	f.Add("t", "a", "x", "t", "a\x00", "y")
	f.Add("t", "a", "\x00\x01", "t", "a\x00\x01", "")
	f.Add("t", "\x00\xff", "", "t\x00", "\x00", "\xff")
	f.Fuzz(func(t *testing.T, table1, partition1, sort1, table2, partition2, sort2 string) {
		key := func(name, partition, sort string) []byte {
			return itemKey(nil, appendName([]byte{kindItem}, name), table.Key{Partition: partition, Sort: sort})
		}
		compare := func(pairs ...string) int {
			for i := 0; i < len(pairs); i += 2 {
				if pairs[i] < pairs[i+1] {
					return -1
				}
				if pairs[i] > pairs[i+1] {
					return 1
				}
			}
			return 0
		}
		first, second := key(table1, partition1, sort1), key(table2, partition2, sort2)
		if got, want := bytes.Compare(first, second), compare(table1, table2, partition1, partition2, sort1,
			sort2); got != want {
			t.Errorf("%q and %q compare as %d, want %d", first, second, got, want)
		}
		name, rest, err := cutName(first[1:])
		if err != nil || name != table1 {
			t.Errorf("the name in %q is %q, %v, want %q", first, name, err, table1)
		}
		if name, rest, err = cutName(rest); err != nil || name != partition1 || string(rest) != sort1 {
			t.Errorf("the rest of %q is %q %q, %v", first, name, rest, err)
		}
	})
}

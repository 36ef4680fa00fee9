package table

import (
	"fmt"
	"math"
	"unicode/utf8"
)

// Valid is nil when key can name an item, and ErrInvalid otherwise.
func (k Key) Valid() error {
	if err := validPart("partition", k.Partition, MaxPartition); err != nil {
		return err
	}
	return validPart("sort", k.Sort, MaxSort)
}

func validPart(what, part string, limit int) error {
	switch {
	case part == "":
		return fmt.Errorf("%w: the %s key is empty", ErrInvalid, what)
	case len(part) > limit:
		return fmt.Errorf("%w: the %s key has %d bytes, %d are allowed", ErrInvalid, what, len(part), limit)
	case !utf8.ValidString(part):
		return fmt.Errorf("%w: the %s key %q is not UTF-8", ErrInvalid, what, part)
	}
	return nil
}

// Valid is nil when a table can store the item, and ErrInvalid otherwise. Every adapter calls it before it writes, so
// that all refuse the same items.
func (i Item) Valid() error {
	if err := i.Key.Valid(); err != nil {
		return err
	}
	if !i.Expires.IsZero() && i.Expires.Unix() <= 0 {
		return fmt.Errorf("%w: item %q %q expires at %s, before 1970", ErrInvalid, i.Partition, i.Sort, i.Expires)
	}
	for name := range i.Attrs {
		switch name {
		case attrPartition, attrSort, attrRevision, attrExpires:
			return fmt.Errorf("%w: item %q %q has an attribute with the reserved name %q", ErrInvalid, i.Partition, i.Sort, name)
		}
	}
	if err := i.Attrs.valid(0); err != nil {
		return fmt.Errorf("item %q %q: %w", i.Partition, i.Sort, err)
	}
	if size := Size(i); size > MaxItem {
		return fmt.Errorf("%w: item %q %q has %d bytes, %d are allowed", ErrInvalid, i.Partition, i.Sort, size, MaxItem)
	}
	return nil
}

func (a Attrs) valid(depth int) error {
	if depth > MaxDepth {
		return fmt.Errorf("%w: attributes are nested deeper than %d levels", ErrInvalid, MaxDepth)
	}
	for name, value := range a {
		if name == "" || len(name) > MaxName || !utf8.ValidString(name) {
			return fmt.Errorf("%w: %.40q is no name of an attribute", ErrInvalid, name)
		}
		if err := validValue(value, depth+1); err != nil {
			return fmt.Errorf("attribute %q: %w", name, err)
		}
	}
	return nil
}

func validValue(value any, depth int) error {
	switch v := value.(type) {
	case int64, bool, []byte:
	case string:
		return validText(v)
	case []string:
		for _, s := range v {
			if err := validText(s); err != nil {
				return err
			}
		}
	case Attrs:
		return v.valid(depth)
	case []Attrs:
		for _, a := range v {
			if err := a.valid(depth + 1); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("%w: a value of type %T", ErrInvalid, value)
	}
	return nil
}

func validText(s string) error {
	if !utf8.ValidString(s) {
		return fmt.Errorf("%w: a string that is not UTF-8", ErrInvalid)
	}
	return nil
}

// ValidCreate is nil when Create can store the item, and ErrInvalid otherwise.
func ValidCreate(item Item) error { return Op{Verb: Create, Item: item}.valid() }

// ValidCommit is nil when ops can be one Commit, and ErrInvalid otherwise.
func ValidCommit(ops []Op) error {
	if len(ops) == 0 || len(ops) > MaxCommit {
		return fmt.Errorf("%w: a commit of %d operations, 1 to %d are allowed", ErrInvalid, len(ops), MaxCommit)
	}
	seen := make(map[Key]bool, len(ops))
	together := 0
	for _, op := range ops {
		if err := op.valid(); err != nil {
			return err
		}
		if seen[op.Item.Key] {
			return fmt.Errorf("%w: a commit with two operations on item %q %q", ErrInvalid, op.Item.Partition, op.Item.Sort)
		}
		seen[op.Item.Key] = true
		together += Size(op.Item)
	}
	if together > MaxTogether {
		return fmt.Errorf("%w: a commit of %d bytes, %d are allowed", ErrInvalid, together, MaxTogether)
	}
	return nil
}

func (op Op) valid() error {
	item := op.Item
	switch op.Verb {
	case Put:
		item.Revision = 0
	case Create, Replace:
		if op.Verb == Replace && item.Revision <= 0 {
			return fmt.Errorf("%w: item %q %q cannot be replaced at revision %d",
				ErrInvalid, item.Partition, item.Sort, item.Revision)
		}
		item.Revision = math.MaxInt64 // the adapter will set one, and this is the longest
	case Delete, Check:
		if item.Revision < 0 {
			return fmt.Errorf("%w: item %q %q at revision %d", ErrInvalid, item.Partition, item.Sort, item.Revision)
		}
		return item.Key.Valid()
	default:
		return fmt.Errorf("%w: verb %d on item %q %q", ErrInvalid, op.Verb, item.Partition, item.Sort)
	}
	return item.Valid()
}

// Valid is nil when the query can be asked, and ErrInvalid otherwise.
func (q Query) Valid() error {
	if err := validPart("partition", q.Partition, MaxPartition); err != nil {
		return err
	}
	for _, bound := range []string{q.From, q.To} {
		if bound == "" {
			continue
		}
		if err := validPart("sort", bound, MaxSort); err != nil {
			return fmt.Errorf("bound of a query: %w", err)
		}
	}
	if q.Limit < 0 {
		return fmt.Errorf("%w: a query with limit %d", ErrInvalid, q.Limit)
	}
	return nil
}

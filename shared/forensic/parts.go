package forensic

import (
	"fmt"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/table"
)

const (
	// shareBytes is how much of a message's lists one item holds: half of what an item may hold, which leaves room
	// for the other fields.
	shareBytes = 200 << 10
	// elementBytes is what an element of a list counts in addition to its texts.
	elementBytes = 40
	// pieceBytes is the size of the pieces into which the record's own text of the attachments is cut.
	pieceBytes = 16 << 10
)

// share is the part of a message's lists that one item holds. Nearly all messages are a single share; one with
// thousands of attachments or recipients continues in items beside its own. Nothing of a message is left out because
// of its size.
type share struct {
	files      []table.Attrs
	recipients []string
	addressees []table.Attrs
	text       string // of Message.Attachments
	bytes      int
}

// split divides what may be too large for one item, in order. There is always a first share.
func split(m Message) []share {
	shares := make([]share, 1)
	next := func(bytes int) *share {
		last := &shares[len(shares)-1]
		if last.bytes > 0 && last.bytes+bytes > shareBytes {
			shares = append(shares, share{})
			last = &shares[len(shares)-1]
		}
		last.bytes += bytes
		return last
	}

	for i := range m.Files {
		a := fileAttrs(&m.Files[i], m.Copy.Known())
		s := next(weight(a))
		s.files = append(s.files, a)
	}
	for _, r := range m.Recipients {
		s := next(len(r) + elementBytes)
		s.recipients = append(s.recipients, r)
	}
	for _, r := range m.Copy.Recipients {
		a := addresseeAttrs(r)
		s := next(weight(a))
		s.addressees = append(s.addressees, a)
	}
	for rest := m.Attachments; rest != ""; {
		piece := cut(rest, pieceBytes)
		s := next(len(piece))
		s.text += piece
		rest = rest[len(piece):]
	}
	return shares
}

// weight returns what an element of a list counts, with its texts.
func weight(a table.Attrs) int {
	n := elementBytes
	for name, v := range a {
		s, _ := v.(string)
		n += len(name) + len(s) + elementBytes/4
	}
	return n
}

// put sets the share's attributes.
func (s share) put(a table.Attrs) {
	if len(s.files) > 0 {
		a[attrFiles] = s.files
	}
	if len(s.recipients) > 0 {
		a[attrRecipients] = s.recipients
	}
	if len(s.addressees) > 0 {
		a[attrAddressees] = s.addressees
	}
	if s.text != "" {
		a[attrText] = s.text
	}
}

// take adds the share in a to m.
func take(m *Message, a table.Attrs) {
	files, _ := a[attrFiles].([]table.Attrs)
	for _, f := range files {
		m.Files = append(m.Files, readFile(f, len(m.Files), m.Copy.Known()))
	}
	addressees, _ := a[attrAddressees].([]table.Attrs)
	for _, r := range addressees {
		m.Copy.Recipients = append(m.Copy.Recipients, readAddressee(r))
	}
	recipients, _ := a[attrRecipients].([]string)
	m.Recipients = append(m.Recipients, recipients...)
	m.Attachments += text(a, attrText, "")
}

// partKey is the key of the i-th further item of a message. It contains the arrival, so that a record that Microsoft
// repeats in another blob never overwrites the parts of the stored message, and the generation, so that enriching
// does not either.
func partKey(c connection.ID, r RecordID, arrival time.Time, generation string, i int) table.Key {
	if generation != "" {
		generation += "|"
	}
	return table.Key{
		Partition: MessageKey(c, r).Partition,
		Sort:      fmt.Sprintf("part|%012x|%s%04d", arrival.UnixMilli(), generation, i+1),
	}
}

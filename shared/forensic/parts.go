package forensic

import (
	"fmt"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/table"
)

const (
	// shareBytes is how much of a message's lists stands in one item: half of what an item may have, which leaves room
	// for the other fields, and for what enrichment adds to the message.
	shareBytes = 200 << 10
	// fileBytes is what a file counts besides its name, including the hashes that enrichment adds.
	fileBytes = 200
	// recipientBytes is what a recipient counts besides the address.
	recipientBytes = 10
	// pieceBytes is in what pieces the record's own text of the attachments is shared out.
	pieceBytes = 16 << 10
)

// share is what one item holds of a message's lists. Nearly all messages are a single share; one with thousands of
// attachments or recipients is continued in items beside its own. Nothing of a message is left out for its size.
type share struct {
	files      []table.Attrs
	recipients []string
	text       string // of Message.Attachments
	bytes      int
}

// split shares out what may be too large for one item, in order. There is always a first share.
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

	for _, f := range m.Files {
		a := table.Attrs{attrName: f.Name}
		if f.StoredSize >= 0 {
			a[attrSize] = f.StoredSize
		}
		s := next(len(f.Name) + fileBytes)
		s.files = append(s.files, a)
	}
	for _, r := range m.Recipients {
		s := next(len(r) + recipientBytes)
		s.recipients = append(s.recipients, r)
	}
	for rest := m.Attachments; rest != ""; {
		piece := cut(rest, pieceBytes)
		s := next(len(piece))
		s.text += piece
		rest = rest[len(piece):]
	}
	return shares
}

// put sets the share's attributes.
func (s share) put(a table.Attrs) {
	if len(s.files) > 0 {
		a[attrFiles] = s.files
	}
	if len(s.recipients) > 0 {
		a[attrRecipients] = s.recipients
	}
	if s.text != "" {
		a[attrText] = s.text
	}
}

// take adds the share in a to m.
func take(m *Message, a table.Attrs) {
	files, _ := a[attrFiles].([]table.Attrs)
	for _, f := range files {
		size, ok := f[attrSize].(int64)
		if !ok {
			size = -1
		}
		m.Files = append(m.Files, File{Name: text(f, attrName, ""), StoredSize: size})
	}
	recipients, _ := a[attrRecipients].([]string)
	m.Recipients = append(m.Recipients, recipients...)
	m.Attachments += text(a, attrText, "")
}

// partKey is where the i-th further item of a message is. It holds the arrival, so that a record that Microsoft repeats in
// another blob never writes over the parts of the message that is stored.
func partKey(c connection.ID, r RecordID, arrival time.Time, i int) table.Key {
	return table.Key{
		Partition: MessageKey(c, r).Partition,
		Sort:      fmt.Sprintf("part|%012x|%04d", arrival.UnixMilli(), i+1),
	}
}

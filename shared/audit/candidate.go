package audit

import (
	"bytes"
	"time"
)

// maySendFiles reports whether a record may be a send with attachments. It answers no only if that is certain; then
// the record is never decoded.
//
// It looks for the key Attachments first, because few records have it and it can be found without telling keys from
// values. The key can hide in two ways: in another letter case, and behind an escape such as \u0041ttachments. An
// Item that is itself JSON in a string hides neither.
func maySendFiles(record []byte) bool {
	if !mentionsAttachment(record) && !bytes.Contains(record, []byte(`\u`)) {
		return false
	}

	f := fields{rest: record}
	for f.next() {
		if string(f.name()) == "operation" && operation(textOf(f.value)).sends() {
			return true
		}
	}
	return f.err != nil // Decode will say what is wrong with it
}

// mentionsAttachment looks for "attachment" in any letter case, around each h: in an audit record, which is full of
// hexadecimal ids and camel case, that is the rarest letter of the word. The s of the plural is left out because a
// long s matches it too.
func mentionsAttachment(record []byte) bool {
	const word, before = "attachment", len("attac")
	for _, h := range []byte("hH") {
		for at := 0; ; at++ {
			i := bytes.IndexByte(record[at:], h)
			if i < 0 {
				break
			}
			at += i
			if at >= before && at-before+len(word) <= len(record) && equalFold(record[at-before:at-before+len(word)], word) {
				return true
			}
		}
	}
	return false
}

// equalFold compares ASCII letters. lower is in lower case.
func equalFold(b []byte, lower string) bool {
	for i := range lower {
		if b[i]|0x20 != lower[i] {
			return false
		}
	}
	return true
}

// sends reports whether a record that is not a candidate is a send all the same. Microsoft writes Operation before any
// member that is an object, so a look at the beginning is enough; a record that is written otherwise is walked through.
func sends(record []byte) bool {
	const key = `"Operation"`
	if i := bytes.Index(record, []byte(key)); i > 0 && bytes.IndexByte(record[1:i], '{') < 0 {
		if colon, rest := token(record[i+len(key):]); colon == ':' {
			value, _ := cutValue(rest)
			return len(value) > 0 && operation(textOf(value)).sends()
		}
	}
	f, found := fields{rest: record}, false
	for f.next() {
		if string(f.name()) == "operation" {
			found = operation(textOf(f.value)).sends()
		}
	}
	return found && f.err == nil
}

// Plain is what a glance at a send without attachments shows. Its bytes belong to the record.
type Plain struct {
	ID              []byte
	UserID          []byte
	MailboxOwnerUPN []byte
	CreationTime    time.Time
}

// Glance looks at a record that Reader.Plain took: at a tenth of the cost of Decode, because it looks for four members
// instead of walking over all. It returns false for a record in another form than Microsoft's, which Decode reads. A
// send that failed counts: it shows that the sends of this person are audited.
func Glance(record []byte) (p Plain, ok bool) {
	p.ID, p.UserID = textAt(record, `Id":`), textAt(record, `UserId":`)
	p.MailboxOwnerUPN = textAt(record, `MailboxOwnerUPN":`)
	var err error
	p.CreationTime, err = parseTime(string(textAt(record, `CreationTime":`)))
	ok = err == nil && len(p.ID) > 0 && (len(p.UserID) > 0 || len(p.MailboxOwnerUPN) > 0)
	return p, ok
}

// textAt is the text, without escapes, of the first member with a key, which is written without its first quote.
func textAt(record []byte, key string) []byte {
	i := bytes.Index(record, []byte(key))
	if i < 1 || record[i-1] != '"' {
		return nil
	}
	value := record[i+len(key):]
	if len(value) == 0 || value[0] != '"' {
		return nil
	}
	end := bytes.IndexByte(value[1:], '"')
	if end < 0 || bytes.IndexByte(value[1:1+end], '\\') >= 0 {
		return nil
	}
	return value[1 : 1+end]
}

package audit

import "bytes"

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

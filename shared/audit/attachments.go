package audit

import (
	"strconv"
	"strings"
)

// Attachment is one entry of Item.Attachments. Inline images and signature logos are entries too.
type Attachment struct {
	Name string // as the sender named it: any characters, possibly without an extension, possibly not unique
	// StoredSize is the size in bytes of the stored attachment: the content with its properties, so slightly more
	// than the file.
	StoredSize int64
	SizeKnown  bool
}

// ParseAttachments parses the text of Item.Attachments, "name (SIZEb); name (SIZEb)", where SIZE is in bytes. It
// loses nothing: text without this form becomes an entry that is named by the raw text and has SizeKnown false, and
// clean is false. Duplicates are kept.
//
// A name may contain anything. An entry therefore ends only at a size in parentheses that is followed by "; " or by
// the end of the text; a semicolon without a size before it is part of the name. The text is misread in two cases
// only: a file name itself contains such a size followed by "; ", or Microsoft left out a size before another entry,
// which makes one entry of the two.
func ParseAttachments(s string) (files []Attachment, clean bool) {
	clean = true
	for strings.Trim(s, separators) != "" || len(files) == 0 && strings.TrimSpace(s) != "" {
		var file Attachment
		file, s = cutAttachment(s)
		files = append(files, file)
		clean = clean && file.SizeKnown
	}
	return files, clean
}

// separators are the characters that may follow the last entry without forming another.
const separators = "; \t\r\n"

// cutAttachment cuts the first entry off s.
func cutAttachment(s string) (file Attachment, rest string) {
	for at := 0; ; {
		i := strings.Index(s[at:], " (")
		if i < 0 {
			return Attachment{Name: s}, ""
		}
		at += i
		size, end := cutSize(s[at+2:])
		rest, last := s[at+2:][end:], false
		if end > 0 {
			rest, last = cutSeparator(rest)
		}
		if !last {
			at += 2
			continue
		}

		n, err := strconv.ParseInt(size, 10, 64)
		if name := s[:at]; err == nil && strings.TrimSpace(name) != "" {
			return Attachment{Name: name, StoredSize: n, SizeKnown: true}, rest
		}
		return Attachment{Name: s[:at+2+end]}, rest
	}
}

// cutSize reads digits and "b)" from the front of s. It returns where they end, or 0 if they are not there.
func cutSize(s string) (digits string, end int) {
	n := 0
	for n < len(s) && '0' <= s[n] && s[n] <= '9' {
		n++
	}
	if n == 0 || !strings.HasPrefix(s[n:], "b)") {
		return "", 0
	}
	return s[:n], n + len("b)")
}

// cutSeparator cuts off what separates two entries, or what may follow the last one.
func cutSeparator(s string) (rest string, ok bool) {
	if strings.TrimLeft(s, separators) == "" {
		return "", true
	}
	return strings.CutPrefix(s, "; ")
}

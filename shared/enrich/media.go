package enrich

import (
	"bytes"
	"net/http"
	"strings"
)

// mediaType finds a file's type from its first bytes, as web browsers do (http.DetectContentType), and in
// addition what companies mail most: documents of Office and OpenDocument, archives, programs, mail files. ""
// when they do not show one. Plain text has no marks of its own: text/plain means that it looks like text.
func mediaType(head []byte) string {
	if len(head) == 0 {
		return ""
	}
	for _, m := range []struct{ begin, media string }{
		{"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"}, // Office before 2007, Outlook messages, MSI
		{"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"},
		{"MZ", "application/vnd.microsoft.portable-executable"},
		{"\x7fELF", "application/x-elf"},
		{"!BDN", "application/vnd.ms-outlook-pst"},
		{"SQLite format 3\x00", "application/vnd.sqlite3"},
		{"{\\rtf", "application/rtf"},
		{"BZh", "application/x-bzip2"},
		{"\xfd7zXZ\x00", "application/x-xz"},
		{"AC10", "image/vnd.dwg"},
		{"8BPS", "image/vnd.adobe.photoshop"},
		{"II*\x00", "image/tiff"}, {"MM\x00*", "image/tiff"},
	} {
		if bytes.HasPrefix(head, []byte(m.begin)) {
			return m.media
		}
	}
	media, _, _ := strings.Cut(http.DetectContentType(head), ";")
	switch media {
	case "application/octet-stream":
		return ""
	case "application/zip":
		return zipped(head)
	}
	return media
}

// zipped recognises documents that are archives by the names of their first entries.
func zipped(head []byte) string {
	const ooxml = "application/vnd.openxmlformats-officedocument."
	if rest, ok := bytes.CutPrefix(head, head[:min(30, len(head))]); ok && bytes.HasPrefix(rest, []byte("mimetype")) {
		name := rest[len("mimetype"):]
		end := bytes.IndexFunc(name, func(r rune) bool { return r <= ' ' || r > '~' })
		if cut := bytes.Index(name, []byte("PK")); cut >= 0 && (end < 0 || cut < end) {
			end = cut
		}
		if end < 0 {
			end = len(name)
		}
		if media := string(name[:end]); strings.HasPrefix(media, "application/") && len(media) < 100 {
			return media
		}
	}
	if !bytes.Contains(head, []byte("[Content_Types].xml")) && !bytes.Contains(head, []byte("_rels/.rels")) {
		return "application/zip"
	}
	for _, m := range []struct{ part, media string }{
		{"word/", ooxml + "wordprocessingml.document"},
		{"xl/", ooxml + "spreadsheetml.sheet"},
		{"ppt/", ooxml + "presentationml.presentation"},
	} {
		if bytes.Contains(head, []byte(m.part)) {
			return m.media
		}
	}
	return "application/zip"
}

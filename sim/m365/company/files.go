package company

import (
	"fmt"
	"strings"

	"github.com/mailtrail/mailtrail/sim/m365/world"
)

// kind is a kind of file that people mail.
type kind struct {
	extension, contentType, magic string
	weight                        int
}

// kinds are what people mail, the commonest first.
func kinds() []kind {
	const openXML = "application/vnd.openxmlformats-officedocument."
	return []kind{
		{"pdf", "application/pdf", "%PDF-1.7\n", 30},
		{"xlsx", openXML + "spreadsheetml.sheet", "PK\x03\x04\x14\x00\x06\x00", 18},
		{"docx", openXML + "wordprocessingml.document", "PK\x03\x04\x14\x00\x06\x00", 18},
		{"pptx", openXML + "presentationml.presentation", "PK\x03\x04\x14\x00\x06\x00", 7},
		{"csv", "text/csv", "id,name,amount\r\n", 6},
		{"zip", "application/x-zip-compressed", "PK\x03\x04", 6},
		{"jpg", "image/jpeg", "\xff\xd8\xff\xe0\x00\x10JFIF", 5},
		{"txt", "text/plain", "", 3},
		{"dwg", "image/vnd.dwg", "AC1032", 3},
		{"xls", "application/vnd.ms-excel", "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 2},
		{"7z", "application/x-7z-compressed", "7z\xbc\xaf\x27\x1c", 1},
		{"py", "text/x-python", "import ", 1},
	}
}

const (
	fileTopics = "Quote Invoice Contract Budget Forecast Customer-List Payroll Design Minutes Test-Report Price-List " +
		"Roadmap Offer Drawing Patent-Draft Salaries Supplier-Audit Inventory Timesheet Expenses"
	fileMarks = "final v2 draft signed 2026 Q3 EMEA internal confidential copy rev-B"
)

// document makes up an ordinary file.
func (d dice) document() world.Attachment {
	k := d.kind()
	topic, mark := pick(d, strings.Fields(fileTopics)), pick(d, strings.Fields(fileMarks))
	name := fmt.Sprintf("%s %s %d.%s", topic, mark, d.between(1, 9999), k.extension)
	return d.attach(name, k, d.length())
}

func (d dice) kind() kind {
	all := kinds()
	total := 0
	for _, k := range all {
		total += k.weight
	}
	at := d.IntN(total)
	for _, k := range all {
		if at -= k.weight; at < 0 {
			return k
		}
	}
	return all[0]
}

// length is the size of a file: mostly 1 KB to 2 MB, more small than large, and one in a hundred 5 to 25 MB.
func (d dice) length() int64 {
	if d.oneIn(100) {
		return int64(d.between(5_000_000, 25_000_000))
	}
	return int64(d.between(1, 16)) << 10 * int64(1+d.IntN(1<<d.IntN(8)))
}

// attach makes a file an attachment. Its stored size counts its properties too, so it is never the file's length.
func (d dice) attach(name string, k kind, length int64) world.Attachment {
	return world.Attachment{
		Name: name, ContentType: k.contentType, Kind: "file",
		Length: length, StoredSize: length + int64(d.between(180, 460)),
		Seed: d.Uint64(), Magic: []byte(k.magic),
	}
}

// inlineImage is a picture in the text of the mail, mostly the sender's signature.
func (d dice) inlineImage(name string) world.Attachment {
	a := d.attach(name, kind{contentType: "image/png", magic: "\x89PNG\r\n\x1a\n"}, int64(d.between(300, 14_000)))
	a.Inline, a.ContentID = true, name+"@"+d.letters(8, upperHex)+"."+d.letters(8, upperHex)
	return a
}

// enclosures are what an ordinary mail carries: mostly nothing.
func (d dice) enclosures() []world.Attachment {
	var files []world.Attachment
	switch chance := d.IntN(100); {
	case chance < 58:
		return nil
	case chance < 66:
		return []world.Attachment{d.inlineImage("image001.png")}
	case chance < 90:
		files = append(files, d.document())
	default:
		for range d.between(2, 5) {
			files = append(files, d.document())
		}
	}
	if d.oneIn(4) {
		files = append([]world.Attachment{d.inlineImage("image001.png")}, files...)
	}
	return files
}

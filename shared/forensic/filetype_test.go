package forensic

import (
	"strings"
	"testing"
)

// TestTypeByName sorts files by what follows the last dot.
func TestTypeByName(t *testing.T) {
	for name, want := range map[string]FileType{
		"plan.PDF":   {"Pdf", "application/pdf"},
		"x.tar.gz":   {"Archive", "application/gzip"},
		"main.go":    {"SourceCode", "text/x-go"},
		"disk.vmdk":  {"VirtualDiskImage", "application/x-vmdk"},
		"tool.app":   {"Executable", ""},
		"noext":      {"Uncategorized", ""},
		"x.unknown1": {"Uncategorized", ""},
		"":           {"Uncategorized", ""},
	} {
		if got := TypeByName(name); got != want {
			t.Errorf("%q: %v, want %v", name, got, want)
		}
	}
}

// What the bytes say wins over the name, unless they only say what the name's type is kept in.
func TestTypeOf(t *testing.T) {
	const docx = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
	for _, c := range []struct {
		name, byBytes string
		want          FileType
	}{
		{"plan.pdf", "", FileType{"Pdf", "application/pdf"}},
		{"plan.pdf", "application/pdf", FileType{"Pdf", "application/pdf"}},
		{"holiday.jpg", "application/pdf", FileType{"Pdf", "application/pdf"}},
		{"notes.txt", "application/zip", FileType{"Archive", "application/zip"}},
		{"old.rar", "application/x-rar-compressed", FileType{"Archive", "application/vnd.rar"}},
		{"setup.msi", "application/x-ole-storage", FileType{"Executable", "application/x-msi"}},
		{"song.mp3", "audio/mpeg", FileType{"Audio", "audio/mpeg"}},
		{"plan.docx", "application/zip", FileType{"Document", docx}},
		{"plan.docx", "image/png", FileType{"Image", "image/png"}},
		{"plan.pdf", "application/zip", FileType{"Archive", "application/zip"}},
		{"old.doc", "application/x-ole-storage", FileType{"Document", "application/msword"}},
		{"main.go", "text/plain; charset=utf-8", FileType{"SourceCode", "text/x-go"}},
		{"invoice.pdf", "text/plain", FileType{"Document", "text/plain"}},
		{"noext", "image/x-unheard-of", FileType{"Image", "image/x-unheard-of"}},
		{"tool.bin", "application/octet-stream", FileType{"Executable", "application/octet-stream"}},
		{"x.csv", "application/octet-stream", FileType{"Spreadsheet", "text/csv"}},
		{"x.pdf", "application/x-unheard-of", FileType{"Uncategorized", "application/x-unheard-of"}},
	} {
		if got := TypeOf(c.name, c.byBytes); got != c.want {
			t.Errorf("%q with bytes of %q: %v, want %v", c.name, c.byBytes, got, c.want)
		}
	}
}

// TestEachExtensionOnce finds an extension that two categories claim.
func TestEachExtensionOnce(t *testing.T) {
	n := 0
	for _, c := range categories() {
		n += len(strings.Fields(c[1]))
	}
	if n != len(Extensions()) {
		t.Errorf("%d extensions are listed, %d are different", n, len(Extensions()))
	}
}

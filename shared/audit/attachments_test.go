package audit_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/mailtrail/mailtrail/shared/audit"
)

// TestParseAttachments reads testdata/attachments.golden: a text in quotes, then its entries, each the name in quotes
// and the size, or a question mark where there is none. A tilde before the text says that it is not clean.
func TestParseAttachments(t *testing.T) {
	golden, err := os.ReadFile("testdata/attachments.golden")
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range strings.Split(strings.TrimSpace(string(golden)), "\n\n") {
		block = regexp.MustCompile(`(?m)^#.*\n?`).ReplaceAllString(block, "")
		head, _, _ := strings.Cut(block, "\n")
		if head == "" {
			continue
		}
		text, err := strconv.Unquote(strings.TrimPrefix(head, "~"))
		if err != nil {
			t.Fatalf("%s: %v", head, err)
		}

		var got strings.Builder
		files, clean := audit.ParseAttachments(text)
		if !clean {
			got.WriteString("~")
		}
		fmt.Fprintf(&got, "%q", text)
		for _, file := range files {
			size := "?"
			if file.SizeKnown {
				size = strconv.FormatInt(file.StoredSize, 10)
			}
			fmt.Fprintf(&got, "\n  %q %s", file.Name, size)
		}
		if got.String() != block {
			t.Errorf("got\n%s\nwant\n%s", got.String(), block)
		}
	}
}

func FuzzParseAttachments(f *testing.F) {
	for _, seed := range []string{
		"", " ", ";", "a", "a (1b)", "a (1b); b (2b)", "a; b (1b)", "a (1b);", "a (1b) ; b", " (5b)", "a (1b); (2b)",
		"a (b)", "a (1b", "a (99999999999999999999b); b (1b)", "tps (report) 1.docx (1024b)", "\u00a0", "a (1b) (2b)",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		files, clean := audit.ParseAttachments(s)

		// What comes out, put back together, is what went in, but for the separators after the last entry.
		entries := make([]string, len(files))
		known := true
		for i, file := range files {
			entries[i] = file.Name
			if file.Name == "" {
				t.Fatalf("an entry of %q has no name", s)
			}
			if known = known && file.SizeKnown; file.SizeKnown {
				entries[i] += fmt.Sprintf(" (%db)", file.StoredSize)
			}
		}
		if clean != known {
			t.Fatalf("%q: clean %v, but all sizes known %v", s, clean, known)
		}
		zeros := regexp.MustCompile(` \(0+([0-9])`) // a size may be written with zeros before it
		back, in := zeros.ReplaceAllString(strings.Join(entries, "; "), " ($1"), zeros.ReplaceAllString(s, " ($1")
		if tail, ok := strings.CutPrefix(in, back); !ok || strings.Trim(tail, "; \t\r\n") != "" {
			t.Fatalf("%q came back as %q", s, back)
		}
	})
}

// FuzzParseAttachmentsRoundTrip joins names as Microsoft does, and expects them back.
func FuzzParseAttachmentsRoundTrip(f *testing.F) {
	f.Add("passwords.txt", int64(333), "image001.png", int64(0))
	f.Add("a; b (draft).docx", int64(1), ";", int64(2))
	f.Add(" 3\n \"x\".jpg ", int64(1), "größe (1b", int64(1<<62))
	size := regexp.MustCompile(` \([0-9]+b\)`)
	f.Fuzz(func(t *testing.T, first string, firstSize int64, second string, secondSize int64) {
		want := []audit.Attachment{
			{Name: first, StoredSize: firstSize, SizeKnown: true},
			{Name: second, StoredSize: secondSize, SizeKnown: true},
		}
		for _, file := range want {
			if strings.TrimSpace(file.Name) == "" || size.MatchString(file.Name) || file.StoredSize < 0 {
				return
			}
		}
		joined := fmt.Sprintf("%s (%db); %s (%db)", first, firstSize, second, secondSize)
		if got, clean := audit.ParseAttachments(joined); !clean || !slices.Equal(got, want) {
			t.Fatalf("%q: got %+v, clean %v", joined, got, clean)
		}
	})
}

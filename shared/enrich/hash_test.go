package enrich

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestHash(t *testing.T) {
	a := New(Config{Limit: 1 << 20})
	for _, tc := range []struct{ text, md5, sha256 string }{
		{"", "d41d8cd98f00b204e9800998ecf8427e", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		{"abc", "900150983cd24fb0d6963f7d28e17f72", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
	} {
		for name, r := range map[string]io.Reader{
			"whole": strings.NewReader(tc.text), "byte by byte": iotest.OneByteReader(strings.NewReader(tc.text)),
			"the end with the data": iotest.DataErrReader(strings.NewReader(tc.text)),
		} {
			s, err := a.hash(r, nil)
			if err != nil || s.md5 != tc.md5 || s.sha256 != tc.sha256 || s.size != int64(len(tc.text)) {
				t.Errorf("%q, %s: %+v, %v", tc.text, name, s, err)
			}
		}
	}
	broken := errors.New("broken")
	for _, n := range []int{0, 1, bufferSize, bufferSize + 1, 5 * bufferSize} {
		r := io.MultiReader(bytes.NewReader(make([]byte, n)), iotest.ErrReader(broken))
		if s, err := a.hash(r, nil); !errors.Is(err, broken) || s != (sum{}) {
			t.Errorf("broken after %d bytes: %+v, %v", n, s, err)
		}
	}
	if _, err := a.hash(bytes.NewReader(make([]byte, 1<<20)), nil); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	endless := &counting{}
	if _, err := a.hash(endless, nil); !errors.Is(err, errTooLarge) || endless.n > 1<<20+bufferSize {
		t.Errorf("%v after %d bytes of an endless file", err, endless.n)
	}
}

type counting struct{ n int }

func (c *counting) Read(p []byte) (int, error) { c.n += len(p); return len(p), nil }

// The sums are those of the algorithm's definition, done bit by bit.
func TestQuickXor(t *testing.T) {
	for _, n := range []int{0, 1, 2, 14, 15, 16, 160, 161, 1000, 100_003} {
		data := make([]byte, n)
		for i := range data {
			data[i] = byte(i*7 + i>>8)
		}
		var bits [160]bool
		for i, b := range data {
			for bit := range 8 {
				if b>>bit&1 == 1 {
					at := (i*11 + bit) % 160
					bits[at] = !bits[at]
				}
			}
		}
		for bit := range 64 {
			if n>>bit&1 == 1 {
				bits[96+bit] = !bits[96+bit]
			}
		}
		var want quickXor
		for at, on := range bits {
			if on {
				want.bits[at/8] |= 1 << (at % 8)
			}
		}
		var x quickXor
		for rest := data; len(rest) > 0; { // in pieces of odd lengths
			k := min(len(rest), 1+len(rest)/3)
			x.add(rest[:k])
			rest = rest[k:]
		}
		if x.sum() != want.sum() {
			t.Errorf("%d bytes: %s, want %s", n, x.sum(), want.sum())
		}
	}
}

func TestMediaType(t *testing.T) {
	entry := func(name, content string) string {
		return "PK\x03\x04" + strings.Repeat("\x00", 26) + name + content
	}
	for want, head := range map[string]string{
		"":                "",
		"application/pdf": "%PDF-1.7\n",
		"image/png":       "\x89PNG\r\n\x1a\n",
		"image/jpeg":      "\xff\xd8\xff\xe0",
		"text/plain":      "id,name,amount\r\n",
		"text/html":       "<!DOCTYPE html><html>",
		"application/zip": entry("photos/one.jpg", ""),
		"application/vnd.microsoft.portable-executable": "MZ\x90\x00",
		"application/x-ole-storage":                     "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
		"application/x-7z-compressed":                   "7z\xbc\xaf\x27\x1c",
		"application/vnd.openxmlformats-officedocument.wordprocessingml.document": entry("[Content_Types].xml",
			"....word/document.xml"),
		"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": entry("[Content_Types].xml",
			"....xl/workbook.xml"),
		"application/vnd.openxmlformats-officedocument.presentationml.presentation": entry("_rels/.rels", "....ppt/slides"),
		"application/vnd.oasis.opendocument.text": entry("mimetype",
			"application/vnd.oasis.opendocument.textPK\x03\x04"),
		"application/x-gzip": "\x1f\x8b\x08\x00",
		"image/vnd.dwg":      "AC1032",
	} {
		if got := mediaType([]byte(head)); got != want {
			t.Errorf("%.20q is %q, want %q", head, got, want)
		}
	}
	if got := mediaType([]byte("\x00\x01\x02\x03")); got != "" {
		t.Errorf("bytes that tell nothing are %q", got)
	}
}

func FuzzMediaType(f *testing.F) {
	f.Add([]byte("PK\x03\x04mimetypeapplication/"))
	f.Add([]byte("PK\x03\x04" + strings.Repeat("\x00", 26) + "mimetypeapplication/x\xff"))
	f.Fuzz(func(t *testing.T, head []byte) {
		if media := mediaType(head); len(media) > 100 || strings.ContainsAny(media, " \r\n;\x00") {
			t.Errorf("%q", media)
		}
	})
}

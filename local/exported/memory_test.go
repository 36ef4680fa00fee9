package exported_test

import (
	"bytes"
	"encoding/csv"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/mailtrail/mailtrail/local/exported"
	"github.com/mailtrail/mailtrail/sim/m365/company"
)

func BenchmarkRead(b *testing.B) {
	var table, lines bytes.Buffer
	w := csv.NewWriter(&table)
	_ = w.Write([]string{"CreationDate", "AuditData"}) // a buffer never fails
	for _, r := range company.SendRecords(1, 20_000, 1300) {
		_ = w.Write([]string{"2026-03-02", string(r.JSON)})
		lines.Write(append(r.JSON, '\n'))
	}
	w.Flush()
	text := strings.TrimSuffix(lines.String(), "\n")
	for form, text := range map[string]string{"csv": table.String(), "ndjson": text, "json": "[" + strings.ReplaceAll(text, "\n", ",") + "]"} {
		b.Run(form, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				s, err := exported.Read(b.Context(), strings.NewReader(text), func(int, []byte) error { return nil })
				if err != nil || s.Records != 20_000 {
					b.Fatal(s, err)
				}
			}
		})
	}
}

// endless is a file of one text again and again.
type endless struct {
	text string
	left int64
	at   int
}

func (e *endless) Read(p []byte) (int, error) {
	if e.left <= 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(int64(len(p)), e.left)], e.text[e.at:])
	e.at = (e.at + n) % len(e.text)
	e.left -= int64(n)
	return n, nil
}

// Files that are damaged through and through are read in memory that does not grow with them. The bound leaves room for
// what the garbage collector has not collected yet.
func TestMemoryIsBounded(t *testing.T) {
	const size, bound = 128 << 20, 96 << 20
	long := strings.Repeat("x", 4000)
	for name, file := range map[string]struct{ start, text string }{
		"line that never ends":    {"{", "x"},
		"quote that never closes": {"AuditData\n\"", long + "\n"},
		"rows torn in a quote":    {"A,AuditData\n", "1,\"{\"\"Id" + long + "\n1,\"{}\"\n"},
		"string that never ends":  {"[{\"", "x"},
		"bracket never closed":    {"[", "{\"x\":["},
		"torn elements":           {"[\n", "{\"Id\":\"" + long + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			in := io.MultiReader(
				strings.NewReader(file.start),
				&endless{text: strings.Repeat(file.text, 1+(64<<10)/len(file.text)), left: size},
			)
			s, err := exported.Read(t.Context(), in, func(int, []byte) error { return nil })
			runtime.ReadMemStats(&after)
			if err != nil || s.Unreadable == 0 {
				t.Fatalf("%+v, %v", s, err)
			}
			if grown := after.HeapSys - min(before.HeapSys, after.HeapSys); grown > bound {
				t.Errorf("the heap grew by %d MiB over a file of %d MiB", grown>>20, size>>20)
			}
		})
	}
}

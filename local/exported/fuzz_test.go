package exported_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/mailtrail/mailtrail/local/exported"
)

func seeds(f *testing.F) {
	for _, text := range []string{
		"", "\xef\xbb\xbf", "\n", "{", "[", "[{", "[[", "[]]", "{}{}", "{}\n{}\n", "\"\n{}\n",
		"[{\"Id\":\"a\"},\n{\"Id\":\"b\n{\"Id\":\"c\"}]", "[{\"a\\\"\":1}\n,7]\n[8]{}", "[\n  {\n    \"x\": []\n  },\n  {\n\"\n  {\n",
		"AuditData\n{}\n", "A,AuditData\n1,\"{\"\"a\"\":\n1,\"{}\"\n", "AuditData;B\n\"\n\";\n\"\"\"\n\"\"\"\n", "#TYPE X\nAuditData\n\"{}", "x,y\n",
		"{\"AuditData\":\" {}\"}\n{\"auditData\":{}}\n{\"AuditData\":\"7\"}", "{\n {}\n",
	} {
		f.Add(text)
	}
}

// Whatever the file is: no panic, lines in order, and of lines none is lost.
func FuzzRead(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, text string) {
		last := 1
		s, err := exported.Read(t.Context(), strings.NewReader(text), func(line int, raw []byte) error {
			if line < last || line > strings.Count(text, "\n")+1 {
				t.Errorf("a record on line %d after one on line %d", line, last)
			}
			last = line
			if !json.Valid(raw) || raw[0] != '{' {
				t.Errorf("handed over %q", raw)
			}
			return nil
		})
		if err != nil {
			return
		}
		for _, p := range s.Problems {
			if p.Line < 1 || p.Line > strings.Count(text, "\n")+1 || p.Reason == "" {
				t.Errorf("problem %+v", p)
			}
		}
		if s.Form != exported.Lines {
			return
		}
		written := 0
		for line := range strings.Lines(strings.TrimPrefix(text, "\xef\xbb\xbf")) {
			if len(bytes.TrimSpace([]byte(line))) > 0 {
				written++
			}
		}
		if s.Records+s.Unreadable != written {
			t.Errorf("%d records and %d unreadable of %d lines", s.Records, s.Unreadable, written)
		}
	})
}

// An undamaged array, of no rows that wrap their records, is read as encoding/json reads it, whether it is on one line,
// indented or an element a line.
func FuzzReadArray(f *testing.F) {
	for _, text := range []string{`[]`, `[{}]`, `[{"a":"],\"}"},7,[{"b":1}],null,"x",{"Id":"a","y":[{"Id":"a"}]}]`, "[{\"a\":\n{\"a\":1}}, {\"a\":2}]"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var elements []json.RawMessage
		if json.Unmarshal([]byte(text), &elements) != nil || elements == nil || strings.Contains(text, "uditData") {
			return
		}
		var compact, indented bytes.Buffer
		_ = json.Compact(&compact, []byte(text)) // valid, as it was decoded
		_ = json.Indent(&indented, []byte(text), "", "  ")
		byLine := "["
		var objects []string
		for i, e := range elements {
			var one bytes.Buffer
			_ = json.Compact(&one, e)
			if i > 0 {
				byLine += ",\n"
			}
			byLine += one.String()
			if e[0] == '{' {
				objects = append(objects, one.String())
			}
		}
		for _, form := range []string{compact.String(), indented.String(), byLine + "]\n"} {
			var records []string
			s, err := exported.Read(t.Context(), strings.NewReader(form), func(_ int, raw []byte) error {
				var one bytes.Buffer
				records = append(records, "")
				err := json.Compact(&one, raw)
				records[len(records)-1] = one.String()
				return err
			})
			if err != nil || !slices.Equal(records, objects) || s.Unreadable != len(elements)-len(objects) {
				t.Errorf("Read(%q) = %q, %+v, %v", form, records, s, err)
			}
		}
	})
}

// An undamaged table is read as encoding/csv reads it.
func FuzzReadTable(f *testing.F) {
	f.Add("a", `{"Id":"a"}`, "x\ny")
	f.Add(`"`, "{\n}", ";,\t")
	f.Fuzz(func(t *testing.T, before, data, after string) {
		data = strings.NewReplacer("\r", "", "uditData", "").Replace(data) // encoding/csv drops some
		var file bytes.Buffer
		w := csv.NewWriter(&file)
		_ = w.WriteAll(
			[][]string{{"A", "AuditData", "B"}, {before, data, after}, {"1", `{"last":1}`, "2"}},
		) // a buffer never fails
		var records []string
		s, err := exported.Read(t.Context(), &file, func(_ int, raw []byte) error {
			records = append(records, string(raw))
			return nil
		})
		want := []string{`{"last":1}`}
		if text := string(bytes.TrimSpace([]byte(data))); strings.HasPrefix(text, "{") && json.Valid([]byte(text)) {
			want = []string{text, `{"last":1}`}
		}
		if err != nil || !slices.Equal(records, want) || s.Unreadable != 2-len(want) {
			t.Errorf("%q, %q, %q: read %q, %+v, %v", before, data, after, records, s, err)
		}
	})
}

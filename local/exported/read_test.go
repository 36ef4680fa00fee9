package exported_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/mailtrail/mailtrail/local/exported"
	"github.com/mailtrail/mailtrail/shared/fault"
)

// got is what a test reads of an export: each record as "line: JSON".
func got(t testing.TB, text string) ([]string, exported.Summary) {
	t.Helper()
	var records []string
	s, err := exported.Read(t.Context(), strings.NewReader(text), func(line int, raw []byte) error {
		records = append(records, fmt.Sprintf("%d: %s", line, raw))
		return nil
	})
	if err != nil {
		t.Fatalf("Read(%.200q): %v", text, err)
	}
	if s.Records != len(records) {
		t.Errorf("the summary says %d records, %d were handed over", s.Records, len(records))
	}
	return records, s
}

func TestRead(t *testing.T) {
	const head = "CreationDate,UserIds,Operations,AuditData\n"
	tests := []struct {
		name, text string
		form       exported.Form
		records    []string
		problems   []string
	}{
		{"nothing", "", exported.Lines, nil, nil},
		{"blank lines", "\n \r\n\n", exported.Lines, nil, nil},
		{
			"lines",
			"{\"Id\":\"a\"}\n\n{\"Id\":\"b\"}\r\n  {\"Id\":\"a\"} ",
			exported.Lines,
			[]string{`1: {"Id":"a"}`, `3: {"Id":"b"}`, `4: {"Id":"a"}`},
			nil,
		},
		{"lines with a byte order mark", "\xef\xbb\xbf{\"Id\":\"a\"}\n", exported.Lines, []string{`1: {"Id":"a"}`}, nil},
		{"an object without an id is passed on", `{}`, exported.Lines, []string{`1: {}`}, nil},
		{
			"torn and strange lines",
			"{\"Id\":\"a\"}\n{\"Id\":\"b\n7\n\"text\"\nnull\n{\"Id\":\"c\"}{\"Id\":\"d\"}\n{\"Id\":\"e\"}",
			exported.Lines,
			[]string{`1: {"Id":"a"}`, `7: {"Id":"e"}`},
			[]string{
				"2: not valid JSON: torn or edited",
				"3: JSON, but not an object",
				"4: JSON, but not an object",
				"5: JSON, but not an object",
				"6: not valid JSON: torn or edited",
			},
		},
		{
			"first line torn",
			"\"Id\":\"a\"}\n{\"Id\":\"b\"}\n",
			exported.Lines,
			[]string{`2: {"Id":"b"}`},
			[]string{"1: not valid JSON: torn or edited"},
		},

		{"table", head + `2026,bob,Send,"{""Id"":""a""}"` + "\n", exported.CSV, []string{`2: {"Id":"a"}`}, nil},
		{
			"table with columns in another order and Windows line ends",
			"\xef\xbb\xbf\"auditdata \",X\r\n\"{\"\"Id\"\":\"\"a;b,c\"\"}\",1\r\n",
			exported.CSV,
			[]string{`2: {"Id":"a;b,c"}`},
			nil,
		},
		{
			"table of PowerShell",
			"#TYPE Selected.X\n\"A\",\"AuditData\"\n\"1\",\"{\"\"Id\"\":\"\"a\"\"}\"\n",
			exported.CSV,
			[]string{`3: {"Id":"a"}`},
			nil,
		},
		{
			"table of a European spreadsheet",
			"A;AuditData\n1;\"{\"\"Id\"\":\"\"a\"\"}\"\n",
			exported.CSV,
			[]string{`2: {"Id":"a"}`},
			nil,
		},
		{"table with tabs", "A\tAuditData\n1\t\"{\"\"Id\"\":\"\"a\"\"}\"\n", exported.CSV, []string{`2: {"Id":"a"}`}, nil},
		{"table with nothing found", head, exported.CSV, nil, nil},
		{
			"row of several lines",
			head + "1,b,\"two\nlines\",\"{\n\"\"Id\"\":\"\"a\"\"}\"\n2,b,c,{}\n",
			exported.CSV,
			[]string{"2: {\n\"Id\":\"a\"}", "5: {}"},
			nil,
		},
		{
			"damaged rows",
			head + "1,b,c\n2,b,c,\n\n3,b,c,7\n4,b,c,\"{\"\"Id\"\":\n5,b,c,\"{\"\"Id\"\":\"\"e\"\"}\"\n6,b,\"c\"d,{}\n7,b\"c,d,{}\n8,b,c,{},x\n9,b,c,{}",
			exported.CSV,
			[]string{`7: {"Id":"e"}`, `11: {}`},
			[]string{
				"2: the row has 3 fields, the header 4",
				"3: AuditData is empty",
				"5: JSON, but not an object",
				"6: text after a closing quote",
				"8: text after a closing quote",
				"9: a quote inside a field that is not quoted",
				"10: the row has 5 fields, the header 4",
			},
		},
		{
			"rows after a quote that nothing closes",
			head + "1,b,c,\"{\n2,b,c,{}\n3,b,c,{}",
			exported.CSV,
			[]string{"3: {}", "4: {}"},
			[]string{"2: a quoted field is not closed"},
		},

		{
			"array",
			`[{"Id":"a"},{"Id":"b","x":["]",{"y":"\"}"}]}]`,
			exported.Array,
			[]string{`1: {"Id":"a"}`, `1: {"Id":"b","x":["]",{"y":"\"}"}]}`},
			nil,
		},
		{"empty array", " [ ] ", exported.Array, nil, nil},
		{
			"array of several lines",
			"[\n  {\n    \"Id\": \"a\"\n  },\n  {\n    \"x\": [\n      {\n        \"Id\": 1\n      }\n    ]\n  }\n]\n",
			exported.Array,
			[]string{
				"2: {\n    \"Id\": \"a\"\n  }",
				"5: {\n    \"x\": [\n      {\n        \"Id\": 1\n      }\n    ]\n  }",
			},
			nil,
		},
		{
			"array with elements that are no records",
			"[{\"Id\":\"a\"},\n7, \"a,]\",\nnull,[1,[2]],{\"Id\":\"b\"}]",
			exported.Array,
			[]string{`1: {"Id":"a"}`, `3: {"Id":"b"}`},
			[]string{
				"2: JSON, but not an object",
				"2: JSON, but not an object",
				"3: JSON, but not an object",
				"3: JSON, but not an object",
			},
		},
		{
			"array torn at the end",
			"[{\"Id\":\"a\"},\n{\"Id\":\"b\"},\n{\"Id\":\"c",
			exported.Array,
			[]string{`1: {"Id":"a"}`, `2: {"Id":"b"}`},
			[]string{"3: the file ends inside the record"},
		},
		{
			"array torn between records",
			"[{\"Id\":\"a\"},\n{\"Id\":\"b\"},\n",
			exported.Array,
			[]string{`1: {"Id":"a"}`, `2: {"Id":"b"}`},
			[]string{"3: the array is not closed"},
		},
		{
			"array not closed",
			"[{\"Id\":\"a\"}",
			exported.Array,
			[]string{`1: {"Id":"a"}`},
			[]string{"1: the array is not closed"},
		},
		{
			"array with records torn in a string and between members",
			"[\n{\"Id\":\"a\"},\n{\"Id\":\"b\n{\"Id\":\"c\"},\n{\"Id\":\"d\",\"x\":{\n{\"Id\":\"e\"}\n{\"Id\":\"f\"}\n]",
			exported.Array,
			[]string{`2: {"Id":"a"}`, `4: {"Id":"c"}`, `6: {"Id":"e"}`, `7: {"Id":"f"}`},
			[]string{"3: torn: the line ends inside the record", "5: torn: the line ends inside the record"},
		},
		{
			"array with the first record torn",
			"[{\"Id\":\"a\n{\"Id\":\"b\"}]",
			exported.Array,
			[]string{`2: {"Id":"b"}`},
			[]string{"1: torn: the line ends inside the record"},
		},
		{
			"commas before records",
			"[ {\"Id\":\"a\"}\n, {\"Id\":\"b\"}\n, {\"Id\":\"c\n, {\"Id\":\"d\"}\n]",
			exported.Array,
			[]string{`1: {"Id":"a"}`, `2: {"Id":"b"}`, `4: {"Id":"d"}`},
			[]string{"3: torn: the line ends inside the record"},
		},
		{
			"rows of an audit search as objects",
			"[{\"RecordType\":2,\"AuditData\":\"{\\\"Id\\\":\\\"a\\\"}\"},\n{\"id\":\"x\",\"auditData\":{\"Id\":\"b\"}},\n{\"AuditData\":\"{\"},\n{\"AuditData\":null},\n{\"AuditData\":\"\"}]",
			exported.Array,
			[]string{`1: {"Id":"a"}`, `2: {"Id":"b"}`},
			[]string{
				"3: AuditData: not valid JSON: torn or edited",
				"4: AuditData: JSON, but not an object",
				"5: AuditData: not valid JSON: torn or edited",
			},
		},
		{
			"a record that merely speaks of AuditData",
			`{"Id":"a","x":"AuditData","y":{"AuditData":"{}"}}`,
			exported.Lines,
			[]string{`1: {"Id":"a","x":"AuditData","y":{"AuditData":"{}"}}`},
			nil,
		},
		{
			"several arrays",
			"[{\"Id\":\"a\"}]\n[{\"Id\":\"b\"}] [ ]\n{\"Id\":\"c\"}\nfin",
			exported.Array,
			[]string{`1: {"Id":"a"}`, `2: {"Id":"b"}`, `3: {"Id":"c"}`},
			[]string{"4: not valid JSON: torn or edited"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			records, s := got(t, tt.text)
			compare(t, "records", records, tt.records)
			compare(t, "problems", described(s), tt.problems)
			if s.Form != tt.form || s.Unreadable != len(tt.problems) {
				t.Errorf("form %q with %d unreadable, want %q with %d", s.Form, s.Unreadable, tt.form, len(tt.problems))
			}
		})
	}
}

func described(s exported.Summary) []string {
	var all []string
	for _, p := range s.Problems {
		all = append(all, fmt.Sprintf("%d: %s", p.Line, p.Reason))
	}
	return all
}

func compare(t *testing.T, what string, got, want []string) {
	t.Helper()
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("%s:\n%s\nwant:\n%s", what, g, w)
	}
}

func TestReadSaysWhatTheTableLacks(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"CreationDate,UserIds,\"Audit Data\"\n1,2,3\n",
			`no column AuditData; found columns "CreationDate", "UserIds", "Audit Data"`},
		{"a;b\n", `no column AuditData; found columns "a", "b"`},
		{"#TYPE X\n", "no column AuditData"},
		{strings.Repeat("x,", 40) + "\n", "and 21 more"},
		{"\xff\xfe{\x00", "the file is UTF-16: save it as UTF-8"},
		{"\x1f\x8b\x08\x00", "the file is compressed (gzip or ZIP): unpack it"},
		{"PK\x03\x04AuditData\n{}\n", "the file is compressed (gzip or ZIP): unpack it"},
		{"{\n  \"Id\": \"a\"\n}\n", "records go over several lines: write each on a line of its own (jq -c .)"},
	} {
		_, err := exported.Read(t.Context(), strings.NewReader(tt.text), nil)
		if !errors.Is(err, fault.Poison) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Read(%q) = %v, want poison: %s", tt.text, err, tt.want)
		}
	}
}

func TestReadStops(t *testing.T) {
	const many = 50_000 // more than is read to detect the form
	for form, text := range map[exported.Form]string{
		exported.Lines: strings.Repeat("{}\n", many),
		exported.CSV:   "AuditData\n" + strings.Repeat("{}\n", many),
		exported.Array: "[" + strings.Repeat("{},\n", many) + "{}]",
	} {
		t.Run(string(form), func(t *testing.T) {
			full := errors.New("the disk is full")
			s, err := exported.Read(t.Context(), strings.NewReader(text), func(int, []byte) error { return full })
			if !errors.Is(err, full) || s.Records != 0 {
				t.Errorf("when the caller fails: %d records, %v", s.Records, err)
			}
			broken := io.MultiReader(strings.NewReader(text[:len(text)-3]), iotest.ErrReader(io.ErrUnexpectedEOF))
			if s, err = exported.Read(t.Context(), broken, func(int, []byte) error { return nil }); !errors.Is(
				err,
				io.ErrUnexpectedEOF,
			) ||
				s.Records == 0 {
				t.Errorf("when the file fails: %d records, %v", s.Records, err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			if s, err = exported.Read(ctx, strings.NewReader(text),
				func(int, []byte) error { cancel(); return nil }); !errors.Is(
				err,
				context.Canceled,
			) ||
				s.Records != 1 {
				t.Errorf("when the context ends: %d records, %v", s.Records, err)
			}
		})
	}
}

// One byte more than the longest record is too long, in every form, and the record after it is read.
func TestReadGivesUpLongRecords(t *testing.T) {
	record := func(size int) string {
		const around = `{"Id":"a","x":""}`
		return strings.Replace(around, `""`, `"`+strings.Repeat("x", size-len(around))+`"`, 1)
	}
	doubled := func(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
	for size, want := range map[int]int{exported.MaxRecord: 2, exported.MaxRecord + 1: 1, 3*exported.MaxRecord + 1: 1} {
		for form, text := range map[exported.Form]string{
			exported.Lines: record(size) + "\n{}\n",
			exported.CSV:   "A,AuditData\n1," + doubled(record(size)) + "\n1,{}\n",
			exported.Array: "[" + record(size) + ",\n{}]",
		} {
			records, s := got(t, text)
			if len(records) != want || s.Form != form || s.Unreadable != 2-want ||
				!strings.HasSuffix(records[len(records)-1], ": {}") {
				t.Errorf("%s with a record of %d bytes: %d records, %d unreadable", form, size, len(records), s.Unreadable)
			}
		}
	}
}

func TestSummaryCountsAllButDescribesAHundred(t *testing.T) {
	_, s := got(t, "{}\n"+strings.Repeat("torn\n", 250))
	if s.Unreadable != 250 || len(s.Problems) != 100 || s.Problems[99].Line != 101 {
		t.Errorf("%d unreadable, %d described", s.Unreadable, len(s.Problems))
	}
}

// The three files hold the same damaged export; the golden files say what is read of them.
func TestReadGolden(t *testing.T) {
	for _, name := range []string{"purview.csv", "records.ndjson", "records.json"} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join("testdata", name)
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			s, err := exported.Read(t.Context(), bytes.NewReader(text), func(line int, raw []byte) error {
				var r struct {
					ID   string `json:"Id"`
					Item struct{ Attachments string }
				}
				if err := json.Unmarshal(raw, &r); err != nil {
					return err
				}
				fmt.Fprintf(&b, "line %d: %s %q\n", line, r.ID, r.Item.Attachments)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, "%s: %d records, %d unreadable\n", s.Form, s.Records, s.Unreadable)
			for _, p := range described(s) {
				fmt.Fprintf(&b, "unreadable line %s\n", p)
			}
			want, err := os.ReadFile(file + ".golden")
			if err != nil || b.String() != string(want) {
				t.Errorf("read:\n%s\nwant (%v):\n%s", b.String(), err, want)
			}
		})
	}
}

package audit_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/fault"
)

const (
	sendRecord   = `{"Id":"s","CreationTime":"2026-03-01T10:00:00","Operation":"Send","Item":{"Attachments":"a.txt (1b)"}}`
	createRecord = `{"Id":"c","Operation":"Create","Item":{"Attachments":"a.txt (1b)"}}`
	plainRecord  = `{"Id":"p","Operation":"Send","Item":{"Subject":"no files"}}`
)

// reading is all that a Reader says about a blob.
type reading struct {
	Records    []string
	Offsets    []int64
	Counts     audit.Counts
	Unreadable []audit.Unreadable
	Err        error
}

// read reads a blob to its end, which comes after at most limit records.
func read(t *testing.T, r *audit.Reader, limit int) (got reading) {
	t.Helper()
	for range limit + 1 {
		record, err := r.Next()
		if err != nil {
			got.Err = err
			break
		}
		got.Records = append(got.Records, string(record))
		got.Offsets = append(got.Offsets, r.Offset())
	}
	if got.Err == nil {
		t.Fatalf("the reader goes on after %d records", limit)
	}
	if _, again := r.Next(); again != got.Err {
		t.Fatalf("the reader ended with %v, then with %v", got.Err, again)
	}
	got.Counts, got.Unreadable = r.Counts(), r.Unreadable()
	return got
}

func TestReader(t *testing.T) {
	tests := []struct {
		name    string
		blob    string
		records []string
		counts  audit.Counts
		err     error  // what the end wraps
		says    string // and says
	}{
		{"an empty array", `[]`, nil, audit.Counts{}, io.EOF, ""},
		{
			"a byte order mark and white space",
			"\xef\xbb\xbf \r\n[ \t" + sendRecord + " ] \n",
			[]string{sendRecord},
			audit.Counts{Records: 1, Candidates: 1},
			io.EOF,
			"",
		},
		{
			"only sends with attachments come out",
			"[" + createRecord + "," + sendRecord + " ,\n" + plainRecord + "]",
			[]string{sendRecord},
			audit.Counts{Records: 3, Candidates: 1},
			io.EOF,
			"",
		},
		{
			"elements that are no objects are counted",
			`["a\"]\\",{},[1,[2],"]"],-1.5e3,true,false,null,` + sendRecord + `]`,
			[]string{sendRecord},
			audit.Counts{Records: 8, Candidates: 1, Unreadable: 6},
			io.EOF,
			"",
		},
		{
			"an object that is malformed inside is for Decode to judge",
			`[{"Operation":"Send" "Attachments"},` + sendRecord + `]`,
			[]string{`{"Operation":"Send" "Attachments"}`, sendRecord},
			audit.Counts{Records: 2, Candidates: 2},
			io.EOF,
			"",
		},

		{"nothing", "", nil, audit.Counts{}, io.ErrUnexpectedEOF, "byte 0:"},
		{"white space only", " \n", nil, audit.Counts{}, io.ErrUnexpectedEOF, "byte 2:"},
		{"torn after the bracket", `[`, nil, audit.Counts{}, io.ErrUnexpectedEOF, "byte 1:"},
		{
			"torn in a record",
			"[" + sendRecord + `,{"Id":"`,
			[]string{sendRecord},
			audit.Counts{Records: 1, Candidates: 1},
			io.ErrUnexpectedEOF,
			fmt.Sprintf("byte %d:", len(sendRecord)+9),
		},
		{"torn in a string", `["ab`, nil, audit.Counts{}, io.ErrUnexpectedEOF, "byte 4:"},
		{"torn in a number", `[12`, nil, audit.Counts{}, io.ErrUnexpectedEOF, "byte 3:"},
		{"torn in an array", `[[1`, nil, audit.Counts{}, io.ErrUnexpectedEOF, "byte 3:"},
		{
			"torn after a record",
			"[" + sendRecord,
			[]string{sendRecord},
			audit.Counts{Records: 1, Candidates: 1},
			io.ErrUnexpectedEOF,
			fmt.Sprintf("byte %d:", len(sendRecord)+1),
		},
		{"torn after a comma", "[1,", nil, audit.Counts{Records: 1, Unreadable: 1}, io.ErrUnexpectedEOF, "byte 3:"},
		{"torn in the byte order mark", "\xef\xbb", nil, audit.Counts{}, io.ErrUnexpectedEOF, "byte 2:"},

		{"an object instead of an array", `{"error":{}}`, nil, audit.Counts{}, fault.Poison, "byte 0: found '{'"},
		{"a page of HTML", "<html>", nil, audit.Counts{}, fault.Poison, "byte 0: found '<'"},
		{"a broken byte order mark", "\xef\xbc[]", nil, audit.Counts{}, fault.Poison, "byte 1:"},
		{
			"no comma",
			"[" + sendRecord + sendRecord + "]",
			[]string{sendRecord},
			audit.Counts{Records: 1, Candidates: 1},
			fault.Poison,
			fmt.Sprintf("byte %d: found '{'", len(sendRecord)+1),
		},
		{"two commas", "[1,,2]", nil, audit.Counts{Records: 1, Unreadable: 1}, fault.Poison, "byte 3: found ','"},
		{"a comma too many", "[1,]", nil, audit.Counts{Records: 1, Unreadable: 1}, fault.Poison, "byte 3: found ']'"},
		{"a brace too many", "[{}}]", nil, audit.Counts{Records: 1}, fault.Poison, "byte 3: found '}'"},
		{
			"garbage after the array",
			"[" + sendRecord + "] [",
			[]string{sendRecord},
			audit.Counts{Records: 1, Candidates: 1},
			fault.Poison,
			fmt.Sprintf("byte %d: found '['", len(sendRecord)+3),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := read(t, audit.NewReader(strings.NewReader(tt.blob)), len(tt.blob))
			if !slices.Equal(got.Records, tt.records) {
				t.Errorf("records: got %q, want %q", got.Records, tt.records)
			}
			for i, at := range got.Offsets {
				if !strings.HasPrefix(tt.blob[at:], got.Records[i]) {
					t.Errorf("record %d is said to begin at byte %d", i, at)
				}
			}
			if got.Counts != tt.counts {
				t.Errorf("counts: got %+v, want %+v", got.Counts, tt.counts)
			}
			if !errors.Is(got.Err, tt.err) || !strings.Contains(got.Err.Error(), tt.says) {
				t.Errorf("the end: got %v, want %v that tells %q", got.Err, tt.err, tt.says)
			}
			if (got.Err == io.EOF) != (tt.err == io.EOF) {
				t.Errorf("the end: got %v, and only a whole array ends with a bare io.EOF", got.Err)
			}
		})
	}
}

func TestReaderCandidates(t *testing.T) {
	tests := []struct {
		record string
		want   bool
	}{
		{sendRecord, true},
		{`{"Operation":"SendAs","Item":{"Attachments":"a (1b)"}}`, true},
		{`{"Operation":"SendOnBehalf","Item":{"Attachments":"a (1b)"}}`, true},
		{`{"Item":{"Attachments":"a (1b)"},"Operation":"Send"}`, true},
		{`{ "OPERATION" : "sEND" , "item" : { "ATTACHMENTS" : "a (1b)" } }`, true},
		{`{"Operation":"S\u0065nd","Item":{"Attachments":"a (1b)"}}`, true},
		{`{"Opera\u0074ion":"Send","Item":{"Attachments":"a (1b)"}}`, true},
		{`{"Operation":"Send","Item":{"\u0041ttachments":"a (1b)"}}`, true},
		{"{\"Operation\":\"Send\",\"Item\":{\"Attachment\u017f\":\"a (1b)\"}}", true},
		{`{"Operation":"Send","Item":"{\"Attachments\":\"a (1b)\"}"}`, true},
		{`{"Operation":"Send","Item":"{\"\\u0041ttachments\":\"a (1b)\"}"}`, true},
		{`{"Operation":"Create","Operation":"Send","Item":{"Attachments":"a (1b)"}}`, true},

		{createRecord, false},
		{plainRecord, false},
		{`{"Operation":"Sent","Item":{"Attachments":"a (1b)"}}`, false},
		{`{"Operation":null,"Item":{"Attachments":"a (1b)"}}`, false},
		{`{"Operation":"Create","Item":{"Subject":"\"Operation\":\"Send\"","Attachments":"a (1b)"}}`, false},
		{`{"Operation":"Create","Item":{"Operation":"Send","Attachments":"a (1b)"}}`, false},
		{`{"Operation":"Send","Item":{"Subject":"hatch, attach, ttachment, ATTACHMEN"}}`, false},
		{`{"h":"attach"}`, false},
		{`{"Attachments" "Operation":"Send"}`, true}, // malformed, so Decode has to say so
	}
	for _, tt := range tests {
		got := read(t, audit.NewReader(strings.NewReader("["+tt.record+"]")), 1)
		if candidate := len(got.Records) == 1; got.Err != io.EOF || candidate != tt.want {
			t.Errorf("%s: candidate %v (%v), want %v", tt.record, candidate, got.Err, tt.want)
		}
	}
}

// A string may hold what looks like the border of a record, and any run of backslashes may stand before its end.
func TestReaderStrings(t *testing.T) {
	subjects := []string{
		`{`, `}`, `},{`, `{{{`, `\"`, `\"},{\"`, `\\`, `\\\"`, `\\\\`, `{\\`, `}\\\"{`, `]`, `[`, `\"\"}`, `\r\n`, `{\"a\":\"}\"}`, `\u007b`, `é}`,
	}
	for _, subject := range subjects {
		var blob strings.Builder
		var want []string
		for i := range 3 {
			record := fmt.Sprintf(
				`{"Id":%d,"Operation":"Send","Item":{"Subject":"%s","Attachments":"%s (1b)"},"x":["%s"]}`,
				i,
				subject,
				subject,
				subject,
			)
			want = append(want, record)
			fmt.Fprintf(&blob, "%c%s", "[,"[min(i, 1)], record)
		}
		blob.WriteString("]")

		got := read(t, audit.NewReader(strings.NewReader(blob.String())), 3)
		if got.Err != io.EOF || !slices.Equal(got.Records, want) {
			t.Errorf("subject %s: got %q, %v", subject, got.Records, got.Err)
		}
	}
}

func TestReaderPassesOnWhatTheSourceFailsWith(t *testing.T) {
	broken := errors.New("connection reset")
	for _, blob := range []string{"", "[", "[" + sendRecord, "[" + sendRecord + ",{", `["a`, "[1", "[[", "[" + sendRecord + "]"} {
		source := io.MultiReader(strings.NewReader(blob), iotest.ErrReader(broken))
		got := read(t, audit.NewReader(source), 1)
		if !errors.Is(got.Err, broken) || errors.Is(got.Err, fault.Poison) {
			t.Errorf("%s: got %v", blob, got.Err)
		}
	}
}

type silence struct{}

func (silence) Read([]byte) (int, error) { return 0, nil }

// stutter gives nothing on every second read.
type stutter struct {
	io.Reader
	reads int
}

func (s *stutter) Read(b []byte) (int, error) {
	if s.reads++; s.reads%2 == 1 {
		return 0, nil
	}
	return s.Reader.Read(b[:min(len(b), 7)])
}

func TestReaderTakesEmptyReads(t *testing.T) {
	got := read(t, audit.NewReader(&stutter{Reader: strings.NewReader("[" + sendRecord + "]")}), 1)
	if got.Err != io.EOF || !slices.Equal(got.Records, []string{sendRecord}) {
		t.Errorf("got %q, %v", got.Records, got.Err)
	}
}

// No JSON escapes a brace. What does is no record, but those after it are.
func TestReaderGoesOnAfterAnEscapedBrace(t *testing.T) {
	got := read(t, audit.NewReader(strings.NewReader(`[{"a":"\{"},{"a":"\}"},`+sendRecord+"]")), 3)
	if got.Err != io.EOF || !slices.Equal(got.Records, []string{sendRecord}) {
		t.Errorf("got %q, %v", got.Records, got.Err)
	}
}

func TestReaderGivesUpOnASilentSource(t *testing.T) {
	got := read(t, audit.NewReader(io.MultiReader(strings.NewReader("["+sendRecord), silence{})), 1)
	if len(got.Records) != 1 || !errors.Is(got.Err, io.ErrNoProgress) {
		t.Errorf("got %q, %v", got.Records, got.Err)
	}
}

func TestReaderReset(t *testing.T) {
	r := audit.NewReader(strings.NewReader(`[1,` + sendRecord + `,{`))
	read(t, r, 1)
	r.Reset(strings.NewReader("[" + sendRecord + "]"))
	got := read(t, r, 1)
	if got.Err != io.EOF || got.Counts != (audit.Counts{Records: 1, Candidates: 1}) || len(got.Unreadable) != 0 ||
		got.Offsets[0] != 1 {
		t.Errorf("got %+v", got)
	}
}

// sized is a send of exactly n bytes.
func sized(n int) string {
	const front, back = `{"Operation":"Send","Item":{"Attachments":"`, `"}}`
	return front + strings.Repeat("x", n-len(front)-len(back)) + back
}

func TestReaderPassesOverRecordsThatAreTooLarge(t *testing.T) {
	largest := sized(audit.MaxRecord)
	for name, source := range map[string]func(io.Reader) io.Reader{
		"whole":                   func(r io.Reader) io.Reader { return r },
		"with the end in advance": iotest.DataErrReader,
		"in halves":               iotest.HalfReader,
	} {
		blob := "[" + largest + "," + sized(audit.MaxRecord+1) + "," + sized(15*audit.MaxRecord/4) + "," + sendRecord + "]"
		got := read(t, audit.NewReader(source(strings.NewReader(blob))), 2)
		if got.Err != io.EOF || !slices.Equal(got.Records, []string{largest, sendRecord}) {
			t.Errorf("%s: got %d records, %v", name, len(got.Records), got.Err)
		}
		want := []audit.Unreadable{
			{Offset: audit.MaxRecord + 2, Size: audit.MaxRecord + 1, Reason: "larger than 4 MiB"},
			{Offset: 2*audit.MaxRecord + 4, Size: 15 * audit.MaxRecord / 4, Reason: "larger than 4 MiB"},
		}
		if !slices.Equal(got.Unreadable, want) {
			t.Errorf("%s: got %+v, want %+v", name, got.Unreadable, want)
		}
	}
}

func TestReaderKeepsAHundredUnreadable(t *testing.T) {
	got := read(t, audit.NewReader(strings.NewReader("["+strings.Repeat("1,", 149)+"1]")), 1)
	if len(got.Unreadable) != 100 || got.Counts.Unreadable != 150 || got.Counts.Records != 150 {
		t.Errorf("kept %d, counted %+v", len(got.Unreadable), got.Counts)
	}
	if first := (audit.Unreadable{Offset: 1, Size: 1, Reason: "a bare value, not an object"}); got.Unreadable[0] != first {
		t.Errorf("got %+v, want %+v", got.Unreadable[0], first)
	}
}

// repeated streams front, then body n times, then back.
func repeated(front, body string, n int, back string) io.Reader {
	many := bytes.Repeat([]byte(body), 1<<20/len(body)+1)
	whole := len(many) / len(body)
	sources := []io.Reader{strings.NewReader(front)}
	for ; n > 0; n -= whole {
		sources = append(sources, bytes.NewReader(many[:min(n, whole)*len(body)]))
	}
	return io.MultiReader(append(sources, strings.NewReader(back))...)
}

func TestReaderMemoryDoesNotGrowWithTheBlob(t *testing.T) {
	plain := string(inventedBlob(3, 400, 0.02))
	plain = plain[1:len(plain)-1] + ","
	tests := []struct {
		name   string
		source io.Reader
		most   uint64
	}{
		{"200 MB of records", repeated("[", plain, 200<<20/len(plain), "{}]"), 2 << 20},
		{"a record of 200 MB", repeated(`[{"a":"`, "x{", 100<<20, `"}]`), 3 * audit.MaxRecord},
		{"a string of 20 MB", repeated(`["`, "xy", 10<<20, `"]`), 2 << 20},
	}
	for _, tt := range tests {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		r := audit.NewReader(tt.source)
		for err := error(nil); err != io.EOF; {
			if _, err = r.Next(); err != nil && err != io.EOF {
				t.Fatalf("%s: %v", tt.name, err)
			}
		}
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > tt.most {
			t.Errorf("%s: allocated %d bytes, want at most %d", tt.name, used, tt.most)
		}
	}
}

package table_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/mailtrail/mailtrail/shared/table"
)

func TestAfter(t *testing.T) {
	tests := map[string]string{
		"":                         "",
		"a":                        "b",
		"a|":                       "a}",
		"\x00":                     "\x01",
		"a\x7f":                    "a\u0080", // in two bytes, which are greater
		"z\u07ff":                  "z\u0800",
		"ä":                        "å",
		"\ud7ff":                   "\ue000", // over the surrogates
		"\uffff":                   "\U00010000",
		"😀":                        "😁",
		"a\U0010ffff":              "b",
		"a\U0010ffff\U0010ffff":    "b",
		"\U0010ffff":               "",
		"\U0010ffff\U0010ffff":     "",
		"\ud7ff\U0010ffff":         "\ue000",
		"connection|sender|ann@x|": "connection|sender|ann@x}",
	}
	for prefix, want := range tests {
		if got := table.After(prefix); got != want {
			t.Errorf("After(%q) = %q, want %q", prefix, got, want)
		}
	}
}

func FuzzAfter(f *testing.F) {
	for _, prefix := range []string{"", "a", "\x7f", "\ud7ff", "\U0010ffff", "a\U0010ffff", "ﬀ", "😀"} {
		f.Add(prefix, "b", "a\x00")
	}
	f.Fuzz(func(t *testing.T, prefix, tail, other string) {
		if !utf8.ValidString(prefix) || !utf8.ValidString(tail) || !utf8.ValidString(other) {
			return // tables hold UTF-8 only
		}
		after := table.After(prefix)
		if !utf8.ValidString(after) {
			t.Fatalf("After(%q) = %q, which is not UTF-8", prefix, after)
		}
		if after != "" && prefix+tail >= after {
			t.Errorf("%q is not before After(%q) = %q", prefix+tail, prefix, after)
		}
		// Nothing else is between them.
		if other >= prefix && (after == "" || other < after) && !strings.HasPrefix(other, prefix) {
			t.Errorf("%q is between %q and After of it, %q", other, prefix, after)
		}
	})
}

func TestPrefix(t *testing.T) {
	q := table.Query{Partition: "p", From: "x", To: "y", Limit: 3}.Prefix("a|")
	if want := (table.Query{Partition: "p", From: "a|", To: "a}", Limit: 3}); q != want {
		t.Errorf("got %+v, want %+v", q, want)
	}
}

package exported_test

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/local/exported"
	"github.com/mailtrail/mailtrail/sim/m365/company"
	"github.com/mailtrail/mailtrail/sim/m365/world"
)

// tornEvery says how often the tests tear a record, and doubledEvery how often they write one twice.
const tornEvery, doubledEvery = 97, 41

// The log of a company's morning, odd names and all, written in each form, with some records twice and some torn:
// exactly the torn ones are missing.
func TestReadCompany(t *testing.T) {
	from := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	records := company.New(company.Options{MailsPerHour: 30, Noise: 10}).Between(from, from.Add(4*time.Hour)).Records
	var table, lines, array bytes.Buffer
	table.WriteString("RecordId,CreationDate,AuditData,UserId\n")
	array.WriteString("[\n")
	var want []string
	torn := 0
	for i, r := range records {
		times := 1
		if i%doubledEvery == 0 {
			times = 2
		}
		for range times {
			row := csvRow(t, r)
			text, ends := string(r.JSON), ",\n"
			if i%tornEvery == tornEvery-1 {
				text, row, ends, torn = text[:len(text)*(i%10)/10+20], row[:120+i%300]+"\n", "\n", torn+1
			} else {
				want = append(want, text)
			}
			lines.WriteString(text + "\n")
			array.WriteString(text + ends)
			table.WriteString(row)
		}
	}
	array.WriteString("]\n")
	for form, file := range map[exported.Form]*bytes.Buffer{exported.CSV: &table, exported.Lines: &lines,
		exported.Array: &array} {
		t.Run(string(form), func(t *testing.T) {
			next := 0
			s, err := exported.Read(t.Context(), file, func(line int, raw []byte) error {
				if next >= len(want) || string(raw) != want[next] {
					return fmt.Errorf("record %d on line %d is not what was written: %s", next, line, raw)
				}
				next++
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if s.Form != form || s.Records != len(want) || s.Unreadable != torn || torn == 0 {
				t.Errorf(
					"%s: %d records and %d unreadable, want %d and %d: %+v",
					s.Form,
					s.Records,
					s.Unreadable,
					len(want),
					torn,
					s.Problems,
				)
			}
		})
	}
}

func csvRow(t *testing.T, r world.Record) string {
	t.Helper()
	var b strings.Builder
	w := csv.NewWriter(&b)
	if err := w.Write([]string{r.ID, r.Created.Format(time.RFC3339), string(r.JSON), "a, b"}); err != nil {
		t.Fatal(err)
	}
	w.Flush()
	return b.String()
}

func TestRecordKeepsWhatWasWritten(t *testing.T) {
	at := time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, tt := range []struct {
		raw, id string
		created time.Time
	}{
		{`{"Id":"a","CreationTime":"2025-01-02T03:04:05"}`, "a", at},
		{`{"Id":"a","CreationTime":"2025-01-02T04:04:05+01:00"}`, "a", at},
		{`{"Id":"a","CreationTime":"2025-01-02T03:04:05.25"}`, "a", at.Add(250 * time.Millisecond)},
		{`{"Id":7,"CreationTime":"2025-01-02T03:04:05Z"}`, "", at},
		{`{"Id":"a","CreationTime":12}`, "a", time.Time{}},
		{`{}`, "", time.Time{}},
	} {
		raw := []byte(tt.raw)
		r := exported.Record(raw)
		clear(raw) // the bytes that Read lends are used again
		if r.ID != tt.id || !r.Created.Equal(tt.created) || string(r.JSON) != tt.raw {
			t.Errorf("Record(%s) = %q, %v, %s", tt.raw, r.ID, r.Created, r.JSON)
		}
	}
}

func TestBlobsKeepEveryRecordInOrder(t *testing.T) {
	for n, want := range map[int]int{0: 0, 1: 1, 500: 1, 501: 2, 1700: 4} {
		records := make([]world.Record, n)
		for i := range records {
			records[i].ID = fmt.Sprint(i)
		}
		blobs, next := exported.Blobs(records), 0
		for _, blob := range blobs {
			if len(blob) == 0 || len(blob) > 500 {
				t.Errorf("a blob of %d records", len(blob))
			}
			for _, r := range blob {
				if r.ID != fmt.Sprint(next) {
					t.Fatalf("record %s where %d should be", r.ID, next)
				}
				next++
			}
		}
		if len(blobs) != want || next != n {
			t.Errorf("%d records became %d blobs of %d records, want %d blobs", n, len(blobs), next, want)
		}
	}
}

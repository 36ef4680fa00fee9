package forensic

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/audit"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// Each file of testdata/derive holds a record as Microsoft sends it, and after it what we make of it.
func TestRecordsAsMicrosoftSendsThem(t *testing.T) {
	const mark = "\n\n-- what we make of it --\n"
	paths, err := filepath.Glob("testdata/derive/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			record, want, _ := strings.Cut(string(content), mark)
			record = strings.TrimRight(record, "\n")
			got := account(record)
			if *update {
				if err := os.WriteFile(path, []byte(record+mark+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// Purview finds a record by its time, user and operation, and identifies it by its Id. The event shows all four.
func TestARecordCanBeFoundInPurviewByWhatTheEventShows(t *testing.T) {
	paths, err := filepath.Glob("testdata/derive/send*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		raw, _, _ := strings.Cut(string(content), "\n\n-- what")
		var is struct{ CreationTime, ID, UserID, Operation string }
		if err := json.Unmarshal([]byte(raw), &is); err != nil {
			t.Fatal(err)
		}
		r, err := audit.Decode([]byte(raw))
		if err != nil {
			t.Fatal(err)
		}
		m, class, err := Derive(r, audit.Blob{Connection: tester, ID: "b", Arrival: stored})
		if err != nil || class != Sent {
			t.Fatalf("%s: class %d, %v", path, class, err)
		}
		if m.Observed.Format("2006-01-02T15:04:05") != is.CreationTime || !strings.EqualFold(string(m.Record), is.ID) ||
			m.UserID != is.UserID || m.Operation != is.Operation {
			t.Errorf("%s: the event shows %s %s %q %s, the record is %+v", path, m.Observed, m.Record, m.UserID, m.Operation, is)
		}
	}
}

// account describes in plain text what is made of a record.
func account(record string) string {
	var b strings.Builder
	r, err := audit.Decode([]byte(record))
	var m Message
	class := NoSend
	if err == nil {
		m, class, err = Derive(r, audit.Blob{
			Connection: "c0ffee000001", ID: "blob-1", Arrival: time.Date(2026, 4, 2, 8, 0, 0, 0, time.UTC),
		})
	}
	switch {
	case err != nil:
		fmt.Fprintf(&b, "unreadable: %v\n", err)
	case class != Sent:
		fmt.Fprintf(
			&b,
			"%s\n",
			[...]string{NoSend: "no send with attachments", Noise: "noise", Failed: "failed: nothing left"}[class],
		)
	default:
		v := reflect.ValueOf(m)
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; name != "Files" && name != "Stored" && !v.Field(i).IsZero() {
				fmt.Fprintf(&b, "%-17s %s\n", name, plain(v.Field(i).Interface()))
			}
		}
		fmt.Fprintf(&b, "%-17s %s\n", "sent by", m.SentBy())
		for i, f := range m.Files {
			fmt.Fprintf(&b, "event %s\n    %q, stored size %d\n", m.EventID(i), f.Name, f.StoredSize)
		}
	}
	return b.String()
}

func plain(v any) string {
	switch v := v.(type) {
	case time.Time:
		return v.Format(timeLayout)
	case []string:
		return strings.Join(v, ", ")
	case *bool:
		return strconv.FormatBool(*v)
	}
	return strings.Trim(fmt.Sprintf("%q", fmt.Sprint(v)), `"`)
}

func TestClientAddressesAreBare(t *testing.T) {
	for told, want := range map[string]string{
		"20.190.160.96":         "20.190.160.96",
		"1.2.3.4:16902":         "1.2.3.4",
		"[1.2.3.4]":             "1.2.3.4",
		"[1.2.3.4]:25":          "1.2.3.4",
		"::1":                   "::1",
		"[2603:10a6::5]:54088":  "2603:10a6::5",
		"[2603:10A6::5]":        "2603:10a6::5",
		"2603:10a6:0:0:0:0:0:5": "2603:10a6::5",
		"::ffff:1.2.3.4":        "1.2.3.4",
		"[::ffff:1.2.3.4]:443":  "1.2.3.4",
		"fe80::1%eth0":          "fe80::1%eth0",
		" 1.2.3.4 ":             "1.2.3.4",
		"mail.contoso.com:587":  "mail.contoso.com",
		"mail.contoso.com":      "mail.contoso.com",
		"":                      "",
		":25":                   ":25",
		"[":                     "[",
	} {
		if got := bareIP(told); got != want {
			t.Errorf("%q is bare %q, want %q", told, got, want)
		}
	}
}

// Only a mail with every trait of a sharing notification is hidden: its sender can choose all of them but the app.
func TestOnlySharingNotificationsAreNoise(t *testing.T) {
	notification := audit.Record{
		ID: "r-1", Operation: audit.Send, UserID: "a@contoso.com", CreationTime: stored, AppID: strings.ToUpper(sharingApp),
		Item: audit.Item{
			Attachments:       "AttachedImage (3165b); AttachedImage (1642b)",
			InternetMessageID: "<odspmicro-share-1@odspnotify>",
		},
	}
	for name, c := range map[string]struct {
		change func(*audit.Record)
		want   Class
	}{
		"notification":        {func(*audit.Record) {}, Noise},
		"from another app":    {func(r *audit.Record) { r.AppID = "00000002-0000-0ff1-ce00-000000000000" }, Sent},
		"with an ordinary id": {func(r *audit.Record) { r.Item.InternetMessageID = "<1@contoso.com>" }, Sent},
		"with a file":         {func(r *audit.Record) { r.Item.Attachments += "; secret.docx (99b)" }, Sent},
		"that failed":         {func(r *audit.Record) { r.ResultStatus = "Failed" }, Failed},
	} {
		r := notification
		c.change(&r)
		if _, got, err := Derive(r, audit.Blob{}); got != c.want || err != nil {
			t.Errorf("%s: class %d, %v, want %d", name, got, err, c.want)
		}
	}
}

// Microsoft changes its schema without notice: the message stays the same.
func TestSchemaDriftChangesNothing(t *testing.T) {
	const base = `{"CreationTime":"2026-03-31T09:26:34","Id":"R-1","Operation":"Send","RecordType":2,"ResultStatus":"Succeeded",
		"UserId":"adele@contoso.com","MailboxOwnerUPN":"adele@contoso.com","ClientIP":"1.2.3.4","InternalLogonType":0,
		"Item":{"Attachments":"a.pdf (3b)","Subject":"s","InternetMessageId":"<1@b>","SizeInBytes":5000}}`
	b := audit.Blob{Connection: tester, ID: "blob-1", Arrival: stored}
	derive := func(t *testing.T, record string) Message {
		r, err := audit.Decode([]byte(record))
		if err != nil {
			t.Fatal(err)
		}
		m, class, err := Derive(r, b)
		if err != nil || class != Sent {
			t.Fatalf("class %d, %v", class, err)
		}
		return m
	}
	want := derive(t, base)
	for name, swap := range map[string][2]string{
		"unknown fields":         {`"RecordType":2`, `"RecordType":2,"NewIn2027":{"a":[1,{"b":null}]}`},
		"unknown record type":    {`"RecordType":2`, `"RecordType":4711`},
		"numbers as strings":     {`"SizeInBytes":5000`, `"SizeInBytes":"5000"`},
		"numbers as nonsense":    {`"InternalLogonType":0`, `"LogonType":{}`},
		"names in another case":  {`"UserId"`, `"userID"`},
		"null for a text":        {`"InternalLogonType":0`, `"SessionId":null`},
		"Item as JSON in a text": {itemOf(base), quote(itemOf(base))},
		"time with a zone":       {`09:26:34"`, `11:26:34+02:00"`},
		"a duplicate name":       {`"RecordType":2`, `"UserId":"first@contoso.com"`},
		"space around texts":     {`"adele@contoso.com","Mail`, `" adele@contoso.com\r\n","Mail`},
	} {
		t.Run(name, func(t *testing.T) {
			changed := strings.Replace(base, swap[0], swap[1], 1)
			if changed == base {
				t.Fatalf("nothing was changed: %q does not occur", swap[0])
			}
			if got := derive(t, changed); !reflect.DeepEqual(got, want) {
				t.Errorf("message is\n%+v\nwant\n%+v", got, want)
			}
		})
	}

	for name, swap := range map[string][2]string{
		"no Item":          {`"Item":` + itemOf(base), `"Other":{}`},
		"null Item":        {itemOf(base), `null`},
		"null attachments": {`"a.pdf (3b)"`, `null`},
		"no attachments":   {`"Attachments":"a.pdf (3b)",`, ``},
		"another act":      {`"Send"`, `"MoveToDeletedItems"`},
	} {
		r, err := audit.Decode([]byte(strings.Replace(base, swap[0], swap[1], 1)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, class, err := Derive(r, b); class != NoSend || err != nil {
			t.Errorf("%s: class %d, %v, want no send", name, class, err)
		}
	}
}

// itemOf is the record's Item, which stands at its end.
func itemOf(record string) string {
	return strings.TrimSuffix(record[strings.Index(record, `"Item":`)+len(`"Item":`):], "}")
}

func quote(s string) string {
	q, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(q)
}

// A status that nobody has seen yet loses no mail.
func TestOnlyAStatusThatSaysSoIsAFailure(t *testing.T) {
	for status, want := range map[string]Class{
		"": Sent, "Succeeded": Sent, " partiallySucceeded ": Sent, "True": Sent, "Queued": Sent,
		"Failed": Failed, "FAILURE": Failed, "False": Failed,
	} {
		r := audit.Record{
			ID: "r-1", Operation: audit.Send, CreationTime: stored, ResultStatus: status,
			Item: audit.Item{Attachments: "a.pdf (1b)"},
		}
		if _, class, err := Derive(r, audit.Blob{Connection: tester, ID: "b", Arrival: stored}); err != nil || class != want {
			t.Errorf("status %q is of class %d, %v, want %d", status, class, err, want)
		}
	}
}

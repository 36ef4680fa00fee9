package audit_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/fault"
)

// TestDecode reads testdata/records: each file is a record as it comes, an arrow, and what it becomes: a Record without
// what is zero, or the error.
func TestDecode(t *testing.T) {
	files, err := filepath.Glob("testdata/records/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			golden, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			raw, want, _ := bytes.Cut(golden, []byte("\n=>\n"))
			if got := decoded(t, raw); got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func decoded(t *testing.T, raw []byte) string {
	record, err := audit.Decode(raw)
	if err != nil {
		if !errors.Is(err, fault.Poison) {
			t.Errorf("%v is no fault.Poison", err)
		}
		return err.Error() + "\n"
	}

	var out strings.Builder
	fmt.Fprintf(&out, "sends files: %v\n", record.SendsFiles())
	fields := map[string]any{}
	encoded, err := json.Marshal(record)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(encoded, &fields); err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Fields(`ID RecordType CreationTime Operation OrganizationID UserType UserKey UserID
		ResultStatus Workload ClientIP ClientIPAddress ClientInfoString SessionID AppID ClientAppID AccessAppID AccessSession
		ActorIP DeviceID LogonType
		ExternalAccess MailboxGUID MailboxOwnerUPN SendAsUserSmtp
		SendOnBehalfOfUserSmtp SaveToSentItems RecipientCount`) {
		write(&out, name, fields[name])
	}
	for _, r := range record.Recipients {
		fmt.Fprintf(&out, "Recipient %q %q\n", r.Address, r.Name)
	}
	item := fields["Item"].(map[string]any)
	for _, name := range strings.Fields("ID ImmutableID InternetMessageID Subject Attachments SizeInBytes ParentFolderPath " +
		"Sensitivity") {
		write(&out, "Item."+name, item[name])
	}
	return out.String()
}

func write(out *strings.Builder, name string, value any) {
	if value != nil && value != "" && value != 0.0 {
		fmt.Fprintf(out, "%s %#v\n", name, value)
	}
}

func TestDecodeTimes(t *testing.T) {
	want := time.Date(2026, 3, 16, 12, 26, 34, 0, time.UTC)
	for written, want := range map[string]time.Time{
		"2026-03-16T12:26:34":              want,
		"2026-03-16T12:26:34Z":             want,
		"2026-03-16 12:26:34":              want,
		"2026-03-16T12:26:34.0000000":      want,
		"2026-03-16T12:26:34.25":           want.Add(250 * time.Millisecond),
		"2026-03-16T12:26:34.1234567Z":     want.Add(123456700),
		"2026-03-16T07:26:34-05:00":        want,
		"2026-03-16T17:56:34.500000+05:30": want.Add(500 * time.Millisecond),
	} {
		raw := strings.Replace(sendRecord, "2026-03-01T10:00:00", written, 1)
		r, err := audit.Decode([]byte(raw))
		if err != nil || !r.CreationTime.Equal(want) || r.CreationTime.Location() != time.UTC {
			t.Errorf("%s: got %v, %v", written, r.CreationTime, err)
		}
	}
}

func TestDecodeHoldsAThousandRecipients(t *testing.T) {
	list := strings.Repeat(`{"Address":"a@example.org","Name":"A"},`, 1500)
	raw := strings.Replace(sendRecord, `"Item"`, `"recipientCount":1501,"recipientList":[`+list+`{}],"Item"`, 1)
	r, err := audit.Decode([]byte(raw))
	if err != nil || len(r.Recipients) != audit.MaxRecipients || r.RecipientCount != 1501 || !r.SendsFiles() {
		t.Errorf("got %d of %d recipients, %v", len(r.Recipients), r.RecipientCount, err)
	}
}

// A member that cannot be read is left out, and what was read before stays.
func TestDecodeTakesWhatItCan(t *testing.T) {
	yes := true
	tests := []struct {
		members string
		want    audit.Record
	}{
		{`"recipientCount":3`, audit.Record{RecipientCount: 3}},
		{`"recipientCount":"3"`, audit.Record{RecipientCount: 3}},
		{`"recipientCount":" 3.0 "`, audit.Record{RecipientCount: 3}},
		{`"recipientCount":3,"RecipientCount":null`, audit.Record{RecipientCount: 3}},
		{`"recipientCount":3,"RecipientCount":"4.5"`, audit.Record{RecipientCount: 3}},
		{`"recipientCount":3,"RecipientCount":1e300`, audit.Record{RecipientCount: 3}},
		{`"recipientCount":3,"RecipientCount":"many"`, audit.Record{RecipientCount: 3}},
		{`"ExternalAccess":" tRue"`, audit.Record{ExternalAccess: &yes}},
		{`"ExternalAccess":1,"externalaccess":"perhaps"`, audit.Record{ExternalAccess: &yes}},
		{`"SaveToSentItems":true,"savetosentitems":null`, audit.Record{SaveToSentItems: &yes}},
		{`"AppAccessContext":"{\"ClientAppId\":\"a\"}"`, audit.Record{AccessAppID: "a"}},
		{`"AppAccessContext":null,"DeviceId":7,"ActorIP":"1.2.3.4"`, audit.Record{DeviceID: "7", ActorIP: "1.2.3.4"}},
		{`"Item":{"Sensitivity":2}`, audit.Record{Item: audit.Item{Sensitivity: "2"}}},
		{`"recipientList":["a"],"RecipientList":null`, audit.Record{Recipients: []audit.Address{{Address: "a"}}}},
		{`"recipientList":["a"],"RecipientList":["b"]`, audit.Record{Recipients: []audit.Address{{Address: "b"}}}},
		{`"recipientList":"[{\"Address\":\"a\"}]"`, audit.Record{Recipients: []audit.Address{{Address: "a"}}}},
		{`"recipientList":{"Address":"a"}`, audit.Record{}},
		{`"UserId":"u","UserIdThatIsLongerThanAnyNameThatWeKnow":"x"`, audit.Record{UserID: "u"}},
		{`"UserId":"u\\","UserKey":"\\\""`, audit.Record{UserID: `u\`, UserKey: `\"`}},
		{`"Item":5,"Operation":"Create"`, audit.Record{Operation: "Create"}},
		{`"Item":{"ParentFolder":7,"Attachments":["a (1b)"]}`, audit.Record{Item: audit.Item{Attachments: `["a (1b)"]`}}},
	}
	for _, tt := range tests {
		tt.want.UserType, tt.want.LogonType = audit.Absent, audit.Absent
		got, err := audit.Decode([]byte("{" + tt.members + "}"))
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: got %+v, %v", tt.members, got, err)
		}
	}
}

// The reader's buffer is used again, so a Record that pointed into it would change.
func TestDecodeCopies(t *testing.T) {
	raw := []byte(sendRecord)
	r, err := audit.Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	clear(raw)
	if r.ID != "s" || r.Item.Attachments != "a.txt (1b)" {
		t.Errorf("got %+v", r)
	}
}

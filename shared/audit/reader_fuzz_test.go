package audit_test

import (
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/fault"
)

// FuzzReader checks two things. For any input, the reader ends, and finds the same however the bytes arrive. For any
// array that encoding/json accepts, it finds each element, and hands out all that encoding/json calls a send with
// attachments.
func FuzzReader(f *testing.F) {
	for _, seed := range []string{
		"[]", "[" + sendRecord + "," + createRecord + "," + plainRecord + "]", "\xef\xbb\xbf[1]", `[{"a":"\\"},"\"",[[]]]`,
		`[{"Operation":"S\u0065nd","Item":{"\u0041ttachments":"a"}}]`, `[{"operation":"SENDAS","ITEM":{"attachmentſ":"}"}}`,
		`[{"Operation":"x","Operation":"Send","Item":null,"Item":{"Attachments":"{\"}"}}]`, `[{}{}]`, `[{"\`, `[{"a":\{"}]`,
		`[1,]x`,
		`[{"Operation":"SendOnBehalf","Item":"{\"Attachments\":\"a (1b)\"}"}]`, string(inventedBlob(5, 3, 0.5)),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, blob string) {
		got := read(t, audit.NewReader(strings.NewReader(blob)), len(blob))
		for name, source := range map[string]io.Reader{
			"byte by byte":            iotest.OneByteReader(strings.NewReader(blob)),
			"with the end in advance": iotest.DataErrReader(strings.NewReader(blob)),
			"in halves":               iotest.DataErrReader(iotest.HalfReader(strings.NewReader(blob))),
		} {
			other := read(t, audit.NewReader(source), len(blob))
			if got.Err.Error() != other.Err.Error() {
				t.Fatalf("whole: %v; %s: %v", got.Err, name, other.Err)
			}
			got.Err = other.Err
			if !reflect.DeepEqual(got, other) {
				t.Fatalf("whole: %+v; %s: %+v", got, name, other)
			}
		}

		var elements []json.RawMessage
		if json.Unmarshal([]byte(blob), &elements) == nil && elements != nil {
			checkReading(t, got, elements)
		}
	})
}

func checkReading(t *testing.T, got reading, elements []json.RawMessage) {
	if got.Err != io.EOF || got.Counts.Records != int64(len(elements)) {
		t.Fatalf("got %d records and %v, want %d", got.Counts.Records, got.Err, len(elements))
	}
	candidates := got.Records
	for _, element := range elements {
		var sent struct {
			Operation string
			Item      struct{ Attachments string }
		}
		sends := json.Unmarshal(element, &sent) == nil && sent.Item.Attachments != "" &&
			(strings.EqualFold(sent.Operation, "Send") || strings.EqualFold(sent.Operation, "SendAs") ||
				strings.EqualFold(sent.Operation, "SendOnBehalf"))

		switch {
		case len(candidates) > 0 && candidates[0] == string(element):
			candidates = candidates[1:]
		case sends:
			t.Fatalf("lost the record %s", element)
		}
	}
	if len(candidates) > 0 {
		t.Fatalf("got candidates that are no elements, or out of order: %q", candidates)
	}
}

// FuzzDecode checks that Decode reads as encoding/json does what encoding/json can read, and that it fails with
// nothing but fault.Poison.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		sendRecord, createRecord, plainRecord, `{}`, `null`, ` { "id" : "a\ud83d\ude00\ud800" , "ITEM" : { } } `,
		`{"Id":"a","Id":null,"Item":{"Subject":"a"},"Item":{"Attachments":"b"},"RecordType":2,"UserType":5}`,
		"{\"Id\":\"\xff\xfe\",\"U\u017ferKey\":\"k\",\"Wor\u212aload\":\"e\"}",
		`{"SaveToSentItems":false,"RecipientCount":3,"recipientList":[{"Address":"a@b","Name":"A"}]}`,
		`{"CreationTime":"2026-03-01T10:00:00.123Z","\u0049d":"x","Item":{"ParentFolder":{"Path":"\\Drafts"}}}`,
		`{"Id":"a" "b"}`, `{"Id":"a"}x`, `{"Id"`, `{"Item":"{\"Attachments\":\"a\"}","Operation":"send"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := audit.Decode(raw)
		if err != nil && (!errors.Is(err, fault.Poison) || !reflect.DeepEqual(got, audit.Record{})) {
			t.Fatalf("got %+v with the error %v", got, err)
		}

		type plain struct {
			ID                                             string
			RecordType                                     int
			UserKey, UserID, Workload, ClientIP, SessionID string
			MailboxOwnerUPN, SendAsUserSmtp                string
			RecipientCount                                 int64
			ExternalAccess                                 bool
			ActorIP, DeviceID                              string
			AppAccessContext                               struct{ ClientAppID, AADSessionID string }
			Item                                           struct {
				ID, Subject, InternetMessageID, Attachments string
				SizeInBytes                                 int64
				ParentFolder                                struct{ Path string }
			}
		}
		var want plain
		if err != nil || json.Unmarshal(raw, &want) != nil {
			return
		}
		is := plain{
			ID: got.ID, RecordType: got.RecordType, UserKey: got.UserKey, UserID: got.UserID, Workload: got.Workload,
			ClientIP: got.ClientIP, SessionID: got.SessionID, MailboxOwnerUPN: got.MailboxOwnerUPN,
			SendAsUserSmtp: got.SendAsUserSmtp, RecipientCount: got.RecipientCount,
			ExternalAccess: got.ExternalAccess != nil && *got.ExternalAccess, ActorIP: got.ActorIP, DeviceID: got.DeviceID,
		}
		is.Item.ID, is.Item.Subject, is.Item.InternetMessageID = got.Item.ID, got.Item.Subject, got.Item.InternetMessageID
		is.Item.Attachments, is.Item.SizeInBytes = got.Item.Attachments, got.Item.SizeInBytes
		is.Item.ParentFolder.Path = got.Item.ParentFolderPath
		if is != want {
			t.Fatalf("got  %+v\nwant %+v", is, want)
		}
	})
}

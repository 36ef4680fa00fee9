package search

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/forensic"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// exampleMessages are messages by the name of their golden document.
func exampleMessages() map[string]forensic.Message {
	full := forensic.Message{
		Connection: "aaaaaaaaaaaa", Record: "2f5b0a1e-7c1d-4c86-8a0e-08de1f000001",
		Observed: time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC), Arrival: time.Date(2026, 10, 1, 12, 4, 5, 678e6, time.UTC),
		Stored: time.Date(2026, 10, 1, 12, 4, 9, 120e6, time.UTC), Operation: "SendOnBehalf", Actor: "alice@corp.example",
		Sender: "alice@corp.example", From: "sales@corp.example", Mailbox: "sales@corp.example",
		Subject:           "Plans \"für\" <you>\n",
		InternetMessageID: "<1@corp.example>", ClientIP: "203.0.113.7",
		UserID: "alice@corp.example", UserKey: "1003200126677019", UserType: "regular", Coverage: "monitored",
		LogonType: "delegate", ExternalAccess: new(bool), MailboxGUID: "0d5c7a0e-2222-4c3d-8e9f-a0b1c2d3e4f5",
		AppID: "9199bf20-a13f-4107-85dc-02114787ef48", Service: "00000002-0000-0ff1-ce00-000000000000",
		Client: "Client=OWA;Mozilla/5.0", ActorIP: "203.0.113.9", DeviceID: "8d6c2a11-8888-4b7c-9d0e-1f2a3b4c5d6e",
		Session: "1d2ef24c-0c8e-4f5b-8d1d-93c74b1d8e44", Folder: `\Drafts`, ItemID: "RgAAAAD4", ImmutableID: "LgAAAAD4",
		Sensitivity: "Private", SavedToSent: new(true),
		Recipients: []string{"bob@rival.example", "carol@Corp.example", "dan@Rival.example"},
		Files:      []forensic.File{{Name: "Größe & \\plan\".PDF", StoredSize: 1234}},
	}
	bare := forensic.Message{
		Connection: "aaaaaaaaaaaa", Record: "2f5b0a1e-7c1d-4c86-8a0e-08de1f000002",
		Observed: full.Observed, Arrival: full.Arrival, Stored: full.Stored, Files: []forensic.File{{StoredSize: -1}},
	}
	found := full
	found.Copy = forensic.Copy{
		At: full.Stored.Add(time.Minute), From: "sales@corp.example", Sender: "Alice.Smith@corp.example",
		Subject: full.Subject,
		Recipients: []forensic.Recipient{{Address: "bob@rival.example", Name: "Bob", Role: forensic.To},
			{Address: "erin@paper.example", Role: forensic.Cc}, {Address: "frank@own.example", Role: forensic.Bcc}},
	}
	found.Files = []forensic.File{{Name: full.Files[0].Name, StoredSize: 1234, Attachment: forensic.Attachment{
		ID: "AAMkAGI1", Name: "Größe.PDF", ContentType: "application/pdf", ByBytes: "application/zip",
		Kind: forensic.ReferenceKind, Inline: true, StoredSize: 1300, Size: 1000,
		MD5: "9e107d9d372bb6826bd81d3542a419d6", SHA256: "d7a8fbb307d7809469ca9abcb0082e4f8d5651e46d3cdb762d02d0bf37c9e592",
		QuickXor: "AAAAAAAAAAAAAAAAAAAAAAAAAAA=", URL: "https://corp-my.sharepoint.com/plans",
	}}}
	missing := full
	missing.Copy = forensic.Copy{At: found.Copy.At, Reason: forensic.NotFound}
	waiting := full
	waiting.Waiting = true
	return map[string]forensic.Message{"full": full, "bare": bare, "found": found, "missing": missing, "waiting": waiting}
}

func TestDocument(t *testing.T) {
	conn := connection.Connection{ID: "aaaaaaaaaaaa", DisplayName: "M365 corp"}
	for name, m := range exampleMessages() {
		t.Run(name, func(t *testing.T) {
			raw := theSchema().appendDocument(nil, &event{message: &m, conn: &conn, own: []string{"own.example"}})
			var got bytes.Buffer
			if err := json.Indent(&got, append(raw, '\n'), "", "  "); err != nil {
				t.Fatalf("%v in %s", err, raw)
			}
			golden := filepath.Join("testdata", name+".json")
			if *update {
				if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Bytes(), want) {
				t.Errorf("%s is not what is written:\n%s", golden, got.Bytes())
			}
		})
	}
}

// FuzzDocument writes valid JSON that says what the message says, whatever is in it.
func FuzzDocument(f *testing.F) {
	f.Add("plan.pdf", "subject", "a@b.example")
	f.Add("\x00\"\\\u2028</script>", "\xff\xfe", "日本@例え.example")
	f.Fuzz(func(t *testing.T, name, subject, recipient string) {
		m := exampleMessages()["full"]
		m.Files[0].Name, m.Subject, m.Recipients = name, subject, []string{recipient}
		raw := theSchema().appendDocument(nil, &event{message: &m, conn: &connection.Connection{}})
		var doc document
		if err := json.Unmarshal(raw, &doc.fields); err != nil {
			t.Fatalf("%v in %s", err, raw)
		}
		marshaled := string(must(json.Marshal(name)))
		var want string
		if err := json.Unmarshal([]byte(marshaled), &want); err != nil {
			t.Fatal(err)
		}
		if got := doc.values("file.name"); name != "" && (len(got) != 1 || got[0] != want) {
			t.Errorf("file.name is %q, want %q", got, want)
		}
	})
}

package forensic

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/embedded"
	"github.com/mailtrail/mailtrail/shared/table"
)

const tester connection.ID = "c0ffee000001"

var stored = time.Date(2026, 4, 2, 8, 0, 1, 5e6, time.UTC)

// aFinding is the finding about a typical message.
func aFinding() Finding {
	return Finding{
		At: stored.Add(time.Second), Mailbox: "adele.vance@contoso.onmicrosoft.com",
		From: "adele.vance@contoso.com", Sender: "adele.vance@contoso.com",
		Subject: "Q3 forecast, second draft for your review", Sent: stored.Add(-time.Hour - time.Second),
		Recipients: []Recipient{
			{"bob@fabrikam.com", "Bob", To},
			{"carol@contoso.com", "Carol", Cc},
			{"dan@fabrikam.com", "", Bcc},
		},
		Files: []Attachment{
			{
				Record: 0, ID: "AAMkAGI1", Name: "Q3 forecast (draft 2).xlsx", ContentType: "application/octet-stream",
				ByBytes: "application/zip", Kind: FileKind,
				StoredSize: 184600, Size: 184001, MD5: "9e107d9d372bb6826bd81d3542a419d6",
				SHA256: "d7a8fbb307d7809469ca9abcb0082e4f8d5651e46d3cdb762d02d0bf37c9e592",
			},
			{
				Record:     -1,
				Missing:    NotInRecord,
				ID:         "AAMkAGI2",
				Name:       "plans",
				Kind:       ReferenceKind,
				StoredSize: 300,
				Size:       -1,
				QuickXor:   "AAAA",
				URL:        "https://contoso-my.sharepoint.com/plans",
				NoHash:     NotReachable,
			},
		},
	}
}

func openTable(t testing.TB) *embedded.Table {
	store, err := embedded.Open(t.TempDir(), embedded.Options{Now: func() time.Time { return stored }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store.Table("events")
}

// typical is a mail as most are: one file, sent by its owner in a browser.
func typical() Message {
	return Message{
		Connection: tester, Record: "4f2c1e1a-93c7-4b1d-8e44-08d90119aa01",
		Observed: stored.Add(-time.Hour), Arrival: stored.Add(-time.Minute), Stored: stored,
		Operation: "Send", Actor: "adele.vance@contoso.onmicrosoft.com", Sender: "adele.vance@contoso.onmicrosoft.com",
		From: "adele.vance@contoso.onmicrosoft.com", Mailbox: "adele.vance@contoso.onmicrosoft.com",
		Subject:           "Q3 forecast, second draft for your review",
		InternetMessageID: "<DB8PR04MB68759A4D5F0C8E4F5B8D1D2EF24C9@DB8PR04MB6875.eurprd04.prod.outlook.com>",
		UserID:            "adele.vance@contoso.onmicrosoft.com", UserKey: "1003200126677019", UserType: "regular",
		LogonType: "owner", ExternalAccess: new(bool), MailboxGUID: "0d5c7a0e-2222-4c3d-8e9f-a0b1c2d3e4f5",
		Service: "00000002-0000-0ff1-ce00-000000000000", Folder: `\Drafts`,
		ItemID:      "RgAAAAD4Y0kZb2ZcS4VqPjW4XnqpBwAoQ1cV3w2uRoZx7mY4rJkKAAAAAAEPAAAoQ1cV3w2uRoZx7mY4rJkKAAAhVd0AAAAJ",
		ImmutableID: "LgAAAAD4Y0kZb2ZcS4VqPjW4XnqpAQAoQ1cV3w2uRoZx7mY4rJkKAAAAAAEPAAAB",
		SavedToSent: new(true),
		ClientIP:    "2603:10a6:10:1fe::5",
		Client:      "Client=OWA;Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36",
		AppID:       "9199bf20-a13f-4107-85dc-02114787ef48", Session: "1d2ef24c-0c8e-4f5b-8d1d-93c74b1d8e44",
		Files: []File{{Name: "Q3 forecast (draft 2).xlsx", StoredSize: 184320}},
		Blob:  "20260402074500123000123$20260402075901456000456$audit_exchange$Audit_Exchange$emea0014",
	}
}

func TestTypicalMessageFitsOneWriteUnit(t *testing.T) {
	item, parts := encode(new(typical()), "", stored.AddDate(0, 3, 0))
	item.Revision = 1
	if size := table.Size(item); size > 1024 || len(parts) > 0 {
		t.Errorf("a typical message has %d bytes and %d further items; a write unit is 1024 bytes", size, len(parts))
	}
	postings := appendPostings(nil, typical(), stored)
	for _, p := range postings {
		if size := table.Size(p); size > 1024 {
			t.Errorf("posting %q %q has %d bytes", p.Partition, p.Sort, size)
		}
	}
	if units := 1 + len(postings); units > 8 {
		t.Errorf("a typical message costs %d write units, want 8 at most", units)
	}
}

func TestMessagesOfAnySizeAreStoredWhole(t *testing.T) {
	files := func(n int, name string) (all []File) {
		for i := range n {
			all = append(all, File{Name: fmt.Sprintf("%s %d.pdf", name, i), StoredSize: int64(i) - 1})
		}
		return all
	}
	recipients := func(n int) (all []string) {
		for i := range n {
			all = append(all, fmt.Sprintf("%s%d@contoso.com", strings.Repeat("r", 300), i))
		}
		return all
	}
	for name, change := range map[string]func(*Message){
		"typical": func(*Message) {},
		"nothing but files": func(m *Message) {
			*m = Message{Connection: m.Connection, Record: m.Record, Observed: m.Observed, Arrival: m.Arrival, Stored: m.Stored,
				Files: m.Files}
		},
		"no mailbox told":              func(m *Message) { m.Mailbox = "" },
		"on behalf":                    func(m *Message) { m.From = "boss@contoso.com"; m.Mailbox = m.From },
		"as a shared mailbox":          func(m *Message) { m.From = "info@contoso.com"; m.Sender = m.From },
		"sender untold":                func(m *Message) { m.Sender, m.From = "", "" },
		"more recipients than told of": func(m *Message) { m.Recipients = recipients(3); m.RecipientCount = 5000 },
		"count without addresses":      func(m *Message) { m.RecipientCount = 3 },
		"unparsed attachments": func(m *Message) {
			m.Attachments = "a; b"
			m.Files = []File{{Name: "a; b",
				StoredSize: -1}}
		},
		"1,000 recipients": func(m *Message) { m.Recipients = recipients(1000); m.RecipientCount = 1000 },
		"recipients at the border of a share": func(m *Message) {
			m.Files = files(1, "a")
			m.Recipients = recipients(1000)
			m.RecipientCount = int64(len(split(*m)[0].recipients))
		},
		"250 long names": func(m *Message) { m.Files = files(250, strings.Repeat("ü", 500)) },
		"65,536 files":   func(m *Message) { m.Files = files(MaxFiles, "file") },
		"waiting":        func(m *Message) { m.Waiting = true },
		"not found":      func(m *Message) { *m = m.with(Finding{At: stored, Reason: NotFound}) },
		"found":          func(m *Message) { *m = m.with(aFinding()) },
		"found elsewhere, with nothing told": func(m *Message) {
			*m = m.with(Finding{At: stored, Mailbox: "boss@contoso.com",
				Files: []Attachment{{Record: 7}, {Record: 0, Size: -1, StoredSize: -1}, {Record: 0, Name: "again"}}})
		},
		"found, and larger than an item": func(m *Message) {
			f := aFinding()
			for i := range 1000 {
				f.Recipients = append(f.Recipients, Recipient{Address: fmt.Sprintf("%s%d@contoso.com", strings.Repeat("r", 300),
					i), Name: "R", Role: Bcc})
				f.Files = append(f.Files, Attachment{Record: -1, ID: strings.Repeat("i", 500), Name: fmt.Sprint(i), Size: int64(i),
					SHA256: strings.Repeat("0", 64)})
			}
			*m = m.with(f)
		},
		"1 MB of text": func(m *Message) { m.Attachments = strings.Repeat("日本語", 120_000) },
	} {
		t.Run(name, func(t *testing.T) {
			want := typical()
			change(&want)
			want.Expires = stored.AddDate(0, 3, 0).Truncate(time.Second)
			generation := ""
			if !want.Copy.At.IsZero() {
				generation = "18a2"
			}
			item, parts := encode(&want, generation, want.Expires)
			events := openTable(t)
			ctx := context.Background()
			if err := events.Load(ctx, parts...); err != nil {
				t.Fatal(err)
			}
			if _, err := events.Create(ctx, item); err != nil {
				t.Fatal(err)
			}
			got, err := Load(ctx, events, tester, []RecordID{want.Record})
			if err != nil || len(got) != 1 {
				t.Fatalf("loaded %d messages: %v", len(got), err)
			}
			if !reflect.DeepEqual(got[0], want) {
				t.Errorf("message is read back as\n%.2000s\nwant\n%.2000s", fmt.Sprintf("%+v", got[0]), fmt.Sprintf("%+v", want))
			}
		})
	}
}

func TestAttributesOfOthersArePassedOver(t *testing.T) {
	want := typical()
	item, _ := encode(&want, "", time.Time{})
	item.Attrs["enriched"] = true
	item.Attrs["notes"] = []string{"a"}
	item.Attrs[attrFiles].([]table.Attrs)[0]["sha256"] = "e3b0c442"
	got, parts, err := decode(tester, item)
	if err != nil || parts.parts != 0 || !reflect.DeepEqual(got, want) {
		t.Errorf("message is read back as %+v, %+v, %v, want %+v", got, parts, err, want)
	}
}

func TestLoadKeepsTheOrderAskedForAndPassesOverWhatIsNotThere(t *testing.T) {
	events := openTable(t)
	ctx := context.Background()
	for _, id := range []RecordID{"a", "b"} {
		m := typical()
		m.Record = id
		item, _ := encode(&m, "", time.Time{})
		if _, err := events.Create(ctx, item); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Load(ctx, events, tester, []RecordID{"b", "never", "a", "b"})
	if err != nil || len(got) != 2 || got[0].Record != "b" || got[1].Record != "a" {
		t.Errorf("loaded %+v, %v, want b and a", got, err)
	}
}

// FuzzDerive takes records of any form through Derive and storage: whatever is a message has items that a table can
// store, and is read back as it was.
func FuzzDerive(f *testing.F) {
	f.Add(
		"r-1",
		"Send",
		"a.pdf (3b)",
		"s",
		"u@contoso.com",
		"m@contoso.com",
		"x@contoso.com",
		"[::ffff:1.2.3.4]:5",
		int64(1),
		int64(1_700_000_000),
	)
	f.Add("R\x1f", "SendAs", "\xff (3b); b", "\xff\x00", "", "", "", "::1", int64(-1), int64(0))
	f.Add(
		"r",
		"SendOnBehalf",
		strings.Repeat("ä (1b); ", 600),
		strings.Repeat("日", 2000),
		"S-1-5-18",
		"",
		"b",
		"h:1",
		int64(9),
		int64(-62135596800),
	)
	f.Fuzz(func(t *testing.T, id, operation, attachments, text, user, owner, other, ip string, count, at int64) {
		r := audit.Record{
			ID: id, Operation: audit.Operation(operation), CreationTime: time.Unix(at, 0), UserID: user, MailboxOwnerUPN: owner,
			SendAsUserSmtp: other, SendOnBehalfOfUserSmtp: other, ClientIP: ip, SessionID: text, RecipientCount: count,
			Recipients: []audit.Address{{Address: other}, {Address: text}},
			Item:       audit.Item{Attachments: attachments, Subject: text, InternetMessageID: text},
		}
		m, verdict, err := Derive(r, audit.Blob{Connection: tester, ID: "b", Arrival: stored})
		if err != nil || verdict != Sent {
			return
		}
		m.Stored, m.Expires = stored, stored
		item, parts := encode(&m, "", stored)
		item.Revision = 1
		for _, i := range append(appendPostings(parts, m, stored), item) {
			if err := i.Valid(); err != nil {
				t.Errorf("item %q %q cannot be stored: %v", i.Partition, i.Sort, err)
			}
		}
		got, n, err := decode(tester, item)
		if err != nil || n.parts != len(parts) {
			t.Fatalf("message is read back with %d parts of %d: %v", n.parts, len(parts), err)
		}
		for _, p := range parts {
			take(&got, p.Attrs)
		}
		if !reflect.DeepEqual(got, m) {
			t.Errorf("message is read back as\n%+v\nwant\n%+v", got, m)
		}
	})
}

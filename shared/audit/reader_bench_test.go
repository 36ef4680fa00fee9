package audit_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/mailtrail/mailtrail/shared/audit"
)

// inventedBlob is a blob of records of mixed kinds, as a busy tenant's, of which about the given share are sends with
// attachments.
func inventedBlob(seed uint64, records int, share float64) []byte {
	rng := rand.New(rand.NewPCG(seed, 0))
	var b bytes.Buffer
	b.WriteByte('[')
	for i := range records {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(inventedRecord(rng, rng.Float64() < share))
	}
	b.WriteByte(']')
	return b.Bytes()
}

func inventedRecord(rng *rand.Rand, sendsFiles bool) []byte {
	r := inventedCommon(rng)
	item := map[string]any{
		"Id": inventedID(rng, 120),
		"InternetMessageId": fmt.Sprintf(
			"<DB8PR04MB%04X%s@DB8PR04MB6875.eurprd04.prod.outlook.com>",
			rng.IntN(1<<16),
			inventedID(rng, 24),
		),
		"Subject":      inventedSubject(rng),
		"ParentFolder": map[string]any{"Id": inventedID(rng, 64), "Path": `\Drafts`},
		"SizeInBytes":  rng.IntN(1 << 20),
	}
	switch kind := rng.IntN(10); {
	case sendsFiles:
		r["Operation"], r["RecordType"], r["Item"] = "Send", 2, item
		item["Attachments"] = fmt.Sprintf(
			"report %d.docx (%db); image001.png (%db)",
			rng.IntN(99),
			rng.IntN(1<<20),
			rng.IntN(9999),
		)
	case kind < 2:
		r["Operation"], r["RecordType"], r["Item"] = "Send", 2, item
	case kind < 3:
		r["Operation"], r["RecordType"], r["Item"] = "Create", 2, item
		item["Attachments"] = "draft.pdf (20480b)"
	case kind < 6:
		r["Operation"], r["RecordType"] = "MailItemsAccessed", 50
		r["OperationProperties"] = []any{
			map[string]any{"Name": "MailAccessType", "Value": "Bind"}, map[string]any{"Name": "IsThrottled", "Value": "False"},
		}
		items := make([]any, 1+rng.IntN(8))
		for i := range items {
			items[i] = map[string]any{
				"InternetMessageId": "<" + inventedID(rng, 40) + "@mail.example.com>",
				"SizeInBytes":       rng.IntN(1 << 20),
			}
		}
		r["Folders"] = []any{map[string]any{"FolderItems": items, "Id": inventedID(rng, 64), "Path": `\Inbox`}}
	case kind < 9:
		r["Operation"], r["RecordType"] = "MoveToDeletedItems", 3
		r["AffectedItems"] = []any{item}
		r["Folder"] = map[string]any{"Id": inventedID(rng, 64), "Path": `\Inbox`}
		r["DestFolder"] = map[string]any{"Id": inventedID(rng, 64), "Path": `\Deleted Items`}
	default:
		r["Operation"], r["RecordType"], r["ObjectId"] = "Set-Mailbox", 1, "contoso.example/Users/a \"quoted\" {name}"
		r["Parameters"] = []any{
			map[string]any{"Name": "Identity", "Value": "a.user"}, map[string]any{"Name": "AuditEnabled", "Value": "True"},
		}
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"CreationTime":"2026-03-%02dT%02d:%02d:%02d","Id":"%s","Operation":"%s",`, // in Microsoft's order
		1+rng.IntN(28), rng.IntN(24), rng.IntN(60), rng.IntN(60), inventedGUID(rng), r["Operation"])
	delete(r, "Operation")
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // Microsoft writes the angle brackets of message ids as they are
	if err := e.Encode(r); err != nil {
		panic(err) // there is nothing in r that cannot be encoded
	}
	return bytes.Replace(bytes.TrimSpace(b.Bytes()), []byte(",{"), []byte(","), 1)
}

func inventedCommon(rng *rand.Rand) map[string]any {
	user := fmt.Sprintf("user%d@contoso.example", rng.IntN(5000))
	agents := []string{
		"Client=OWA;Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
		"Client=REST;;", "Client=MSExchangeRPC", "Client=OutlookService;Outlook-Android/2.0;",
	}
	return map[string]any{
		"OrganizationId":    "7c1d5a52-4f0e-4d3a-9a25-0b6c35c2f0aa",
		"ResultStatus":      "Succeeded",
		"UserKey":           inventedID(rng, 16),
		"UserType":          0,
		"Version":           1,
		"Workload":          "Exchange",
		"ClientIP":          fmt.Sprintf("203.0.113.%d", rng.IntN(256)),
		"ClientIPAddress":   fmt.Sprintf("203.0.113.%d", rng.IntN(256)),
		"UserId":            user,
		"AppId":             "00000002-0000-0ff1-ce00-000000000000",
		"ClientInfoString":  agents[rng.IntN(len(agents))],
		"ExternalAccess":    false,
		"InternalLogonType": 0,
		"LogonType":         0,
		"LogonUserSid":      fmt.Sprintf("S-1-5-21-%d-%d-%d", rng.Uint32(), rng.Uint32(), rng.Uint32()),
		"MailboxGuid":       inventedGUID(rng),
		"MailboxOwnerSid":   fmt.Sprintf("S-1-5-21-%d-%d-%d", rng.Uint32(), rng.Uint32(), rng.Uint32()),
		"MailboxOwnerUPN":   user,
		"OrganizationName":  "contoso.example",
		"OriginatingServer": "DB8PR04MB6875 (15.20.4042.018)\r\n",
		"SessionId":         inventedGUID(rng),
		"AppAccessContext": map[string]any{
			"AADSessionId":  inventedGUID(rng),
			"UniqueTokenId": inventedID(rng, 22),
			"IssuedAtTime":  "2026-03-01T00:00:00",
		},
	}
}

func inventedGUID(rng *rand.Rand) string {
	return fmt.Sprintf(
		"%08x-%04x-%04x-%04x-%012x",
		rng.Uint32(),
		rng.IntN(1<<16),
		rng.IntN(1<<16),
		rng.IntN(1<<16),
		rng.Uint64()>>16,
	)
}

func inventedID(rng *rand.Rand, length int) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	id := make([]byte, length)
	for i := range id {
		id[i] = letters[rng.IntN(len(letters))]
	}
	return string(id)
}

func inventedSubject(rng *rand.Rand) string {
	words := strings.Fields("the quarterly numbers are here please have a look before Thursday Größe résumé invoice offer")
	rng.Shuffle(len(words), func(i, j int) { words[i], words[j] = words[j], words[i] })
	return strings.Join(words[:3+rng.IntN(6)], " ")
}

func BenchmarkReader(b *testing.B) {
	blob := inventedBlob(1, 2000, 0.02)
	b.SetBytes(int64(len(blob)))
	b.ReportAllocs()
	r := audit.NewReader(nil)
	for b.Loop() {
		r.Reset(bytes.NewReader(blob))
		for {
			if _, err := r.Next(); err == io.EOF {
				break
			} else if err != nil {
				b.Fatal(err)
			}
		}
	}
	perRecord(b, 2000)
}

// BenchmarkReaderPlain is BenchmarkReader with the sends without attachments, a fifth of the records, read too.
func BenchmarkReaderPlain(b *testing.B) {
	blob := inventedBlob(1, 2000, 0.02)
	b.SetBytes(int64(len(blob)))
	b.ReportAllocs()
	r := audit.NewReader(nil)
	plain := 0
	r.Plain = func(raw []byte) {
		if _, ok := audit.Glance(raw); ok {
			plain++
		}
	}
	for b.Loop() {
		r.Reset(bytes.NewReader(blob))
		for {
			if _, err := r.Next(); err == io.EOF {
				break
			} else if err != nil {
				b.Fatal(err)
			}
		}
	}
	if plain == 0 {
		b.Fatal("no send without attachments was read")
	}
	perRecord(b, 2000)
}

// BenchmarkEncodingJSON does with encoding/json what BenchmarkReader does.
func BenchmarkEncodingJSON(b *testing.B) {
	blob := inventedBlob(1, 2000, 0.02)
	b.SetBytes(int64(len(blob)))
	b.ReportAllocs()
	for b.Loop() {
		d := json.NewDecoder(bytes.NewReader(blob))
		if _, err := d.Token(); err != nil {
			b.Fatal(err)
		}
		for d.More() {
			var record struct {
				Operation string
				Item      struct{ Attachments string }
			}
			if err := d.Decode(&record); err != nil {
				b.Fatal(err)
			}
		}
	}
	perRecord(b, 2000)
}

func BenchmarkDecode(b *testing.B) {
	raw := inventedRecord(rand.New(rand.NewPCG(1, 0)), true)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := audit.Decode(raw); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSends reads a blob of nothing but sends with attachments, and decodes each: the most work a record can be.
func BenchmarkSends(b *testing.B) {
	blob := inventedBlob(1, 2000, 1)
	b.SetBytes(int64(len(blob)))
	b.ReportAllocs()
	r := audit.NewReader(nil)
	for b.Loop() {
		r.Reset(bytes.NewReader(blob))
		for {
			raw, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				b.Fatal(err)
			}
			record, err := audit.Decode(raw)
			if err != nil {
				b.Fatal(err)
			}
			if _, clean := audit.ParseAttachments(record.Item.Attachments); !clean {
				b.Fatal(record.Item.Attachments)
			}
		}
	}
	perRecord(b, 2000)
}

func perRecord(b *testing.B, records int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*records), "ns/record")
}

package forensic

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/table"
)

// What is stored is found by these strings for years: a change of one is a migration.
func TestKeysStayAsTheyAre(t *testing.T) {
	at := time.Date(2026, 3, 31, 23, 59, 58, 7e6, time.FixedZone("", -2*3600))
	id := EventID{Arrival: at, Connection: "c0ffee000001", Hash: RecordID("r-1").Hash(), File: 31}
	keys := []struct{ got, want string }{
		{MessageKey("c0ffee000001", "r-1").Partition, "c0ffee000001|message|r-1"},
		{MessageKey("c0ffee000001", "r-1").Sort, "message"},
		{partKey("c0ffee000001", "r-1", at, "", 0).Partition, "c0ffee000001|message|r-1"},
		{partKey("c0ffee000001", "r-1", at, "", 0).Sort, "part|019d46c4d537|0001"},
		{partKey("c0ffee000001", "r-1", at, "18a2", 0).Sort, "part|019d46c4d537|18a2|0001"},
		{waitingKey(Message{Connection: "c0ffee000001", Record: "r-1", Arrival: at}).Partition, "c0ffee000001|waiting"},
		{waitingKey(Message{Connection: "c0ffee000001", Record: "r-1", Arrival: at}).Sort, "019d46c4d537-a5fa777a3dc67268"},
		{DayPartition("c0ffee000001", at), "c0ffee000001|all|2026-04-01"},
		{ArrivalPartition("c0ffee000001", at), "c0ffee000001|arrival|2026-04-01"},
		{DaysPartition("c0ffee000001"), "c0ffee000001|days"},
		{TermPartition("c0ffee000001", NameField, at, 0), "c0ffee000001|name|2026-04|0"},
		{TermPartition("c0ffee000001", NameField, at, 15), "c0ffee000001|name|2026-04|f"},
		{TimeSort(at, ""), "2026-04-01T01:59:58.007Z"},
		{TimeSort(at, "r-1"), "2026-04-01T01:59:58.007Z|r-1"},
		{TermPrefix("a.pdf"), "a.pdf\x1f"},
		{id.Hash, "a5fa777a3dc67268"},
		{id.String(), "019d46c4d537-c0ffee000001-a5fa777a3dc67268-001f"},
		{id.ArrivalSort(), "019d46c4d537-a5fa777a3dc67268"},
	}
	for _, k := range keys {
		if k.got != k.want {
			t.Errorf("key %q, want %q", k.got, k.want)
		}
	}
	for value, want := range map[string]int{"": 5, "a": 12, "passwords.txt": 7, "ä@contoso.com": 6} {
		if got := Bucket(value); got != want {
			t.Errorf("bucket of %q is %d, want %d", value, got, want)
		}
	}
}

func TestEventIDsSortByArrival(t *testing.T) {
	first := EventID{Arrival: time.UnixMilli(1), Connection: "c2", Hash: RecordID("z").Hash(), File: 9}
	then := EventID{Arrival: time.UnixMilli(0x10000000), Connection: "c1", Hash: RecordID("a").Hash()}
	if first.String() >= then.String() || first.ArrivalSort() >= then.ArrivalSort() {
		t.Errorf("%s does not sort before %s", first, then)
	}
}

func FuzzEventID(f *testing.F) {
	f.Add("019d46c4d537-c0ffee000001-a5fa777a3dc67268-001f")
	f.Add("ffffffffffff-c-0000000000000000-ffff")
	f.Add("-0000000000a-c-0000000000000000-0000")
	f.Add("00000000000A-c-000000000000000A-000A")
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ParseEventID(s)
		if err != nil {
			return
		}
		if id.String() != s {
			t.Errorf("%q is read as %+v, which is written %q", s, id, id)
		}
	})
}

func FuzzNormal(f *testing.F) {
	f.Add("Pass Words\x1f.TXT")
	f.Add(strings.Repeat("ä", 300))
	f.Add("\xff\xfeİ")
	f.Fuzz(func(t *testing.T, s string) {
		v := Normal(s)
		key := table.Key{
			Partition: "p",
			Sort:      TermPrefix(v) + TimeSort(time.Time{}, RecordID(strings.Repeat("r", maxRecordID))),
		}
		if err := key.Valid(); err != nil {
			t.Errorf("%q gives no key: %v", s, err)
		}
		if strings.Contains(v, separator) {
			t.Errorf("%q keeps the separator: %q", s, v)
		}
	})
}

func TestTermsOfAMessage(t *testing.T) {
	m := Message{
		Actor: "Assistant@contoso.com", Sender: "assistant@contoso.com", From: "Boss@contoso.com",
		InternetMessageID: "<A@b>",
		Recipients:        []string{"X@Fabrikam.com", "x@fabrikam.COM", "y@fabrikam.com", "nobody"},
		Files: []File{
			{Name: "Plan (v2).DOCX"},
			{Name: "plan (v2).docx"},
			{Name: "AttachedImage"},
			{Name: "odd."},
		},
	}
	want := []Term{
		{SenderField, "assistant@contoso.com"}, {SenderField, "boss@contoso.com"},
		{MessageIDField, "<a@b>"},
		{NameField, "attachedimage"}, {NameField, "odd."}, {NameField, "plan (v2).docx"},
		{ExtensionField, "docx"},
		{RecipientField, "nobody"}, {RecipientField, "x@fabrikam.com"}, {RecipientField, "y@fabrikam.com"},
		{DomainField, "fabrikam.com"},
	}
	if got := m.Terms(); !slices.Equal(got, want) {
		t.Errorf("terms are\n%q, want\n%q", got, want)
	}
	m.Actor = "admin@contoso.com"
	if got := m.Terms(); !slices.Contains(got, Term{ActorField, "admin@contoso.com"}) {
		t.Errorf("an actor who is neither sender nor from has no term: %q", got)
	}
}

func TestRecipientTermsAreBounded(t *testing.T) {
	m := Message{Recipients: make([]string, MaxRecipientTerms+5)}
	for i := range m.Recipients {
		m.Recipients[i] = fmt.Sprintf("r%d@contoso.com", i)
	}
	if got := len(m.Terms()); got != MaxRecipientTerms+1 {
		t.Errorf("%d terms, want one for each of the first %d recipients, and their domain", got, MaxRecipientTerms)
	}
}

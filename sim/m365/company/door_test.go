package company_test

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/sim/m365/company"
	"github.com/mailtrail/mailtrail/sim/m365/world"
)

func TestPeople(t *testing.T) {
	people := company.New(company.Options{People: 10}).People()
	if p := people[0]; !slices.Contains(p.Roles, company.GlobalAdministrator) ||
		p.Password != company.DefaultPassword || !p.Enabled {
		t.Errorf("the first person is no Global Administrator: %+v", p)
	}
	if p := people[1]; !slices.Contains(p.Roles, company.PrivilegedRoleAdministrator) || slices.Contains(p.Roles,
		company.GlobalAdministrator) {
		t.Errorf("the second person is no Privileged Role Administrator: %+v", p)
	}
	licensed := func(p world.Person, status string) bool {
		return slices.ContainsFunc(p.Plans, func(l world.Plan) bool {
			return l.ID == company.PlanAdvancedAuditing &&
				l.CapabilityStatus == status
		})
	}
	for what, is := range map[string]func(p world.Person) bool{
		"licensed":  func(p world.Person) bool { return p.Enabled && licensed(p, "Enabled") },
		"suspended": func(p world.Person) bool { return licensed(p, "Suspended") },
		"no premium licence": func(p world.Person) bool {
			return len(p.Plans) == 1 && p.Plans[0].ID == company.PlanExchangeEnterprise
		},
		"kiosk": func(p world.Person) bool {
			return len(p.Plans) == 1 &&
				p.Plans[0].ID == company.PlanExchangeKiosk
		},
		"disabled":       func(p world.Person) bool { return !p.Enabled && licensed(p, "Enabled") },
		"no mailbox":     func(p world.Person) bool { return p.Mail == "" && p.Enabled },
		"guest":          func(p world.Person) bool { return p.UserType == "Guest" },
		"shared mailbox": func(p world.Person) bool { return !p.Enabled && p.Mail != "" && len(p.Plans) == 0 },
	} {
		if !slices.ContainsFunc(people, is) {
			t.Errorf("nobody is: %s", what)
		}
	}
	unique := map[string]bool{}
	for _, p := range company.New(company.Options{People: 3000}).People() {
		if unique[p.ID] || unique[p.UserPrincipalName] {
			t.Fatalf("two people share an id or a name: %+v", p)
		}
		unique[p.ID], unique[p.UserPrincipalName] = true, true
	}
}

func TestHash(t *testing.T) {
	c := company.New(small())
	from := monday().Add(9 * time.Hour)
	s := c.Between(from, from.Add(20*time.Minute))
	copies := map[string]world.Message{}
	for _, m := range s.Messages {
		copies[m.InternetMessageID] = m
	}
	hashed := 0
	for _, x := range s.Truth {
		m, kept := copies[x.InternetMessageID]
		if len(x.Files) != 1 || x.Files[0].Length > 1_000_000 || !kept || m.Attachments[0].Kind != "file" {
			continue
		}
		if x.Files[0].MD5 != "" || x.Files[0].SHA256 != "" {
			t.Error("a truth is born with hashes")
		}
		if err := c.Hash(&x); err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(m.Attachments[0].Reader())
		if err != nil {
			t.Fatal(err)
		}
		m5, s256 := md5.Sum(content), sha256.Sum256(content)
		if x.Files[0].MD5 != hex.EncodeToString(m5[:]) || x.Files[0].SHA256 != hex.EncodeToString(s256[:]) ||
			int64(len(content)) != x.Files[0].Length {
			t.Errorf("hashes of %+v are not those of the mailbox's file", x.Files[0])
		}
		hashed++
	}
	if hashed < 3 {
		t.Errorf("only %d mails could be hashed", hashed)
	}
	stranger := world.Truth{RecordID: "x", Observed: from}
	if err := c.Hash(&stranger); err == nil {
		t.Error("a truth of no mail was hashed")
	}
}

func TestBlobs(t *testing.T) {
	from := monday().Add(9 * time.Hour)
	records := company.New(small()).Between(from, from.Add(2*time.Hour)).Records
	blobs := company.Blobs(records, 1, 100)
	if !reflect.DeepEqual(blobs, company.Blobs(records, 1, 100)) || reflect.DeepEqual(blobs, company.Blobs(records, 2,
		100)) {
		t.Error("the seed does not decide the blobs")
	}
	count, late, sizes, sorted := map[string]int{}, 0, map[int]bool{}, true
	var newest time.Time
	for _, b := range blobs {
		if len(b) == 0 {
			t.Error("an empty blob")
		}
		sizes[len(b)] = true
		sorted = sorted && slices.IsSortedFunc(b, func(a, b world.Record) int { return a.Created.Compare(b.Created) })
		top := newest
		for _, r := range b {
			count[r.ID]++
			if r.Created.Before(newest) {
				late++
			}
			if r.Created.After(top) {
				top = r.Created
			}
		}
		newest = top
	}
	twice := 0
	for id := range ids(records) {
		if count[id] == 0 {
			t.Fatalf("record %s is in no blob", id)
		}
		if count[id] > 1 {
			twice++
		}
	}
	if len(count) != len(records) || twice < len(records)/100 || twice > len(records)/25 ||
		late < len(records)/60 || len(sizes) < 5 || sorted {
		t.Errorf("%d records: %d in blobs, %d twice, %d late, %d sizes, sorted: %v", len(records), len(count), twice,
			late, len(sizes), sorted)
	}
	if got := company.Blobs(nil, 1, 100); len(got) != 0 {
		t.Errorf("no records became %d blobs", len(got))
	}
	if got := company.Blobs(records[:3], 1, 0); len(got) < 1 {
		t.Error("a most of 0 lost records")
	}
}

func TestSendRecords(t *testing.T) {
	records := company.SendRecords(5, 5000, 1300)
	if !reflect.DeepEqual(records[:50], company.SendRecords(5, 50, 1300)) {
		t.Error("fewer records are not the first of more")
	}
	names, users, messages := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, r := range records {
		got := read(t, r)
		if got.ID != r.ID || got.Operation != "Send" || got.CreationTime != r.Created.Format("2006-01-02T15:04:05") ||
			got.Item.Attachments == nil {
			t.Fatalf("record %s", r.JSON)
		}
		if n := len(r.JSON); n < 1280 || n > 1320 {
			t.Fatalf("a record of %d bytes", n)
		}
		names[*got.Item.Attachments], users[got.UserID], messages[got.Item.InternetMessageID] = true, true, true
	}
	if len(ids(records)) != 5000 || len(names) != 5000 || len(messages) != 5000 || len(users) != 500 {
		t.Errorf("%d ids, %d names, %d message ids, %d senders", len(ids(records)), len(names), len(messages),
			len(users))
	}
}

func TestMixedBlob(t *testing.T) {
	var b, again bytes.Buffer
	m, err := company.MixedBlob(&b, 9, 2_000_000, 0.05)
	if err != nil {
		t.Fatal(err)
	}
	var records []record
	if err := json.Unmarshal(b.Bytes(), &records); err != nil {
		t.Fatal(err)
	}
	sends, unique := 0, map[string]bool{}
	for _, r := range records {
		if unique[r.ID] = true; strings.HasPrefix(r.Operation, "Send") && r.Item.Attachments != nil {
			sends++
		}
	}
	if int64(b.Len()) != m.Bytes || m.Bytes < 2_000_000 || m.Bytes > 2_010_000 || len(records) != m.Records ||
		len(unique) != m.Records || sends != m.Sends {
		t.Errorf("%+v, but %d bytes, %d records, %d ids, %d sends", m, b.Len(), len(records), len(unique), sends)
	}
	if share := float64(sends) / float64(len(records)); share < 0.03 || share > 0.07 {
		t.Errorf("%.1f%% are sends, want 5", 100*share)
	}
	if _, err := company.MixedBlob(&again, 9, 2_000_000, 0.05); err != nil || !bytes.Equal(b.Bytes(), again.Bytes()) {
		t.Errorf("the same seed made another blob (%v)", err)
	}
	full := errors.New("the disk is full")
	if _, err := company.MixedBlob(failing{full}, 9, 2_000_000, 0.05); !errors.Is(err, full) {
		t.Errorf("a writer that failed: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func BenchmarkMixedBlob(b *testing.B) {
	const size = 64 << 20
	b.SetBytes(size)
	for b.Loop() {
		if _, err := company.MixedBlob(io.Discard, 1, size, 0.03); err != nil {
			b.Fatal(err)
		}
	}
}

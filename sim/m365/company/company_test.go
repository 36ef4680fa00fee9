package company_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/sim/m365/company"
	"github.com/mailtrail/mailtrail/sim/m365/world"
)

// small is a company of which a whole day is quickly made.
func small() company.Options { return company.Options{Seed: 7, MailsPerHour: 60, Noise: 20} }

func monday() time.Time { return time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC) }

func TestSameSeedSameCompany(t *testing.T) {
	one, two := company.New(small()), company.New(small())
	from := monday().Add(9 * time.Hour)
	if !reflect.DeepEqual(one.People(), two.People()) || !reflect.DeepEqual(one.Tenant(), two.Tenant()) {
		t.Error("two companies of one seed differ in their people")
	}
	a, b := one.Between(from, from.Add(time.Hour)), two.Between(from, from.Add(time.Hour))
	if !reflect.DeepEqual(a, b) || len(a.Truth) == 0 {
		t.Errorf("two companies of one seed differ in what happened (%d sends)", len(a.Truth))
	}
	other := small()
	other.TenantID = "99999999-2222-4333-8444-555555555555"
	seen := ids(a.Records)
	for _, r := range company.New(other).Between(from, from.Add(time.Hour)).Records {
		if seen[r.ID] > 0 {
			t.Fatalf("two tenants of one seed share record %s", r.ID)
		}
	}
}

// One company serves several callers at once.
func TestSharedCompany(t *testing.T) {
	c, from := company.New(small()), monday().Add(9*time.Hour)
	var callers sync.WaitGroup
	slices := make([]company.Slice, 4)
	for i := range slices {
		callers.Go(func() { slices[i] = c.Between(from, from.Add(15*time.Minute)) })
	}
	callers.Wait()
	for _, s := range slices[1:] {
		if !reflect.DeepEqual(s, slices[0]) {
			t.Error("two callers at once got different answers")
		}
	}
}

// The records of some odd minutes are kept to be read, and so that what a seed means does not change unseen.
func TestRecordsGolden(t *testing.T) {
	c := company.New(company.Options{Seed: 7, MailsPerHour: 1, Noise: 3})
	var b bytes.Buffer
	for at := monday().Add(8 * time.Hour); at.Before(monday().Add(12 * time.Hour)); at = at.Add(5 * time.Minute) {
		fmt.Fprintf(&b, "# %s: %s\n", at.Format("15:04"), c.Oddity(at))
		for _, r := range c.Between(at, at.Add(time.Minute)).Records {
			if len(r.JSON) < 5000 { // not the 1,200 recipients
				fmt.Fprintf(&b, "%s\n", r.JSON)
			}
		}
	}
	const file = "testdata/records.golden"
	want, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(b.Bytes(), want) {
		made := filepath.Join(t.ArtifactDir(), "records.golden")
		if err := os.WriteFile(made, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		t.Errorf("the records are not those of %s (%v); they are in %s (keep them with -artifacts)", file, err, made)
	}
}

func ids(records []world.Record) map[string]int {
	count := map[string]int{}
	for _, r := range records {
		count[r.ID]++
	}
	return count
}

// However a day is cut, in minutes, seconds or at odd fractions, its pieces are the whole.
func TestCuttingChangesNothing(t *testing.T) {
	c := company.New(small())
	from, to := monday().Add(8*time.Hour+17*time.Second), monday().Add(8*time.Hour+26*time.Minute+3*time.Second/2)
	whole := c.Between(from, to)
	for _, r := range whole.Records {
		if r.Created.Before(from) || !r.Created.Before(to) {
			t.Fatalf("record of %v is outside [%v, %v)", r.Created, from, to)
		}
	}
	for _, step := range []time.Duration{time.Minute, 7 * time.Second, 1301 * time.Millisecond, 17 * time.Minute} {
		var pieces company.Slice
		for at := from; at.Before(to); at = at.Add(step) {
			end := at.Add(step)
			if end.After(to) {
				end = to
			}
			s := c.Between(at, end)
			pieces.Records = append(pieces.Records, s.Records...)
			pieces.Messages = append(pieces.Messages, s.Messages...)
			pieces.Truth = append(pieces.Truth, s.Truth...)
		}
		if !reflect.DeepEqual(pieces, whole) {
			t.Errorf("in steps of %v: %d records, %d messages, %d sends; whole: %d, %d, %d", step, len(pieces.Records),
				len(pieces.Messages),
				len(pieces.Truth), len(whole.Records), len(whole.Messages), len(whole.Truth))
		}
	}
	if empty := c.Between(to, from); len(empty.Records) != 0 {
		t.Errorf("an interval that ends before it begins has %d records", len(empty.Records))
	}
}

func TestOfficeHours(t *testing.T) {
	count := func(o company.Options, from time.Time) int {
		return len(company.New(o).Between(from, from.Add(time.Hour)).Truth)
	}
	open := small()
	open.AlwaysOpen = true
	day, night, sunday := monday().Add(10*time.Hour), monday().Add(2*time.Hour), monday().Add(-14*time.Hour)
	if n := count(small(), day); n < 35 || n > 90 {
		t.Errorf("%d sends in an office hour, want about 60", n)
	}
	if n := count(small(), night) + count(small(), sunday); n > 20 {
		t.Errorf("%d sends in the night and on Sunday", n)
	}
	if n := count(open, night); n < 35 || n > 90 {
		t.Errorf("%d sends in an hour of the night of a company that is always open, want about 60", n)
	}
	// By default something is sent every few seconds.
	if n := count(company.Options{}, day); n < 600 || n > 850 {
		t.Errorf("%d sends in an office hour by default, want about 720", n)
	}
	quiet := small()
	quiet.Noise = -1
	if s := company.New(quiet).Between(day, day.Add(time.Hour)); len(s.Records) > len(s.Truth)+3 {
		t.Errorf("%d records of %d sends without noise", len(s.Records), len(s.Truth))
	}
}

func TestSharesOfADay(t *testing.T) {
	s := company.New(company.Options{Seed: 7, MailsPerHour: 60}).Between(monday(), monday().Add(24*time.Hour))
	carrying, inlineOnly := 0, 0
	for _, x := range s.Truth {
		if len(x.Files) > 0 {
			carrying++
			if !slices.ContainsFunc(x.Files, func(f world.TruthFile) bool { return !f.Inline }) {
				inlineOnly++
			}
		}
	}
	if share := float64(len(s.Truth)) / float64(len(s.Records)); share < 0.02 || share > 0.04 {
		t.Errorf("%.1f%% of the records are sends, want a few", 100*share)
	}
	if share := float64(carrying) / float64(len(s.Truth)); share < 0.3 || share >= 0.55 {
		t.Errorf("%.0f%% of the sends carry files, want less than half or so", 100*share)
	}
	if inlineOnly == 0 || inlineOnly > carrying/2 {
		t.Errorf("%d of %d mails carry inline images alone", inlineOnly, carrying)
	}
	naive := 0
	for _, r := range s.Records {
		if text := string(r.JSON); strings.Contains(text, `"Send`) && strings.Contains(text, "Attachments") {
			naive++
		}
	}
	if naive < carrying*5/4 {
		t.Errorf("words find %d records where %d mails carry files: the decoys are missing", naive, carrying)
	}
}

// record is an audit record as an independent reader sees it: numbers may be text, members may be unknown.
type record struct {
	ID                     string `json:"Id"`
	CreationTime           string
	Operation              string
	OrganizationID         string `json:"OrganizationId"`
	RecordType             json.RawMessage
	ResultStatus           string
	UserID                 string `json:"UserId"`
	ClientIP               string
	ClientInfoString       string
	MailboxOwnerUPN        string
	SendAsUserSmtp         string
	SendOnBehalfOfUserSmtp string
	OriginatingServer      string
	SaveToSentItems        *bool
	Item                   struct {
		ID, Subject, InternetMessageID string
		Attachments                    *string
		ParentFolder                   *struct{ Path string }
	}
}

func read(t *testing.T, r world.Record) record {
	t.Helper()
	var got record
	if err := json.Unmarshal(r.JSON, &got); err != nil {
		t.Fatalf("record is not JSON: %v\n%s", err, r.JSON)
	}
	return got
}

func TestRecordsAreWellFormed(t *testing.T) {
	c := company.New(small())
	s := c.Between(monday(), monday().Add(24*time.Hour))
	for _, r := range s.Records {
		got := read(t, r)
		if got.ID != r.ID || got.CreationTime != r.Created.Format("2006-01-02T15:04:05") ||
			got.OrganizationID != c.Tenant().ID || got.Operation == "" {
			t.Fatalf("the record disagrees with itself: %s", r.JSON)
		}
		if got.Item.ParentFolder != nil && got.Item.ParentFolder.Path == `\Sent Items` {
			t.Fatalf("a send is reported before its copy is kept: %s", r.JSON)
		}
	}
	for id, n := range ids(s.Records) {
		if n > 1 {
			t.Fatalf("record %s occurs %d times", id, n)
		}
	}
	if !slices.IsSortedFunc(s.Records, func(a, b world.Record) int { return a.Created.Compare(b.Created) }) {
		t.Error("records are not in the order of time")
	}
}

// The truth is what an independent reader makes of the records, and every send that did not fail has one.
func TestTruthAgreesWithRecords(t *testing.T) {
	s := company.New(small()).Between(monday(), monday().Add(24*time.Hour))
	truths := map[string]world.Truth{}
	for _, x := range s.Truth {
		truths[x.RecordID] = x
	}
	attachment := regexp.MustCompile(`(?s)(.*?) \((\d+)b\)(?:; |$)`)
	for _, r := range s.Records {
		got := read(t, r)
		sends := slices.Contains([]string{"Send", "SendAs", "SendOnBehalf"}, got.Operation) &&
			got.ResultStatus != "Failed"
		x, ok := truths[r.ID]
		if sends != ok {
			t.Fatalf("truth: %v, of record %s", ok, r.JSON)
		}
		if !ok {
			continue
		}
		delete(truths, r.ID)
		var files []world.TruthFile
		if got.Item.Attachments != nil {
			for _, m := range attachment.FindAllStringSubmatch(*got.Item.Attachments, -1) {
				size, _ := strconv.ParseInt(m[2], 10, 64) // digits
				files = append(files, world.TruthFile{Name: m[1], Stored: size})
			}
		}
		told := make([]world.TruthFile, 0, len(x.Files))
		for _, f := range x.Files {
			told = append(told, world.TruthFile{Name: f.Name, Stored: f.Stored})
		}
		if !slices.Equal(files, told) {
			t.Errorf("files\n%+v\nof record\n%s", told, r.JSON)
		}
		from := got.MailboxOwnerUPN + got.SendAsUserSmtp + got.SendOnBehalfOfUserSmtp
		if !strings.HasSuffix(from, x.From) || x.Operation != got.Operation || x.Subject != got.Item.Subject ||
			!strings.EqualFold(x.Actor, got.UserID) ||
			x.InternetMessageID != got.Item.InternetMessageID ||
			x.Noise != strings.HasPrefix(got.Item.InternetMessageID, "<odspmicro-") ||
			!x.Observed.Equal(r.Created) {
			t.Errorf("truth %+v of record\n%s", x, r.JSON)
		}
		if x.Operation == "SendOnBehalf" && x.Sender != x.Actor || x.Operation == "SendAs" && x.Sender != x.From ||
			x.Operation == "Send" && x.Sender != x.Actor {
			t.Errorf("%s by %s: sender %s, from %s", x.Operation, x.Actor, x.Sender, x.From)
		}
	}
	if len(truths) > 0 {
		t.Errorf("%d truths have no record", len(truths))
	}
}

package company_test

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/sim/m365/company"
	"github.com/mailtrail/mailtrail/sim/m365/world"
)

// Each odd thing occurs on each working day, however small the company is.
func TestOddThingsOfADay(t *testing.T) {
	c := company.New(company.Options{Seed: 3, MailsPerHour: 20, Noise: 3})
	s := c.Between(monday(), monday().Add(24*time.Hour))

	inRecords := map[string]string{
		"numbers as text":       `"RecordType":"2"`,
		"escaped letters":       `\\u00e9t\\u00e9`,
		"escaped slashes":       `Gr\\u00f6\\u00dfe\\/`,
		"surrogates":            `"Attachments":"[^"]*🎉`,
		"unknown members":       `"FutureProperty":\{"nested"`,
		"null attachments":      `"Attachments":null`,
		"failed":                `"ResultStatus":"Failed"`,
		"partly":                `"ResultStatus":"PartiallySucceeded"`,
		"send as":               `"SendAsUserSmtp":"[a-z-]+@fernhill.example"`,
		"send on behalf":        `"SendOnBehalfOfUserSmtp":"[a-z-]+@fernhill.example"`,
		"delegated":             `"LogonType":2`,
		"sharing notification":  `"InternetMessageId":"<odspmicro-`,
		"line end after server": `"OriginatingServer":"[^"]*\\r\\n"`,
		"unknown item":          `"Item":\{[^}]*"Id":"Unknown"`,
		"drafts":                `"Path":"\\\\Drafts"`,
		"recipients":            `"recipientCount":\d+,"recipientList":\[\{"Address":"`,
		"recipients in capital": `"RecipientList":\[\{"Address":"`,
		"too many recipients":   `"recipientCount":1200`,
		"upper-case user":       `"UserId":"[A-Z.]+@FERNHILL.EXAMPLE"`,
		"not kept":              `"SaveToSentItems":false`,
		"address and port":      `"ClientIP":"203.0.113.\d+:\d+"`,
		"version 6 and port":    `"ClientIP":"\[2001:[0-9a-f:]+\]:\d+"`,
		"bracketed address":     `"ClientIP":"\[203.0.113.\d+\]"`,
		"mapped address":        `"ClientIP":"::ffff:203`,
		"webmail":               `@gmail\.com`,
		"long name":             `"Attachments":"[^"(]{300} \(`,
		"newline in a name":     `first line\\nsecond line.txt \(`,
		"semicolon in a name":   `minutes; actions; owners.txt \(`,
		"quotes in a name":      `the \\"final\\" version's.xlsx \(`,
		"parentheses in a name": `\(Draft 04_04_2026\)\(100112233.7\).docx \(`,
		"no extension":          `"Attachments":"04bab714-753c-44dd-8e72-124bd16e077b \(`,
		"twins":                 `report.pdf \(\d+b\); report.pdf \(\d+b\)`,
		"signature alone":       `"Attachments":"image001.png \(\d+b\)"`,
		"signature beside":      `"Attachments":"image001.png \(\d+b\); `,
		"large file":            `disk image.zip \(6\d{7}b\)`,
		"system actor":          `"UserId":"S-1-5-18"`,
	}
	text := bytes.Join(jsonOf(s.Records), []byte("\n"))
	for what, shape := range inRecords {
		if !regexp.MustCompile(shape).Match(text) {
			t.Errorf("%s: no record matches %s", what, shape)
		}
	}

	person := map[string]world.Person{}
	for _, p := range c.People() {
		person[p.ID] = p
	}
	byMessage := map[string][]world.Message{}
	for _, m := range s.Messages {
		byMessage[m.InternetMessageID] = append(byMessage[m.InternetMessageID], m)
	}
	shared := func(m world.Message) bool { return !person[m.Mailbox].Enabled }
	attached := func(kind string) func(world.Message) bool {
		return func(m world.Message) bool {
			return slices.ContainsFunc(m.Attachments, func(a world.Attachment) bool { return a.Kind == kind })
		}
	}
	for what, is := range map[string]func(world.Message) bool{
		"bcc":          func(m world.Message) bool { return len(m.Bcc) > 0 },
		"bcc alone":    func(m world.Message) bool { return len(m.To)+len(m.Cc) == 0 && len(m.Bcc) > 0 },
		"deleted copy": func(m world.Message) bool { return m.Folder == "deleteditems" },
		"copy in the shared mailbox": func(m world.Message) bool {
			return m.Folder == "sentitems" && shared(m) &&
				m.Sender == m.From
		},
		"copies of both": func(m world.Message) bool {
			return shared(m) &&
				len(byMessage[m.InternetMessageID]) == 2
		},
		"copy of the one on behalf": func(m world.Message) bool { return m.Sender != m.From && !shared(m) },
		"received copy": func(m world.Message) bool {
			return m.Folder == "inbox" &&
				len(byMessage[m.InternetMessageID]) == 2
		},
		"draft left over": func(m world.Message) bool {
			return m.Draft &&
				len(byMessage[m.InternetMessageID]) == 2
		},
		"attached mail": attached("item"),
		"cloud file":    attached("reference"),
		"empty file": func(m world.Message) bool {
			return len(m.Attachments) == 1 &&
				m.Attachments[0].Length == 0
		},
		"inline image after the files": func(m world.Message) bool {
			n := len(m.Attachments)
			return n > 1 && m.Attachments[n-1].Inline && !m.Attachments[0].Inline
		},
	} {
		if !slices.ContainsFunc(s.Messages, is) {
			t.Errorf("no copy of a mail with: %s", what)
		}
	}
	if !slices.ContainsFunc(s.Truth, func(x world.Truth) bool { return byMessage[x.InternetMessageID] == nil }) {
		t.Error("every mail left a copy")
	}
}

// Oddity says when to look for what.
func TestOddityNamesTheHour(t *testing.T) {
	c := company.New(company.Options{Seed: 3, MailsPerHour: 20})
	names := map[string]int{}
	for at := monday(); at.Before(monday().Add(24 * time.Hour)); at = at.Add(5 * time.Minute) {
		name := c.Oddity(at)
		names[name]++
		if name != c.Oddity(at.Add(5*time.Minute-1)) || (name == "") != (at.Hour() < 8 || at.Hour() >= 18) {
			t.Errorf("%v: %q", at, name)
		}
		if name != "no extension" {
			continue
		}
		if !slices.ContainsFunc(c.Between(at, at.Add(time.Minute)).Truth,
			func(x world.Truth) bool { return len(x.Files) == 2 && x.Files[1].Name == "README" }) {
			t.Errorf("%v: no mail with a file without extension", at)
		}
	}
	for name, n := range names {
		if n < 2 {
			t.Errorf("%q occurs %d times a day", name, n)
		}
	}
}

func jsonOf(records []world.Record) [][]byte {
	var all [][]byte
	for _, r := range records {
		all = append(all, r.JSON)
	}
	return all
}

// A mailbox shows what was sent: the same message id, recipients and files, under ids of its own.
func TestCopiesAgreeWithTruth(t *testing.T) {
	c := company.New(small())
	s := c.Between(monday(), monday().Add(24*time.Hour))
	mailboxes := map[string]bool{}
	for _, p := range c.People() {
		mailboxes[p.ID] = p.Mail != ""
	}
	truths := map[string]world.Truth{}
	for _, x := range s.Truth {
		truths[x.InternetMessageID] = x
	}
	seen := map[string]bool{}
	for _, m := range s.Messages {
		if seen[m.ID] || seen[m.ImmutableID] || m.ID == m.ImmutableID {
			t.Fatalf("message id %s occurs twice", m.ID)
		}
		seen[m.ID], seen[m.ImmutableID] = true, true
		if !mailboxes[m.Mailbox] {
			t.Errorf("a copy in mailbox %s, which nobody has", m.Mailbox)
		}
		x, sent := truths[m.InternetMessageID]
		if !sent {
			if !m.Draft {
				t.Errorf("a mail that failed is kept in %s", m.Folder)
			}
			continue
		}
		var recipients []string
		for _, a := range slices.Concat(m.To, m.Cc, m.Bcc) {
			recipients = append(recipients, a.Address)
		}
		if m.Folder == "inbox" && (len(m.Bcc) > 0 || len(recipients) == len(x.Recipients)) {
			t.Errorf("a received copy shows Bcc: %v, truth %v", recipients, x.Recipients)
		}
		if m.Folder != "inbox" && !slices.Equal(recipients, x.Recipients) {
			t.Errorf("recipients %v, truth %v", recipients, x.Recipients)
		}
		if m.Sender.Address != x.Sender || m.From.Address != x.From || m.Subject != x.Subject ||
			m.Sent.Sub(x.Observed).Abs() > time.Minute {
			t.Errorf("copy %+v of %+v", m, x)
		}
		if a, b := namesOf(m), namesIn(x); a != b {
			t.Errorf("files %q, truth %q", a, b)
		}
		for _, a := range m.Attachments {
			if seen[a.ID] || a.Kind == "file" && a.StoredSize <= a.Length {
				t.Errorf("attachment %+v: its id occurs twice, or its stored size is no more than the file", a)
			}
			seen[a.ID] = true
		}
	}
}

// namesOf and namesIn list file names in the order of the alphabet: mailboxes keep files in an order of their own.
func namesOf(m world.Message) string {
	var names []string
	for _, a := range m.Attachments {
		names = append(names, a.Name)
	}
	slices.Sort(names)
	return strings.Join(names, "|")
}

func namesIn(x world.Truth) string {
	var names []string
	for _, f := range x.Files {
		names = append(names, f.Name)
	}
	slices.Sort(names)
	return strings.Join(names, "|")
}

// What JSON decodes to is what was meant, whatever the spelling.
func TestNamesSurviveTheSpelling(t *testing.T) {
	s := company.New(small()).Between(monday(), monday().Add(24*time.Hour))
	found := map[string]bool{}
	for _, r := range s.Records {
		var got struct{ Item struct{ Attachments string } }
		if err := json.Unmarshal(r.JSON, &got); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"Größe/été.txt", "年度報告 🎉.pdf", `back\slash.txt`, "tab\there.txt",
			"first line\nsecond line.txt"} {
			found[name] = found[name] || strings.Contains(got.Item.Attachments, name)
		}
	}
	for name, is := range found {
		if !is {
			t.Errorf("no attachment is called %q", name)
		}
	}
}

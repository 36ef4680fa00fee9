package company

import (
	"fmt"
	"strings"

	"github.com/mailtrail/mailtrail/sim/m365/world"
)

// oddity is something rare that really occurs, and that a reader of audit records has to survive.
type oddity struct {
	name   string
	befall func(c *Company, d dice, s *send)
}

// oddities lists them all. Their order decides when each comes around.
func oddities() []oddity {
	return append(append(oddNames(), oddMails()...), oddTellings()...)
}

// named makes an oddity of a mail whose only files bear the names. The mail is an ordinary Send in every other way.
func named(what string, names ...string) oddity {
	return oddity{what, func(_ *Company, d dice, s *send) {
		s.files = nil
		for _, name := range names {
			s.files = append(s.files, d.attach(name, d.kind(), d.length()))
		}
	}}
}

func oddNames() []oddity {
	return []oddity{
		named("unicode", "Überblick – 年度報告 🎉.pdf", "cafe\u0301.txt", "مستند.docx"),
		named("parentheses", "Offer v2 (Draft 04_04_2026)(100112233.7).docx"),
		named("semicolon", "minutes; actions; owners.txt", "a;b.csv"),
		named("quotes", `the "final" version's.xlsx`, `back\slash.txt`),
		named("long", strings.Repeat("very long file name ", 15)[:296]+".pdf"),
		named("no extension", "04bab714-753c-44dd-8e72-124bd16e077b", "README"),
		named("twins", "report.pdf", "report.pdf", "image001.png", "image001.png"),
		named("newline", "first line\nsecond line.txt", "tab\there.txt"),
		named("hostile", "<script>alert(1)</script>.html", "=1+1.csv", "../../etc/passwd", "..", "%2e%2e%2f.txt"),
		named("blanks", " leading.txt", "double  space.txt", ".hidden", "trailing.", "dots.tar.gz", "UPPER.PDF"),
		named("cut short", "contract (12", "price (9b", "(7b).txt"),
	}
}

// oddMails lists the mails of an odd kind.
func oddMails() []oddity {
	return []oddity{
		{"signature alone", func(_ *Company, d dice, s *send) {
			s.files = []world.Attachment{d.inlineImage("image001.png")}
		}},
		{"signature beside a file", func(_ *Company, d dice, s *send) {
			s.files = []world.Attachment{d.inlineImage("image001.png"), d.document(), d.inlineImage("image002.png")}
		}},
		{"stored anew", func(_ *Company, d dice, s *send) {
			s.files = []world.Attachment{d.inlineImage("image001.png"), d.document(), d.document()}
			s.kept[0].resaved = true
		}},
		{"disguised", func(_ *Company, d dice, s *send) {
			picture := kind{contentType: "image/jpeg", magic: "PK\x03\x04"}
			s.files = []world.Attachment{d.attach("holiday.jpg", picture, 80_000)}
		}},
		{"empty file", func(_ *Company, d dice, s *send) {
			s.files = []world.Attachment{d.attach("empty.txt", kind{contentType: "text/plain"}, 0)}
		}},
		{"large file", func(_ *Company, d dice, s *send) {
			archive := kind{contentType: "application/zip", magic: "PK\x03\x04"}
			s.files = []world.Attachment{d.attach("disk image.zip", archive, 60_000_000)}
		}},
		{"attached mail", func(_ *Company, d dice, s *send) { s.files = d.unlike("item", "RE: the other mail") }},
		{"cloud file", func(_ *Company, d dice, s *send) { s.files = d.unlike("reference", "Plan on OneDrive.docx") }},
		{"to oneself", func(c *Company, d dice, s *send) {
			s.to = append(s.to, s.actor.address())
			s.bcc = []world.Address{pick(d, c.partners)}
			s.kept = append(s.kept, kept{mailbox: s.actor, folder: "inbox", received: true})
		}},
		{"draft left over", func(_ *Company, d dice, s *send) {
			s.kept = append([]kept{{mailbox: s.actor, folder: "drafts"}}, s.kept...)
		}},
		{"deleted", func(_ *Company, d dice, s *send) { s.kept[0].folder = "deleteditems" }},
		{"not kept", func(_ *Company, d dice, s *send) { s.kept = nil }},
		{"bcc only", func(_ *Company, d dice, s *send) {
			s.to, s.cc, s.bcc = nil, nil, []world.Address{{Address: "Drop.Box@GMAIL.com"}}
		}},
		{"send as", func(c *Company, d dice, s *send) { c.inTheNameOf(d, s, "SendAs") }},
		{"send as, kept by the shared mailbox", func(c *Company, d dice, s *send) {
			c.inTheNameOf(d, s, "SendAs")
			s.kept[0].mailbox = s.owner
		}},
		{"send on behalf", func(c *Company, d dice, s *send) { c.inTheNameOf(d, s, "SendOnBehalf") }},
		{"send on behalf, kept by both", func(c *Company, d dice, s *send) {
			c.inTheNameOf(d, s, "SendOnBehalf")
			s.kept = append(s.kept, kept{mailbox: s.owner, folder: "sentitems"})
		}},
		{"sharing notification", func(_ *Company, d dice, s *send) { shareNotice(d, s) }},
		{"failed", func(_ *Company, d dice, s *send) {
			s.files, s.result = []world.Attachment{d.document()}, "Failed"
			s.kept[0].folder = "drafts"
		}},
		{"partly delivered", func(_ *Company, d dice, s *send) {
			s.files, s.result = []world.Attachment{d.document()}, "PartiallySucceeded"
		}},
	}
}

// oddTellings lists the mails that only their audit record makes odd.
func oddTellings() []oddity {
	carrying := func(name string, how func(*send)) oddity {
		return oddity{name, func(_ *Company, d dice, s *send) {
			s.files = []world.Attachment{d.document(), d.attach("Größe/été.txt", d.kind(), d.length())}
			how(s)
		}}
	}
	return []oddity{
		carrying("numbers as text", func(s *send) { s.tell.numbersAsText = true }),
		carrying("escaped", func(s *send) { s.tell.escaped = true }),
		carrying("strange members", func(s *send) { s.tell.strangeMembers = true }),
		carrying("upper-case user", func(s *send) { s.tell.userIDCase = true }),
		carrying("no subject", func(s *send) { s.tell.untitled, s.subject = true, "" }),
		carrying("RecipientList", func(s *send) { s.tell.recipients = "Recipient" }),
		{"null attachments", func(_ *Company, d dice, s *send) { s.files, s.tell.nullAttachments = nil, true }},
		carrying("1,200 recipients", func(s *send) {
			s.tell.recipients = "recipient"
			for i := range 1200 - len(s.recipients()) {
				s.to = append(s.to, world.Address{Address: fmt.Sprintf("reader%d@news.example", i)})
			}
		}),
	}
}

// unlike makes an attachment that is not a file: an attached mail, or a link to a file in the cloud.
func (d dice) unlike(what, name string) []world.Attachment {
	a := d.attach(name, kind{}, int64(d.between(2_000, 9_000)))
	a.Kind = what
	if what == "reference" {
		folder := fmt.Sprintf("https://cloud.example/personal/%016x/Documents/", a.Seed)
		a.SourceURL = folder + strings.ReplaceAll(name, " ", "%20")
	}
	return []world.Attachment{a, d.document()}
}

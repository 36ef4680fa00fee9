package company

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/sim/m365/world"
)

// send is one mail on its way out: what happened, and how Microsoft will report it.
type send struct {
	id, messageID, subject string
	at                     time.Time // CreationTime, whole seconds
	operation              string    // Send, SendAs, SendOnBehalf
	actor, owner           *mailbox  // who pressed the button, and in whose name; the same for Send
	to, cc, bcc            []world.Address
	files                  []world.Attachment // in the order of the audit record
	result                 string             // Succeeded, PartiallySucceeded, Failed
	notice                 bool               // SharePoint sent it in the person's name
	client                 client
	kept                   []kept
	tell                   telling
	field                  dice         // draws what Options.Field adds
	app                    *application // that sent it without a person; nil for a person's own
	system                 bool         // a service of Microsoft's own sent it
	keptAs                 string       // the internet message id of the copies, when it is not the record's
	immutableID            string       // Item.ImmutableId of the record; "" when it has none
	listed                 bool         // the record lists the files
	silence                string       // why there is no record; "" when there is
}

// client is the program that sent a mail.
type client struct {
	info, appID string
	remote      bool // runs at Microsoft, so the address is Microsoft's and the draft has no id
}

// kept is one copy of the mail that a mailbox holds.
type kept struct {
	mailbox       *mailbox
	folder        string
	received      bool // shows no Bcc
	resaved       bool // the mailbox stored the files anew: other sizes, inline images last
	id, lastingID string
}

// telling is how the audit record words the mail.
type telling struct {
	spelling
	recipients      string // prefix of the members Count and List; "" for an older record without them
	strangeMembers  bool   // members that no documentation knows
	nullAttachments bool   // "Attachments":null where it should be absent
	userIDCase      bool   // UserId in other letter case than the directory's
	untitled        bool   // no Subject member
}

// classicOutlook is how Outlook for Windows, before the new one, names itself to Exchange.
const classicOutlook = "Client=MSExchangeRPC"

const appOWA, appREST, appSharePoint = "00000002-0000-0ff1-ce00-000000000000", "00000003-0000-0000-c000-000000000000",
	"3138fe80-4087-4b04-80a6-8866c738028a"

func clients() []client {
	return []client{
		{"Client=OWA;Action=ViaProxy", appOWA, false},
		{"Client=OWA;Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36;", appOWA, false},
		{classicOutlook, appOWA, false},
		{"Client=OutlookService;Outlook-Android/2.0;", appOWA, false},
		{"Client=WebServices;ExchangeServicesClient/15.00.0913.015;", appOWA, false},
		{"Client=REST;;", appREST, true},
	}
}

const subjects = "Re: Quote for Q3|FW: Contract|Meeting notes|Invoice attached|Your question|Drawings rev B|" +
	"Lunch on Friday?|Next steps|RE: RE: delivery date|Zusammenfassung für Müller|会议记录|" +
	"Weekly \"status\"|Send Attachments list"

// compose writes one plain mail of any sender.
func (c *Company) compose(d dice, at time.Time) *send {
	return c.composeFrom(d, at, pick(d, c.senders))
}

func (c *Company) composeFrom(d dice, at time.Time, from *mailbox) *send {
	s := &send{
		id: d.guid(), at: at, operation: "Send", actor: from, owner: from, result: "Succeeded",
		subject: pick(d, strings.Split(subjects, "|")), listed: true, files: d.enclosures(), client: pick(d, clients()),
		kept: []kept{{mailbox: from, folder: "sentitems"}},
	}
	server := d.letters(2, "ADHV")
	server += fmt.Sprintf("%dPR%02dMB%d", d.between(1, 9), d.between(1, 12), d.between(1000, 9999))
	s.messageID = fmt.Sprintf("<%s%s@%s.eurprd%02d.prod.outlook.com>",
		server, d.letters(28, upperHex), server, d.between(1, 12))
	c.addressTo(d, s)
	return s
}

// vary gives an ordinary mail what many ordinary mails have.
func (c *Company) vary(d dice, s *send) {
	switch {
	case d.oneIn(4):
		s.tell.recipients = "recipient"
	case d.oneIn(40):
		shareNotice(d, s)
	case d.oneIn(15):
		c.inTheNameOf(d, s, "SendAs")
	case d.oneIn(25):
		c.inTheNameOf(d, s, "SendOnBehalf")
	}
}

// addressTo chooses recipients: colleagues, outsiders, or both.
func (c *Company) addressTo(d dice, s *send) {
	someone := func() world.Address { return pick(d, c.partners) }
	switch d.IntN(10) {
	case 0, 1, 2, 3:
		someone = func() world.Address { return pick(d, c.senders).address() }
	case 4, 5:
		someone = func() world.Address {
			if d.oneIn(2) {
				return pick(d, c.partners)
			}
			return pick(d, c.senders).address()
		}
	}
	s.to = several(d.between(1, 3), someone)
	if d.oneIn(3) {
		s.cc = several(d.between(1, 2), someone)
	}
	if d.oneIn(12) {
		s.bcc = several(1, someone)
	}
}

func several(n int, someone func() world.Address) []world.Address {
	list := make([]world.Address, n)
	for i := range list {
		list[i] = someone()
	}
	return list
}

// inTheNameOf makes the mail one that the actor sends as, or on behalf of, a shared mailbox. By default the only copy
// stays with the actor.
func (c *Company) inTheNameOf(d dice, s *send, operation string) {
	s.operation, s.owner = operation, pick(d, c.shared)
}

// shareNotice makes the mail the one that SharePoint sends in a person's name when they share a file.
func shareNotice(d dice, s *send) {
	s.notice = true
	s.client = client{"Client=REST;;", appSharePoint, true}
	s.subject = s.actor.DisplayName + " shared \"" + pick(d, strings.Fields(fileTopics)) + "\" with you"
	s.messageID = fmt.Sprintf("<odspmicro-%s@odspnotify>", d.guid())
	s.files = nil
	for range d.between(3, 4) {
		s.files = append(s.files, d.inlineImage("AttachedImage"))
	}
}

// file gives each copy of the mail its ids.
func (s *send) file(d dice) {
	for i := range s.kept {
		s.kept[i].id = "AAMkAG" + d.letters(60, base64URL) + "AAA="
		s.kept[i].lastingID = "AAkALg" + d.letters(60, base64URL) + "AAA="
	}
}

// from is the author that the recipients see.
func (s *send) from() world.Address { return s.owner.address() }

// sender is the address that transmitted the mail: the actor's own unless they send as somebody.
func (s *send) sender() world.Address {
	if s.operation == "SendAs" {
		return s.owner.address()
	}
	return s.actor.address()
}

// copies are the mail as it lies in the mailboxes that keep it.
func (s *send) copies() []world.Message {
	var messages []world.Message
	for _, k := range s.kept {
		m := world.Message{
			ID: k.id, ImmutableID: k.lastingID, Mailbox: k.mailbox.ID, Folder: k.folder, InternetMessageID: s.messageID,
			Subject: s.subject, Sent: s.at.Add(time.Second), From: s.from(), Sender: s.sender(),
			To: s.to, Cc: s.cc, Bcc: s.bcc, Draft: k.folder == "drafts",
		}
		if !m.Draft {
			m.InternetMessageID = s.copyID()
		}
		if k.received {
			m.Bcc = nil
		}
		var inline []world.Attachment
		for i, a := range s.files {
			a.ID = fmt.Sprintf("%sBEgAQA%02d", k.id, i)
			if k.resaved {
				a.StoredSize++
			}
			if k.resaved && a.Inline {
				inline = append(inline, a)
				continue
			}
			m.Attachments = append(m.Attachments, a)
		}
		m.Attachments = append(m.Attachments, inline...)
		messages = append(messages, m)
	}
	return messages
}

// truth is what the mail took out of the company. A mail that failed took nothing, and has no truth.
func (s *send) truth() (t world.Truth, sent bool) {
	if s.result == "Failed" {
		return t, false
	}
	t = world.Truth{
		RecordID: s.id, Operation: s.operation, Observed: s.at, Actor: s.userID(), Mailbox: s.owner.name(),
		UserType: s.userType(), Client: s.client.info, Unrecorded: s.silence, Unlisted: len(s.files) > 0 && !s.listed,
		Sender: s.sender().Address, From: s.from().Address, Subject: s.subject, InternetMessageID: s.messageID,
		Noise:   s.notice,
		Premium: !s.system && hasPremium(s.actor.Person) || hasPremium(s.owner.Person),
	}
	for _, a := range s.recipients() {
		t.Recipients = append(t.Recipients, a.Address)
	}
	for _, a := range s.files {
		file := world.TruthFile{Name: a.Name, Stored: a.StoredSize, Length: a.Length, Inline: a.Inline}
		t.Files = append(t.Files, file)
	}
	if s.app != nil {
		t.Application = s.app.id
	}
	for _, k := range s.kept {
		if k.folder != "drafts" {
			kept := world.TruthCopy{Mailbox: k.mailbox.ID, Folder: k.folder, InternetMessageID: s.copyID()}
			t.Copies = append(t.Copies, kept)
		}
	}
	return t, true
}

// copyID is the internet message id that the copies in mailboxes have.
func (s *send) copyID() string { return cmp.Or(s.keptAs, s.messageID) }

// recipients are To, Cc and Bcc in this order.
func (s *send) recipients() []world.Address {
	all := append([]world.Address{}, s.to...)
	return append(append(all, s.cc...), s.bcc...)
}

package company

import (
	"fmt"
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/sim/m365/world"
)

// creationTime is how Microsoft writes the time of a record: UTC, without saying so.
const creationTime = "2006-01-02T15:04:05"

const (
	exchangeAdmin      = 1
	exchangeItem       = 2
	exchangeItemGroup  = 3
	azureADLogon       = 15
	exchangeAggregated = 50
)

// begin writes the members that every audit record starts with.
func (c *Company) begin(o *object, at time.Time, id, operation string, recordType int64, result string) {
	o.open("")
	o.text("CreationTime", at.Format(creationTime))
	o.text("Id", id)
	o.text("Operation", operation)
	o.text("OrganizationId", c.tenant.ID)
	o.number("RecordType", recordType)
	o.text("ResultStatus", result)
}

// by writes the actor.
func (c *Company) by(o *object, who *mailbox, workload, userID, clientIP string) {
	o.text("UserKey", who.userKey)
	o.number("UserType", 0)
	o.number("Version", 1)
	o.text("Workload", workload)
	o.text("ClientIP", clientIP)
	o.text("UserId", userID)
}

// sendRecord reports a send as the audit log does.
func (c *Company) sendRecord(d dice, s *send) world.Record {
	o := &object{spelling: s.tell.spelling}
	c.begin(o, s.at, s.id, s.operation, exchangeItem, s.result)
	ip, userID := address(d, s.client.remote), s.userID()
	if s.tell.userIDCase {
		userID = strings.ToUpper(userID)
	}
	o.text("UserKey", s.userKey())
	o.number("UserType", s.userType())
	o.number("Version", 1)
	o.text("Workload", "Exchange")
	o.text("ClientIP", ip)
	o.text("UserId", userID)
	o.text("AppId", s.client.appID)
	clientApp := ""
	if d.oneIn(5) {
		clientApp = d.guid()
	}
	if s.app != nil {
		clientApp = s.app.id
	}
	if clientApp != "" {
		o.text("ClientAppId", clientApp)
	}
	o.text("ClientIPAddress", ip)
	o.text("ClientInfoString", s.client.info)
	if d.oneIn(7) {
		o.text("ClientRequestId", d.guid())
	}
	c.session(o, d, s)
	s.tellFacts(o, ip)
	if s.tell.recipients != "" {
		s.tellRecipients(o)
	}
	if s.tell.strangeMembers {
		o.raw("FutureProperty", `{"nested":[1,2.5e3,{"Operation":"Send","Item":null}],"flag":true,"none":null}`)
		o.raw("AppAccessContext", `{"APIId":"","IssuedAtTime":"1601-01-01T00:00:00"}`)
	}
	s.tellItem(o, d)
	o.close()
	return world.Record{ID: s.id, Created: s.at, JSON: o.json}
}

// session writes in which mailbox it happened, and how it was entered.
func (c *Company) session(o *object, d dice, s *send) {
	o.flag("ExternalAccess", false)
	o.number("InternalLogonType", 0)
	o.number("LogonType", s.logonType())
	o.text("LogonUserSid", s.sid())
	o.text("MailboxGuid", s.owner.guid)
	o.text("MailboxOwnerSid", s.owner.sid)
	o.text("MailboxOwnerUPN", s.owner.name())
	o.text("OrganizationName", c.tenant.DefaultDomain)
	o.text("OriginatingServer", d.server())
	switch s.operation {
	case "SendAs":
		o.text("SendAsUserSmtp", s.owner.Mail)
		o.text("SendAsUserMailboxGuid", s.owner.guid)
	case "SendOnBehalf":
		o.text("SendOnBehalfOfUserSmtp", s.owner.Mail)
		o.text("SendOnBehalfOfUserMailboxGuid", s.owner.guid)
	}
	if !d.oneIn(4) {
		o.text("SessionId", d.guid())
	}
	if len(s.kept) == 0 || s.app != nil {
		o.flag("SaveToSentItems", len(s.kept) > 0)
	}
}

// server names an Exchange server as records do, with the end of a line behind it.
func (d dice) server() string {
	return fmt.Sprintf("DB8PR04MB%d (15.20.%d.018)\r\n", d.between(1000, 9999), d.between(4000, 9000))
}

// tellRecipients writes the recipients as records since 2026 have them: how many, and the first thousand.
func (s *send) tellRecipients(o *object) {
	all := s.recipients()
	o.number(s.tell.recipients+"Count", int64(len(all)))
	o.list(s.tell.recipients + "List")
	for _, a := range all[:min(len(all), 1000)] {
		o.open("")
		o.text("Address", a.Address)
		o.text("Name", a.Name)
		o.close()
	}
	o.endList()
}

// tellItem writes the mail itself. It describes the draft that was submitted, never the copy in Sent Items.
func (s *send) tellItem(o *object, d dice) {
	o.open("Item")
	switch {
	case len(s.files) > 0 && s.listed:
		o.text("Attachments", attachmentsText(s.files))
	case s.tell.nullAttachments:
		o.null("Attachments")
	}
	if s.client.remote || d.oneIn(3) {
		o.text("Id", "Unknown")
	} else {
		o.text("Id", "RgAAAAB"+d.letters(70, base64URL)+"AAAJ")
	}
	if s.immutableID != "" {
		o.text("ImmutableId", s.immutableID)
	}
	o.text("InternetMessageId", s.messageID)
	if !s.client.remote {
		o.open("ParentFolder")
		o.text("Id", "LgAAAAB"+d.letters(40, base64URL)+"AAAB")
		o.text("Path", `\Drafts`)
		o.close()
	}
	if d.oneIn(3) {
		size := int64(d.between(2000, 30000))
		for _, a := range s.files {
			size += a.StoredSize
		}
		o.number("SizeInBytes", size)
	}
	if !s.tell.untitled {
		o.text("Subject", s.subject)
	}
	o.close()
}

// attachmentsText is the one string in which an audit record lists attachments: "name (SIZEb); name (SIZEb)".
func attachmentsText(files []world.Attachment) string {
	var b strings.Builder
	for i, a := range files {
		if i > 0 {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "%s (%db)", a.Name, a.StoredSize)
	}
	return b.String()
}

// address is where the client was, in one of the forms that audit records have. A client that is remote runs at
// Microsoft.
func address(d dice, remote bool) string {
	v4, v6 := fmt.Sprintf("203.0.113.%d", d.between(1, 254)), fmt.Sprintf("2001:db8:402:3::%x", d.between(1, 0xffff))
	if remote { // Microsoft's own
		v4 = fmt.Sprintf("20.190.160.%d", d.between(1, 254))
		v6 = fmt.Sprintf("2603:10a6:208:1a2::%x", d.between(1, 0xffff))
	}
	switch d.IntN(12) {
	case 0:
		return fmt.Sprintf("%s:%d", v4, d.between(1024, 65535))
	case 1:
		return fmt.Sprintf("[%s]:%d", v6, d.between(1024, 65535))
	case 2:
		return v6
	case 3:
		return "::ffff:" + v4
	case 4:
		return "[" + v4 + "]"
	case 5:
		if d.oneIn(8) {
			return "::1"
		}
	}
	return v4
}

package company

import (
	"fmt"
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/sim/m365/world"
)

// bystander makes one of the many audit records that report no send. Some mention sends and attachments all the same,
// so that a reader who searches the bytes for a word finds it where it means nothing.
func (c *Company) bystander(d dice, at time.Time) world.Record {
	o := &object{}
	id, who := d.guid(), pick(d, c.senders)
	switch chance := d.IntN(100); {
	case chance < 45:
		c.mailItemsAccessed(o, d, at, id, who)
	case chance < 65:
		c.itemTouched(o, d, at, id, who)
	case chance < 85:
		c.itemsRemoved(o, d, at, id, who)
	case chance < 94:
		c.signIn(o, d, at, id, who)
	default:
		c.adminCommand(o, d, at, id, who)
	}
	o.close()
	return world.Record{ID: id, Created: at, JSON: o.json}
}

func (c *Company) mailItemsAccessed(o *object, d dice, at time.Time, id string, who *mailbox) {
	c.begin(o, at, id, "MailItemsAccessed", exchangeAggregated, "Succeeded")
	c.by(o, who, "Exchange", who.UserPrincipalName, address(d, false))
	c.own(o, d, who)
	o.pairs("OperationProperties", "MailAccessType", pick(d, []string{"Bind", "Sync"}), "IsThrottled", "False")
	o.list("Folders")
	o.open("")
	o.list("FolderItems")
	for range d.between(1, 3) {
		o.open("")
		o.text("InternetMessageId", fmt.Sprintf("<%s@mail.example>", d.letters(24, upperHex)))
		o.number("SizeInBytes", int64(d.between(2_000, 900_000)))
		o.close()
	}
	o.endList()
	o.text("Path", pick(d, []string{`\Inbox`, `\Sent Items`, `\Send Attachments`}))
	o.close()
	o.endList()
	o.number("OperationCount", 1)
}

// itemTouched reports a draft or an appointment that was made or changed. These have attachments too.
func (c *Company) itemTouched(o *object, d dice, at time.Time, id string, who *mailbox) {
	c.begin(o, at, id, pick(d, []string{"Create", "Update"}), exchangeItem, "Succeeded")
	c.by(o, who, "Exchange", who.UserPrincipalName, address(d, false))
	c.own(o, d, who)
	o.open("Item")
	if d.oneIn(3) {
		o.text("Attachments", attachmentsText([]world.Attachment{d.document()}))
	}
	o.text("Id", "RgAAAAB"+d.letters(70, base64URL)+"AAAJ")
	o.text("InternetMessageId", fmt.Sprintf("<%s@mail.example>", d.letters(24, upperHex)))
	o.open("ParentFolder")
	o.text("Path", pick(d, []string{`\Drafts`, `\Calendar`}))
	o.close()
	o.text("Subject", pick(d, strings.Split(subjects, "|")))
	o.close()
	o.list("ModifiedProperties")
	o.text("", pick(d, []string{"Attachments", "AttachmentCollection", "Subject"}))
	o.endList()
	if d.oneIn(20) {
		o.raw("ExtendedProperties", `{"Operation":"Send","Item":{"Attachments":"decoy.pdf (1b)"}}`)
	}
}

func (c *Company) itemsRemoved(o *object, d dice, at time.Time, id string, who *mailbox) {
	c.begin(o, at, id, pick(d, []string{"HardDelete", "SoftDelete", "MoveToDeletedItems", "Move"}), exchangeItemGroup,
		"Succeeded")
	c.by(o, who, "Exchange", who.UserPrincipalName, address(d, false))
	c.own(o, d, who)
	o.list("AffectedItems")
	for range d.between(1, 2) {
		o.open("")
		if d.oneIn(3) {
			o.text("Attachments", attachmentsText([]world.Attachment{d.document()}))
		}
		o.text("Id", "RgAAAAB"+d.letters(70, base64URL)+"AAAJ")
		o.text("InternetMessageId", fmt.Sprintf("<%s@mail.example>", d.letters(24, upperHex)))
		o.text("Subject", pick(d, strings.Split(subjects, "|")))
		o.close()
	}
	o.endList()
	o.flag("CrossMailboxOperation", false)
	o.open("Folder")
	o.text("Path", `\Inbox`)
	o.close()
}

func (c *Company) signIn(o *object, d dice, at time.Time, id string, who *mailbox) {
	operation, workload, result := "UserLoggedIn", "AzureActiveDirectory", "Success"
	if d.oneIn(8) {
		operation, workload, result = "MailboxLogin", "Exchange", "Succeeded"
	}
	c.begin(o, at, id, operation, azureADLogon, result)
	c.by(o, who, workload, who.UserPrincipalName, address(d, false))
	o.text("ObjectId", appOWA)
	o.pairs("ExtendedProperties",
		"UserAgent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64)", "RequestType", "OAuth2:Authorize")
	o.list("Actor")
	o.open("")
	o.text("ID", who.ID)
	o.number("Type", 0)
	o.close()
	o.endList()
}

// adminCommand reports a PowerShell command. Those about auditing and delegation name the operations of sends.
func (c *Company) adminCommand(o *object, d dice, at time.Time, id string, who *mailbox) {
	type command struct {
		name       string
		parameters []string
	}
	run := pick(d, []command{
		{"Set-Mailbox", []string{"AuditOwner", "Send;SendAs;MailItemsAccessed", "Identity", who.UserPrincipalName}},
		{"Add-RecipientPermission", []string{"AccessRights", "SendAs", "Trustee", who.UserPrincipalName}},
		{"New-InboxRule", []string{"Name", "Send", "HasAttachment", "True", "ForwardTo", "t.okafor@gmail.com"}},
		{"New-TransportRule", []string{"Comments", `{"Operation":"Send","Item":{"Attachments":"a.txt (1b)"}}`}},
		{"Set-MailboxPlan", []string{"MaxSendSize", "150 MB"}},
	})
	c.begin(o, at, id, run.name, exchangeAdmin, "True")
	o.text("UserKey", "NT AUTHORITY\\SYSTEM (Microsoft.Exchange.ServiceHost)")
	o.number("UserType", 2)
	o.number("Version", 1)
	o.text("Workload", "Exchange")
	o.text("ClientIP", address(d, true))
	o.text("UserId", pick(d, []string{"S-1-5-18", c.people[0].UserPrincipalName}))
	o.text("ObjectId", who.UserPrincipalName)
	o.pairs("Parameters", run.parameters...)
}

// own writes that a person acted in their own mailbox.
func (c *Company) own(o *object, d dice, who *mailbox) {
	o.text("ClientInfoString", pick(d, clients()).info)
	o.flag("ExternalAccess", false)
	o.number("InternalLogonType", 0)
	o.number("LogonType", 0)
	o.text("LogonUserSid", who.sid)
	o.text("MailboxGuid", who.guid)
	o.text("MailboxOwnerSid", who.sid)
	o.text("MailboxOwnerUPN", who.UserPrincipalName)
	o.text("OrganizationName", c.tenant.DefaultDomain)
	o.text("OriginatingServer", d.server())
	o.text("SessionId", d.guid())
}

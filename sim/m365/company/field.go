package company

import (
	"fmt"
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/sim/m365/world"
)

// Field says what of the reports from real tenants a company has. Each is off by default and changes nothing of the
// rest: a company with one of them sends the same mail at the same times.
type Field struct {
	Applications   bool   // applications and services send too, and people as a group
	Unrecorded     bool   // some mail leaves no record: audit bypass, a customised owner set, a room
	Facts          bool   // records have ActorIP, ActorInfoString, DeviceId, ImmutableId, ...
	ClassicIDs     bool   // classic Outlook changes the internet message id on send, so that the record's finds nothing
	DeletedForGood bool   // some mail is deleted for good before its record comes
	Renamed        bool   // one person's records still use the name that they had before
	Listless       string // records of clients whose ClientInfoString begins so list no attachments; "" for none
	PlansEach      int    // how many service plans each licensed person has at least; most are no concern of mail
}

// EveryField is all of it, as a large tenant has it.
func EveryField() Field {
	return Field{
		Applications: true, Unrecorded: true, Facts: true, ClassicIDs: true, DeletedForGood: true, Renamed: true,
		Listless: "Client=WebServices", PlansEach: 111,
	}
}

// application is an app registration that may send as anybody.
type application struct{ id, name string }

func applications() []application {
	return []application{
		{"6f7cb8a0-1f4e-4d53-9c41-5e2f0a7b9d10", "Invoice Mailer"},
		{"d3590ed6-52b3-4102-aeff-aad2292ab01c", "Microsoft Office"},
		{"a1b2c3d4-0e0f-4a0b-8c0d-112233445566", "eM Client"},
	}
}

// Why a mail leaves no record.
const (
	auditBypass   = "audit bypass"
	customisedSet = "customised owner set"
	resource      = "resource mailbox"
)

// furnish adds the people whose mail leaves no record, and the licences of a large tenant.
func (c *Company) furnish(people []world.Person) []world.Person {
	d := throw(c.seed, streamField)
	if c.options.Unrecorded {
		premium := []world.Plan{plan(PlanExchangeEnterprise, "Enabled"), plan(PlanAdvancedAuditing, "Enabled")}
		domain := c.options.Domain
		bypassed := c.member(d, "Backup Operator", "backup.operator@"+domain, premium...)
		customised := c.member(d, "Cora Customised", "cora.customised@"+domain, premium...)
		room := c.member(d, "Room 4.1", "room-4-1@"+domain)
		room.Enabled, room.Password, room.Roles = false, "", nil
		people = append(people, bypassed, customised, room)
	}
	for i := range people {
		for n := len(people[i].Plans); n > 0 && n < c.options.PlansEach; n++ {
			people[i].Plans = append(people[i].Plans, filler(n))
		}
	}
	return people
}

// filler is the n-th service plan that has nothing to do with mail. Every fourth is left from an older licence.
func filler(n int) world.Plan {
	status := "Enabled"
	if n%4 == 0 {
		status = "Deleted"
	}
	services := []string{"MicrosoftOffice", "SharePoint", "TeamspaceAPI", "ProcessSimple", "YammerEnterprise", "SCO"}
	id := fmt.Sprintf("f1110000-0000-4000-8000-%012d", n)
	return world.Plan{ID: id, Service: services[n%len(services)], CapabilityStatus: status}
}

// silence says why what a person sends leaves no record; "" when it leaves one.
func (c *Company) silence(p *world.Person) string {
	if !c.options.Unrecorded {
		return ""
	}
	switch local, _, _ := strings.Cut(p.UserPrincipalName, "@"); local {
	case "backup.operator":
		return auditBypass
	case "cora.customised":
		return customisedSet
	case "room-4-1":
		return resource
	}
	return ""
}

// found makes the group that people send as, and the name that one person had before.
func (c *Company) found(d dice) {
	if c.options.Applications {
		group := world.Person{ID: d.guid(), DisplayName: "Project Heron"}
		group.Mail = "project.heron@" + c.options.Domain
		group.UserPrincipalName = group.Mail
		c.group = open(&group)
		members := world.Group{ID: group.ID, DisplayName: group.DisplayName}
		for _, m := range c.senders[:min(5, len(c.senders))] {
			members.Members = append(members.Members, m.ID)
		}
		c.groups = append(c.groups, members)
	}
	if c.options.Renamed {
		m := c.senders[len(c.senders)-1]
		local, domain, _ := strings.Cut(m.UserPrincipalName, "@")
		m.former = local + ".before@" + domain
		m.ProxyAddresses = append(m.ProxyAddresses, "smtp:"+m.former)
	}
}

// weathered changes a mail as the field reports have it, and returns its record. An odd mail keeps what makes it odd.
// It draws from the mail's own stream, so that the next mail of the minute is the one that it would be without.
func (c *Company) weathered(s *send, odd bool) world.Record {
	d := throw(c.seed^seedOf(s.id), streamField)
	s.field = d
	c.weather(d, s, odd)
	s.file(d)
	return c.sendRecord(d, s)
}

func (c *Company) weather(d dice, s *send, odd bool) {
	if o := c.options; !odd && s.operation == "Send" && !s.notice {
		if o.Applications && d.oneIn(10) {
			c.automate(d, s)
		}
		if o.DeletedForGood && d.oneIn(25) {
			s.kept[0].folder = "recoverableitemsdeletions"
		}
	}
	if c.options.Facts {
		s.immutableID = "AAkALgAAAAAAHYQDEapmEc2byACqAC-EWg0A" + d.letters(24, base64URL) + "AA2"
	}
	if c.options.ClassicIDs && s.client.info == classicOutlook && !s.notice {
		server := d.letters(12, upperHex)
		s.keptAs = "<" + d.letters(36, upperHex) + "@" + server + ".eurprd04.prod.outlook.com>"
	}
	if listless := c.options.Listless; listless != "" && strings.HasPrefix(s.client.info, listless) {
		s.listed = false
	}
}

// automate makes an application or a service the sender, or a person send as the group.
func (c *Company) automate(d dice, s *send) {
	byApp := func(from *mailbox) {
		app := pick(d, applications())
		s.app, s.actor, s.owner = &app, from, from
		s.client = client{"Client=REST;;", appREST, true}
		s.kept = []kept{{mailbox: from, folder: "sentitems"}}
	}
	switch d.IntN(4) {
	case 0:
		byApp(s.owner)
	case 1:
		byApp(pick(d, c.shared))
	case 2:
		s.system, s.owner = true, pick(d, c.shared)
		s.client = client{"Client=HUB Transport", appOWA, true}
		s.kept = []kept{{mailbox: s.owner, folder: "sentitems"}}
	case 3:
		s.operation, s.owner = "SendAs", c.group
	}
}

// unrecorded returns what is sent in a minute and leaves no record.
func (c *Company) unrecorded(at time.Time, perMinute float64) []event {
	if len(c.silent) == 0 {
		return nil
	}
	d := throw(c.seed^uint64(at.Unix()/60), streamField)
	var events []event
	for range d.sometimes(perMinute / 15) {
		from := pick(d, c.silent)
		s := c.composeFrom(d, at.Add(time.Duration(d.IntN(60))*time.Second), from)
		s.silence = c.silence(from.Person)
		s.file(d)
		events = append(events, event{at: s.at, mail: s})
	}
	return events
}

const systemSID = "S-1-5-18"

// userID is the record's UserId: for an application, the mailbox that it used.
func (s *send) userID() string {
	if s.system {
		return systemSID
	}
	return s.actor.name()
}

func (s *send) userKey() string {
	switch {
	case s.app != nil:
		return s.app.id
	case s.system:
		return systemSID
	}
	return s.actor.userKey
}

// userType is 0 for a person, 5 for an application, 4 for a service of Microsoft's own.
func (s *send) userType() int64 {
	switch {
	case s.app != nil:
		return 5
	case s.system:
		return 4
	}
	return 0
}

// logonType is 0 for the owner and for an application, 2 for a delegate, 4 for a service.
func (s *send) logonType() int64 {
	switch {
	case s.system:
		return 4
	case s.operation != "Send":
		return 2
	}
	return 0
}

func (s *send) sid() string {
	if s.system {
		return systemSID
	}
	return s.actor.sid
}

// tellFacts writes what newer records have beyond the documented minimum.
func (s *send) tellFacts(o *object, ip string) {
	if s.immutableID == "" {
		return
	}
	d := s.field
	if !s.client.remote {
		o.text("ActorIP", ip)
		o.text("DeviceId", d.guid())
	}
	o.text("ActorInfoString", s.client.info)
	o.text("AuthType", pick(d, []string{"Bearer", "OAuth"}))
	o.text("CloudInstanceName", "microsoftonline.com")
	o.text("HostAppId", s.client.appID)
	if s.client.info == classicOutlook {
		o.text("ClientProcessName", "OUTLOOK.EXE")
		o.text("ClientVersion", "16.0.17928.20114")
		o.text("ClientMachineName", "PC-"+d.letters(6, upperHex))
	}
	o.text("TokenTenantId", d.guid())
	if s.app == nil && len(s.kept) > 0 {
		o.flag("SaveToSentItems", true)
	}
}

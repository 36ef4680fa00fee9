package company

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/mailtrail/mailtrail/sim/m365/world"
)

// Directory role template ids, as they stand in a token's wids.
const (
	GlobalAdministrator         = "62e90394-69f5-4237-9190-012177145e10"
	PrivilegedRoleAdministrator = "e8611ab8-c189-46e8-94e1-60213ab1f814"
	OrdinaryMember              = "b79fbf4d-3ef9-4689-8143-76b194e85509"
)

// Service plan ids.
const (
	PlanAdvancedAuditing   = "2f442157-a11c-46b9-ae5b-6e39ff4e5849" // M365_ADVANCED_AUDITING
	PlanExchangeEnterprise = "efb87545-963c-4e0d-99df-69c6916d9eb0" // EXCHANGE_S_ENTERPRISE
	PlanExchangeKiosk      = "4a82b400-a79f-41a4-b4e2-e94f5787b113" // EXCHANGE_S_DESKLESS: its sends are not logged
)

const givenNames = "Amara Bertil Chidi Dolores Emre Fiona Gaspard Hana Ibrahim Jolanta Kwame Leilani Mateus Nadia " +
	"Olof Priya Quentin Rosa Søren Tomasz Uma Viktor Wanda Xiulan Yusuf Zoë"

const familyNames = "Abara Brandt Castellanos Dvořák Eriksen Fontaine Grünwald Haddad Ivanova Jansson Kowalski " +
	"Lindqvist Mbeki Núñez O'Brien Petrov Quispe Rinaldi Sørensen Tanaka Uzun Vargas Weiß Xu Yamamoto Østergård"

// unaccented spells a name as it stands in an address.
func unaccented(name string) string {
	return strings.NewReplacer("ø", "o", "Ø", "o", "ë", "e", "ř", "r", "á", "a", "ü", "u", "ú", "u", "ñ", "n", "ß",
		"ss",
		"å", "a", "'", "").Replace(strings.ToLower(name))
}

// hire makes the directory. What a person lacks is decided by the number, not by chance, so that even a small company
// has one of each.
func (c *Company) hire(d dice) []world.Person {
	domain := c.options.Domain
	premium := []world.Plan{plan(PlanExchangeEnterprise, "Enabled"), plan(PlanAdvancedAuditing, "Enabled")}
	admin := c.member(d, "Global Admin", "admin@"+domain, premium...)
	admin.Roles = append(admin.Roles, GlobalAdministrator)
	roles := c.member(d, "Role Admin", "role.admin@"+domain, premium...)
	roles.Roles = append(roles.Roles, PrivilegedRoleAdministrator)
	people := []world.Person{admin, roles}

	given, family := strings.Fields(givenNames), strings.Fields(familyNames)
	for i := range c.options.People {
		first, last := given[i%len(given)], family[(i*7+i/len(given))%len(family)]
		local := unaccented(first) + "." + unaccented(last)
		if lap := i / (len(given) * len(family)); lap > 0 {
			local += fmt.Sprint(lap + 1)
		}
		p := c.member(d, first+" "+last, local+"@"+domain, premium...)
		switch i % 10 {
		case 3: // Exchange without the premium audit, as with E3: sends are logged all the same
			p.Plans = p.Plans[:1:1] // the others' plans follow in the same array
		case 5:
			p.Plans = []world.Plan{plan(PlanExchangeKiosk, "Enabled")}
		case 6:
			status := []string{"Suspended", "Warning", "LockedOut"}[i/10%3]
			p.Plans = []world.Plan{p.Plans[0], plan(PlanAdvancedAuditing, status)}
		case 7:
			p.Enabled = false
		case 9:
			p.Mail, p.ProxyAddresses, p.Plans = "", nil, nil
		}
		people = append(people, p)
	}
	for _, name := range []string{"Sales", "Invoices", "Support Desk"} {
		p := c.member(d, name, unaccented(strings.ReplaceAll(name, " ", "-"))+"@"+domain)
		p.Enabled, p.Password, p.Roles = false, "", nil // nobody signs in as a shared mailbox
		people = append(people, p)
	}
	for _, outside := range []string{"ines.moreau@lumiere-partners.example", "t.okafor@gmail.com"} {
		p := c.member(d, outside, strings.ReplaceAll(outside, "@", "_")+"#EXT#@"+c.tenant.DefaultDomain)
		p.UserType, p.Mail, p.ProxyAddresses, p.Roles = "Guest", outside, nil, nil
		people = append(people, p)
	}
	return c.furnish(people)
}

func (c *Company) member(d dice, name, address string, plans ...world.Plan) world.Person {
	local, _, _ := strings.Cut(address, "@")
	return world.Person{
		ID: d.guid(), DisplayName: name, UserPrincipalName: address, Mail: address,
		ProxyAddresses: []string{"SMTP:" + address, "smtp:" + local + "@" + c.tenant.DefaultDomain},
		UserType:       "Member", Enabled: true, Plans: plans,
		Roles: []string{OrdinaryMember}, Password: c.options.Password,
	}
}

func plan(id, status string) world.Plan {
	return world.Plan{ID: id, Service: "exchange", CapabilityStatus: status}
}

func isShared(p *world.Person) bool {
	return p.UserType == "Member" && !p.Enabled && p.Mail != "" && len(p.Plans) == 0
}

// logsSends reports whether the person can send mail that the audit log reports. A kiosk licence's mailbox is not
// audited, so its owner sends nothing here: the truth would have no record to compare with.
func logsSends(p *world.Person) bool {
	return p.Enabled && p.UserType == "Member" && p.Mail != "" && p.Plans[0].ID != PlanExchangeKiosk
}

// hasPremium reports whether the person is enabled, has a mailbox, and a plan with Audit (Premium) that can be used.
func hasPremium(p *world.Person) bool {
	usable := func(plan world.Plan) bool {
		return plan.CapabilityStatus == "Enabled" || plan.CapabilityStatus == "Warning"
	}
	return p.Enabled && p.UserType == "Member" && p.Mail != "" && slices.ContainsFunc(p.Plans,
		func(plan world.Plan) bool {
			return plan.ID == PlanAdvancedAuditing && usable(plan)
		})
}

// acquaint makes the outsiders: private mailboxes at the big webmail houses, and people at other companies.
func acquaint(d dice) []world.Address {
	webmail := []string{"gmail.com", "outlook.com", "yahoo.com", "icloud.com", "proton.me", "gmx.de", "qq.com"}
	firms := []string{"lumiere-partners.example", "harbour-law.example", "tanaka-optics.example", "acme-audit.example"}
	given, family := strings.Fields(givenNames), strings.Fields(familyNames)
	var partners []world.Address
	for i := range 120 {
		first, last := pick(d, given), pick(d, family)
		local := unaccented(first) + "." + unaccented(last)
		domain := pick(d, firms)
		if i%2 == 0 {
			local, domain = fmt.Sprintf("%s%d", strings.ReplaceAll(local, ".", ""), d.between(1, 99)), pick(d, webmail)
		}
		partners = append(partners, world.Address{Name: first + " " + last, Address: local + "@" + domain})
	}
	return partners
}

// mailbox is a person as Exchange knows them.
type mailbox struct {
	*world.Person
	guid, sid, userKey string
	former             string // the user principal name that records still use; "" for the present one
}

// name is the user principal name as audit records have it.
func (m *mailbox) name() string { return cmp.Or(m.former, m.UserPrincipalName) }

// open gives the person the mailbox that they always had: its ids follow from the person's own.
func open(p *world.Person) *mailbox {
	d := throw(seedOf(p.ID), streamPeople)
	return &mailbox{
		Person: p, guid: d.guid(),
		sid:     fmt.Sprintf("S-1-5-21-%d-%d-%d-%d", d.Uint32(), d.Uint32(), d.Uint32(), d.between(1000, 9_999_999)),
		userKey: "1003" + d.letters(12, upperHex),
	}
}

func (m *mailbox) address() world.Address {
	return world.Address{Name: m.DisplayName, Address: m.Mail}
}

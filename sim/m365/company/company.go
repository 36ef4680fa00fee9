// Package company invents a company whose people mail attachments all day, and reports it as Microsoft 365 would:
// audit records with the shapes and quirks of real ones, the copies that stay in mailboxes, and, for tests, the
// truth of what left.
//
// Everything is decided by the seed and the clock: a minute of a company is always the same minute, no matter who
// asks and in whatever order, so no history has to be kept.
package company

import (
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/sim/m365/world"
)

// Options says which company to invent. The zero value is a company worth showing.
type Options struct {
	Seed     uint64
	TenantID string // GUID; "" for one made of the seed
	Name     string // "" for Fernhill Instruments
	Domain   string // mail domain; "" for fernhill.example
	Password string // what the sign-in page accepts for every person; "" for DefaultPassword

	// People is the number of ordinary members. Two administrators, three shared mailboxes and two guests come on
	// top. 0 means 40.
	People int

	// MailsPerHour is the average number of sends in an office hour (8:00 to 18:00 UTC, Monday to Friday). Outside of
	// these it is quieter. 0 means 720, one every five seconds.
	MailsPerHour int

	// Noise is the average number of other audit records per send. 0 means 35; less than 0 means none.
	Noise int

	Field // what field reports show and an ordinary company here does not have; all off by default

	// AlwaysOpen makes every hour an office hour, for a demonstration at night or on a Sunday.
	AlwaysOpen bool
}

// DefaultPassword is the password of every person of a company whose Options name none.
const DefaultPassword = "fernhill-Open-1"

// Company is one invented company. It is safe for use by several goroutines: nothing in it changes.
type Company struct {
	options  Options
	seed     uint64 // of the tenant too, so that two tenants with one seed share no record id
	tenant   world.Tenant
	people   []world.Person
	senders  []*mailbox // that log what is sent from them
	shared   []*mailbox // shared mailboxes
	silent   []*mailbox // that send, and whose sends leave no record
	group    *mailbox   // the mailbox of the group that people send as
	groups   []world.Group
	partners []world.Address // outsiders that the company writes to
	oddities []oddity
}

// New invents the company that the options describe.
func New(o Options) *Company {
	o = o.withDefaults()
	c := &Company{options: o, seed: o.Seed ^ seedOf(o.TenantID), oddities: oddities()}

	name, _, _ := strings.Cut(o.Domain, ".")
	onmicrosoft := name + ".onmicrosoft.com"
	c.tenant = world.Tenant{
		ID: o.TenantID, DisplayName: o.Name, DefaultDomain: onmicrosoft,
		Domains: []string{onmicrosoft, o.Domain}, Cloud: "commercial",
	}
	c.people = c.hire(throw(c.seed, streamPeople))
	for i := range c.people {
		p := &c.people[i]
		switch {
		case c.silence(p) != "":
			c.silent = append(c.silent, open(p))
		case isShared(p):
			c.shared = append(c.shared, open(p))
		case logsSends(p):
			c.senders = append(c.senders, open(p))
		}
	}
	c.found(throw(c.seed, streamField))
	c.partners = acquaint(throw(c.seed, streamPartners))
	return c
}

func (o Options) withDefaults() Options {
	if o.TenantID == "" {
		o.TenantID = throw(o.Seed, streamTenant).guid()
	}
	if o.Name == "" {
		o.Name = "Fernhill Instruments"
	}
	if o.Domain == "" {
		o.Domain = "fernhill.example"
	}
	if o.Password == "" {
		o.Password = DefaultPassword
	}
	if o.People == 0 {
		o.People = 40
	}
	if o.MailsPerHour == 0 {
		o.MailsPerHour = 720
	}
	if o.Noise == 0 {
		o.Noise = 35
	}
	return o
}

// Tenant returns the tenant that the company is to Microsoft.
func (c *Company) Tenant() world.Tenant { return c.tenant }

// People returns everybody in the directory: members with and without a licence for audited mail, disabled ones,
// ones without a mailbox, guests, shared mailboxes, one Global Administrator and one Privileged Role Administrator.
// The administrators come first, in that order. The caller must not change them.
func (c *Company) People() []world.Person { return c.people }

// Groups returns the groups of the directory. An ordinary company has none.
func (c *Company) Groups() []world.Group { return c.groups }

// Slice is what happened in an interval of time, in the order of time.
type Slice struct {
	Records  []world.Record
	Messages []world.Message // the copies in mailboxes: Sent Items, and the odd draft, deleted or received copy
	Truth    []world.Truth   // without hashes; see Hash
}

// Between returns everything that happens in [from, to). However an interval is cut, its pieces together give the
// same slice.
func (c *Company) Between(from, to time.Time) Slice {
	var s Slice
	for at := from.UTC().Truncate(time.Minute); at.Before(to); at = at.Add(time.Minute) {
		for _, e := range c.minute(at) {
			if !e.at.Before(from) && e.at.Before(to) {
				s.add(c, e)
			}
		}
	}
	return s
}

func (s *Slice) add(c *Company, e event) {
	if e.record.JSON != nil {
		s.Records = append(s.Records, e.record)
	}
	if e.mail == nil {
		return
	}
	s.Messages = append(s.Messages, e.mail.copies()...)
	if truth, sent := e.mail.truth(); sent {
		s.Truth = append(s.Truth, truth)
	}
}

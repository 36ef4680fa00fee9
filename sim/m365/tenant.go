package m365sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mailtrail/mailtrail/sim/m365/world"
)

// tenant is one customer with all that Microsoft keeps for it.
type tenant struct {
	world.Tenant

	mu         sync.RWMutex
	auditOff   bool
	principals map[string]*principal // by client id
	directory  directory
	feeds      map[string]*feed      // by content type
	mailboxes  map[string]*mailbox   // by person id
	content    map[string]*blob      // by content id
	shared     map[string]*cloudFile // by the address that leads to it
	items      map[string]*cloudFile // by drive and item id
	published  int                   // blobs ever
	minute     int64                 // of the quota
	spent      int                   // requests in that minute
	truth      TruthSource           // nil when there is none
}

func newTenant(t world.Tenant) *tenant {
	if t.Cloud == "" {
		t.Cloud = commercial
	}
	made := &tenant{
		Tenant: t, principals: map[string]*principal{}, feeds: map[string]*feed{},
		mailboxes: map[string]*mailbox{}, content: map[string]*blob{}, shared: map[string]*cloudFile{},
		items: map[string]*cloudFile{},
	}
	for _, contentType := range contentTypes() {
		made.feeds[contentType] = &feed{contentType: contentType}
	}
	return made
}

// withinQuota counts one request and reports whether the tenant may still make it this minute.
func (t *tenant) withinQuota(now time.Time, quota int) bool {
	if quota == 0 {
		return true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if minute := now.Unix() / 60; minute != t.minute {
		t.minute, t.spent = minute, 0
	}
	t.spent++
	return t.spent <= quota
}

// RemoveTenant deletes a tenant with all that it held: AADSTS90002 for new tokens, AF20011 for those that exist.
func (s *Server) RemoveTenant(tenantID string) error {
	gone, err := s.known(tenantID)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	same := func(_ string, t *tenant) bool { return t == gone }
	maps.DeleteFunc(s.tenants, same)
	maps.DeleteFunc(s.domains, same)
	return nil
}

// AuditOff turns the tenant's unified audit log off or on. While it is off, subscriptions cannot be started and
// content cannot be listed.
func (s *Server) AuditOff(tenantID string, off bool) error {
	t, err := s.known(tenantID)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.auditOff = off
	return nil
}

// AddPeople puts people into the directory, or changes those whose ID is there already.
func (s *Server) AddPeople(tenantID string, people ...world.Person) error {
	t, err := s.known(tenantID)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.directory.add(people)
	return nil
}

// RenamePerson gives a person another user principal name. Their mailbox and object id stay; the old name stands for
// nobody, and becomes an alias when it was the mail address too.
func (s *Server) RenamePerson(tenantID, user, name string) error {
	t, err := s.known(tenantID)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	p, ok := t.directory.find(user)
	if !ok {
		return fmt.Errorf("tenant %s has no person %q", tenantID, user)
	}
	if strings.EqualFold(p.Mail, p.UserPrincipalName) {
		p.ProxyAddresses = slices.DeleteFunc(slices.Clone(p.ProxyAddresses), func(alias string) bool {
			return strings.EqualFold(alias, "smtp:"+p.Mail)
		})
		p.ProxyAddresses = append(p.ProxyAddresses, "SMTP:"+name, "smtp:"+p.Mail)
		p.Mail = name
	}
	p.UserPrincipalName = name
	t.directory.add([]world.Person{p})
	return nil
}

// RemovePeople deletes people by their IDs; /users/delta then lists them with @removed.
func (s *Server) RemovePeople(tenantID string, ids ...string) error {
	t, err := s.known(tenantID)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, id := range ids {
		t.directory.remove(id)
	}
	return nil
}

// SetRoles changes the directory roles of a person, for the whole tenant or, with unit, within an administrative unit.
func (s *Server) SetRoles(tenantID, user string, unit bool, roles ...string) error {
	t, err := s.known(tenantID)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	p, ok := t.directory.find(user)
	if !ok {
		return fmt.Errorf("tenant %s has no person %q", tenantID, user)
	}
	if unit {
		p.UnitRoles = roles
	} else {
		p.Roles = roles
	}
	t.directory.add([]world.Person{p})
	return nil
}

// RestorePerson brings back somebody who was removed, as they were.
func (s *Server) RestorePerson(tenantID, id string) error {
	t, err := s.known(tenantID)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.directory.names[strings.ToLower(id)]
	if e == nil || !e.removed {
		return fmt.Errorf("nobody with the id %q was removed from tenant %s", id, tenantID)
	}
	t.directory.add([]world.Person{e.person})
	return nil
}

// directory is the people of a tenant in the order in which they came, each with the version of its last change.
type directory struct {
	entries []*entry
	names   map[string]*entry // by id and by user principal name, lower case
	version int
	aliases map[string][]*entry    // by proxy address: prefix as written, rest in lower case
	groups  map[string]world.Group // by id, lower case
}

type entry struct {
	person   world.Person
	changed  int
	removed  bool
	restored int          // the version at which they came back; 0 when they were never removed
	before   world.Person // as it was until the last change
	earlier  int          // the version of the change before that
}

func (d *directory) add(people []world.Person) {
	if d.names == nil {
		d.names, d.aliases = map[string]*entry{}, map[string][]*entry{}
	}
	for _, p := range people {
		d.version++
		e := d.names[strings.ToLower(p.ID)]
		if e == nil {
			e = &entry{}
			d.entries = append(d.entries, e)
		} else {
			delete(d.names, strings.ToLower(e.person.UserPrincipalName))
			d.unname(e)
		}
		e.before, e.earlier = e.person, e.changed
		if e.removed { // a delta has all of somebody who comes back
			e.earlier, e.restored = d.version, d.version
		}
		e.person, e.changed, e.removed = p, d.version, false
		for _, alias := range p.ProxyAddresses {
			d.aliases[aliasKey(alias)] = append(d.aliases[aliasKey(alias)], e)
		}
		d.names[strings.ToLower(p.ID)] = e
		d.names[strings.ToLower(p.UserPrincipalName)] = e
	}
}

// aliasKey keeps the letter case of the prefix, which says whether the address is the primary one.
func aliasKey(alias string) string {
	kind, address, _ := strings.Cut(alias, ":")
	return kind + ":" + strings.ToLower(address)
}

// unname takes the person out of the index of aliases.
func (d *directory) unname(e *entry) {
	for _, alias := range e.person.ProxyAddresses {
		key := aliasKey(alias)
		if d.aliases[key] = slices.DeleteFunc(d.aliases[key],
			func(other *entry) bool { return other == e }); len(d.aliases[key]) == 0 {
			delete(d.aliases, key)
		}
	}
}

func (d *directory) remove(id string) {
	if e := d.names[strings.ToLower(id)]; e != nil {
		d.version++
		e.changed, e.removed = d.version, true
	}
}

// find gives the person with this id or user principal name.
func (d *directory) find(name string) (world.Person, bool) {
	e := d.names[strings.ToLower(name)]
	if e == nil || e.removed {
		return world.Person{}, false
	}
	return e.person, true
}

// mayConsent reports whether the person holds a role that can grant application permissions to the whole tenant.
func mayConsent(p world.Person) bool {
	return slices.ContainsFunc(p.Roles, func(role string) bool {
		return strings.EqualFold(role, globalAdministrator) || strings.EqualFold(role, privilegedRoleAdministrator)
	})
}

// Directory role template ids, as they stand in wids.
const (
	globalAdministrator         = "62e90394-69f5-4237-9190-012177145e10"
	privilegedRoleAdministrator = "e8611ab8-c189-46e8-94e1-60213ab1f814"
	ordinaryUser                = "b79fbf4d-3ef9-4689-8143-76b194e85509" // Microsoft adds it for every member
)

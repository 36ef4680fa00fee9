package m365sim

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/mailtrail/mailtrail/sim/m365/world"
)

// AddGroups puts groups into the directory, or changes those whose ID is there already.
func (s *Server) AddGroups(tenantID string, groups ...world.Group) error {
	t, err := s.known(tenantID)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.directory.groups == nil {
		t.directory.groups = map[string]world.Group{}
	}
	for _, g := range groups {
		t.directory.groups[strings.ToLower(g.ID)] = g
	}
	return nil
}

// RemoveGroups deletes groups by their IDs. The groups that they were in keep them as members that are not there.
func (s *Server) RemoveGroups(tenantID string, ids ...string) error {
	t, err := s.known(tenantID)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, id := range ids {
		delete(t.directory.groups, strings.ToLower(id))
	}
	return nil
}

// transitiveUsers answers with one page of the people in a group and in the groups that are in it. It is an advanced
// query: it wants the count, and the header that says that it may be a little old.
func transitiveUsers(c *call) {
	roles := []string{"GroupMember.Read.All", "Group.Read.All", "Directory.Read.All"}
	if !c.allow(roles, "$select", "$top", "$count", "$skiptoken") {
		return
	}
	if !strings.EqualFold(c.r.Header.Get("ConsistencyLevel"), "eventual") || c.query.Get("$count") != "true" {
		c.fail(http.StatusBadRequest, "Request_UnsupportedQuery", "The request needs $count=true and the header "+
			"ConsistencyLevel: eventual.")
		return
	}
	known, usual := userProperties()
	names, ok := c.selected("microsoft.graph.user", known, usual)
	if !ok {
		return
	}
	size, ok := c.pageSize()
	if !ok {
		return
	}
	from, ok := c.skipped()
	if !ok {
		return
	}
	group := c.r.PathValue("group")
	people, ok := c.tenant.transitive(group)
	if !ok {
		c.fail(http.StatusNotFound, "Request_ResourceNotFound", "Resource '"+group+"' does not exist or one of "+
			"its queried reference-property objects are not present.")
		return
	}
	from = min(from, len(people))
	page := people[from:min(from+size, len(people))]
	value := make([]any, 0, len(page))
	for _, p := range page {
		value = append(value, only(userObject(p), names))
	}
	answer := map[string]any{"@odata.context": c.base(graph) + "/v1.0/$metadata#users", "@odata.count": len(people),
		"value": value}
	switch end := from + len(page); {
	case end < len(people):
		answer["@odata.nextLink"] = c.next("$skiptoken", seal(strconv.Itoa(end)))
	case c.opts.MembersCycle:
		answer["@odata.nextLink"] = c.next("$skiptoken", seal("0"))
	}
	c.peoplePage(answer)
}

// transitive gives the people of a group, each once, in the order in which they are met. Groups may be in one another.
func (t *tenant) transitive(id string) (people []world.Person, ok bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if _, ok := t.directory.groups[strings.ToLower(id)]; !ok {
		return nil, false
	}
	seen := map[string]bool{}
	var enter func(id string)
	enter = func(id string) {
		for _, member := range t.directory.groups[id].Members {
			member = strings.ToLower(member)
			if seen[member] {
				continue
			}
			seen[member] = true
			if e := t.directory.names[member]; e != nil && !e.removed {
				people = append(people, e.person)
			}
			enter(member)
		}
	}
	enter(strings.ToLower(id))
	return people, true
}

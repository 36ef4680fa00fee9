package m365sim

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/mailtrail/mailtrail/sim/m365/world"
)

func directoryRoles() []string { return []string{"User.Read.All", "Directory.Read.All"} }

// userProperties are all that a person has, and those given when none is selected.
func userProperties() (known, usual []string) {
	usual = []string{
		"businessPhones", "displayName", "givenName", "jobTitle", "mail", "mobilePhone", "officeLocation",
		"preferredLanguage", "surname", "userPrincipalName", "id",
	}
	return slices.Concat(usual, []string{"accountEnabled", "userType", "proxyAddresses", "assignedPlans"}), usual
}

func userObject(p world.Person) map[string]any {
	plans := []map[string]any{}
	for _, plan := range p.Plans {
		plans = append(plans, map[string]any{
			"assignedDateTime": "2024-01-01T00:00:00Z", "capabilityStatus": plan.CapabilityStatus,
			"service": plan.Service, "servicePlanId": plan.ID,
		})
	}
	given, surname, _ := strings.Cut(p.DisplayName, " ")
	return map[string]any{
		"id": p.ID, "displayName": p.DisplayName, "givenName": given, "surname": surname,
		"userPrincipalName": p.UserPrincipalName, "mail": orNull(p.Mail), "userType": p.UserType,
		"accountEnabled": p.Enabled, "proxyAddresses": append([]string{}, p.ProxyAddresses...), "assignedPlans": plans,
		"businessPhones": []string{}, "jobTitle": nil, "mobilePhone": nil, "officeLocation": nil,
		"preferredLanguage": nil,
	}
}

func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// listUsers answers with one page of the directory.
func listUsers(c *call) {
	if !c.allow(directoryRoles(), "$select", "$top", "$filter", "$skiptoken") {
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
	if aliases, ok := readAliases(c.query.Get("$filter")); ok {
		c.listAliases(aliases, names)
		return
	}
	accepts, ok := readUserFilter(c.query.Get("$filter"))
	if !ok {
		c.fail(http.StatusBadRequest, "Request_UnsupportedQuery", "Unsupported or invalid query filter clause "+
			"specified.")
		return
	}
	from, ok := c.skipped()
	if !ok {
		return
	}
	page, next := c.tenant.usersPage(from, size, accepts)
	answer := map[string]any{"@odata.context": c.base(graph) + "/v1.0/$metadata#users"}
	value := make([]any, 0, len(page))
	for _, p := range page {
		value = append(value, only(userObject(p), names))
	}
	answer["value"] = value
	if next > 0 {
		answer["@odata.nextLink"] = c.next("$skiptoken", seal(strconv.Itoa(next)))
	}
	c.peoplePage(answer)
}

// peoplePage answers with a page of people, unless it is too large to be made in time.
func (c *call) peoplePage(answer map[string]any) {
	if most := c.opts.PeoplePageBytes; most > 0 {
		if raw, err := json.Marshal(answer); err != nil || len(raw) > most {
			c.tookTooLong()
			return
		}
	}
	c.json(http.StatusOK, answer)
}

// tookTooLong is the answer of the gateway to a page that its backend does not finish.
func (c *call) tookTooLong() {
	c.fail(http.StatusGatewayTimeout, "UnknownError", "")
}

// pageSize is how many people a page holds: what $top asks for, unless the options allow less. It answers the call
// itself when it returns false.
func (c *call) pageSize() (int, bool) {
	size, ok := c.number("$top", 100, 1, 999)
	switch {
	case ok && c.opts.LargeTop > 0 && size > c.opts.LargeTop && c.opts.LargeTopHangs:
		<-c.r.Context().Done()
		return 0, false
	case ok && c.opts.LargeTop > 0 && size > c.opts.LargeTop:
		c.tookTooLong()
		return 0, false
	}
	if most := c.opts.GraphPageSize; most > 0 {
		size = min(size, most)
	}
	return size, ok
}

// skipped is the place where the page begins that the request asks for.
func (c *call) skipped() (from int, ok bool) {
	token, asked := c.query["$skiptoken"]
	if !asked {
		return 0, true
	}
	parts, good := unseal(token[0], 1)
	from, err := strconv.Atoi(parts[0])
	if !good || err != nil || from < 0 {
		c.badRequest("The skip token is not valid.")
		return 0, false
	}
	return from, true
}

// listAliases answers with the people who have one of the proxy addresses. The prefix is case-sensitive: SMTP is the
// primary address, smtp any other.
func (c *call) listAliases(aliases, names []string) {
	value := []any{}
	c.tenant.mu.RLock()
	seen := map[*entry]bool{}
	for _, alias := range aliases {
		for _, e := range c.tenant.directory.aliases[aliasKey(alias)] {
			if !e.removed && !seen[e] {
				seen[e] = true
				value = append(value, only(userObject(e.person), names))
			}
		}
	}
	c.tenant.mu.RUnlock()
	c.json(http.StatusOK, map[string]any{"@odata.context": c.base(graph) + "/v1.0/$metadata#users", "value": value})
}

// usersPage gives up to size people from a place in the directory on, and the place where the next page begins, or 0
// at the end.
func (t *tenant) usersPage(from, size int, accepts func(world.Person) bool) (page []world.Person, next int) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for i := max(from, 0); i < len(t.directory.entries); i++ {
		e := t.directory.entries[i]
		if e.removed || !accepts(e.person) {
			continue
		}
		if len(page) == size {
			return page, i
		}
		page = append(page, e.person)
	}
	return page, 0
}

// getUser answers with one person.
func getUser(c *call) {
	if !c.allow(directoryRoles(), "$select") {
		return
	}
	known, usual := userProperties()
	names, ok := c.selected("microsoft.graph.user", known, usual)
	if !ok {
		return
	}
	name := c.r.PathValue("user")
	c.tenant.mu.RLock()
	p, ok := c.tenant.directory.find(name)
	c.tenant.mu.RUnlock()
	if !ok {
		c.fail(http.StatusNotFound, "Request_ResourceNotFound", "Resource '"+name+"' does not exist or one of its "+
			"queried reference-property objects are not present.")
		return
	}
	object := only(userObject(p), names)
	object["@odata.context"] = c.base(graph) + "/v1.0/$metadata#users/$entity"
	c.json(http.StatusOK, object)
}

package m365sim

import (
	"net/http"
	"reflect"
	"strconv"
	"time"
)

// deltaLife is how long a delta token is good.
const deltaLife = 7 * 24 * time.Hour

// round is one pass of /users/delta: the changes after one version of the directory, up to another.
type round struct {
	since, upTo int // versions
	from        int // place in the directory where the next page begins
	selection   string
}

// usersDelta answers with one page of what changed in the directory. The options of the first request are kept in
// the tokens, and later requests may carry nothing but their token.
func usersDelta(c *call) {
	if !c.allow(directoryRoles(), "$select", "$top", "$skiptoken", "$deltatoken") {
		return
	}
	r, ok := c.round()
	if !ok {
		return
	}
	if r.selection != "" {
		c.query.Set("$select", r.selection)
	}
	known, usual := userProperties()
	names, ok := c.selected("microsoft.graph.user", known, usual)
	if !ok {
		return
	}
	if c.query.Has("$select") {
		names = append(names, "id")
	}
	size, ok := c.pageSize()
	if !ok {
		return
	}
	hides := c.opts.DeltaHidesRestored && c.query.Get("$select") != ""
	value, next := c.tenant.changes(r, size, names, hides)
	answer := map[string]any{"@odata.context": c.base(graph) + "/v1.0/$metadata#users", "value": value}
	here := c.base(graph) + "/v1.0/users/delta?"
	r.selection = c.query.Get("$select")
	if next > 0 {
		r.from = next
		answer["@odata.nextLink"] = here + "$skiptoken=" + c.sealRound(r)
	} else {
		answer["@odata.deltaLink"] = here + "$deltatoken=" + c.sealRound(round{since: r.upTo, upTo: -1,
			selection: r.selection})
	}
	c.peoplePage(answer)
}

// round reads where the client stands. It refuses a token that is not one, and sends a client with one that is too
// old to begin anew.
func (c *call) round() (round, bool) {
	skip, delta := c.query.Get("$skiptoken"), c.query.Get("$deltatoken")
	c.tenant.mu.RLock()
	version := c.tenant.directory.version
	c.tenant.mu.RUnlock()
	if skip == "" && delta == "" {
		return round{upTo: version}, true
	}
	if delta == "latest" && skip == "" { // no change, and a token for those from now on
		return round{since: version, upTo: version, selection: c.query.Get("$select")}, true
	}
	parts, ok := unseal(skip+delta, 5)
	if !ok || len(c.query) > 1 {
		c.badRequest("The delta token is not valid, or comes with other query options.")
		return round{}, false
	}
	var n [4]int
	for i := range n {
		var err error
		if n[i], err = strconv.Atoi(parts[i]); err != nil {
			c.badRequest("The delta token is not valid.")
			return round{}, false
		}
	}
	if c.now.Sub(time.Unix(int64(n[3]), 0)) > deltaLife {
		c.w.Header().Set("Location", c.base(graph)+"/v1.0/users/delta?$deltatoken=")
		c.fail(http.StatusGone, "syncStateNotFound", "The sync state generation is not found; start a new "+
			"synchronization.")
		return round{}, false
	}
	r := round{since: n[0], upTo: n[1], from: n[2], selection: parts[4]}
	if r.upTo < 0 {
		r.upTo = version
	}
	return r, true
}

func (c *call) sealRound(r round) string {
	return seal(strconv.Itoa(r.since), strconv.Itoa(r.upTo), strconv.Itoa(r.from), strconv.FormatInt(c.now.Unix(), 10),
		r.selection)
}

// changes gives up to size objects that changed in the round, and the place where the next page begins, or 0. A
// change that is newer than the round is left for the next one. hides leaves out the restored.
func (t *tenant) changes(r round, size int, names []string, hides bool) (value []any, next int) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	value = []any{}
	for i := max(r.from, 0); i < len(t.directory.entries); i++ {
		e := t.directory.entries[i]
		if e.changed <= r.since || e.changed > r.upTo || e.removed && r.since == 0 {
			continue
		}
		if hides && r.since > 0 && !e.removed && e.changed == e.restored {
			continue
		}
		if len(value) == size {
			return value, i
		}
		if e.removed {
			value = append(value, map[string]any{"id": e.person.ID, "@removed": map[string]string{"reason": "changed"}})
			continue
		}
		object := only(userObject(e.person), names)
		if r.since > 0 {
			e.leaveOut(object, r.since)
		}
		value = append(value, object)
	}
	return value, 0
}

// leaveOut removes what Graph need not repeat of a person who changed: empty values, and those that did not change
// since the version.
func (e *entry) leaveOut(object map[string]any, since int) {
	before := userObject(e.before)
	for name, value := range object {
		same := e.earlier <= since && e.earlier > 0 && reflect.DeepEqual(value, before[name])
		if name != "id" && (same || value == nil) {
			delete(object, name)
		}
	}
}

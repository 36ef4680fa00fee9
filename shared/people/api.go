package people

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/mailtrail/mailtrail/shared/access"
	"github.com/mailtrail/mailtrail/shared/connection"
)

// API is how the scope of a connection is set, and how its people are read: /v1/connections/{id}/scope and
// /v1/connections/{id}/people. For a client that is limited to some connections there are no others.
type API struct {
	Roster *Roster
	// Find returns the connection, or connection.ErrNotFound.
	Find  func(ctx context.Context, id connection.ID) (connection.Connection, error)
	Trail *access.Trail
	Log   *slog.Logger
}

// Routes are the doors of the API.
func (a *API) Routes() []access.Route {
	door := func(pattern string, h func(http.ResponseWriter, *http.Request, connection.ID) error,
		roles ...access.Role) access.Route {
		return access.Route{Pattern: pattern, Roles: roles, Handler: access.Handle(a.Log, connection.Of(a.Find, open(h)))}
	}
	return []access.Route{
		door("GET /v1/connections/{id}/scope", a.scope, access.Admin, access.Analyst),
		door("PUT /v1/connections/{id}/scope", a.setScope, access.Admin),
		door("PUT /v1/connections/{id}/scope/users", a.replaceUsers, access.Admin),
		door("GET /v1/connections/{id}/people", a.list, access.Admin, access.Analyst),
		door("GET /v1/connections/{id}/people/{address}", a.person, access.Admin, access.Analyst),
		door("GET /v1/connections/{id}/people.csv", a.export, access.Admin, access.Analyst),
	}
}

// open refuses to change what belongs to a connection that is being deleted: nothing would delete what is stored now.
func open(h func(http.ResponseWriter, *http.Request, connection.ID) error) func(http.ResponseWriter, *http.Request,
	connection.Connection) error {
	return func(w http.ResponseWriter, r *http.Request, c connection.Connection) error {
		if r.Method == http.MethodPut && !c.Purge.Asked.IsZero() {
			return connection.ErrPurging
		}
		return h(w, r, c.ID)
	}
}

// act records an act on a connection's people before it is done.
func (a *API) act(r *http.Request, what string, c connection.ID, detail map[string]any) error {
	if detail == nil {
		detail = map[string]any{}
	}
	detail["connection"] = c
	return a.Trail.Act(r.Context(), what, access.Limit{string(c)}, detail)
}

// shownScope is a Scope on the wire. Times are RFC 3339 in UTC, null when it has not happened yet.
type shownScope struct {
	Kind     Kind       `json:"kind"`
	Gate     Gate       `json:"gate"`
	Meaning  string     `json:"gateMeaning"` // what the gate keeps, and what it loses
	Groups   []ObjectID `json:"groups"`
	Listed   int64      `json:"listed"`   // addresses on the uploaded list
	Uploaded *time.Time `json:"uploaded"` // when that list came
	Expanded *time.Time `json:"expanded"` // when the groups were last read
}

func showScope(s Scope) shownScope {
	return shownScope{
		Kind: s.Kind, Gate: s.Gate, Meaning: s.Gate.Sentence(), Groups: append([]ObjectID{}, s.Groups...), Listed: s.Listed,
		Uploaded: orNull(s.Uploaded), Expanded: orNull(s.Expanded),
	}
}

func orNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func (a *API) scope(w http.ResponseWriter, r *http.Request, c connection.ID) error {
	if err := a.act(r, "scope.read", c, nil); err != nil {
		return err
	}
	s, err := a.Roster.Scope(r.Context(), c)
	if err != nil {
		return err
	}
	access.WriteJSON(w, http.StatusOK, showScope(s))
	return nil
}

// setScope takes {"kind", "gate", "groups"}: all of the scope but the uploaded list.
func (a *API) setScope(w http.ResponseWriter, r *http.Request, c connection.ID) error {
	var asked struct {
		Kind   Kind       `json:"kind"`
		Gate   Gate       `json:"gate"`
		Groups []ObjectID `json:"groups"`
	}
	if err := access.ReadJSON(w, r, &asked); err != nil {
		return err
	}
	groups, problems := checkScope(asked.Kind, asked.Gate, asked.Groups)
	if len(problems) > 0 {
		return &access.Refused{Status: http.StatusBadRequest, Problems: problems}
	}
	if asked.Kind == Users {
		s, err := a.Roster.Scope(r.Context(), c)
		if err != nil {
			return err
		}
		if s.Listed == 0 {
			return errNoList
		}
	}
	if err := a.act(r, "scope.set", c, map[string]any{"kind": asked.Kind, "gate": asked.Gate,
		"groups": groups}); err != nil {
		return err
	}
	s, err := a.Roster.SetScope(r.Context(), c, asked.Kind, asked.Gate, groups)
	if err != nil {
		return err
	}
	access.WriteJSON(w, http.StatusOK, showScope(s))
	return nil
}

// errNoList means that a scope was to go by a list that was not uploaded yet.
var errNoList = &access.Refused{Status: http.StatusConflict, Problems: []access.Problem{
	{Field: "kind", Type: "NO_LIST",
		Description: "Nobody is on the list yet: upload it first, with PUT to scope/users."},
}}

// checkScope returns the groups in lower case, each once, or what is wrong.
func checkScope(kind Kind, gate Gate, asked []ObjectID) (groups []ObjectID, problems []access.Problem) {
	wrong := func(field, description string) {
		problems = append(problems, access.Problem{Field: field, Type: "INVALID_VALUE", Description: description})
	}
	if kind != Everybody && kind != Users && kind != Groups {
		wrong("kind", "The kind must be one of all, users, groups.")
	}
	if gate != None && gate != Premium && gate != Any {
		wrong("gate", "The gate must be one of none, premium, any.")
	}
	for i, g := range asked {
		g = ObjectID(Fold(string(g)))
		if !connection.IsGUID(string(g)) {
			wrong("groups["+strconv.Itoa(i)+"]", "A group is named by its object id, a GUID.")
		} else if !slices.Contains(groups, g) {
			groups = append(groups, g)
		}
	}
	switch {
	case len(asked) > MaxGroups:
		return nil, []access.Problem{{Field: "groups", Type: "TOO_MANY", Description: "A scope names 100 groups at most."}}
	case kind == Groups && len(asked) == 0:
		wrong("groups", "A scope of groups names one at least.")
	case kind != Groups && len(asked) > 0:
		wrong("groups", "Only a scope of groups names any.")
	}
	return groups, problems
}

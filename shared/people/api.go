package people

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/mailtrail/mailtrail/shared/access"
	"github.com/mailtrail/mailtrail/shared/connection"
)

const (
	usualPage = 100  // people of a page
	maxPage   = 1000 // about 500 bytes each
)

// API is how the scope of a connection is set, and its people are looked at: /v1/connections/{id}/scope and
// /v1/connections/{id}/people.
type API struct {
	Roster *Roster
	// Find tells whether there is a connection: connection.ErrNotFound means that there is none.
	Find  func(ctx context.Context, id connection.ID) (connection.Connection, error)
	Trail *access.Trail
	Log   *slog.Logger
}

// Routes are the doors of the API.
func (a *API) Routes() []access.Route {
	door := func(pattern string, h func(http.ResponseWriter, *http.Request, connection.ID),
		roles ...access.Role) access.Route {
		return access.Route{Pattern: pattern, Roles: roles, Handler: a.of(h)}
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

// of answers for a connection that there is.
func (a *API) of(h func(http.ResponseWriter, *http.Request, connection.ID)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, err := a.Find(r.Context(), connection.ID(r.PathValue("id")))
		if err != nil {
			a.refuse(w, r, err)
			return
		}
		if r.Method == http.MethodPut && !c.Purge.Asked.IsZero() { // what is stored now nobody would delete
			a.refuse(w, r, connection.ErrPurging)
			return
		}
		h(w, r, c.ID)
	}
}

// shownScope is a Scope on the wire. Times are RFC 3339 in UTC, null when it has not come to that.
type shownScope struct {
	Kind     Kind       `json:"kind"`
	Gate     Gate       `json:"gate"`
	Groups   []ObjectID `json:"groups"`
	Listed   int64      `json:"listed"`   // addresses on the uploaded list
	Uploaded *time.Time `json:"uploaded"` // when that list came
	Expanded *time.Time `json:"expanded"` // when the groups were last read
}

func showScope(s Scope) shownScope {
	return shownScope{
		Kind: s.Kind, Gate: s.Gate, Groups: append([]ObjectID{}, s.Groups...), Listed: s.Listed,
		Uploaded: orNull(s.Uploaded), Expanded: orNull(s.Expanded),
	}
}

func orNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func (a *API) scope(w http.ResponseWriter, r *http.Request, c connection.ID) {
	if !a.record(w, r, "scope.read", map[string]any{"connection": c}) {
		return
	}
	s, err := a.Roster.Scope(r.Context(), c)
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	access.WriteJSON(w, http.StatusOK, showScope(s))
}

// setScope takes {"kind", "gate", "groups"}: all of the scope but the uploaded list.
func (a *API) setScope(w http.ResponseWriter, r *http.Request, c connection.ID) {
	var asked struct {
		Kind   Kind       `json:"kind"`
		Gate   Gate       `json:"gate"`
		Groups []ObjectID `json:"groups"`
	}
	if !access.ReadJSON(w, r, &asked) {
		return
	}
	groups, problems := checkScope(asked.Kind, asked.Gate, asked.Groups)
	if len(problems) > 0 {
		access.WriteProblems(w, http.StatusBadRequest, problems...)
		return
	}
	if asked.Kind == Users {
		s, err := a.Roster.Scope(r.Context(), c)
		if err != nil {
			a.refuse(w, r, err)
			return
		}
		if s.Listed == 0 {
			access.WriteProblems(w, http.StatusConflict, access.Problem{Field: "kind", Type: "NO_LIST",
				Description: "Nobody is on the list yet: upload it first, with PUT to scope/users."})
			return
		}
	}
	if !a.record(w, r, "scope.set", map[string]any{"connection": c, "kind": asked.Kind, "gate": asked.Gate,
		"groups": groups}) {
		return
	}
	s, err := a.Roster.SetScope(r.Context(), c, asked.Kind, asked.Gate, groups)
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	access.WriteJSON(w, http.StatusOK, showScope(s))
}

// checkScope returns the groups in lower case, each once, or what is wrong.
func checkScope(kind Kind, gate Gate, asked []ObjectID) (groups []ObjectID, problems []access.Problem) {
	wrong := func(field, description string) {
		problems = append(problems, access.Problem{Field: field, Type: "INVALID_VALUE", Description: description})
	}
	if kind != Everybody && kind != Users && kind != Groups {
		wrong("kind", "The kind must be one of all, users, groups.")
	}
	if gate != Premium && gate != Any {
		wrong("gate", "The gate must be one of premium, any.")
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

// record puts an act into the trail before it is done, or answers that it cannot be done.
func (a *API) record(w http.ResponseWriter, r *http.Request, what string, detail map[string]any) bool {
	text, err := json.Marshal(detail)
	if err == nil {
		err = a.Trail.Record(r.Context(), access.Entry{Who: access.From(r.Context()).ID, What: what, Detail: string(text)})
	}
	if err != nil {
		a.refuse(w, r, err)
	}
	return err == nil
}

// refuse answers an error: what the caller can mend in full, everything else as a 503 whose cause goes to the log.
func (a *API) refuse(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, connection.ErrNotFound):
		access.WriteProblems(w, http.StatusNotFound, access.Problem{Field: "id", Type: "NOT_FOUND",
			Description: "There is no such connection."})
	case errors.Is(err, connection.ErrPurging):
		access.WriteProblems(w, http.StatusConflict, access.Problem{Field: "id", Type: "PURGING",
			Description: "The connection is being deleted, and cannot be changed any more."})
	case errors.Is(err, ErrUnknown):
		access.WriteProblems(w, http.StatusNotFound, access.Problem{Field: "address", Type: "NOT_FOUND",
			Description: "The census knows nobody with this address."})
	default:
		a.Log.ErrorContext(r.Context(), "request on people failed", "route", r.Pattern, "err", err)
		access.WriteProblems(w, http.StatusServiceUnavailable,
			access.Problem{Type: "UNAVAILABLE", Description: "This cannot be done now. Try again."})
	}
}

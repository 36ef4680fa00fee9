package connection

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/mailtrail/mailtrail/shared/access"
)

// API is how connections are added and looked at: /v1/connections.
type API struct {
	Registry *Registry
	Trail    *access.Trail
	// Progress tells how far following a connection has come, and what became of its blobs.
	Progress func(ctx context.Context, id ID) (Progress, error)
	Begin    string // absolute address of BeginPath, as an administrator's browser reaches it
	Log      *slog.Logger
}

// Routes are the doors of the API.
func (a *API) Routes() []access.Route {
	door := func(pattern string, h http.HandlerFunc, roles ...access.Role) access.Route {
		return access.Route{Pattern: pattern, Roles: roles, Handler: h}
	}
	return []access.Route{
		door("POST /v1/connections", a.add, access.Admin),
		door("GET /v1/connections", a.list, access.Admin, access.Analyst),
		door("GET /v1/connections/{id}", a.get, access.Admin, access.Analyst),
		door("PATCH /v1/connections/{id}", a.rename, access.Admin),
		door("DELETE /v1/connections/{id}", a.purge, access.Admin),
		door("POST /v1/connections/{id}/link", a.link, access.Admin),
		door("POST /v1/connections/{id}/deauthorize", a.turn("connection.deauthorize", a.Registry.Deauthorize), access.Admin),
		door("POST /v1/connections/{id}/resume", a.turn("connection.resume", a.Registry.Resume), access.Admin),
	}
}

// shown is a connection on the wire. Times are RFC 3339 in UTC, null when it has not come to that.
type shown struct {
	ID          ID         `json:"id"`
	DisplayName string     `json:"displayName"`
	Cloud       Cloud      `json:"cloud"`
	TenantID    *TenantID  `json:"tenantId"`
	Status      Status     `json:"status"`
	Since       *time.Time `json:"since"` // since when it has this status
	Reason      string     `json:"reason"`
	Created     *time.Time `json:"created"`
	CreatedBy   string     `json:"createdBy"`
	Consented   *time.Time `json:"consented"`
	ConsentedBy *string    `json:"consentedBy"`
	// DirectoryProblem says what is wrong when the tenant does not let us read who is in it; null otherwise. The reason says the same, unless
	// the audit log has a problem too.
	DirectoryProblem *string    `json:"directoryProblem"`
	Subscribed       *time.Time `json:"subscribed"`
	AuthorizeURL     string     `json:"authorizeUrl,omitempty"` // only in the answer to the request that made it
	Purge            *purge     `json:"purge,omitempty"`        // only of a connection that is being deleted
}

// purge is a Purge on the wire.
type purge struct {
	Asked        time.Time `json:"asked"`
	By           string    `json:"by"`
	DeletedItems int64     `json:"deletedItems"`
}

// step is a Change on the wire.
type step struct {
	At     time.Time `json:"at"`
	Status Status    `json:"status"`
	Reason string    `json:"reason"`
	By     string    `json:"by"`
}

func show(c Connection) shown {
	s := shown{
		ID: c.ID, DisplayName: c.DisplayName, Cloud: c.Tenant.Cloud, TenantID: orNull(c.Tenant.ID), Status: c.Status, Since: orNull(c.Since), Reason: c.Reason,
		Created: orNull(c.Created), CreatedBy: c.CreatedBy, Consented: orNull(c.Consented), ConsentedBy: orNull(c.ConsentedBy),
		Subscribed: orNull(c.Subscribed),
	}
	if c.Denied != "" {
		s.DirectoryProblem = orNull(CauseOf(c.Denied).Reason(c.DisplayName))
	}
	if !c.Purge.Asked.IsZero() {
		s.Purge = &purge{Asked: c.Purge.Asked, By: c.Purge.By, DeletedItems: c.Purge.Deleted}
	}
	return s
}

// orNull makes JSON's null of a zero value.
func orNull[T comparable](v T) *T {
	if v == *new(T) {
		return nil
	}
	return &v
}

func (a *API) add(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		DisplayName string `json:"displayName"`
		Cloud       string `json:"cloud"`
	}
	if !access.ReadJSON(w, r, &asked) {
		return
	}
	if !a.record(w, r, "connection.add", map[string]string{"displayName": asked.DisplayName, "cloud": asked.Cloud}) {
		return
	}
	c, link, err := a.Registry.Add(r.Context(), asked.DisplayName, Cloud(asked.Cloud), access.From(r.Context()).ID)
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	out := show(c)
	out.AuthorizeURL = a.authorizeURL(link)
	w.Header().Set("Location", "/v1/connections/"+string(c.ID))
	access.WriteJSON(w, http.StatusCreated, out)
}

func (a *API) list(w http.ResponseWriter, r *http.Request) {
	all, err := a.Registry.List(r.Context())
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	out := make([]shown, len(all))
	for i, c := range all {
		out[i] = show(c)
	}
	access.WriteJSON(w, http.StatusOK, map[string][]shown{"connections": out})
}

func (a *API) get(w http.ResponseWriter, r *http.Request) {
	ctx, id := r.Context(), ID(r.PathValue("id"))
	c, err := a.Registry.Get(ctx, id)
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	history, err := a.Registry.History(ctx, id)
	var progress Progress
	if err == nil {
		progress, err = a.Progress(ctx, id)
	}
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	access.WriteJSON(w, http.StatusOK, detail(c, progress, history, a.Registry.now()))
}

func (a *API) rename(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		DisplayName string `json:"displayName"`
	}
	id := ID(r.PathValue("id"))
	if !access.ReadJSON(w, r, &asked) || !a.record(w, r, "connection.rename", map[string]string{"connection": string(id), "displayName": asked.DisplayName}) {
		return
	}
	c, err := a.Registry.Rename(r.Context(), id, asked.DisplayName, access.From(r.Context()).ID)
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	access.WriteJSON(w, http.StatusOK, show(c))
}

// purge answers 202: deleting goes on behind it, and the connection tells how far it has come until it is gone.
func (a *API) purge(w http.ResponseWriter, r *http.Request) {
	id := ID(r.PathValue("id"))
	if !a.record(w, r, "connection.purge", map[string]string{"connection": string(id)}) {
		return
	}
	c, err := a.Registry.Purge(r.Context(), id, access.From(r.Context()).ID)
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	access.WriteJSON(w, http.StatusAccepted, show(c))
}

func (a *API) link(w http.ResponseWriter, r *http.Request) {
	id := ID(r.PathValue("id"))
	if !a.record(w, r, "connection.link", map[string]string{"connection": string(id)}) {
		return
	}
	link, err := a.Registry.NewLink(r.Context(), id, access.From(r.Context()).ID)
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	access.WriteJSON(w, http.StatusCreated, map[string]string{"authorizeUrl": a.authorizeURL(link)})
}

// turn is a change of status that needs nothing but the connection.
func (a *API) turn(what string, change func(context.Context, ID, string) (Connection, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id := ID(r.PathValue("id"))
		if !a.record(w, r, what, map[string]string{"connection": string(id)}) {
			return
		}
		c, err := change(r.Context(), id, access.From(r.Context()).ID)
		if err != nil {
			a.refuse(w, r, err)
			return
		}
		access.WriteJSON(w, http.StatusOK, show(c))
	}
}

func (a *API) authorizeURL(link string) string {
	return a.Begin + "?" + url.Values{"link": {link}}.Encode()
}

// record puts an act into the trail before it is done, or answers that it cannot be done.
func (a *API) record(w http.ResponseWriter, r *http.Request, what string, detail map[string]string) bool {
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
	var invalid *Invalid
	switch {
	case errors.As(err, &invalid):
		access.WriteProblems(w, http.StatusBadRequest, access.Problem{Field: invalid.Field, Type: "INVALID_VALUE", Description: invalid.Problem})
	case errors.Is(err, ErrName):
		access.WriteProblems(w, http.StatusConflict, access.Problem{Field: "displayName", Type: "ALREADY_REGISTERED", Description: "The display name is already registered."})
	case errors.Is(err, ErrPurging):
		access.WriteProblems(w, http.StatusConflict, access.Problem{Field: "id", Type: "PURGING", Description: "The connection is being deleted, and cannot be changed any more."})
	case errors.Is(err, ErrInUse):
		access.WriteProblems(w, http.StatusConflict, access.Problem{Field: "id", Type: "IN_USE", Description: "The connection is followed: deauthorize it first."})
	case errors.Is(err, ErrDeauthorized):
		access.WriteProblems(w, http.StatusConflict, access.Problem{Field: "id", Type: "DEAUTHORIZED", Description: "The connection is deauthorized: resume it first."})
	case errors.Is(err, ErrNotFound):
		access.WriteProblems(w, http.StatusNotFound, access.Problem{Field: "id", Type: "NOT_FOUND", Description: "There is no such connection."})
	default:
		a.Log.ErrorContext(r.Context(), "request on connections failed", "route", r.Pattern, "err", err)
		access.WriteProblems(w, http.StatusServiceUnavailable, access.Problem{Type: "UNAVAILABLE", Description: "This cannot be done now. Try again."})
	}
}

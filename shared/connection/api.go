package connection

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/mailtrail/mailtrail/shared/access"
)

// API is how connections are added, read and changed: /v1/connections. A client that is limited to some connections
// sees and changes no others, and adds none, for it could not see them.
type API struct {
	Registry *Registry
	Trail    *access.Trail
	// Progress returns how far following a connection has come, and what became of its blobs.
	Progress func(ctx context.Context, id ID) (Progress, error)
	Begin    string // absolute address of BeginPath, as an administrator's browser reaches it
	Log      *slog.Logger
}

// Routes are the doors of the API.
func (a *API) Routes() []access.Route {
	both, admin := []access.Role{access.Admin, access.Analyst}, []access.Role{access.Admin}
	door := func(
		pattern string, roles []access.Role, h func(http.ResponseWriter, *http.Request, Connection) error,
	) access.Route {
		return access.Route{Pattern: pattern, Roles: roles, Handler: access.Handle(a.Log, Of(a.Registry.Get, h))}
	}
	return []access.Route{
		{Pattern: "POST /v1/connections", Roles: admin, Unlimited: true, Handler: access.Handle(a.Log, a.add)},
		{Pattern: "GET /v1/connections", Roles: both, Handler: access.Handle(a.Log, a.list)},
		door("GET /v1/connections/{id}", both, a.get),
		door("PATCH /v1/connections/{id}", admin, a.rename),
		door("DELETE /v1/connections/{id}", admin, a.purge),
		door("POST /v1/connections/{id}/link", admin, a.link),
		door("POST /v1/connections/{id}/deauthorize", admin, a.turn("connection.deauthorize", a.Registry.Deauthorize)),
		door("POST /v1/connections/{id}/resume", admin, a.turn("connection.resume", a.Registry.Resume)),
	}
}

// Of makes a handler of one for the connection that the path names as {id}. A connection outside the caller's limit
// does not exist for the caller: both are ErrNotFound, before anything else of the request is looked at.
func Of(
	get func(context.Context, ID) (Connection, error),
	h func(http.ResponseWriter, *http.Request, Connection) error,
) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		c, err := get(r.Context(), ID(r.PathValue("id")))
		if err != nil {
			return err
		}
		if !access.From(r.Context()).Limit.Allows(string(c.ID)) {
			return ErrNotFound
		}
		return h(w, r, c)
	}
}

// shown is a connection on the wire. Times are RFC 3339 in UTC, and null for what has not happened yet.
type shown struct {
	ID          ID         `json:"id"`
	DisplayName string     `json:"displayName"`
	Cloud       Cloud      `json:"cloud"`
	Tenant      *string    `json:"tenant"` // the tenant that it was added for, an id or a domain; null if any may consent
	TenantID    *TenantID  `json:"tenantId"`
	Status      Status     `json:"status"`
	Since       *time.Time `json:"since"` // since when it has this status
	Reason      string     `json:"reason"`
	Created     *time.Time `json:"created"`
	CreatedBy   string     `json:"createdBy"`
	Consented   *time.Time `json:"consented"`
	ConsentedBy *string    `json:"consentedBy"`
	// DirectoryProblem says what is wrong when the tenant refuses to list its users; null otherwise. The reason says
	// the same, unless the audit log has a problem too.
	DirectoryProblem *string    `json:"directoryProblem"`
	Subscribed       *time.Time `json:"subscribed"`
	AuthorizeURL     string     `json:"authorizeUrl,omitempty"` // only in the answer to the request that made it
	Purge            *purge     `json:"purge,omitempty"`        // only for a connection that is being deleted
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
		ID:          c.ID,
		DisplayName: c.DisplayName,
		Cloud:       c.Tenant.Cloud,
		Tenant:      orNull(c.Wanted),
		TenantID:    orNull(c.Tenant.ID),
		Status:      c.Status,
		Since:       orNull(c.Since),
		Reason:      c.Reason,
		Created:     orNull(c.Created),
		CreatedBy:   c.CreatedBy,
		Consented:   orNull(c.Consented),
		ConsentedBy: orNull(c.ConsentedBy),
		Subscribed:  orNull(c.Subscribed),
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

func (a *API) add(w http.ResponseWriter, r *http.Request) error {
	var asked struct {
		DisplayName string `json:"displayName"`
		Cloud       string `json:"cloud"`
		Tenant      string `json:"tenant,omitempty"`
	}
	if err := access.ReadJSON(w, r, &asked); err != nil {
		return err
	}
	ctx := r.Context()
	if err := a.Trail.Act(ctx, "connection.add", nil, asked); err != nil {
		return err
	}
	c, link, err := a.Registry.AddFor(ctx, asked.DisplayName, Cloud(asked.Cloud), asked.Tenant, access.From(ctx).ID)
	if err != nil {
		return err
	}
	out := show(c)
	out.AuthorizeURL = a.authorizeURL(link)
	w.Header().Set("Location", "/v1/connections/"+string(c.ID))
	access.WriteJSON(w, http.StatusCreated, out)
	return nil
}

func (a *API) list(w http.ResponseWriter, r *http.Request) error {
	all, err := a.Registry.List(r.Context())
	if err != nil {
		return err
	}
	limit, out := access.From(r.Context()).Limit, []shown{}
	for _, c := range all {
		if limit.Allows(string(c.ID)) {
			out = append(out, show(c))
		}
	}
	access.WriteJSON(w, http.StatusOK, map[string][]shown{"connections": out})
	return nil
}

func (a *API) get(w http.ResponseWriter, r *http.Request, c Connection) error {
	history, err := a.Registry.History(r.Context(), c.ID)
	if err != nil {
		return err
	}
	progress, err := a.Progress(r.Context(), c.ID)
	if err != nil {
		return err
	}
	access.WriteJSON(w, http.StatusOK, detail(c, progress, history, a.Registry.now()))
	return nil
}

// act records an act on a connection before it is done.
func (a *API) act(r *http.Request, what string, c Connection, detail map[string]string) error {
	if detail == nil {
		detail = map[string]string{}
	}
	detail["connection"] = string(c.ID)
	return a.Trail.Act(r.Context(), what, access.Limit{string(c.ID)}, detail)
}

func (a *API) rename(w http.ResponseWriter, r *http.Request, c Connection) error {
	var asked struct {
		DisplayName string `json:"displayName"`
	}
	if err := access.ReadJSON(w, r, &asked); err != nil {
		return err
	}
	if err := a.act(r, "connection.rename", c, map[string]string{"displayName": asked.DisplayName}); err != nil {
		return err
	}
	c, err := a.Registry.Rename(r.Context(), c.ID, asked.DisplayName, access.From(r.Context()).ID)
	if err != nil {
		return err
	}
	access.WriteJSON(w, http.StatusOK, show(c))
	return nil
}

// purge answers 202: deleting goes on in the background, and the connection says how far it has come until it is gone.
func (a *API) purge(w http.ResponseWriter, r *http.Request, c Connection) error {
	if err := a.act(r, "connection.purge", c, nil); err != nil {
		return err
	}
	c, err := a.Registry.Purge(r.Context(), c.ID, access.From(r.Context()).ID)
	if err != nil {
		return err
	}
	access.WriteJSON(w, http.StatusAccepted, show(c))
	return nil
}

func (a *API) link(w http.ResponseWriter, r *http.Request, c Connection) error {
	if err := a.act(r, "connection.link", c, nil); err != nil {
		return err
	}
	link, err := a.Registry.NewLink(r.Context(), c.ID, access.From(r.Context()).ID)
	if err != nil {
		return err
	}
	access.WriteJSON(w, http.StatusCreated, map[string]string{"authorizeUrl": a.authorizeURL(link)})
	return nil
}

// turn handles a change of status that needs no input but the connection.
func (a *API) turn(
	what string,
	change func(context.Context, ID, string) (Connection, error),
) func(http.ResponseWriter, *http.Request, Connection) error {
	return func(w http.ResponseWriter, r *http.Request, c Connection) error {
		if err := a.act(r, what, c, nil); err != nil {
			return err
		}
		c, err := change(r.Context(), c.ID, access.From(r.Context()).ID)
		if err != nil {
			return err
		}
		access.WriteJSON(w, http.StatusOK, show(c))
		return nil
	}
}

func (a *API) authorizeURL(link string) string {
	return a.Begin + "?" + url.Values{"link": {link}}.Encode()
}

package access

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// ClientAPI is how API clients are created, listed and revoked: over HTTP under /v1/clients, by administrators; and,
// by Create and Remove, from the command line and from whoever may invoke a function. Each act is in the trail before
// it is done. Who acts is the caller of the context (With): an operator without a client is a caller without a limit.
//
// A limited administrator sees and revokes only clients whose limit is within its own, and creates no others.
//
// Revoking the last client that is an administrator is allowed, for its secret may have leaked. After that nobody can
// administer over HTTP until the operator creates a client, which needs none: on the command line, or by invoking the
// function.
type ClientAPI struct {
	Clients *Clients
	Trail   *Trail
	// Connections returns the ids of all connections: a limit may name no other.
	Connections func(ctx context.Context) ([]string, error)
	Log         *slog.Logger
}

// Routes are the doors of the API.
func (a *ClientAPI) Routes() []Route {
	door := func(pattern string, h func(http.ResponseWriter, *http.Request) error) Route {
		return Route{Pattern: pattern, Roles: []Role{Admin}, Handler: Handle(a.Log, h)}
	}
	return []Route{
		door("POST /v1/clients", a.create),
		door("GET /v1/clients", a.list),
		door("GET /v1/clients/{id}", a.get),
		door("DELETE /v1/clients/{id}", a.remove),
	}
}

// Create creates a client on behalf of the caller of ctx, and returns it with its secret, which cannot be read again.
// Errors: *Refused, or the table's.
func (a *ClientAPI) Create(ctx context.Context, asked NewClient) (Client, string, error) {
	given := asked.Connections // as the caller wrote them
	asked, err := asked.check()
	if err != nil {
		return Client{}, "", err
	}
	caller := From(ctx)
	if caller.Limit != nil && asked.Connections == nil {
		return Client{}, "", Invalid("connections",
			"Your client is limited to some connections: the new client must be limited too.")
	}
	if asked.Connections != nil {
		known, err := a.Connections(ctx)
		if err != nil {
			return Client{}, "", err
		}
		var wrong []Problem
		for i, id := range given {
			if !slices.Contains(known, id) || !caller.Limit.Allows(id) {
				field := "connections[" + strconv.Itoa(i) + "]"
				wrong = append(wrong, Problem{field, "INVALID_VALUE", "There is no such connection."})
			}
		}
		if len(wrong) > 0 {
			return Client{}, "", &Refused{http.StatusBadRequest, wrong}
		}
	}
	if err := a.Trail.Act(ctx, "client.create", asked.Connections, asked); err != nil {
		return Client{}, "", err
	}
	return a.Clients.Create(ctx, caller.ID, asked)
}

// Find returns a client that the caller of ctx may see, or ErrNoClient.
func (a *ClientAPI) Find(ctx context.Context, id string) (Client, error) {
	client, err := a.Clients.Get(ctx, id)
	if limit := From(ctx).Limit; err == nil && limit != nil && !client.Limit.Within(limit) {
		return Client{}, ErrNoClient
	}
	return client, err
}

// Remove revokes a client on behalf of the caller of ctx, and returns what it was. Its tokens are refused from the next
// request on. Errors: ErrNoClient, or the table's.
func (a *ClientAPI) Remove(ctx context.Context, id string) (Client, error) {
	client, err := a.Find(ctx, id)
	if err != nil {
		return Client{}, err
	}
	detail := map[string]any{"clientId": id, "name": client.Name}
	if err := a.Trail.Act(ctx, "client.remove", client.Limit, detail); err != nil {
		return Client{}, err
	}
	return client, a.Clients.Remove(ctx, id)
}

// ShownClient is a Client as APIs show it, without its secret.
type ShownClient struct {
	ID          string    `json:"clientId"`
	Name        string    `json:"name"`
	Roles       []Role    `json:"roles"`
	Connections Limit     `json:"connections"` // null: all of them
	Created     time.Time `json:"created"`
	CreatedBy   string    `json:"createdBy"`
}

// CreatedClient is a Client as it is shown once, by whoever created it.
type CreatedClient struct {
	ShownClient
	Secret string `json:"clientSecret"`
}

// Show returns the client as APIs show it.
func (c Client) Show() ShownClient {
	return ShownClient{
		ID: c.ID, Name: c.Name, Roles: c.Roles, Connections: c.Limit, Created: c.Created, CreatedBy: c.CreatedBy,
	}
}

func (a *ClientAPI) create(w http.ResponseWriter, r *http.Request) error {
	var asked NewClient
	if err := ReadJSON(w, r, &asked); err != nil {
		return err
	}
	client, secret, err := a.Create(r.Context(), asked)
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/v1/clients/"+client.ID)
	WriteJSON(w, http.StatusCreated, CreatedClient{client.Show(), secret})
	return nil
}

func (a *ClientAPI) list(w http.ResponseWriter, r *http.Request) error {
	page, err := ReadPage(r, nil)
	if err != nil {
		return err
	}
	clients, next, err := a.Clients.List(r.Context(), From(r.Context()).Limit, page.After, page.Size)
	if err != nil {
		return err
	}
	if err := a.Trail.Act(r.Context(), "client.list", nil, nil); err != nil {
		return err
	}
	answer := struct {
		Clients []ShownClient `json:"clients"`
		Next    *string       `json:"nextPgToken"`
	}{[]ShownClient{}, PageToken(next)}
	for _, c := range clients {
		answer.Clients = append(answer.Clients, c.Show())
	}
	WriteJSON(w, http.StatusOK, answer)
	return nil
}

func (a *ClientAPI) get(w http.ResponseWriter, r *http.Request) error {
	client, err := a.Find(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	WriteJSON(w, http.StatusOK, client.Show())
	return nil
}

func (a *ClientAPI) remove(w http.ResponseWriter, r *http.Request) error {
	if _, err := a.Remove(r.Context(), r.PathValue("id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

package enrich

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/mailtrail/mailtrail/shared/access"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/forensic"
)

// API is how an operator asks to look again for what is missing of messages: /v1/connections/{id}/enrich.
type API struct {
	Requests *forensic.Requests
	// Find returns a connection, or connection.ErrNotFound.
	Find  func(ctx context.Context, id connection.ID) (connection.Connection, error)
	Trail *access.Trail
	Log   *slog.Logger
}

// maxRequests is how many requests of a connection may be under way.
const maxRequests = 10

// Routes are the doors of the API.
func (a *API) Routes() []access.Route {
	door := func(pattern string, h func(http.ResponseWriter, *http.Request, connection.Connection) error,
		roles ...access.Role) access.Route {
		return access.Route{Pattern: pattern, Roles: roles, Handler: access.Handle(a.Log, connection.Of(a.Find, h))}
	}
	return []access.Route{
		door("POST /v1/connections/{id}/enrich", a.add, access.Admin),
		door("GET /v1/connections/{id}/enrich", a.list, access.Admin, access.Analyst),
	}
}

// shownRequest is a request on the wire. Times are RFC 3339 in UTC.
type shownRequest struct {
	ID      string            `json:"id"`
	By      string            `json:"by"`
	Asked   time.Time         `json:"asked"`
	Reasons []forensic.Reason `json:"reasons"`
	From    time.Time         `json:"from"`
	To      time.Time         `json:"to"`
	Seen    int64             `json:"seen"` // messages that were gone through
	Sent    int64             `json:"sent"` // of them, those that are looked for again
	Done    *time.Time        `json:"done"` // when all were gone through; null until then
}

func showRequest(r forensic.Request) shownRequest {
	shown := shownRequest{
		ID: r.ID, By: r.By, Asked: r.Asked, Reasons: append([]forensic.Reason{}, r.Reasons...), From: r.From, To: r.To,
		Seen: r.Seen, Sent: r.Sent,
	}
	if !r.Done.IsZero() {
		shown.Done = &r.Done
	}
	return shown
}

// reasons are those for which looking again can help.
func reasons() []forensic.Reason {
	return []forensic.Reason{
		forensic.NotFound, forensic.MailboxDenied, forensic.NoMailbox, forensic.NoPermission, forensic.OutOfTime,
	}
}

// add takes {"reasons", "from", "to"}: which messages are to be looked for. Without reasons it is all from which
// something is missing that may be found; without times it is all that are stored.
func (a *API) add(w http.ResponseWriter, r *http.Request, c connection.Connection) error {
	var asked struct {
		Reasons []forensic.Reason `json:"reasons"`
		From    *time.Time        `json:"from"`
		To      *time.Time        `json:"to"`
	}
	if err := access.ReadJSON(w, r, &asked); err != nil {
		return err
	}
	if !c.Followed() {
		return refused(http.StatusConflict, access.Problem{
			Field: "id", Type: "NOT_FOLLOWED", Description: "The connection is not followed: resume it first.",
		})
	}
	request := forensic.Request{
		By: access.From(r.Context()).ID, Reasons: asked.Reasons, From: time.Unix(0, 0).UTC(), To: a.Requests.Now().UTC(),
	}
	var problems []access.Problem
	for i, reason := range asked.Reasons {
		if !slices.Contains(reasons(), reason) {
			problems = append(problems, access.Problem{
				Field: "reasons[" + strconv.Itoa(i) + "]", Type: "INVALID_VALUE", Description: "The reason must be one of " +
					"MESSAGE_NOT_FOUND, MAILBOX_DENIED, NO_MAILBOX, NO_PERMISSION, OUT_OF_TIME.",
			})
		}
	}
	if asked.From != nil {
		request.From = asked.From.UTC()
	}
	if asked.To != nil {
		request.To = asked.To.UTC()
	}
	switch {
	case request.From.Year() < 1970 || request.To.Year() > 9999:
		problems = append(problems, access.Problem{
			Field: "from", Type: "INVALID_VALUE", Description: "The time must be from the years 1970 to 9999.",
		})
	case !request.From.Before(request.To):
		problems = append(problems, access.Problem{
			Field: "to", Type: "INVALID_VALUE", Description: "The time must be after from.",
		})
	}
	if len(problems) > 0 {
		return refused(http.StatusBadRequest, problems...)
	}
	all, err := a.Requests.List(r.Context(), c.ID)
	if err != nil {
		return err
	}
	open := slices.DeleteFunc(all, func(r forensic.Request) bool { return !r.Done.IsZero() })
	if len(open) >= maxRequests {
		return refused(http.StatusConflict, access.Problem{
			Type: "TOO_MANY", Description: "Ten requests of this connection are under way: wait until one is done.",
		})
	}
	detail := map[string]any{"connection": c.ID, "reasons": asked.Reasons, "from": request.From, "to": request.To}
	if err := a.Trail.Act(r.Context(), "enrich.again", access.Limit{string(c.ID)}, detail); err != nil {
		return err
	}
	if request, err = a.Requests.Add(r.Context(), c.ID, request); err != nil {
		return err
	}
	access.WriteJSON(w, http.StatusAccepted, showRequest(request))
	return nil
}

// list answers {"requests"}: those of the last 14 days, the oldest first.
func (a *API) list(w http.ResponseWriter, r *http.Request, c connection.Connection) error {
	all, err := a.Requests.List(r.Context(), c.ID)
	if err != nil {
		return err
	}
	answer := struct {
		Requests []shownRequest `json:"requests"`
	}{[]shownRequest{}}
	for _, one := range all {
		answer.Requests = append(answer.Requests, showRequest(one))
	}
	access.WriteJSON(w, http.StatusOK, answer)
	return nil
}

func refused(status int, problems ...access.Problem) error {
	return &access.Refused{Status: status, Problems: problems}
}

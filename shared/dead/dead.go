// Package dead is how dead letters are looked after: work that failed as often as its queue allows, and waits for
// somebody to look at it. A letter is listed, put back on its queue, or dropped.
package dead

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/shared/access"
	"github.com/mailtrail/mailtrail/shared/queue"
)

const (
	// maxBody is how many bytes of a letter's body are shown. Ours are far shorter.
	maxBody = 4 << 10
	// together is how many letters are read at once.
	together = 100
	// maxRetried bounds how many letters one request puts back.
	maxRetried = 10_000
)

// Queue is a queue under the name by which its letters are shown.
type Queue struct {
	Name    string
	Letters queue.DeadLetters
}

// API is the doors under /v1/dead, for administrators. A limited one sees and changes letters of its connections only.
// A change is in the trail before it is made.
//
// A letter's body is the work itself: the ids of a connection and of a blob or a message, and never a secret.
type API struct {
	Queues []Queue
	// Elsewhere says where dead letters are looked after instead, as a sentence: the doors answer 501 with it. "" is here.
	Elsewhere string
	Trail     *access.Trail
	Log       *slog.Logger
}

// Routes are the doors of the API.
func (a *API) Routes() []access.Route {
	door := func(pattern string, h func(http.ResponseWriter, *http.Request) error) access.Route {
		here := func(w http.ResponseWriter, r *http.Request) error {
			if a.Elsewhere != "" {
				return &access.Refused{Status: http.StatusNotImplemented, Problems: []access.Problem{
					{Type: "ELSEWHERE", Description: a.Elsewhere},
				}}
			}
			return h(w, r)
		}
		return access.Route{Pattern: pattern, Roles: []access.Role{access.Admin}, Handler: access.Handle(a.Log, here)}
	}
	return []access.Route{
		door("GET /v1/dead", a.list),
		door("POST /v1/dead/retry", a.retryAll),
		door("POST /v1/dead/{id}/retry", a.retry),
		door("DELETE /v1/dead/{id}", a.drop),
	}
}

// letter is a dead letter on the wire.
type letter struct {
	ID         string    `json:"id"` // the queue's name, "-", and the id that the queue gave it
	Queue      string    `json:"queue"`
	Connection string    `json:"connection"` // "" if the work is not that of a connection
	Sent       time.Time `json:"sent"`
	Died       time.Time `json:"died"`
	Receives   int       `json:"receives"`
	Body       any       `json:"body"` // JSON as it was sent; a string if it is not JSON, or long and cut
}

func show(q Queue, l queue.DeadLetter) letter {
	shown := letter{
		ID: q.Name + "-" + l.ID, Queue: q.Name, Connection: connectionOf(l),
		Sent: l.Sent.UTC(), Died: l.Died.UTC(), Receives: l.Receives,
	}
	if len(l.Body) <= maxBody && json.Valid(l.Body) {
		shown.Body = json.RawMessage(l.Body)
	} else {
		shown.Body = strings.ToValidUTF8(string(l.Body[:min(len(l.Body), maxBody)]), "\ufffd")
	}
	return shown
}

// connectionOf is the connection that a letter is of: its group, of which a backlog is a part ("c/backlog").
func connectionOf(l queue.DeadLetter) string {
	connection, _, _ := strings.Cut(l.Group, "/")
	return connection
}

func visible(ctx context.Context, l queue.DeadLetter) bool {
	return access.From(ctx).Limit.Allows(connectionOf(l))
}

// errAbsent is the answer for a letter that there is not, or that is none of the caller's.
var errAbsent error = &access.Refused{Status: http.StatusNotFound, Problems: []access.Problem{
	{Field: "id", Type: "NOT_FOUND", Description: "There is no such dead letter. It may have been put back or dropped."},
}}

// list answers {"letters", "nextPgToken"}: queue by queue, in the order in which the letters were sent.
func (a *API) list(w http.ResponseWriter, r *http.Request) error {
	which := a.Queues
	page, err := access.ReadPage(r, map[string]func(string) string{
		"queue": func(name string) (problem string) {
			which, problem = a.named(name)
			return problem
		},
	})
	if err != nil {
		return err
	}
	letters, next, err := a.page(r.Context(), which, page)
	if err != nil {
		return err
	}
	if err := a.Trail.Act(r.Context(), "dead.list", nil, nil); err != nil {
		return err
	}
	access.WriteJSON(w, http.StatusOK, struct {
		Letters []letter `json:"letters"`
		Next    *string  `json:"nextPgToken"`
	}{letters, access.PageToken(next)})
	return nil
}

// named returns the queues with that name, or what is wrong with it.
func (a *API) named(name string) ([]Queue, string) {
	var names []string
	for _, q := range a.Queues {
		if q.Name == name {
			return []Queue{q}, ""
		}
		names = append(names, q.Name)
	}
	return nil, "The queue must be one of " + strings.Join(names, ", ") + "."
}

// page returns the letters after a position, and the position of the last one if there are more.
func (a *API) page(ctx context.Context, queues []Queue, page access.Page) (letters []letter, next string, err error) {
	letters = []letter{}
	after := ""
	if page.After != "" {
		from, id, ok := a.split(page.After)
		at := slices.IndexFunc(queues, func(q Queue) bool { return q.Name == from.Name })
		if !ok || at < 0 {
			return nil, "", errPosition
		}
		queues, after = queues[at:], id
	}
	for _, q := range queues {
		for {
			some, err := q.Letters.Dead(ctx, after, together)
			if errors.Is(err, queue.ErrInvalid) {
				return nil, "", errPosition
			}
			if err != nil {
				return nil, "", err
			}
			for _, l := range some {
				after = l.ID
				if !visible(ctx, l) {
					continue
				}
				if len(letters) == page.Size {
					return letters, letters[page.Size-1].ID, nil
				}
				letters = append(letters, show(q, l))
			}
			if len(some) < together {
				break
			}
		}
		after = ""
	}
	return letters, "", nil
}

var errPosition = access.Invalid("pgToken", "The token must be the nextPgToken of a page.")

// split reads the id of a letter on the wire.
func (a *API) split(id string) (q Queue, own string, ok bool) {
	name, own, ok := strings.Cut(id, "-")
	queues, problem := a.named(name)
	if !ok || problem != "" {
		return Queue{}, "", false
	}
	return queues[0], own, true
}

// find returns the letter that a request is about.
func (a *API) find(r *http.Request) (Queue, queue.DeadLetter, error) {
	q, id, ok := a.split(r.PathValue("id"))
	if !ok {
		return Queue{}, queue.DeadLetter{}, errAbsent
	}
	l, err := q.Letters.Letter(r.Context(), id)
	if errors.Is(err, queue.ErrAbsent) || errors.Is(err, queue.ErrInvalid) || err == nil && !visible(r.Context(), l) {
		err = errAbsent
	}
	return q, l, err
}

// act is what can be done to letters.
type act func(q queue.DeadLetters, ctx context.Context, ids ...string) (int, error)

// change makes a change to one letter, when it is in the trail.
func (a *API) change(r *http.Request, what string, do act) error {
	q, l, err := a.find(r)
	if err != nil {
		return err
	}
	if err := a.Trail.Act(r.Context(), what, concerning(l), map[string]string{"id": q.Name + "-" + l.ID}); err != nil {
		return err
	}
	n, err := do(q.Letters, r.Context(), l.ID)
	if err == nil && n == 0 {
		err = errAbsent // somebody else was faster
	}
	return err
}

// concerning is the connection that an act on a letter concerns, for the trail; nil if it is none.
func concerning(l queue.DeadLetter) access.Limit {
	if c := connectionOf(l); c != "" {
		return access.Limit{c}
	}
	return nil
}

func (a *API) retry(w http.ResponseWriter, r *http.Request) error {
	if err := a.change(r, "dead.retry", queue.DeadLetters.Redrive); err != nil {
		return err
	}
	access.WriteJSON(w, http.StatusOK, retried{Retried: 1})
	return nil
}

func (a *API) drop(w http.ResponseWriter, r *http.Request) error {
	if err := a.change(r, "dead.drop", queue.DeadLetters.Drop); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// retried is the answer to a retry.
type retried struct {
	Retried int  `json:"retried"`
	More    bool `json:"more"` // there are more: ask again
}

// retryAll puts back all letters, or those of a queue.
func (a *API) retryAll(w http.ResponseWriter, r *http.Request) error {
	var asked struct {
		Queue string `json:"queue"`
	}
	if err := access.ReadJSON(w, r, &asked); err != nil {
		return err
	}
	queues := a.Queues
	if asked.Queue != "" {
		var problem string
		if queues, problem = a.named(asked.Queue); problem != "" {
			return access.Invalid("queue", problem)
		}
	}
	if err := a.Trail.Act(r.Context(), "dead.retry", nil, map[string]string{"queue": asked.Queue}); err != nil {
		return err
	}
	answer, err := retryEach(r.Context(), queues)
	if err != nil {
		return err
	}
	access.WriteJSON(w, http.StatusOK, answer)
	return nil
}

// retryEach puts back the letters of queues, each once: one that dies again meanwhile has been passed already.
func retryEach(ctx context.Context, queues []Queue) (retried, error) {
	var answer retried
	for _, q := range queues {
		for after, more := "", true; more; {
			some, err := q.Letters.Dead(ctx, after, together)
			if err != nil {
				return answer, err
			}
			var ids []string
			for _, l := range some {
				after = l.ID
				if visible(ctx, l) {
					ids = append(ids, l.ID)
				}
			}
			if len(ids) > 0 && answer.Retried >= maxRetried {
				answer.More = true
				return answer, nil
			}
			n, err := q.Letters.Redrive(ctx, ids...)
			answer.Retried += n
			if err != nil {
				return answer, err
			}
			more = len(some) == together
		}
	}
	return answer, nil
}

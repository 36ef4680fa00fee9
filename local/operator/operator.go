// Package operator is how the operator of one machine looks after a data folder without an API client: API clients,
// dead letters, whether the ledger adds up, and a backup. While Mailtrail runs, it answers on a socket in the folder;
// otherwise whoever asks opens the folder. Both are the same HTTP, so that a command need not know which it was.
package operator

import (
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/mailtrail/mailtrail/shared/access"
	"github.com/mailtrail/mailtrail/shared/agents"
	"github.com/mailtrail/mailtrail/shared/embedded"
)

// Caller is the operator, as the trail and the histories name it: somebody who may read the data folder.
const Caller = "local"

// Operator answers for one data folder.
type Operator struct {
	Dir    string // the data folder
	Store  *embedded.Store
	Agents *agents.Agents
	Now    func() time.Time
	Log    *slog.Logger
}

// Handler answers the operator: on the doors of administrators, and on those that only the operator has. It asks for no
// token: who reaches it may read the folder anyhow.
func (o *Operator) Handler() http.Handler {
	door := func(pattern string, h func(http.ResponseWriter, *http.Request) error) access.Route {
		return access.Route{
			Pattern: pattern,
			Handler: access.Handle(o.Log, func(w http.ResponseWriter, r *http.Request) error {
				err := h(w, r)
				if refused := new(access.Refused); err != nil && !errors.As(err, &refused) {
					o.Log.ErrorContext(r.Context(), "request of the operator failed", "route", r.Pattern, "err", err)
					// The operator may know the cause, and needs it.
					err = &access.Refused{Status: http.StatusInternalServerError, Problems: []access.Problem{
						{Type: "FAILED", Description: err.Error()},
					}}
				}
				return err
			}),
		}
	}
	own := []access.Route{
		door("POST /operator/verify", o.verify),
		door("POST /operator/backup", o.backup),
		door("GET /operator/consent/{tenant}", o.consent),
	}
	caller := access.Caller{ID: Caller, Roles: []access.Role{access.Admin, access.Analyst}}
	mux := http.NewServeMux()
	for _, r := range slices.Concat(own, o.Agents.AdminRoutes("")) {
		mux.Handle(r.Pattern, r.Handler)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mux.ServeHTTP(w, r.WithContext(access.With(r.Context(), caller)))
	})
}

package access

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"
)

// Guard lets a request through only with a valid token of a client that has a role for it.
type Guard struct {
	Tokens *Tokens
	Log    *slog.Logger
}

// before puts the guard before a route's handler: 401 without a valid token, 403 without one of the roles, and for a
// limited client where the route is for unlimited ones. Inside, From returns the caller. With no roles nobody passes.
func (g *Guard) before(route Route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		caller, err := g.caller(r)
		switch {
		case errors.Is(err, errNoToken):
			w.Header().Set("WWW-Authenticate", `Bearer realm="mailtrail"`)
			WriteProblems(w, http.StatusUnauthorized,
				Problem{"", "UNAUTHORIZED", "An access token is needed: POST /v1/oauth issues one."})
		case errors.Is(err, ErrDenied):
			w.Header().Set("WWW-Authenticate", `Bearer realm="mailtrail", error="invalid_token"`)
			WriteProblems(w, http.StatusUnauthorized, Problem{"", "UNAUTHORIZED",
				"The access token is unknown or has expired, or its client was removed: POST /v1/oauth issues a new one."})
		case err != nil:
			g.Log.ErrorContext(r.Context(), "the caller could not be established", "route", route.Pattern, "err", err)
			WriteProblems(w, http.StatusServiceUnavailable,
				Problem{"", "UNAVAILABLE", "The access token cannot be checked now. Try again."})
		case !caller.May(route.Roles...):
			WriteProblems(w, http.StatusForbidden, Problem{"", "FORBIDDEN",
				"This needs a client with one of the roles: " + strings.Join(texts(route.Roles), ", ") + "."})
		case route.Unlimited && caller.Limit != nil:
			WriteProblems(w, http.StatusForbidden,
				Problem{"", "LIMITED", "This needs a client that is not limited to some connections."})
		default:
			route.Handler.ServeHTTP(w, r.WithContext(With(r.Context(), caller)))
		}
	}
}

var errNoToken = errors.New("the request has no token")

// caller returns who holds the token of the request's one Authorization header.
func (g *Guard) caller(r *http.Request) (Caller, error) {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return Caller{}, errNoToken
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") || token == "" {
		return Caller{}, errNoToken
	}
	return g.Tokens.Caller(r.Context(), token)
}

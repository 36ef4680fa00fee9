package access

import (
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
)

// Guard lets a request through only with a good token of a client that has a role for it.
type Guard struct {
	Tokens *Tokens
	Log    *slog.Logger
}

// For wraps next: 401 without a good token, 403 without one of the roles. Inside, From tells the caller. With no roles nobody passes.
func (g *Guard) For(next http.Handler, roles ...Role) http.Handler {
	roles = slices.Clone(roles)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, ok := bearer(r)
		if !ok {
			w.Header().Set("WWW-Authenticate", `Bearer realm="mailtrail"`)
			WriteProblems(w, http.StatusUnauthorized, Problem{Type: "UNAUTHORIZED", Description: "An access token is needed: POST /v1/oauth gives one."})
			return
		}
		caller, err := g.Tokens.Caller(r.Context(), token)
		switch {
		case errors.Is(err, ErrDenied):
			w.Header().Set("WWW-Authenticate", `Bearer realm="mailtrail", error="invalid_token"`)
			WriteProblems(w, http.StatusUnauthorized, Problem{Type: "UNAUTHORIZED", Description: "The access token is unknown or has expired: POST /v1/oauth gives a new one."})
		case err != nil:
			g.Log.ErrorContext(r.Context(), "caller could not be found out", "path", r.URL.Path, "err", err)
			WriteProblems(w, http.StatusServiceUnavailable, Problem{Type: "UNAVAILABLE", Description: "The access token cannot be checked now. Try again."})
		case !caller.May(roles...):
			WriteProblems(w, http.StatusForbidden, Problem{Type: "FORBIDDEN", Description: "This needs a client with one of the roles: " + strings.Join(texts(roles), ", ") + "."})
		default:
			next.ServeHTTP(w, r.WithContext(With(r.Context(), caller)))
		}
	})
}

// bearer is the token of the request's one Authorization header.
func bearer(r *http.Request) (string, bool) {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return "", false
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	return token, ok && strings.EqualFold(scheme, "Bearer") && token != ""
}

// Package access decides who may call what: API clients and their tokens, the guard before every route, and the trail
// of what was asked and changed.
//
// A client has roles, which say what it may do, and may have a limit, which says for which connections. Whoever
// answers for connections asks the caller (From) before it shows one, and answers for one outside the limit exactly
// as for one that does not exist.
package access

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Role is what an API client may do.
type Role string

const (
	Admin   Role = "admin"   // adds and changes connections and clients, and reads the trail
	Analyst Role = "analyst" // searches, and reads connections and people
)

// ParseRole reads a role's name.
func ParseRole(s string) (Role, error) {
	switch r := Role(s); r {
	case Admin, Analyst:
		return r, nil
	}
	return "", fmt.Errorf("role %q is neither %s nor %s", s, Admin, Analyst)
}

// ErrDenied means that a credential is not valid: an unknown client, a wrong secret, an unknown or expired token, or
// the token of a removed client. It never says which.
var ErrDenied = errors.New("the credential is not valid")

// Limit is the ids of the connections that a client may see and change. Nil is no limit: all of them, also those added
// later. An id is never used again, so a limit does not outlive its connections.
type Limit []string

// Allows reports whether a connection is within the limit.
func (l Limit) Allows(connection string) bool { return l == nil || slices.Contains(l, connection) }

// Within reports whether everything that l allows is allowed by other too.
func (l Limit) Within(other Limit) bool {
	if l == nil {
		return other == nil
	}
	return !slices.ContainsFunc(l, func(connection string) bool { return !other.Allows(connection) })
}

// Caller is who makes a request, as the guard established.
type Caller struct {
	ID    string // the API client's id
	Roles []Role
	Limit Limit
}

// May reports whether the caller has one of the roles.
func (c Caller) May(roles ...Role) bool {
	return slices.ContainsFunc(roles, func(r Role) bool { return slices.Contains(c.Roles, r) })
}

type callerKey struct{}

// With returns a context that carries the caller.
func With(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// From returns the caller of the request that ctx belongs to; the zero Caller, who has no role, if there is none.
func From(ctx context.Context) Caller {
	c, _ := ctx.Value(callerKey{}).(Caller)
	return c
}

// random reads n bytes, all of them or none.
func random(from io.Reader, n int) ([]byte, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(from, b); err != nil {
		return nil, fmt.Errorf("read randomness: %w", err)
	}
	return b, nil
}

func texts(roles []Role) []string {
	out := make([]string, len(roles))
	for i, r := range roles {
		out[i] = string(r)
	}
	return out
}

func rolesOf(texts []string) []Role {
	out := make([]Role, len(texts))
	for i, s := range texts {
		out[i] = Role(s)
	}
	return out
}

// Package access decides who may call what: API clients and their tokens, the guard before every route, and the trail of what was
// asked and changed.
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
	Admin   Role = "admin"   // adds and changes connections
	Analyst Role = "analyst" // searches, and reads
)

// ParseRole reads a role's name.
func ParseRole(s string) (Role, error) {
	switch r := Role(s); r {
	case Admin, Analyst:
		return r, nil
	}
	return "", fmt.Errorf("role %q is none of %s, %s", s, Admin, Analyst)
}

// ErrDenied means that the credential is not good: an unknown client, a wrong secret, an unknown or expired token. It never tells which.
var ErrDenied = errors.New("the credential is not valid")

// Caller is who makes a request, as the guard has found out.
type Caller struct {
	ID    string // the API client's id
	Roles []Role
}

// May tells whether the caller has one of the roles.
func (c Caller) May(roles ...Role) bool {
	return slices.ContainsFunc(roles, func(r Role) bool { return slices.Contains(c.Roles, r) })
}

type callerKey struct{}

// With returns a context that carries the caller.
func With(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// From is the caller of the request that ctx belongs to; the zero Caller, who has no role, when no guard let it in.
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

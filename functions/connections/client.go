package main

import (
	"context"
	"encoding/json"

	"github.com/mailtrail/mailtrail/shared/access"
)

// newClient is what the command createClient says.
type newClient struct {
	Name  string        `json:"name"`
	Roles []access.Role `json:"roles"` // admin, analyst
}

// madeClient is its answer: the only time that the secret is told.
type madeClient struct {
	ID     string `json:"clientId"`
	Secret string `json:"clientSecret"`
}

// operator is who makes clients: somebody whom IAM lets invoke the function. CloudTrail knows who it was.
const operator = "iam"

// maker makes API clients.
type maker struct {
	clients *access.Clients
	trail   *access.Trail
}

// make puts the act into the trail and then does it, so that no client is there that the trail does not know.
func (m *maker) make(ctx context.Context, c newClient) (any, error) {
	for _, r := range c.Roles {
		if _, err := access.ParseRole(string(r)); err != nil {
			return nil, err
		}
	}
	detail, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	if err := m.trail.Record(ctx, access.Entry{Who: operator, What: "client.create", Detail: string(detail)}); err != nil {
		return nil, err
	}
	id, secret, err := m.clients.Create(ctx, c.Name, c.Roles)
	if err != nil {
		return nil, err
	}
	return madeClient{ID: id, Secret: secret}, nil
}

package search

import (
	"context"
	"fmt"

	"github.com/mailtrail/mailtrail/shared/connection"
)

// Domains knows which mail domains are a company's own, in lower case. It is safe for concurrent use.
type Domains interface {
	// Domains returns nil if they are not known yet.
	Domains(ctx context.Context, c connection.ID) ([]string, error)
}

// ownDomains returns the company's own domains. A run looks them up once.
func (r *running) ownDomains(ctx context.Context, c connection.ID) ([]string, error) {
	if own, ok := r.own[c]; ok || r.domains == nil {
		return own, nil
	}
	own, err := r.domains.Domains(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("find out the own domains of connection %s: %w", c, err)
	}
	r.own[c] = own
	return own, nil
}

package access

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/mailtrail/mailtrail/shared/table"
)

// Lifetime is how long an access token is good (Incydr: expires_in 900).
const Lifetime = 15 * time.Minute

const tokenBytes = 32

// Tokens are the access tokens that clients hold: 256 random bits that mean nothing by themselves, found again by their
// SHA-256, so that the table holds nothing that could be used. It is safe for concurrent use.
type Tokens struct {
	Table table.Table
	Now   func() time.Time
	Rand  io.Reader
}

// Issue makes a token for the caller, good for Lifetime.
func (t *Tokens) Issue(ctx context.Context, c Caller) (string, error) {
	b, err := random(t.Rand, tokenBytes)
	if err != nil {
		return "", fmt.Errorf("issue token for %s: %w", c.ID, err)
	}
	token := base64.RawURLEncoding.EncodeToString(b)
	expires := t.Now().Add(Lifetime)
	item := table.Item{
		Key:     tokenKey(tokenHash(token)),
		Attrs:   table.Attrs{"client": c.ID, "roles": texts(c.Roles), "expires": moment(expires)},
		Expires: expires.Add(time.Second), // the table counts whole seconds, and may be late: "expires" decides
	}
	if err := t.Table.Commit(ctx, table.Op{Verb: table.Create, Item: item}); err != nil {
		return "", fmt.Errorf("issue token for %s: %w", c.ID, err)
	}
	return token, nil
}

// Caller is who holds the token, or ErrDenied.
func (t *Tokens) Caller(ctx context.Context, token string) (Caller, error) {
	if b, err := base64.RawURLEncoding.DecodeString(token); err != nil || len(b) != tokenBytes {
		return Caller{}, ErrDenied
	}
	item, err := t.Table.Get(ctx, tokenKey(tokenHash(token)))
	if errors.Is(err, table.ErrAbsent) {
		return Caller{}, ErrDenied
	}
	if err != nil {
		return Caller{}, fmt.Errorf("look up token: %w", err)
	}
	id, _ := item.Attrs["client"].(string)
	roles, _ := item.Attrs["roles"].([]string)
	until, _ := item.Attrs["expires"].(string)
	expires, err := time.Parse(momentFormat, until)
	if err != nil || !t.Now().Before(expires) {
		return Caller{}, ErrDenied
	}
	return Caller{ID: id, Roles: rolesOf(roles)}, nil
}

func tokenHash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

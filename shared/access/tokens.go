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

// Lifetime is how long an access token is valid (Incydr: expires_in 900).
const Lifetime = 15 * time.Minute

const tokenBytes = 32

// Tokens issues and checks the access tokens of clients: 256 random bits that mean nothing by themselves. Only their
// SHA-256 is stored, so the table holds nothing that could be used. It is safe for concurrent use. Its table is that of
// Clients.
type Tokens struct {
	Table table.Table
	Now   func() time.Time
	Rand  io.Reader
}

// Issue makes a token for a client, valid for Lifetime.
func (t *Tokens) Issue(ctx context.Context, client string) (string, error) {
	b, err := random(t.Rand, tokenBytes)
	if err != nil {
		return "", fmt.Errorf("issue token for %s: %w", client, err)
	}
	token := base64.RawURLEncoding.EncodeToString(b)
	expires := t.Now().Add(Lifetime)
	item := table.Item{
		Key:     tokenKey(tokenHash(token)),
		Attrs:   table.Attrs{"client": client, "expires": moment(expires)},
		Expires: expires.Add(time.Second), // the table counts whole seconds, and may be late: "expires" decides
	}
	if err := t.Table.Commit(ctx, table.Op{Verb: table.Create, Item: item}); err != nil {
		return "", fmt.Errorf("issue token for %s: %w", client, err)
	}
	return token, nil
}

// Caller returns who holds the token, or ErrDenied. It reads the client at each call, so that a token ends with its
// client, and roles and limit are the client's own.
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
	until, _ := item.Attrs["expires"].(string)
	expires, err := time.Parse(momentFormat, until)
	if err != nil || !t.Now().Before(expires) {
		return Caller{}, ErrDenied
	}
	id, _ := item.Attrs["client"].(string)
	client, err := getClient(ctx, t.Table, id)
	if errors.Is(err, ErrNoClient) {
		return Caller{}, ErrDenied
	}
	return client.caller(), err
}

func tokenHash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

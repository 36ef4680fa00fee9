package access

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/mailtrail/mailtrail/shared/table"
)

// MaxName is how many characters a client's name may have.
const MaxName = 100

// maxID bounds what is looked up: our own ids have 20 characters.
const maxID = 64

// Clients are the programs that may call the API, each with a secret of its own. It is safe for concurrent use.
//
// A secret is 256 random bits, and what is stored is SHA-256 over a salt and the secret. A slow hash would add nothing:
// it protects secrets that people choose, which can be guessed; 2^256 values cannot, however fast one guess is.
type Clients struct {
	Table table.Table
	Now   func() time.Time
	Rand  io.Reader
}

// Create makes a client, and returns its id ("key-" and 16 hex digits) and its secret, which is never shown again.
func (c *Clients) Create(ctx context.Context, name string, roles []Role) (id, secret string, err error) {
	name = strings.TrimSpace(name)
	if name == "" || utf8.RuneCountInString(name) > MaxName || strings.ContainsFunc(name, unicode.IsControl) || !utf8.ValidString(name) {
		return "", "", fmt.Errorf("create client: a name has 1 to %d characters, and no control characters", MaxName)
	}
	if len(roles) == 0 {
		return "", "", errors.New("create client: it needs a role")
	}
	for _, r := range roles {
		if _, err := ParseRole(string(r)); err != nil {
			return "", "", fmt.Errorf("create client: %w", err)
		}
	}
	b, err := random(c.Rand, 8+16+32)
	if err != nil {
		return "", "", fmt.Errorf("create client: %w", err)
	}
	id = "key-" + hex.EncodeToString(b[:8])
	salt := hex.EncodeToString(b[8:24])
	secret = base64.RawURLEncoding.EncodeToString(b[24:])

	err = c.Table.Commit(ctx, table.Op{Verb: table.Create, Item: table.Item{Key: clientKey(id), Attrs: table.Attrs{
		"name": name, "roles": texts(roles), "salt": salt, "hash": hashed(salt, secret), "created": moment(c.Now()),
	}}})
	if err != nil {
		return "", "", fmt.Errorf("create client %s: %w", id, err)
	}
	return id, secret, nil
}

// Check returns who has the id and the secret, or ErrDenied. An unknown id costs the same read and the same hash as a wrong secret.
func (c *Clients) Check(ctx context.Context, id, secret string) (Caller, error) {
	if id == "" || len(id) > maxID || !utf8.ValidString(id) {
		id = "-" // nobody's
	}
	item, err := c.Table.Get(ctx, clientKey(id))
	if err != nil && !errors.Is(err, table.ErrAbsent) {
		return Caller{}, fmt.Errorf("check client: %w", err)
	}
	known := err == nil
	salt, _ := item.Attrs["salt"].(string)
	want, _ := item.Attrs["hash"].(string)
	roles, _ := item.Attrs["roles"].([]string)
	if !known {
		want = strings.Repeat("-", 2*sha256.Size) // as long as a hash, and never one
	}
	same := subtle.ConstantTimeCompare([]byte(hashed(salt, secret)), []byte(want)) == 1
	if !same || !known {
		return Caller{}, ErrDenied
	}
	return Caller{ID: id, Roles: rolesOf(slices.Clone(roles))}, nil
}

// Remove ends a client. Tokens that it holds live on for 15 minutes at most. Removing who is not there is fine.
func (c *Clients) Remove(ctx context.Context, id string) error {
	if err := c.Table.Commit(ctx, table.Op{Verb: table.Delete, Item: table.Item{Key: clientKey(id)}}); err != nil {
		return fmt.Errorf("remove client %s: %w", id, err)
	}
	return nil
}

func hashed(salt, secret string) string {
	sum := sha256.Sum256([]byte(salt + "|" + secret))
	return hex.EncodeToString(sum[:])
}

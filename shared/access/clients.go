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
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/mailtrail/mailtrail/shared/table"
)

const (
	// MaxName is how many characters a client's name may have.
	MaxName = 100
	// MaxLimit is how many connections a client's limit may name.
	MaxLimit = 1000

	maxID = 64 // characters of an id that is looked up: our own ids have 20
)

// ErrNoClient means that there is no client with that id, or none that the caller may see.
var ErrNoClient error = &Refused{http.StatusNotFound, []Problem{{"id", "NOT_FOUND", "There is no such client."}}}

// Client is a program that may call the API.
type Client struct {
	ID        string // "key-" and 16 hex digits
	Name      string // for people; need not be unique
	Roles     []Role
	Limit     Limit
	Created   time.Time
	CreatedBy string // a client's id or an operator; "" for clients that were stored before this was kept
}

// NewClient describes a client to be created.
type NewClient struct {
	Name  string `json:"name"`
	Roles []Role `json:"roles"`
	// Connections is the client's limit. It is left out, or null, for none; a list must name a connection.
	Connections Limit `json:"connections,omitempty"`
}

// check returns what is stored of n, or a *Refused that names every field that is wrong.
func (n NewClient) check() (NewClient, error) {
	var wrong []Problem
	refuse := func(field, description string) {
		wrong = append(wrong, Problem{field, "INVALID_VALUE", description})
	}
	n.Name = strings.TrimSpace(n.Name)
	invisible := func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }
	switch length := utf8.RuneCountInString(n.Name); {
	case length == 0 || length > MaxName:
		refuse("name", fmt.Sprintf("The name must have 1 to %d characters.", MaxName))
	case !utf8.ValidString(n.Name) || strings.ContainsFunc(n.Name, invisible):
		refuse("name", "The name must not contain control characters or invisible characters.")
	}
	if len(n.Roles) == 0 {
		refuse("roles", "A client needs a role: admin, analyst, or both.")
	}
	var roles []Role
	for i, r := range n.Roles {
		if _, err := ParseRole(string(r)); err != nil {
			refuse("roles["+strconv.Itoa(i)+"]", "The role must be admin or analyst.")
		} else if !slices.Contains(roles, r) {
			roles = append(roles, r)
		}
	}
	n.Roles = roles
	switch {
	case n.Connections != nil && len(n.Connections) == 0:
		refuse("connections", "The list must name a connection. Leave it out to allow all connections.")
	case len(n.Connections) > MaxLimit:
		refuse("connections", fmt.Sprintf("The list may name %d connections.", MaxLimit))
	}
	if len(wrong) > 0 {
		return NewClient{}, &Refused{http.StatusBadRequest, wrong}
	}
	if n.Connections != nil {
		n.Connections = slices.Compact(slices.Sorted(slices.Values(n.Connections)))
	}
	return n, nil
}

// Clients stores the API clients, each with a secret of its own. It is safe for concurrent use.
//
// A secret is 256 random bits; SHA-256 over a salt and the secret is stored. A slow hash would add nothing: it protects
// secrets that people choose, which can be guessed. 2^256 values cannot, however fast one guess is.
type Clients struct {
	Table table.Table
	Now   func() time.Time
	Rand  io.Reader
}

// Create stores a client and returns it with its secret, which cannot be read again. by is a client's id or an
// operator. It does not check that the connections of the limit exist, and leaves the trail to its caller: ClientAPI
// does both. Errors: *Refused, or the table's. After an error of the table the client may exist, with a secret that
// nobody has.
func (c *Clients) Create(ctx context.Context, by string, asked NewClient) (client Client, secret string, err error) {
	if asked, err = asked.check(); err != nil {
		return Client{}, "", err
	}
	b, err := random(c.Rand, 8+16+32)
	if err != nil {
		return Client{}, "", fmt.Errorf("create client: %w", err)
	}
	client = Client{
		ID: "key-" + hex.EncodeToString(b[:8]), Name: asked.Name, Roles: asked.Roles, Limit: asked.Connections,
		Created: c.Now().UTC().Round(0), CreatedBy: by,
	}
	salt := hex.EncodeToString(b[8:24])
	secret = base64.RawURLEncoding.EncodeToString(b[24:])
	attrs := table.Attrs{
		"name": client.Name, "roles": texts(client.Roles), "salt": salt, "hash": hashed(salt, secret),
		"created": moment(client.Created), "createdBy": by,
	}
	if client.Limit != nil {
		attrs["connections"] = []string(client.Limit)
	}
	item := table.Item{Key: clientKey(client.ID), Attrs: attrs}
	if err := c.Table.Commit(ctx, table.Op{Verb: table.Create, Item: item}); err != nil {
		return Client{}, "", fmt.Errorf("create client %s: %w", client.ID, err)
	}
	return client, secret, nil
}

// clientOf reads a stored client. A client without "connections" has no limit.
func clientOf(item table.Item) (Client, error) {
	text := func(name string) string { s, _ := item.Attrs[name].(string); return s }
	created, err := time.Parse(momentFormat, text("created"))
	if err != nil {
		return Client{}, fmt.Errorf("read client %s: %w", item.Sort, err)
	}
	roles, _ := item.Attrs["roles"].([]string)
	limit, limited := item.Attrs["connections"].([]string)
	if item.Attrs["connections"] != nil && !limited {
		return Client{}, fmt.Errorf("read client %s: its limit is not a list", item.Sort)
	}
	return Client{
		ID: item.Sort, Name: text("name"), Roles: rolesOf(roles), Limit: limit,
		Created: created, CreatedBy: text("createdBy"),
	}, nil
}

// Get returns the client, or ErrNoClient.
func (c *Clients) Get(ctx context.Context, id string) (Client, error) {
	return getClient(ctx, c.Table, id)
}

func getClient(ctx context.Context, from table.Table, id string) (Client, error) {
	if id == "" || len(id) > maxID || !utf8.ValidString(id) {
		return Client{}, ErrNoClient
	}
	item, err := from.Get(ctx, clientKey(id))
	if errors.Is(err, table.ErrAbsent) {
		return Client{}, ErrNoClient
	}
	if err != nil {
		return Client{}, fmt.Errorf("get client %s: %w", id, err)
	}
	return clientOf(item)
}

// List returns up to size clients whose limit is within another one, by id, after a client's id or from the start (""),
// and the last id if there are more. The nil Limit lists all clients.
func (c *Clients) List(
	ctx context.Context, within Limit, after string, size int,
) (list []Client, next string, err error) {
	q := table.Query{Partition: clientPartition}
	if after != "" {
		q.From = after + "\x00"
	}
	for item, err := range c.Table.Query(ctx, q) {
		if err != nil {
			return nil, "", fmt.Errorf("list clients: %w", err)
		}
		client, err := clientOf(item)
		if err != nil {
			return nil, "", err
		}
		if within != nil && !client.Limit.Within(within) {
			continue
		}
		if len(list) == size {
			return list, list[size-1].ID, nil
		}
		list = append(list, client)
	}
	return list, "", nil
}

// Check returns the caller that has the id and the secret, or ErrDenied. An unknown id costs the same read and the same
// hash as a wrong secret.
func (c *Clients) Check(ctx context.Context, id, secret string) (Caller, error) {
	if id == "" || len(id) > maxID || !utf8.ValidString(id) {
		id = "-" // no client has it
	}
	item, err := c.Table.Get(ctx, clientKey(id))
	if err != nil && !errors.Is(err, table.ErrAbsent) {
		return Caller{}, fmt.Errorf("check client: %w", err)
	}
	known := err == nil
	salt, _ := item.Attrs["salt"].(string)
	want, _ := item.Attrs["hash"].(string)
	if !known {
		want = strings.Repeat("-", 2*sha256.Size) // as long as a hash, and never one
	}
	same := subtle.ConstantTimeCompare([]byte(hashed(salt, secret)), []byte(want)) == 1
	if !same || !known {
		return Caller{}, ErrDenied
	}
	client, err := clientOf(item)
	return client.caller(), err
}

func (c Client) caller() Caller { return Caller{ID: c.ID, Roles: c.Roles, Limit: c.Limit} }

// Remove deletes a client. Its secret and its tokens are refused from the next request on. Removing a client that does
// not exist does nothing.
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

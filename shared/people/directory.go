package people

import (
	"context"
	"errors"

	"github.com/mailtrail/mailtrail/shared/connection"
)

var (
	// ErrUnknown means that the tenant's directory has no such person or group.
	ErrUnknown = errors.New("the directory does not know it")
	// ErrResync means that a link into the directory is not good any more: the census begins anew.
	ErrResync = errors.New("the directory has to be read anew")
	// ErrTooLarge means that a page is more than can be read, or took too long to come: a smaller one may do.
	ErrTooLarge = errors.New("the page is too large")
)

// Directory reads the directory of a tenant. It is safe for concurrent use. Errors are those of package fault,
// besides ErrUnknown and ErrResync. A link comes from a former page and is followed as it is; it holds no
// secret, but it is good for days at most.
type Directory interface {
	// Users returns a page of everybody, of about size people; link "" is the first page. ErrResync: the link is
	// not good any more.
	Users(ctx context.Context, t connection.Tenant, link string, size int) (Page, error)
	// Changes returns a page of who changed since the link was given; link "" changes nothing and gives a Delta
	// for what happens from now on. ErrResync: the link is not good any more.
	Changes(ctx context.Context, t connection.Tenant, link string, size int) (Page, error)
	// User returns the person whose object id, principal's name or address this is, or ErrUnknown.
	User(ctx context.Context, t connection.Tenant, name string) (Person, error)
	// Members returns a page of the people in a group, those of the groups in it included, each once or more; link
	// "" is the first page. ErrUnknown: there is no such group.
	Members(ctx context.Context, t connection.Tenant, group ObjectID, link string, size int) (Members, error)
	// Domains returns the verified domains of the tenant.
	Domains(ctx context.Context, t connection.Tenant) ([]string, error)
}

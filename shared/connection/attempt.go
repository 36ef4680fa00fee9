package connection

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/shared/table"
)

// attemptLifetime is how long an administrator may take for one step at Microsoft.
const attemptLifetime = 15 * time.Minute

// errState means that no attempt has this state: it is unknown, has expired, or was used before.
var errState = errors.New("the state is unknown, expired or used")

// stage says which step at Microsoft an attempt waits for.
type stage string

const (
	signingIn  stage = "sign-in"
	consenting stage = "consent"
)

// attempt is one step at Microsoft that an administrator has begun. It is stored under the hash of its state and holds
// no secret.
type attempt struct {
	connection ID
	cloud      Cloud
	stage      stage
	cookie     string // SHA-256 of the browser's cookie, hex
	expires    time.Time
	// Set for a consent: who signed in before it.
	tenant        TenantID
	administrator string
	claims        string
	links         int64 // how many links the connection had had: a newer link voids the attempt
}

func (a attempt) item(stateHash string) table.Item {
	return table.Item{
		Key: attemptKey(stateHash),
		Attrs: table.Attrs{
			"connection": string(a.connection), "cloud": string(a.cloud), "stage": string(a.stage), "cookie": a.cookie,
			"expires": table.Stamp(a.expires), "tenant": string(a.tenant), "administrator": a.administrator,
			"claims": a.claims, "links": a.links,
		},
		Expires: a.expires.Add(time.Second), // the table counts whole seconds, and may be late: "expires" decides
	}
}

// useLink closes the link and stores the attempt for its connection in one Commit. If two callers use one link, one of
// them gets ErrLink.
func (r *Registry) useLink(ctx context.Context, link, stateHash string, a attempt) (attempt, error) {
	s, err := r.byLink(ctx, link)
	if err != nil {
		return a, err
	}
	_, secret, _ := strings.Cut(link, ".")
	a.connection, a.cloud = s.ID, s.Tenant.Cloud
	_, err = r.change(ctx, s.ID, "", func(s *stored) ([]table.Op, error) {
		if err := s.opens(secret, r.now()); err != nil {
			return nil, err
		}
		s.link, s.linkUntil = "", time.Time{}
		a.links = s.links
		return []table.Op{{Verb: table.Create, Item: a.item(stateHash)}}, nil
	})
	return a, err
}

// start stores an attempt.
func (r *Registry) start(ctx context.Context, stateHash string, a attempt) error {
	if err := r.Table.Commit(ctx, table.Op{Verb: table.Create, Item: a.item(stateHash)}); err != nil {
		return fmt.Errorf("store attempt for connection %s: %w", a.connection, err)
	}
	return nil
}

// take removes the attempt and returns it, or errState. If two callers show one state, one of them gets errState: the
// attempt is deleted at its revision before anybody acts on it. When the table fails, nobody may act, because the
// attempt may be gone.
func (r *Registry) take(ctx context.Context, stateHash string) (attempt, error) {
	item, err := r.Table.Get(ctx, attemptKey(stateHash))
	if errors.Is(err, table.ErrAbsent) {
		return attempt{}, errState
	}
	if err != nil {
		return attempt{}, fmt.Errorf("read attempt: %w", err)
	}
	err = r.Table.Commit(ctx, table.Op{Verb: table.Delete, Item: table.Item{Key: item.Key, Revision: item.Revision}})
	if errors.Is(err, table.ErrConflict) {
		return attempt{}, errState
	}
	if err != nil {
		return attempt{}, fmt.Errorf("use up attempt: %w", err)
	}
	f := fields{attrs: item.Attrs}
	a := attempt{
		connection: ID(
			f.text("connection"),
		),
		cloud:         Cloud(f.text("cloud")),
		stage:         stage(f.text("stage")),
		cookie:        f.text("cookie"),
		expires:       f.time("expires"),
		tenant:        TenantID(f.text("tenant")),
		administrator: f.text("administrator"),
		claims:        f.text("claims"), links: f.number("links"),
	}
	if f.err != nil {
		return attempt{}, fmt.Errorf("read attempt: %w", f.err)
	}
	if !r.now().Before(a.expires) {
		return a, errState
	}
	return a, nil
}

// current is nil while the attempt may still connect its tenant. A newer link voids it (ErrLink), and so does
// deauthorizing or deleting the connection.
func (a attempt) current(s stored) error {
	switch {
	case !s.Purge.Asked.IsZero():
		return ErrPurging
	case s.Status == Deauthorized:
		return ErrDeauthorized
	case s.links != a.links:
		return ErrLink
	}
	return nil
}

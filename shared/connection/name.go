package connection

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/mailtrail/mailtrail/shared/access"
	"github.com/mailtrail/mailtrail/shared/table"
)

// MaxName is how many characters (Unicode code points) a display name may have.
const MaxName = 100

// cleanName is the display name as it is stored: trimmed, with one space for each run of white space. It refuses
// control characters and invisible ones, because they would let one name look like another.
func cleanName(name string) (string, error) {
	name = strings.TrimSpace(name)
	refuse := func(problem string) (string, error) { return "", access.Invalid("displayName", problem) }
	switch {
	case !utf8.ValidString(name):
		return refuse("The display name is not UTF-8.")
	case strings.ContainsFunc(name, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }):
		return refuse("The display name must not hold control characters or invisible characters.")
	}
	name = strings.Join(strings.Fields(name), " ")
	if n := utf8.RuneCountInString(name); n == 0 || n > MaxName {
		return refuse(fmt.Sprintf("The display name must have 1 to %d characters.", MaxName))
	}
	return name, nil
}

// cleanTenant checks the name of a tenant, its id or one of its domains, and puts it in lower case. "" is no tenant.
func cleanTenant(name string) (string, error) {
	name = strings.ToLower(strings.TrimSpace(name))
	if name == "" || TenantID(name).valid() || len(name) <= maxDomain && domain.MatchString(name) {
		return name, nil
	}
	return "", access.Invalid("tenant", "The tenant must be the id of a tenant, which is a GUID, or one of its domains.")
}

const maxDomain = 253 // characters

// domain matches a domain name of at least two labels, as DNS writes it.
var domain = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// fold maps names that differ only in letter case to one text: two folded names are equal exactly when
// strings.EqualFold says so.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
			least = min(least, other)
		}
		return least
	}, name)
}

// Rename gives a connection another display name: the connection, the lock on the new name, and the end of the lock on
// the old one in one Commit. If several writers want one name, exactly one gets it. Errors: *access.Refused,
// ErrNotFound, ErrName, ErrPurging, or the table's.
func (r *Registry) Rename(ctx context.Context, id ID, displayName, by string) (Connection, error) {
	name, err := cleanName(displayName)
	if err != nil {
		return Connection{}, err
	}
	return r.change(ctx, id, by, func(s *stored) ([]table.Op, error) {
		if !s.Purge.Asked.IsZero() {
			return nil, ErrPurging
		}
		was := fold(s.DisplayName)
		s.DisplayName = name
		if fold(name) == was { // only the letter case differs: the lock is the same
			return nil, nil
		}
		switch holder, err := r.holder(ctx, nameKey(fold(name))); {
		case err == nil && holder != id:
			return nil, ErrName
		case err != nil && !errors.Is(err, table.ErrAbsent):
			return nil, err
		}
		return []table.Op{
			{Verb: table.Create, Item: lock(nameKey(fold(name)), id)},
			{Verb: table.Delete, Item: table.Item{Key: nameKey(was)}},
		}, nil
	})
}

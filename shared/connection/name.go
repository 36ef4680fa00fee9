package connection

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/mailtrail/mailtrail/shared/access"
)

// MaxName is how many characters (Unicode code points) a display name may have.
const MaxName = 100

// cleanName is the display name as it is stored: without white space around it, and one blank for each run of white space inside.
// Control characters and invisible ones are refused, for they would let one name look like another.
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

// fold maps names that differ in letter case alone to one text: two folded names are the same when strings.EqualFold says so.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
			least = min(least, other)
		}
		return least
	}, name)
}

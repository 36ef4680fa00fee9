package settings

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mailtrail/mailtrail/shared/connection"
)

const prefix = "MAILTRAIL_"

// Read reads an environment, "NAME=value" each, as os.Environ returns it. The error names at once every needed variable
// that is missing, every value that is wrong, and every variable that begins with MAILTRAIL_ and is not known.
//
// On one machine nothing is needed to run with a simulated tenant. Any variable that asks for the real Microsoft asks
// for all that are required to talk to it, so that half a configuration never ends in a simulation.
func Read(place Place, environ []string, needed ...string) (Settings, error) {
	s := Settings{Applications: map[connection.Cloud]Application{}, given: given(environ)}
	wrong := unknown(environ)
	for _, name := range needed {
		if !s.Given(name) {
			wrong = append(wrong, fmt.Errorf("%s is missing", name))
		}
	}
	suffixes := []string{""}
	if place == Machine {
		suffixes = append(suffixes, clouds()...)
	}
	described := map[string]*Application{}
	for _, setting := range All() {
		if setting.Place != Everywhere && setting.Place != place {
			continue
		}
		if setting.PerCloud {
			wrong = append(wrong, s.describe(setting, suffixes, described)...)
			continue
		}
		value := s.given[setting.Name]
		if value == "" {
			value = setting.Default
		}
		if value == "" {
			continue
		}
		if err := setting.read(&s, value); err != nil {
			wrong = append(wrong, fmt.Errorf("%s %w", setting.Name, err))
		}
	}
	for _, cloud := range connection.Clouds() {
		if a := described[suffix(cloud)]; a != nil {
			s.Applications[cloud] = *a
		}
	}
	if a := described[""]; a != nil {
		if _, twice := s.Applications[s.Cloud]; twice {
			wrong = append(wrong, fmt.Errorf("the application of cloud %s is described twice: by %s and by %s", s.Cloud,
				ClientID+suffix(s.Cloud), ClientID))
		}
		s.Applications[s.Cloud] = *a
	}
	if place == Machine {
		wrong = append(wrong, s.incomplete(described)...)
	}
	return s, errors.Join(wrong...)
}

func given(environ []string) map[string]string {
	set := make(map[string]string, len(environ))
	for _, pair := range environ {
		if name, value, ok := strings.Cut(pair, "="); ok {
			set[name] = value
		}
	}
	return set
}

// describe reads a setting of the application, once for each suffix.
func (s *Settings) describe(setting Setting, suffixes []string, described map[string]*Application) (wrong []error) {
	for _, suffix := range suffixes {
		name := setting.Name + suffix
		value := s.given[name]
		if value == "" {
			continue
		}
		if described[suffix] == nil {
			described[suffix] = &Application{}
		}
		if err := setting.describe(described[suffix], name, value); err != nil {
			wrong = append(wrong, fmt.Errorf("%s %w", name, err))
		}
	}
	return wrong
}

// suffix stands behind the names of variables of one cloud.
func suffix(c connection.Cloud) string { return "_" + strings.ToUpper(string(c)) }

func clouds() []string {
	var all []string
	for _, c := range connection.Clouds() {
		all = append(all, suffix(c))
	}
	return all
}

// real returns the variables that are set and ask for the real Microsoft.
func (s Settings) real() []string {
	var set []string
	for _, name := range append(ofMicrosoft(), RedirectURL, Cloud, Endpoints) {
		if s.Given(name) {
			set = append(set, name)
		}
	}
	return set
}

// ofMicrosoft returns the names of all variables that describe an application at Microsoft, with those of single
// clouds.
func ofMicrosoft() []string {
	var all []string
	for _, setting := range All() {
		if !setting.PerCloud {
			continue
		}
		all = append(all, setting.Name)
		for _, suffix := range clouds() {
			all = append(all, setting.Name+suffix)
		}
	}
	return all
}

// incomplete says what a machine lacks to talk to Microsoft, if anything asks for that. described are the applications
// by the suffix of their variables. The one without a suffix is needed if its cloud is named, or if there is no other.
func (s Settings) incomplete(described map[string]*Application) (wrong []error) {
	real := s.real()
	switch {
	case len(real) == 0:
		return nil
	case s.Records != "":
		return []error{fmt.Errorf("%s imports into a simulated tenant: unset %s", Records, strings.Join(real, ", "))}
	case !s.Given(RedirectURL):
		wrong = append(wrong, fmt.Errorf("%s is missing: it is needed to talk to Microsoft", RedirectURL))
	}
	if len(described) == 0 || described[""] == nil && s.Given(Cloud) {
		wrong = append(wrong, Application{}.lacks("")...)
	}
	for suffix, a := range described {
		wrong = append(wrong, a.lacks(suffix)...)
	}
	return wrong
}

// lacks says what is missing of the application whose variables have the suffix.
func (a Application) lacks(suffix string) (wrong []error) {
	for name, value := range map[string]string{ClientID: a.ClientID, Publisher: a.Publisher} {
		if value == "" {
			wrong = append(wrong, fmt.Errorf("%s is missing: it is needed to talk to Microsoft", name+suffix))
		}
	}
	if len(a.Secrets)+len(a.Certificates) == 0 {
		wrong = append(wrong, fmt.Errorf("%s or %s is missing: one of them is needed to talk to Microsoft",
			Certificate+suffix, Secret+suffix))
	}
	return wrong
}

// unknown refuses each variable that begins with our prefix and is no setting: most likely it is a typing error.
func unknown(environ []string) (wrong []error) {
	known := ofMicrosoft()
	for _, setting := range All() {
		if !setting.PerCloud {
			known = append(known, setting.Name)
		}
	}
	for _, pair := range environ {
		name, _, _ := strings.Cut(pair, "=")
		if strings.HasPrefix(name, prefix) && !slices.Contains(known, name) {
			wrong = append(wrong, fmt.Errorf("%s is no setting of Mailtrail: do you mean %s?", name, nearest(name, known)))
		}
	}
	return wrong
}

// nearest returns the known name that needs the fewest changes.
func nearest(name string, known []string) string {
	return slices.MinFunc(known, func(a, b string) int { return distance(name, a) - distance(name, b) })
}

// distance is the number of letters to insert, leave out or replace to turn a into b (Levenshtein distance).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}

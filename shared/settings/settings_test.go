package settings_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/enrich"
	"github.com/mailtrail/mailtrail/shared/settings"
)

const (
	someID   = "5f0d3d5c-0a51-4b3f-9a7e-6c8f1b2d4e60"
	callback = "https://mailtrail.example/consent/callback"
)

func TestWrongEnvironmentsOfAMachineAreRefusedByName(t *testing.T) {
	for _, test := range []struct{ env, want string }{
		{"ADDR=nonsense", `ADDR must be a host and a port, not "nonsense"`},
		{"MAILTRAIL_RETENTION_DAYS=0", `MAILTRAIL_RETENTION_DAYS must be a whole number from 1 to 3650, not "0"`},
		{"MAILTRAIL_RETENTION_DAYS=many", `MAILTRAIL_RETENTION_DAYS must be a whole number from 1 to 3650, not "many"`},
		{"MAILTRAIL_HASHES=some", `MAILTRAIL_HASHES must be all, external or none, not "some"`},
		{"MAILTRAIL_HASH_LIMIT_MB=1.5", "MAILTRAIL_HASH_LIMIT_MB must be a whole number from 1 to 10000"},
		{"MAILTRAIL_ENRICH_MINUTES=61", "MAILTRAIL_ENRICH_MINUTES must be a whole number from 1 to 60"},
		{"MAILTRAIL_CLIENT_ID=mailtrail", "MAILTRAIL_CLIENT_ID is no GUID"},
		{"MAILTRAIL_PUBLISHER_GCC=us", "MAILTRAIL_PUBLISHER_GCC is no GUID"},
		{"MAILTRAIL_ENDPOINTS=/no/such/file", "MAILTRAIL_ENDPOINTS must be a JSON file that can be read"},
		{"MAILTRAIL_ENDPOINTS={", "MAILTRAIL_ENDPOINTS must hold a JSON object"},
		// Half a real configuration never ends in a simulation, whichever half it is.
		{"MAILTRAIL_CLIENT_ID=" + someID, "MAILTRAIL_PUBLISHER is missing"},
		{"MAILTRAIL_CLIENT_SECRET=s", "MAILTRAIL_CLIENT_ID is missing"},
		{"MAILTRAIL_PUBLISHER=" + someID, "MAILTRAIL_CLIENT_ID is missing"},
		{"MAILTRAIL_REDIRECT_URL=" + callback, "MAILTRAIL_CLIENT_ID is missing"},
		{"MAILTRAIL_CLOUD=gcc", "MAILTRAIL_CLIENT_ID is missing"},
		{"MAILTRAIL_CLOUD=mars", "MAILTRAIL_CLOUD must be commercial, gcc, gcchigh or dod"},
		{"MAILTRAIL_PUBLISHER=" + someID + " RECORDS=a.csv", "unset MAILTRAIL_PUBLISHER"},
		{real(callback) + " MAILTRAIL_CLIENT_ID_DOD=" + someID, "MAILTRAIL_PUBLISHER_DOD is missing"},
		{real(callback) + " MAILTRAIL_CLOUD=dod " + application("_DOD"), "described twice"},
		{"MAILTRAIL_REDIRECT_URL=" + callback + " MAILTRAIL_CLOUD=gcc " + application("_DOD"),
			"MAILTRAIL_CLIENT_ID is missing"},
		{"MAILTRAIL_REDIRECT_URL=" + callback + " MAILTRAIL_CLIENT_ID=" + someID + " MAILTRAIL_PUBLISHER=" + someID,
			"MAILTRAIL_CLIENT_SECRET is missing"},
		{real("/consent/callback"), "MAILTRAIL_REDIRECT_URL must be"},
		{real("https:///consent/callback"), "MAILTRAIL_REDIRECT_URL must be"},
		{real("ftp://mailtrail.example/consent/callback"), "MAILTRAIL_REDIRECT_URL must be"},
		{real("https://mailtrail.example/elsewhere"), "MAILTRAIL_REDIRECT_URL must be"},
	} {
		if _, err := settings.Read(settings.Machine, strings.Fields(test.env)); err == nil ||
			!strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want one that says %q", test.env, err, test.want)
		}
	}
}

func TestEverythingWrongIsNamedAtOnce(t *testing.T) {
	env := "MAILTRAIL_HASHES=some MAILTRAIL_ENRICH_MINUTES=0 MAILTRAIL_RETENTION=3" +
		" MAILTRAIL_BASE_URL=here MAILTRAIL_CLOUD=mars"
	_, err := settings.Read(settings.AWS, strings.Fields(env), settings.TableBlobs, settings.CredentialARN, settings.Cloud)
	if err == nil {
		t.Fatal("nothing is wrong")
	}
	want := []string{
		`MAILTRAIL_BASE_URL must be http:// or https:// and a host, and nothing after it, not "here"`,
		"MAILTRAIL_CLOUD must be commercial, gcc, gcchigh or dod, not \"mars\"",
		"MAILTRAIL_CREDENTIAL_ARN is missing",
		`MAILTRAIL_ENRICH_MINUTES must be a whole number from 1 to 60, not "0"`,
		`MAILTRAIL_HASHES must be all, external or none, not "some"`,
		"MAILTRAIL_RETENTION is no setting of Mailtrail: do you mean MAILTRAIL_RETENTION_DAYS?",
		"TABLE_BLOBS is missing",
	}
	got := strings.Split(err.Error(), "\n")
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("named are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestASlipOfThePenStopsTheStart: a variable with our prefix that is no setting is refused, and the nearest setting
// is named.
func TestASlipOfThePenStopsTheStart(t *testing.T) {
	for name, want := range map[string]string{
		"MAILTRAIL_HASH":              "MAILTRAIL_HASHES",
		"MAILTRAIL_RETENTION_DAY":     "MAILTRAIL_RETENTION_DAYS",
		"MAILTRAIL_ENRICH_MINS":       "MAILTRAIL_ENRICH_MINUTES",
		"MAILTRAIL_CLIENT_SECERT":     "MAILTRAIL_CLIENT_SECRET",
		"MAILTRAIL_CLIENT_ID_GCCHIHG": "MAILTRAIL_CLIENT_ID_GCCHIGH",
		"MAILTRAIL_CLIENT_ID_DODD":    "MAILTRAIL_CLIENT_ID_DOD",
	} {
		for _, place := range []settings.Place{settings.Machine, settings.AWS} {
			_, err := settings.Read(place, []string{name + "=x"})
			if err == nil || err.Error() != name+" is no setting of Mailtrail: do you mean "+want+"?" {
				t.Errorf("%s on %s: %v, want %s", name, place, err, want)
			}
		}
	}
}

// TestSettingsOfTheOtherPlaceAreKnownAndNotRead, whatever their values.
func TestSettingsOfTheOtherPlaceAreKnownAndNotRead(t *testing.T) {
	for _, setting := range settings.All() {
		other := settings.AWS
		if setting.Place == settings.AWS {
			other = settings.Machine
		}
		if setting.Place == settings.Everywhere {
			continue
		}
		if s, err := settings.Read(other, []string{setting.Name + "=nonsense"}); err != nil || s.Base != "" {
			t.Errorf("%s on %s: %v", setting.Name, other, err)
		}
	}
}

func TestDefaultsAndValues(t *testing.T) {
	s, err := settings.Read(settings.Machine, nil)
	if err != nil || s.Real() || s.Addr != "127.0.0.1:8080" || s.Retention != 0 || s.Cloud != connection.Commercial ||
		s.Hashes != enrich.All || s.HashLimit != enrich.DefaultLimit || s.EnrichFor != enrich.DefaultDeadline ||
		s.Given(settings.Addr) {
		t.Errorf("%+v, %v", s, err)
	}
	s, err = settings.Read(settings.Machine, strings.Fields(
		"RECORDS=a.csv MAILTRAIL_RETENTION_DAYS=3 MAILTRAIL_HASHES=external MAILTRAIL_HASH_LIMIT_MB=20"+
			" MAILTRAIL_ENRICH_MINUTES=45 PATH=/bin"))
	if err != nil || s.Real() || s.Records != "a.csv" || s.Retention != 72*time.Hour ||
		s.Hashes != enrich.Outgoing || s.HashLimit != 20<<20 || s.EnrichFor != 45*time.Minute || !s.Given(settings.Records) {
		t.Errorf("%+v, %v", s, err)
	}
	s, err = settings.Read(settings.Machine, strings.Fields(real(callback)))
	if err != nil || !s.Real() || s.Base != "https://mailtrail.example" {
		t.Errorf("%+v, %v", s, err)
	}
	s, err = settings.Read(settings.AWS,
		strings.Fields("TABLE_EVENTS=events QUEUE_BLOBS=https://sqs/blobs MAILTRAIL_BASE_URL=https://a.b"),
		settings.TableEvents)
	if err != nil || s.Tables.Events != "events" || s.BlobQueue != "https://sqs/blobs" || s.Base != "https://a.b" {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestOneMachineHasAnApplicationOfEachCloud(t *testing.T) {
	for env, want := range map[string][]connection.Cloud{
		real(callback): {connection.Commercial},
		real(callback) + " MAILTRAIL_CLOUD=gcchigh": {connection.GCCHigh},
		real(callback) + " " + application("_DOD"): {connection.Commercial,
			connection.DoD},
		"MAILTRAIL_REDIRECT_URL=" + callback + " " + application("_GCC"): {connection.GCC},
		"MAILTRAIL_REDIRECT_URL=" + callback + application("_GCC") + application("_GCCHIGH"): {connection.GCC,
			connection.GCCHigh},
		real(callback) + " MAILTRAIL_NEW_CLIENT_SECRET=n" + application("_GCCHIGH"): {connection.Commercial,
			connection.GCCHigh},
	} {
		s, err := settings.Read(settings.Machine, strings.Fields(env))
		if err != nil {
			t.Errorf("%s: %v", env, err)
			continue
		}
		if got := slices.Sorted(maps.Keys(s.Applications)); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
			t.Errorf("%s has applications of %v, want %v", env, got, want)
		}
		for cloud, a := range s.Applications {
			if a.ClientID != someID || a.Publisher != someID || a.Secrets[0] != "s" {
				t.Errorf("%s: that of %s is %+v", env, cloud, a)
			}
		}
	}
}

// TestNoErrorQuotesASecret sets each setting of the application to a secret, which is easily pasted into the wrong
// variable.
func TestNoErrorQuotesASecret(t *testing.T) {
	const pasted = "kTq8Q~secret"
	for _, setting := range settings.All() {
		if !setting.PerCloud {
			continue
		}
		for _, place := range []settings.Place{settings.Machine, settings.AWS} {
			if _, err := settings.Read(place, []string{setting.Name + "=" + pasted}); err != nil &&
				strings.Contains(err.Error(), pasted) {
				t.Errorf("%s: %v", setting.Name, err)
			}
		}
	}
}

// a flag
var update = flag.Bool("update", false,
	"write the list of settings in docs/settings.md anew") //nolint:gochecknoglobals

// TestTheDocumentedSettingsAreThese holds the list of docs/settings.md to the code.
func TestTheDocumentedSettingsAreThese(t *testing.T) {
	const name, begin, end = "../../docs/settings.md", "## The settings\n\n", "\n## "
	var list strings.Builder
	for _, s := range settings.All() {
		if s.Sentence == "" || !strings.HasSuffix(s.Sentence, ".") {
			t.Errorf("%s has no sentence", s.Name)
		}
		fmt.Fprintf(&list, "- `%s`", s.Name)
		if s.PerCloud {
			list.WriteString(" (*)")
		}
		fmt.Fprintf(&list, ", %s", s.Place)
		if s.Default != "" {
			fmt.Fprintf(&list, ", default `%s`", s.Default)
		}
		list.WriteString(":\n ")
		column := 1
		for word := range strings.FieldsSeq(s.Sentence) {
			if column += 1 + len(word); column > 118 {
				list.WriteString("\n ")
				column = 2 + len(word)
			}
			list.WriteString(" " + word)
		}
		list.WriteString("\n")
	}
	page, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(page), begin)
	_, after, more := strings.Cut(rest, end)
	if !found || !more {
		t.Fatalf("%s has no list of settings", name)
	}
	want := before + begin + list.String() + end + after
	if *update {
		if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(page) != want {
		t.Errorf("the list in %s is not that of the code: go test ./shared/settings -update", name)
	}
}

// real is a whole configuration with a redirect URL.
func real(redirect string) string {
	return application("") + " MAILTRAIL_REDIRECT_URL=" + redirect
}

// application are the variables of an application, each with the suffix.
func application(suffix string) string {
	return " MAILTRAIL_CLIENT_ID" + suffix + "=" + someID + " MAILTRAIL_CLIENT_SECRET" + suffix + "=s" +
		" MAILTRAIL_PUBLISHER" + suffix + "=" + someID
}

// Package functions_test runs the built binaries of all functions, as Lambda does.
package functions_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	lambdasim "github.com/mailtrail/mailtrail/sim/lambda"
)

const (
	arn      = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:mailtrail-AbCdEf"
	clientID = "11111111-2222-4333-8444-555555555555"
)

// needed lists the settings without which each function does not start.
func needed() map[string][]string {
	microsoft := []string{"MAILTRAIL_CLIENT_ID", "MAILTRAIL_CREDENTIAL_ARN", "MAILTRAIL_PUBLISHER", "MAILTRAIL_CLOUD"}
	return map[string][]string{
		"consent":     append([]string{"TABLE_CONNECTIONS"}, microsoft...),
		"connections": {"TABLE_CONNECTIONS", "TABLE_BLOBS", "TABLE_PEOPLE"},
		"census":      append([]string{"TABLE_CONNECTIONS", "TABLE_PEOPLE"}, microsoft...),
		"poll": append([]string{"TABLE_CONNECTIONS", "TABLE_BLOBS", "TABLE_EVENTS", "TABLE_PEOPLE", "QUEUE_BLOBS",
			"QUEUE_MESSAGES", "MAILTRAIL_ENRICH_MINUTES"}, microsoft...),
		"enrich": append([]string{
			"TABLE_CONNECTIONS", "TABLE_BLOBS", "TABLE_EVENTS", "TABLE_PEOPLE", "QUEUE_MESSAGES", "MAILTRAIL_HASHES",
			"MAILTRAIL_HASH_LIMIT_MB", "MAILTRAIL_ENRICH_MINUTES", "MAILTRAIL_LOOK_DAYS",
		}, microsoft...),
		"ingest": append([]string{"TABLE_CONNECTIONS", "TABLE_BLOBS", "TABLE_EVENTS", "TABLE_PEOPLE", "QUEUE_BLOBS",
			"QUEUE_MESSAGES", "MAILTRAIL_RETENTION_DAYS", "MAILTRAIL_CHECK_SENDS"}, microsoft...),
		"search": {"TABLE_CONNECTIONS", "TABLE_BLOBS", "TABLE_EVENTS", "TABLE_PEOPLE"},
	}
}

var binaries string //nolint:gochecknoglobals // written once, before any test

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

// run builds all functions once, with the flags that they are shipped with.
func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "functions")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	arguments := []string{"go", "build", "-o", dir + string(filepath.Separator)}
	for _, name := range slices.Sorted(maps.Keys(needed())) {
		arguments = append(arguments, "./"+name)
	}
	if out, err := exec.Command("./flags", arguments...).CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%s\n%v\n", out, err)
		return 1
	}
	binaries = dir
	return m.Run()
}

// environment sets everything that a function needs to start. The name of a table is the last word of its variable.
func environment(function string, a *amazon) map[string]string {
	all := map[string]string{
		"TABLE_CONNECTIONS": "connections", "TABLE_BLOBS": "blobs", "TABLE_EVENTS": "events", "TABLE_PEOPLE": "people",
		"QUEUE_BLOBS":    a.url + "/queue",
		"QUEUE_MESSAGES": a.url + "/messages", "MAILTRAIL_HASHES": "all", "MAILTRAIL_HASH_LIMIT_MB": "150",
		"MAILTRAIL_ENRICH_MINUTES": "30", "MAILTRAIL_LOOK_DAYS": "14", "MAILTRAIL_RETENTION_DAYS": "90",
		"MAILTRAIL_CHECK_SENDS": "100",
		"MAILTRAIL_CLIENT_ID":   clientID, "MAILTRAIL_CREDENTIAL_ARN": arn, "MAILTRAIL_PUBLISHER": clientID,
		"MAILTRAIL_CLOUD": "commercial",
	}
	env := map[string]string{}
	for _, name := range needed()[function] {
		env[name] = all[name]
	}
	for _, service := range []string{"DYNAMODB", "SQS", "SECRETS_MANAGER"} {
		env["AWS_ENDPOINT_URL_"+service] = a.url
	}
	return env
}

// output is what a function writes.
type output struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all.String()
}

// start starts a function. Its log must not contain a secret when the test ends.
func start(t *testing.T, name string, env map[string]string) (*lambdasim.Running, error) {
	t.Helper()
	out := &output{}
	f, err := lambdasim.Start(t.Context(), lambdasim.Function{Binary: filepath.Join(binaries, name), Env: env,
		Timeout: 30 * time.Second, Log: out})
	t.Cleanup(func() {
		if f != nil {
			f.Close()
		}
		for _, secret := range []string{credential, clientSecret, bearer} {
			if strings.Contains(out.String(), secret) {
				t.Errorf("the log of %s holds a secret", name)
			}
		}
	})
	return f, err
}

func TestAFunctionWithoutItsEnvironmentNamesWhatIsMissing(t *testing.T) {
	a := newAmazon(t)
	for name, variables := range needed() {
		missing := map[string][]string{"everything": variables}
		for _, v := range variables {
			missing[v] = []string{v}
		}
		for what, without := range missing {
			env := environment(name, a)
			for _, v := range without {
				delete(env, v)
			}
			_, err := start(t, name, env)
			var failed *lambdasim.Error
			if !errors.As(err, &failed) {
				t.Errorf("%s without %s: %v", name, what, err)
				continue
			}
			for _, v := range variables {
				if named := strings.Contains(failed.Output, v+" is missing"); named != slices.Contains(without, v) {
					t.Errorf("%s without %s says\n%s", name, what, failed.Output)
				}
			}
		}
	}
	if calls := a.calls(); len(calls) > 0 {
		t.Errorf("AWS was asked for %q", calls)
	}
}

func TestAFunctionWithAWrongEnvironmentSaysWhatIsWrong(t *testing.T) {
	for _, c := range []struct{ function, variable, value, says string }{
		{"consent", "MAILTRAIL_CLOUD", "azure", "MAILTRAIL_CLOUD must be commercial"},
		{"consent", "MAILTRAIL_CLIENT_ID", "mailtrail", "MAILTRAIL_CLIENT_ID is no GUID"},
		{"consent", "MAILTRAIL_PUBLISHER", "us", "MAILTRAIL_PUBLISHER is no GUID"},
		{"poll", "MAILTRAIL_ENDPOINTS", "{", "MAILTRAIL_ENDPOINTS must hold a JSON object"},
		{"poll", "MAILTRAIL_ENDPOINTS", `{"commercial":{"logon":"https://login.example.com"}}`,
			"MAILTRAIL_ENDPOINTS: read the endpoints of cloud commercial: json: unknown field"},
		{"poll", "MAILTRAIL_ENDPOINTS", `{"commercial":{"login":"login.example.com"}}`, "Login is no http or https URL"},
		{"ingest", "MAILTRAIL_RETENTION_DAYS", "0", "MAILTRAIL_RETENTION_DAYS"},
		{"ingest", "MAILTRAIL_RETENTION_DAYS", "a year", "MAILTRAIL_RETENTION_DAYS"},
		{"enrich", "MAILTRAIL_HASHES", "some", "MAILTRAIL_HASHES"},
		{"enrich", "MAILTRAIL_HASH_LIMIT_MB", "many", "MAILTRAIL_HASH_LIMIT_MB"},
		{"enrich", "MAILTRAIL_ENRICH_MINUTES", "61", "MAILTRAIL_ENRICH_MINUTES"},
		{"search", "MAILTRAIL_RETENTION_DAY", "90",
			"MAILTRAIL_RETENTION_DAY is no setting of Mailtrail: do you mean MAILTRAIL_RETENTION_DAYS?"},
		{"connections", "MAILTRAIL_BASE_URL", "mailtrail.example.com", "MAILTRAIL_BASE_URL"},
		{"connections", "MAILTRAIL_BASE_URL", "https://mailtrail.example.com/", "MAILTRAIL_BASE_URL"},
	} {
		env := environment(c.function, newAmazon(t))
		env[c.variable] = c.value
		var failed *lambdasim.Error
		if _, err := start(t, c.function, env); !errors.As(err, &failed) || !strings.Contains(failed.Output, c.says) {
			t.Errorf("%s with %s=%s: %v", c.function, c.variable, c.value, err)
		}
	}
}

func TestAFunctionWithoutAGoodCredentialDoesNotStart(t *testing.T) {
	for secret, says := range map[string]string{
		"":  "denied by this test",
		" ": "it is empty",
		"-----BEGIN CERTIFICATE-----\n" + credential + "\n-----END CERTIFICATE-----": arn,
	} {
		for _, name := range []string{"consent", "census", "poll", "ingest", "enrich"} {
			a := amazonWith(t, secret)
			var failed *lambdasim.Error
			if _, err := start(t, name, environment(name, a)); !errors.As(err, &failed) ||
				!strings.Contains(failed.Output, says) {
				t.Errorf("%s with the credential %q: %v", name, secret, err)
			}
		}
	}
}
